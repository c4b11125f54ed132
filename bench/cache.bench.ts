/** The cache of layers: an image of forty layers, of which all but a small new one were there before. */
import { execFileSync } from "node:child_process";
import { cpSync, mkdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { writeLayout } from "../test/support/layout.ts";
import { findPeer, realRootfs } from "../test/support/peers.ts";
import { tarArchive, tarFile } from "../test/support/tar.ts";
import { commandAt } from "./baseline.ts";
import { floor } from "./floor.ts";
import { type Benchmark, type Contender, sealCommand } from "./frame.ts";
import { archives } from "./oci.bench.ts";

/** The last commit that had no threads that read layers whole, and no cache. */
const BEFORE = "c34b4a0";
const KNOWN_LAYERS = 39;

/** Layouts `base` and, with a layer more, `next`. */
function writeImages(directory: string): void {
  const known = archives(realRootfs() ?? "", KNOWN_LAYERS, directory);
  const added = tarArchive(tarFile("usr/share/release-note", Buffer.alloc(5000, "note")));
  writeLayout(join(directory, "base"), known);
  writeLayout(join(directory, "next"), [...known, added]);
}

/** What a run changes is put back to what it was when this was called. */
function restored(path: string): () => void {
  const kept = `${path}.kept`;
  cpSync(path, kept, { recursive: true, verbatimSymlinks: true });
  return () => {
    rmSync(path, { recursive: true });
    cpSync(kept, path, { recursive: true, preserveTimestamps: true, verbatimSymlinks: true });
  };
}

/** seal with a cache that knows `base` from a run of the same verb, and without one as of {@link BEFORE}. */
function withCache(directory: string, args: (image: string) => readonly string[]): Contender[] {
  const cache = join(directory, "cache");
  const out = join(directory, "out");
  const clean = () => rmSync(out, { recursive: true, force: true });
  const [program = "", ...rest] = sealCommand(...args("base"), "--cache", cache);
  execFileSync(program, rest, { cwd: directory, stdio: "ignore" });
  clean();
  const restore = restored(cache);
  const before = () => {
    clean();
    restore();
  };
  return [
    { name: "seal", command: sealCommand(...args("next"), "--cache", cache), cwd: directory, before },
    { name: `seal ${BEFORE}`, command: commandAt(BEFORE, ...args("next")), cwd: directory, before: clean },
  ];
}

/** The floor of a digest with the cache of {@link withCache}. */
async function cachedFloor(directory: string): Promise<Contender> {
  return floor("cached", join(directory, "next"), join(directory, "cache"));
}

const compute = (image: string) => ["compute-digest", `oci:${image}`, "--bootc", "next"];

/** cfsctl with a repository that holds `base`: it pulls what is new. */
function pullTheRest(directory: string): Contender {
  const cfsctl = findPeer("cfsctl") ?? "cfsctl";
  const repository = join(directory, "repository");
  mkdirSync(repository);
  const call = `${cfsctl} --repo ${repository}`;
  execFileSync("sh", ["-c", `${call} init --insecure && ${call} oci pull oci:${directory}/base base`], {
    stdio: "ignore",
  });
  const script = `set -e; ${call} oci pull oci:${directory}/next image; ${call} oci compute-id --bootable image`;
  return {
    name: "cfsctl 0.9.4 (pull and compute-id, the other layers are in its repository)",
    command: ["sh", "-c", script],
    before: restored(repository),
  };
}

export const benchmarks: readonly Benchmark[] = [
  {
    kind: "compare",
    title: "digest of an image of 40 layers, 39 of them in the cache",
    needs: ["rootfs"],
    rounds: 3,
    aim: { times: 5 },
    prepare: async (directory) => {
      writeImages(directory);
      return [...withCache(directory, compute), await cachedFloor(directory)];
    },
  },
  {
    kind: "compare",
    title: "the same digest where cfsctl has those layers too",
    needs: ["rootfs", "cfsctl"],
    rounds: 3,
    aim: { times: 1 },
    prepare: async (directory) => {
      writeImages(directory);
      return [...withCache(directory, compute).slice(0, 1), pullTheRest(directory), await cachedFloor(directory)];
    },
  },
  {
    kind: "compare",
    title: "lint of that image with the cache",
    needs: ["rootfs"],
    rounds: 3,
    aim: { times: 5 },
    prepare: (directory) => {
      writeImages(directory);
      return withCache(directory, (image) => ["lint", `oci:${image}`, "--bootc", "next"]);
    },
  },
  {
    kind: "compare",
    title: "seal image of that image with the cache, not signed",
    needs: ["rootfs"],
    rounds: 3,
    aim: { times: 2 },
    prepare: (directory) => {
      writeImages(directory);
      return withCache(directory, (image) => ["image", "--from", `oci:${image}`, "--to", "oci:out:sealed"]);
    },
  },
];
