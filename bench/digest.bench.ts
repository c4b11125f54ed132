/** Digests of directories: the real root filesystem against cfsctl, and how time and memory grow. */
import { execFileSync } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { hasMaglev } from "../src/io/v8-settings.ts";
import { findPeer, realRootfs } from "../test/support/peers.ts";
import { checkoutAt } from "./baseline.ts";
import { floor } from "./floor.ts";
import { type Aim, type Benchmark, type Contender, sealCommand } from "./frame.ts";

const PROJECT = fileURLToPath(new URL("..", import.meta.url));
/** The build before labels were looked up by directory. */
const BASELINE = "c34b4a0";

function digestOf(path: string, ...options: string[]): Contender {
  return {
    name: "seal",
    command: sealCommand("compute-digest", path, "--bootc", "next", "--mtime", "exact", ...options),
  };
}

function cfsctl(path: string, ...options: string[]): Contender {
  const program = findPeer("cfsctl") ?? "cfsctl";
  const args = ["--no-repo", "--hash", "sha512", "--erofs-version", "1", "compute-id", ...options, path];
  return { name: "cfsctl 0.9.4", command: [program, ...args] };
}

/** @param hasFloor false: it would start a thread, which a single file is not worth */
async function withFloor(path: string, hasFloor = true): Promise<Contender[]> {
  const contenders = [digestOf(path), cfsctl(path, "--bootable")];
  return hasFloor ? [...contenders, await floor("tree", path)] : contenders;
}

/** What the machine's cores hash together in blocks of 4096 bytes, in bytes a second. */
function hashingLimit(): number {
  const args = ["speed", "-seconds", "1", "-bytes", "4096", "-evp", "sha512", "-multi", `${availableParallelism()}`];
  const text = execFileSync("openssl", args, { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] });
  const kilobytes = /^sha512\s+([\d.]+)k/m.exec(text)?.[1];
  if (kilobytes === undefined) throw new Error(`openssl speed said: ${text}`);
  return Number(kilobytes) * 1000;
}

/** The settings of V8 that the program has; the library, whose sources run here, has none. */
const AS_PROGRAM = hasMaglev(process.versions.node, process.arch) ? ["--no-turbofan"] : [];

/** What the hash pool reaches on the files of a tree, in bytes a second. */
function hashingRate(path: string): number {
  const script = fileURLToPath(new URL("hash-rate.ts", import.meta.url));
  return Number(execFileSync(process.execPath, [...AS_PROGRAM, script, path], { encoding: "utf8" }));
}

/** How many times a second of CPU time is enough for the labels of a tree, as of a checkout. */
function labelRate(checkout: string, settings: readonly string[]): number {
  const script = fileURLToPath(new URL("label-rate.ts", import.meta.url));
  const args = [...settings, script, checkout, realRootfs() ?? ""];
  return 1000 / Number(execFileSync(process.execPath, args, { encoding: "utf8" }));
}

/** A tree that the boot transform accepts, with so many files of one size in directories of a hundred. */
function makeTree(directory: string, files: number, size: number): string {
  for (const name of ["usr", "boot", "sysroot"]) mkdirSync(join(directory, name));
  for (let index = 0; index < files; index++) {
    const parent = join(directory, "usr", `${Math.floor(index / 10_000)}`, `${Math.floor(index / 100) % 100}`);
    if (index % 100 === 0) mkdirSync(parent, { recursive: true });
    writeFileSync(join(parent, `${index}`), Buffer.alloc(size, `${index},`));
  }
  return directory;
}

function growth(title: string, files: number, size: number, aim: Aim, full?: true): Benchmark {
  return {
    kind: "compare",
    title,
    needs: ["cfsctl"],
    rounds: 3,
    aim,
    prepare: (directory) => withFloor(makeTree(directory, files, size), files > 1),
    ...(full === undefined ? {} : { full }),
  };
}

export const benchmarks: readonly Benchmark[] = [
  {
    kind: "compare",
    title: "digest of a Debian root filesystem with kernel, for boot",
    needs: ["cfsctl", "rootfs"],
    rounds: 5,
    aim: { times: 1.4, cpu: 1, mebibytes: 200 },
    prepare: () => withFloor(realRootfs() ?? ""),
  },
  {
    kind: "share",
    title: "hashing the files of that root filesystem",
    needs: ["rootfs", "openssl"],
    rounds: 3,
    limit: "`openssl speed -bytes 4096 -evp sha512` on all cores",
    aim: { share: 0.8 },
    measure: () => ({ reached: hashingRate(realRootfs() ?? ""), limit: hashingLimit() }),
  },
  {
    kind: "share",
    title: "SELinux labels of that root filesystem alone, its policy included",
    needs: ["rootfs"],
    rounds: 3,
    limit: `seal ${BASELINE}, by CPU time`,
    aim: { share: 3 },
    measure: () => ({ reached: labelRate(PROJECT, AS_PROGRAM), limit: labelRate(checkoutAt(BASELINE), []) }),
  },
  growth("digest of 10,000 files of 1 kB", 10_000, 1000, { times: 1.3, mebibytes: 200 }),
  growth("digest of 100,000 files of 1 kB", 100_000, 1000, { times: 2.5, mebibytes: 250 }),
  growth("digest of 1,000,000 files of 100 bytes", 1_000_000, 100, { mebibytes: 950 }, true),
  growth("digest of one file of 10 MB", 1, 10_000_000, { times: 0.5, mebibytes: 200 }),
  growth("digest of one file of 1 GB", 1, 1_000_000_000, { times: 1, mebibytes: 200 }),
];
