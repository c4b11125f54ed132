/** How layers are stored: in one frame or member or several, with the media type that fits or another. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync, zstdCompressSync } from "node:zlib";
import { describe, expect, it } from "vitest";
import { unpackLayer } from "../../../src/io/oci/layer.ts";
import { layerForm } from "../../../src/io/oci/layer-form.ts";
import { wholeFile } from "../../../src/io/oci/stored-file.ts";
import type { LayerForm } from "../../../src/oci/layer-form.ts";
import { LAYER_TYPE } from "../../../src/oci/media-types.ts";
import { tempDir } from "../../support/temp.ts";

const ARCHIVE = Buffer.from("an archive, ".repeat(50_000));
const [A, B] = [ARCHIVE.subarray(0, 300_001), ARCHIVE.subarray(300_001)];
/** A skippable frame, as zstd:chunked keeps its index in. */
const SKIPPABLE = Buffer.concat([Buffer.of(0x50, 0x2a, 0x4d, 0x18, 4, 0, 0, 0), Buffer.from("abcd")]);

async function form(bytes: Uint8Array, mediaType: string | null = null) {
  const path = join(tempDir(), "layer");
  writeFileSync(path, bytes);
  const file = await wholeFile("layer", path);
  const layer = { file, digest: null, diffId: null, mediaType, negativeTimes: false };
  const forms: LayerForm[] = [];
  for await (const _ of unpackLayer(layer, { end: (form) => forms.push(layerForm(layer, form)) }));
  expect(forms).toHaveLength(1);
  return forms[0];
}

describe("the form of a layer", () => {
  it.each<[string, Uint8Array, "none" | "gzip" | "zstd", boolean]>([
    ["a plain archive", ARCHIVE, "none", true],
    ["one gzip member", gzipSync(ARCHIVE), "gzip", true],
    ["two gzip members", Buffer.concat([gzipSync(A), gzipSync(B)]), "gzip", false],
    ["an empty member behind", Buffer.concat([gzipSync(ARCHIVE), gzipSync("")]), "gzip", false],
    ["one Zstandard frame", zstdCompressSync(ARCHIVE), "zstd", true],
    ["one with a skippable frame behind", Buffer.concat([zstdCompressSync(ARCHIVE), SKIPPABLE]), "zstd", true],
    ["one behind a skippable frame", Buffer.concat([SKIPPABLE, zstdCompressSync(ARCHIVE)]), "zstd", false],
    ["two Zstandard frames", Buffer.concat([zstdCompressSync(A), zstdCompressSync(B)]), "zstd", false],
    [
      "frames as zstd:chunked has them",
      Buffer.concat([zstdCompressSync(A), SKIPPABLE, zstdCompressSync(B), SKIPPABLE]),
      "zstd",
      false,
    ],
  ])("%s", async (_, bytes, compression, isOnePart) => {
    expect(await form(bytes)).toEqual({ compression, wrongType: null, isOnePart });
  });

  it("has the media type of its bytes, or another", async () => {
    const docker = "application/vnd.docker.image.rootfs.diff.tar.gzip";
    const wrong = async (bytes: Uint8Array, type: string | null) => (await form(bytes, type))?.wrongType;
    expect(await wrong(ARCHIVE, LAYER_TYPE)).toBeNull();
    expect(await wrong(gzipSync(ARCHIVE), `${LAYER_TYPE}+gzip`)).toBeNull();
    expect(await wrong(gzipSync(ARCHIVE), docker)).toBeNull();
    expect(await wrong(zstdCompressSync(ARCHIVE), `${LAYER_TYPE}+zstd`)).toBeNull();
    expect(await wrong(gzipSync(ARCHIVE), LAYER_TYPE)).toBe(LAYER_TYPE);
    expect(await wrong(ARCHIVE, `${LAYER_TYPE}+gzip`)).toBe(`${LAYER_TYPE}+gzip`);
    expect(await wrong(ARCHIVE, docker)).toBe(docker);
    expect(await wrong(gzipSync(ARCHIVE), `${LAYER_TYPE}+zstd`)).toBe(`${LAYER_TYPE}+zstd`);
    expect(await wrong(ARCHIVE, null)).toBeNull();
  });

  it("is an error where a frame is cut off, and ends for any damage", async () => {
    const whole = zstdCompressSync(ARCHIVE);
    for (const end of [5, 9, whole.length - 2]) {
      await expect(form(whole.subarray(0, end))).rejects.toThrow(/truncated/);
    }
    for (let at = 4; at < 40; at++) {
      const damaged = Buffer.from(whole);
      damaged[at] = (damaged[at] ?? 0) ^ 0xff;
      await form(damaged).catch((error: unknown) => expect(error).toMatchObject({ code: "input" }));
    }
  });
});
