import {
  appendFileSync,
  chmodSync,
  closeSync,
  linkSync,
  openSync,
  rmSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import { describe, expect, it } from "vitest";
import { concat } from "../../../src/chunks.ts";
import { layerArchive, readFrom } from "../../../src/io/oci/layer-archive.ts";
import { planLayers } from "../../../src/io/oci/layer-plan.ts";
import type { Directory } from "../../../src/tree/node.ts";
import { archiveRootfs } from "../../support/archive.ts";
import { scanDirectory } from "../../support/scan.ts";
import { tempDir } from "../../support/temp.ts";

const SIZE = 3_000_000;

/** A directory with a large and a small file, planned, and a way to archive it. */
async function scanned() {
  const directory = tempDir();
  const large = join(directory, "large");
  writeFileSync(large, Buffer.alloc(SIZE, "0123456789"));
  writeFileSync(join(directory, "small"), "small");
  const { root } = await scanDirectory(directory, { algorithm: "sha256", xattrs: [] });
  const archive = () =>
    concat(planLayers(root, 1e9).flatMap((layer) => [...layerArchive(layer, readFrom(directory), "layer")]));
  return { root, large, directory, archive };
}

/** Size and digest of the files of a directory that are not part of its metadata, the bytes of the others. */
function contentsOf({ entries }: Directory): unknown[] {
  return entries.map(({ node }) => {
    if (node.kind !== "regular") return null;
    const { content } = node;
    return content.kind === "inline" ? content.bytes : [content.size, content.digest, content.payload];
  });
}

describe("the archive of a directory", () => {
  it("has the contents of its files", async () => {
    const { root, archive } = await scanned();
    const bytes = archive();
    expect(bytes.length % 512).toBe(0);
    const { root: rebuilt } = await archiveRootfs([bytes], "sha256");
    expect(contentsOf(rebuilt)).toEqual(contentsOf(root));
    expect(contentsOf(root)).not.toContain(null);
  });

  it.each<readonly [string, (path: string) => void]>([
    ["grows", (path) => appendFileSync(path, "x")],
    ["shrinks", (path) => truncateSync(path, SIZE - 1)],
    ["gets another time", (path) => utimesSync(path, 5, 5)],
    ["goes away", (path) => rmSync(path)],
    [
      "becomes a symlink",
      (path) => {
        rmSync(path);
        symlinkSync("small", path);
      },
    ],
  ])("is refused when a file %s after the scan", async (_, change) => {
    const { large, archive } = await scanned();
    change(large);
    expect(archive).toThrow(`${large}: changed while it was read`);
  });

  it.each([1, SIZE])("is refused when a file has other bytes from %i on while it is read", async (position) => {
    const { root, large, directory } = await scanned();
    const [entry] = root.entries;
    if (entry?.node.kind !== "regular") throw new Error("no such file");
    const pieces = readFrom(directory)(entry.name, entry.node, Buffer.alloc(1 << 20))[Symbol.iterator]();
    pieces.next();
    const descriptor = openSync(large, "r+");
    writeSync(descriptor, "x", position);
    closeSync(descriptor);
    expect(() => [...{ [Symbol.iterator]: () => pieces }]).toThrow(`${large}: changed while it was read`);
  });

  it.each<readonly [string, boolean, (path: string) => void]>([
    ["gets another name", false, (path) => linkSync(path, join(tempDir(), "other"))],
    ["gets another mode", true, (path) => chmodSync(path, 0o600)],
  ])("when a file %s while it is read, is refused: %s", async (_, isRefused, change) => {
    const { root, large, directory } = await scanned();
    const [entry] = root.entries;
    if (entry?.node.kind !== "regular") throw new Error("no such file");
    const pieces = readFrom(directory)(entry.name, entry.node, Buffer.alloc(1 << 20))[Symbol.iterator]();
    pieces.next();
    // ctime moves with the clock of the kernel, some milliseconds at a time.
    await setTimeout(20);
    change(large);
    const rest = () => [...{ [Symbol.iterator]: () => pieces }];
    if (isRefused) expect(rest).toThrow(`${large}: changed while it was read`);
    else expect(rest().length).toBeGreaterThan(0);
  });
});
