/** What seal reads of its input, counted at its system calls: speed that is lost here is lost unnoticed. */
import { spawnSync } from "node:child_process";
import { randomFillSync } from "node:crypto";
import { linkSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, it } from "vitest";
import { writeLayout } from "../support/layout.ts";
import { fileLayer } from "../support/machine-image.ts";
import { describeWith, findPeer } from "../support/peers.ts";
import { tempDir } from "../support/temp.ts";

const PROGRAM = fileURLToPath(new URL("../../src/cli/main.ts", import.meta.url));

interface Use {
  opens: number;
  /** Without those of nothing, which find the end. */
  reads: number;
  bytes: number;
}

/** Runs seal, and counts what it does with the files below a directory. @returns by path below it */
function uses(directory: string, args: readonly string[]): Map<string, Use> {
  const traces = tempDir();
  const trace = ["-ff", "-y", "-s", "0", "-e", "trace=open,openat,read,pread64,readv,preadv", "-o", join(traces, "t")];
  const command = [process.execPath, PROGRAM, ...args];
  const { status, stderr } = spawnSync(findPeer("strace") ?? "", [...trace, ...command], { encoding: "utf8" });
  expect({ status, stderr }).toMatchObject({ status: 0 });
  const found = new Map<string, Use>();
  // One file for each thread: in one for all, calls are cut in two.
  for (const file of readdirSync(traces)) {
    for (const line of readFileSync(join(traces, file), "utf8").split("\n")) {
      const opened = /^open(?:at)?\(.* = \d+<(.*)>$/.exec(line)?.[1];
      const [, from, length] = /^p?readv?(?:64)?\(\d+<(.*?)>.* = (\d+)$/.exec(line) ?? [];
      const path = opened ?? from;
      if (path === undefined || !path.startsWith(`${directory}/`)) continue;
      const name = path.slice(directory.length + 1);
      const use = found.get(name) ?? { opens: 0, reads: 0, bytes: 0 };
      found.set(name, use);
      if (opened !== undefined) use.opens++;
      if (length !== undefined && length !== "0") use.reads++;
      use.bytes += Number(length ?? 0);
    }
  }
  return found;
}

describeWith(["strace"], "what is read", () => {
  it("of a tree: each file once, whole, and each directory once", () => {
    const directory = tempDir();
    const tree = join(directory, "tree");
    mkdirSync(join(tree, "usr/deep"), { recursive: true });
    const sizes = [1, 64, 65, 4095, 4096, 4097, 300_000];
    for (const size of sizes) {
      for (let index = 0; index < 20; index++) {
        writeFileSync(join(tree, `usr/deep/${size}-${index}`), new Uint8Array(size).fill(index));
      }
    }
    // Enough for threads to be started, each of which could hash what another one has.
    for (const name of ["a", "b", "c"]) writeFileSync(join(tree, name), randomFillSync(new Uint8Array(10 << 20)));
    linkSync(join(tree, "a"), join(tree, "usr/linked"));
    // Hashed in pieces, which several threads open.
    const piece = 8 << 20;
    const large = 5 * piece + 4097;
    writeFileSync(join(tree, "large"), randomFillSync(new Uint8Array(large)));

    const found = uses(tree, ["compute-digest", tree, "--transform", "none", "--jobs", "3"]);
    const files = readdirSync(tree, { recursive: true, encoding: "utf8" }).filter((name) =>
      statSync(join(tree, name)).isFile(),
    );
    const read = new Set(files.map((name) => (name === "usr/linked" ? "a" : name)));
    for (const name of read) {
      const { size } = statSync(join(tree, name));
      // By which of its names a file is read is open.
      const use = found.get(name) ?? found.get("usr/linked");
      const opens = name === "large" ? 6 : 1;
      expect({ name, ...use }).toEqual({ name, opens, reads: Math.ceil(size / 2 ** 20), bytes: size });
    }
    const more = [...found].filter(([, { opens }]) => opens !== 1).map(([name]) => name);
    expect(more.filter((name) => name !== "")).toEqual(["large"]);
    expect(found.size).toBe(read.size + ["usr", "usr/deep"].length);
  }, 120_000);

  it("of an image: each layer once", () => {
    const directory = tempDir();
    const layout = join(directory, "image");
    const layers = [1, 2, 3].map((number) =>
      fileLayer({
        [`usr/file-${number}`]: randomFillSync(new Uint8Array(3 << 20)),
        [`usr/small-${number}`]: Uint8Array.of(number),
      }),
    );
    mkdirSync(layout);
    writeLayout(layout, layers, { compression: "gzip" });

    const found = uses(layout, ["compute-digest", `oci:${layout}`, "--transform", "none"]);
    const blobs = readdirSync(join(layout, "blobs/sha256")).map((name) => `blobs/sha256/${name}`);
    for (const name of blobs) {
      const { size } = statSync(join(layout, name));
      const { opens, bytes } = found.get(name) ?? {};
      expect({ name, opens, bytes }).toEqual({ name, opens: 1, bytes: size });
    }
    expect(blobs.length).toBeGreaterThanOrEqual(5);
  }, 120_000);
});
