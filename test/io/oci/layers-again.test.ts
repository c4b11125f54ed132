/** Images whose lowest layers this run has read before: what is remembered of them must stand for them in everything. */
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { SealError } from "../../../src/errors.ts";
import { LayerMemory } from "../../../src/io/oci/layer-memory.ts";
import { openRootfs } from "../../../src/io/rootfs.ts";
import type { OpenOptions } from "../../../src/io/rootfs-source.ts";
import { allEntries } from "../../../src/tree/links.ts";
import type { Rootfs } from "../../../src/tree/rootfs.ts";
import { sameTree } from "../../../src/tree/same-tree.ts";
import { arbitraryLayers, BASE_LAYER } from "../../support/arbitrary-layers.ts";
import { writeLayout } from "../../support/layout.ts";
import { tarArchive, tarDirectory, tarFile, tarPax } from "../../support/tar.ts";
import { tempDir } from "../../support/temp.ts";

const MIXED = (layer: Uint8Array): readonly [Uint8Array, string] => [
  layer,
  // Not what every second one is.
  `application/vnd.oci.image.layer.v1.tar${layer.length % 1024 === 0 ? "+gzip" : ""}`,
];

/** Reads the image of a layout; an error becomes its message. */
async function read(cwd: string, layout: string, options: Partial<OpenOptions> = {}) {
  const source = { kind: "oci", path: layout, reference: null, subject: "oci:image" } as const;
  const reading = { algorithm: "sha256", xattrs: "all", cwd, platform: "linux/amd64", ...options } as const;
  return openRootfs(source, reading).catch((error: unknown) => {
    if (!(error instanceof SealError)) throw error;
    return error.message;
  });
}

async function contentsOf({ root, readContent }: Rootfs): Promise<string[]> {
  const contents: string[] = [];
  for (const { name, node } of allEntries(root)) {
    if (node.kind !== "regular") continue;
    contents.push(Buffer.concat([name, await readContent([name], node)]).toString("latin1"));
  }
  return contents;
}

/** That what is read with a memory of the lower layers is what is read without. */
async function expectSame(layers: readonly Uint8Array[], lower: number, reading: Partial<OpenOptions> = {}) {
  const cwd = tempDir();
  writeLayout(join(cwd, "lower"), layers.slice(0, lower), { compression: MIXED });
  writeLayout(join(cwd, "all"), layers, { compression: MIXED });
  const memory = new LayerMemory("trees");
  const below = await read(cwd, "lower", { ...reading, memory });
  const wanted = await read(cwd, "all", reading);
  for (const again of [
    await read(cwd, "all", { ...reading, memory }),
    await read(cwd, "all", { ...reading, memory }),
  ]) {
    if (typeof wanted === "string" || typeof again === "string") {
      expect(again).toBe(wanted);
      continue;
    }
    expect(sameTree(again.rootfs.root, wanted.rootfs.root)).toBe(true);
    expect(again.rootfs.headersDiffer).toBe(wanted.rootfs.headersDiffer);
    expect(again.forms).toEqual(wanted.forms);
    expect({ ...again.stats, bytesHashed: 0 }).toEqual({ ...wanted.stats, bytesHashed: 0 });
    expect(await contentsOf(again.rootfs)).toEqual(await contentsOf(wanted.rootfs));
  }
  return { below, wanted };
}

describe("layers that are read again, with others on top", () => {
  it("are what they are when all are read", async () => {
    await fc.assert(
      fc.asyncProperty(arbitraryLayers, fc.nat(), fc.boolean(), async (upper, split, isDigest) => {
        const layers = [BASE_LAYER, ...upper];
        await expectSame(layers, 1 + (split % layers.length), { needs: isDigest ? "digest" : "all" });
      }),
      { numRuns: 60 },
    );
  });

  it("keep their names of one inode, and whether their headers differ", async () => {
    const base = tarArchive(tarDirectory("usr"), tarPax({ mtime: "5" }), tarFile("usr/a", Buffer.alloc(100, "a")));
    const upper = tarArchive(tarDirectory("usr"), tarFile("usr/.wh.a", Buffer.alloc(0)));
    for (const paxOwners of ["count", "ignored"] as const) {
      const { below, wanted } = await expectSame([base, upper], 1, { paxOwners });
      expect(below).toMatchObject({ rootfs: { headersDiffer: true } });
      expect(wanted).toMatchObject({ rootfs: { headersDiffer: true } });
    }
  });

  it("say what is wrong above them", async () => {
    const base = tarArchive(tarDirectory("usr"));
    const { wanted } = await expectSame([base, tarArchive(tarFile("etc/passwd", Buffer.alloc(1)))], 1);
    expect(wanted).toMatch(/^oci:image: etc\/passwd: its parent etc has no entry before it/);
  });
});
