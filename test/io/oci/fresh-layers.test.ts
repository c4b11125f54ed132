import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { gunzipSync, zstdDecompressSync } from "node:zlib";
import { describe, expect, it } from "vitest";
import { erofsDigest } from "../../../src/composefs/digest.ts";
import { BlobWriter, blobPath } from "../../../src/io/oci/blob-writer.ts";
import { parseCompression } from "../../../src/io/oci/compress.ts";
import { writeLayers } from "../../../src/io/oci/fresh-layers.ts";
import { readFrom } from "../../../src/io/oci/layer-archive.ts";
import { planLayers } from "../../../src/io/oci/layer-plan.ts";
import { archiveRootfs } from "../../support/archive.ts";
import { sha256 } from "../../support/layout.ts";
import { scanDirectory } from "../../support/scan.ts";
import { tempDir } from "../../support/temp.ts";

const HISTORY = { created: null, createdBy: "seal image", comment: null };
const IMAGE = { erofs: "v1", algorithm: "sha512" } as const;
const UNPACK = { gzip: gunzipSync, zstd: zstdDecompressSync, none: (bytes: Uint8Array) => Buffer.from(bytes) };

/** A directory with files that need several reads each, in several layers. */
async function planned() {
  const directory = tempDir();
  mkdirSync(join(directory, "usr"));
  for (let index = 0; index < 12; index++) {
    writeFileSync(join(directory, "usr", `${index}`), Buffer.alloc(2_500_000 + index, `${index} and more`));
  }
  const { root } = await scanDirectory(directory, { algorithm: "sha512", xattrs: [] });
  return { directory, root, layers: planLayers(root, 6_000_000) };
}

async function written(
  compression: string,
  layout: string,
  { directory, layers }: Awaited<ReturnType<typeof planned>>,
) {
  mkdirSync(layout);
  const result = await writeLayers(new BlobWriter(layout, "out", { links: null, isFlushed: true }), layers, {
    readContent: readFrom(directory),
    compression: parseCompression(compression),
    subject: directory,
    history: HISTORY,
  });
  return result.map((layer) => ({ ...layer, bytes: readFileSync(join(layout, blobPath(layer.digest))) }));
}

describe("writeLayers", () => {
  it.each(["gzip:1", "zstd", "none"] as const)(
    "writes layers side by side that make the tree again: %s",
    async (how) => {
      const plan = await planned();
      const layers = await written(how, join(tempDir(), "layout"), plan);
      expect(layers.length).toBeGreaterThan(3);
      const kind = how === "gzip:1" ? "gzip" : how;
      const archives = layers.map(({ bytes, diffId, size, mediaType }) => {
        const archive = UNPACK[kind](bytes);
        expect(size).toBe(bytes.length);
        expect(sha256(archive)).toBe(diffId.hex);
        expect(mediaType).toBe(`application/vnd.oci.image.layer.v1.tar${kind === "none" ? "" : `+${kind}`}`);
        return archive;
      });
      const { root } = await archiveRootfs(archives, "sha512");
      expect(erofsDigest(root, IMAGE).digest).toBe(erofsDigest(plan.root, IMAGE).digest);
    },
  );

  it("writes the same bytes twice", async () => {
    const plan = await planned();
    const base = tempDir();
    const digests = async (name: string) =>
      (await written("gzip:1", join(base, name), plan)).map(({ digest }) => digest.hex);
    expect(await digests("a")).toEqual(await digests("b"));
  });

  it("ends with the error of a file that changed", async () => {
    const plan = await planned();
    writeFileSync(join(plan.directory, "usr/7"), "changed");
    await expect(written("gzip:1", join(tempDir(), "layout"), plan)).rejects.toThrow(
      "usr/7: changed while it was read",
    );
  });
});

describe("parseCompression", () => {
  it.each([
    ["gzip", { kind: "gzip", level: null }],
    ["zstd:19", { kind: "zstd", level: 19 }],
    ["none", { kind: "none", level: null }],
  ])("takes %s", (text, choice) => {
    expect(parseCompression(text)).toEqual(choice);
  });

  it.each(["gzip:10", "gzip:0", "none:1", "xz", "", "zstd:20"])("refuses %j", (text) => {
    expect(() => parseCompression(text)).toThrow(`--compression ${text}: give gzip, zstd or none`);
  });
});
