/** Layers that some hosts can't unpack, and the media types that a sealed image has. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { gunzipSync, gzipSync, zstdCompressSync, zstdDecompressSync } from "node:zlib";
import { describe, expect, it } from "vitest";
import { imageReportSchema } from "../../../src/cli/sealing/image-report.ts";
import { seal } from "../../support/cli.ts";
import { expectRefusal, snapshot } from "../../support/inputs.ts";
import { sha256 } from "../../support/layout.ts";
import { sealableLayers } from "../../support/sealable.ts";
import { LAYER, manyParts, type StoredBytes, storeLayers } from "../../support/stored-layers.ts";
import { tempDir } from "../../support/temp.ts";

function image(cwd: string, stored: readonly StoredBytes[], archives?: readonly Uint8Array[]): void {
  storeLayers(join(cwd, "in"), stored, archives);
}

async function sealed(cwd: string, more: readonly string[] = [], out = "out") {
  const args = ["image", "--from", "oci:in", "--to", `oci:${out}:1`, "--platform", "linux/amd64", "--json", ...more];
  const { code, stdout, stderr } = await seal(args, { cwd });
  expect(code, stderr).toBe(0);
  const { hosts, image: summary } = imageReportSchema.parse(JSON.parse(stdout));
  const manifest = JSON.parse(readFileSync(join(cwd, out, "blobs", summary.digest.replace(":", "/")), "utf8"));
  const types: string[] = manifest.layers.map((layer: { mediaType: string }) => layer.mediaType);
  const blobs: Buffer[] = manifest.layers.map(({ digest }: { digest: string }) =>
    readFileSync(join(cwd, out, "blobs", digest.replace(":", "/"))),
  );
  return { hosts: hosts ?? [], types, blobs, image: summary };
}

/** Bytes that nothing makes smaller, the same each time. */
function noise(length: number): Uint8Array {
  const bytes = Buffer.alloc(length);
  let state = 1;
  for (let at = 0; at < length; at++) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    bytes[at] = state >>> 24;
  }
  return bytes;
}

const FRAMES = /^layer 1 of 2 has several Zstandard frames, of which it unpacks only the first$/;

it("says which hosts can't unpack a layer of several frames, also of an image that is found", async () => {
  const cwd = tempDir();
  const [first = Buffer.alloc(0), second = Buffer.alloc(0)] = sealableLayers();
  const parts = [first.subarray(0, 1024), first.subarray(1024)].map((part) => zstdCompressSync(part));
  image(cwd, [
    { bytes: Buffer.concat(parts), mediaType: `${LAYER}+zstd` },
    { bytes: second, mediaType: LAYER },
  ]);
  const { hosts } = await sealed(cwd);
  const accepts = (release: string) => hosts.find(({ releases }) => releases.includes(release))?.accepts;
  expect(accepts("1.16.11")).toMatchObject({ ok: false, reasons: [expect.stringMatching(FRAMES)] });
  for (const release of ["1.16.12", "1.17.5"]) expect(accepts(release)).toEqual({ ok: true, reasons: [] });
  const { stdout } = await seal(["lint", "oci:out:1", "--platform", "linux/amd64"], { cwd });
  expect(stdout).toMatch(/Not by .*1\.16\.4–1\.16\.11: layer 1 of \d has several Zstandard frames/);
});

it("gives layers the media type of their bytes, whatever the manifest says", async () => {
  const cwd = tempDir();
  const [first = Buffer.alloc(0), second = Buffer.alloc(0)] = sealableLayers();
  image(cwd, [
    { bytes: first, mediaType: `${LAYER}+gzip` },
    { bytes: zstdCompressSync(second), mediaType: "application/vnd.docker.image.rootfs.diff.tar.gzip" },
  ]);
  const { hosts, types } = await sealed(cwd);
  expect(types.slice(0, 2)).toEqual([LAYER, `${LAYER}+zstd`]);
  expect(hosts.at(-1)?.accepts).toEqual({ ok: true, reasons: [] });
});

describe("--recompress", () => {
  it("packs anew what hosts can't unpack, each layer in one part, and says which and why; the digest stays", async () => {
    const cwd = tempDir();
    image(cwd, manyParts());
    const before = snapshot(join(cwd, "in"));
    const plain = await sealed(cwd, ["--bootc", "1.16.9"]);
    expect(plain.hosts.find(({ releases }) => releases === "1.16.7–1.16.10")?.accepts.ok).toBe(false);
    const { hosts, image: summary, types, blobs } = await sealed(cwd, ["--bootc", "1.16.9", "--recompress"]);
    expect(hosts.find(({ releases }) => releases === "1.16.7–1.16.10")?.accepts).toEqual({ ok: true, reasons: [] });
    expect(summary.layers.slice(0, 2)).toMatchObject([
      {
        origin: "rewritten",
        was: {
          digest: plain.image.layers[0]?.digest,
          why: "had several Zstandard frames, which bootc 1.16.7–1.16.10 can't unpack",
        },
      },
      { origin: "rewritten", was: { why: "had several gzip members, which bootc 1.16.7–1.16.10 can't unpack" } },
    ]);
    expect(summary.layers.slice(2)).toMatchObject([{ origin: "added", was: null }, { origin: "added" }]);
    expect(types).toEqual([`${LAYER}+zstd`, `${LAYER}+gzip`, LAYER, LAYER]);
    // Decompressors of node take the first frame only, and gzip headers have a time behind four bytes.
    const [frame = Buffer.alloc(0), member = Buffer.alloc(0)] = blobs;
    const archives = sealableLayers().map(sha256);
    expect([sha256(zstdDecompressSync(frame)), sha256(gunzipSync(member))]).toEqual(archives);
    expect(member.readUInt32LE(4)).toBe(0);
    expect(member.readUInt32LE(member.length - 4)).toBe(sealableLayers()[1]?.length);
    const { stdout } = await seal(["lint", "oci:out:1", "--platform", "linux/amd64", "--json"], { cwd });
    expect(JSON.parse(stdout).passed).toContain("uki-digest");
    expect(summary.annotations["composefs.merged.bootable.erofs.v1.fsverity-sha512-12"]).toBe(
      plain.image.annotations["composefs.merged.bootable.erofs.v1.fsverity-sha512-12"],
    );
    // What nobody refers to is not in a new layout.
    const again = await sealed(cwd, ["--bootc", "1.16.9", "--recompress"], "again");
    expect(again.image.digest).toBe(summary.digest);
    expect(readdirSync(join(cwd, "again/blobs/sha256"))).toHaveLength(6);
    expect(snapshot(join(cwd, "in"))).toEqual(before);
  });

  it("leaves what the named hosts unpack, and has any host in mind where none is named", async () => {
    const cwd = tempDir();
    image(cwd, manyParts());
    const origins = async (...args: string[]) =>
      (await sealed(cwd, args)).image.layers.slice(0, 2).map(({ origin }) => origin);
    expect(await origins("--bootc", "1.17.5", "--recompress", "needed")).toEqual(["carried", "carried"]);
    expect(await origins("--bootc", "1.17.5", "--recompress=all")).toEqual(["rewritten", "rewritten"]);
    expect(await origins("--recompress")).toEqual(["rewritten", "rewritten"]);
    const [first = Buffer.alloc(0), second = Buffer.alloc(0)] = sealableLayers();
    image(cwd, [
      { bytes: zstdCompressSync(first), mediaType: `${LAYER}+zstd` },
      { bytes: second, mediaType: LAYER },
    ]);
    expect(await origins("--recompress")).toEqual(["carried", "carried"]);
    expect(await origins("--recompress", "all")).toEqual(["rewritten", "carried"]);
  });

  it("packs large layers on other threads", async () => {
    const cwd = tempDir();
    const [first = Buffer.alloc(0), second = Buffer.alloc(0)] = sealableLayers(noise(5 << 20));
    const archives = [first, second, first];
    const half = first.length >> 1;
    const members = [first.subarray(0, half), first.subarray(half)].map((part) => gzipSync(part, { level: 1 }));
    image(
      cwd,
      [
        { bytes: Buffer.concat(members), mediaType: `${LAYER}+gzip` },
        { bytes: second, mediaType: LAYER },
        {
          bytes: Buffer.concat([first.subarray(0, half), first.subarray(half)].map((part) => zstdCompressSync(part))),
          mediaType: `${LAYER}+zstd`,
        },
      ],
      archives,
    );
    const { blobs, image: summary } = await sealed(cwd, ["--recompress"]);
    expect(summary.layers.slice(0, 3).map(({ origin }) => origin)).toEqual(["rewritten", "carried", "rewritten"]);
    const [member = Buffer.alloc(0), , frame = Buffer.alloc(0)] = blobs;
    expect(sha256(gunzipSync(member))).toBe(sha256(first));
    expect(sha256(zstdDecompressSync(frame))).toBe(sha256(first));
  });

  it("tells people, and leaves nothing half-written when a layer is damaged", async () => {
    const cwd = tempDir();
    const layers = manyParts();
    image(cwd, layers);
    const args = ["image", "--from", "oci:in", "--to", "oci:out:1", "--platform", "linux/amd64"];
    const { stderr } = await seal([...args, "--recompress", "all"], { cwd });
    expect(stderr).toMatch(
      /recompressed +layer 1 of 2 had several Zstandard frames, which bootc 1\.14\.0–1\.16\.11 can't/,
    );
    const [first, second] = layers;
    if (first === undefined || second === undefined) throw new Error("no layers");
    image(cwd, [first, { ...second, bytes: second.bytes.subarray(0, -9) }]);
    const before = snapshot(cwd);
    expectRefusal(
      await seal([...args, "--recompress"], { cwd }),
      3,
      /layer 2 of 2|layer .*(damaged|truncated|can't be unpacked)/,
    );
    expect(snapshot(cwd)).toEqual(before);
  });

  it.each([
    [["--from", "oci:in", "--recompress=some"], /--recompress: give no value, needed or all/],
    [
      ["--from", "dir:in", "--recompress"],
      /--recompress: requires an image to seal; the layers of dir:in are created anew/,
    ],
  ])("is refused as %j", async (args, message) => {
    const cwd = tempDir();
    expectRefusal(await seal(["image", "--to", "oci:out:1", ...args], { cwd }), 2, message);
  });
});
