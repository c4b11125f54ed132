/** A release, made once for the tests that look at it. */
import { execFileSync, spawnSync } from "node:child_process";
import { randomFillSync } from "node:crypto";
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import forge from "node-forge";
import { expect } from "vitest";
import { PEERS_DIR } from "./peers.ts";

export const PROJECT = fileURLToPath(new URL("../..", import.meta.url));

/** npm and what it starts find the node that runs the tests, and scripts the peers. */
const env = {
  ...process.env,
  PATH: `${dirname(process.execPath)}:${join(PEERS_DIR, "bin")}:${process.env["PATH"]}`,
  SOURCE_DATE_EPOCH: "1700000000",
};

/** @returns the directory of a release, which the caller removes. @param args of scripts/dist.ts */
export function makeRelease(args: readonly string[]): string {
  // `npm test` has built it; a test that is run alone builds it here.
  if (!existsSync(join(PROJECT, "dist/index.js")))
    execFileSync("npm", ["run", "--silent", "build"], { cwd: PROJECT, env });
  const output = mkdtempSync(join(tmpdir(), "seal-release-"));
  const result = spawnSync(process.execPath, [join(PROJECT, "scripts/dist.ts"), ...args, "--output", output], {
    cwd: PROJECT,
    env,
    encoding: "utf8",
  });
  expect(result.status, result.stderr).toBe(0);
  return output;
}

export interface Ran {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a command line. */
export function ran(words: readonly string[], options: { cwd?: string; env?: NodeJS.ProcessEnv } = {}): Ran {
  const [command = "", ...args] = words;
  const { status, stdout, stderr } = spawnSync(command, args, { env, encoding: "utf8", ...options });
  return { status, stdout, stderr };
}

/** Unpacks an archive beside it. @returns the directory that is in it */
export function unpack(archive: string): string {
  execFileSync("tar", ["-xzf", archive, "-C", dirname(archive)]);
  return archive.replace(/\.tar\.gz$/, "");
}

export function remove(directory: string | undefined): void {
  if (directory !== undefined) rmSync(directory, { recursive: true, force: true });
}

const KEY = ["--key", "db.p12", "--passphrase-file", "passphrase"];
/** Verbs that use threads, koffi, node-forge and what else is loaded when it is used. */
export const COMMANDS: readonly (readonly string[])[] = [
  ["compute-digest", "root", "--jobs", "3"],
  ["build-uki", "--linux", "kernel", "--stub", "stub-wide", "--os-release", "ID=x", "--output", "uki.efi"],
  ["sign", "uki.efi", ...KEY, "--output", "signed.efi"],
  ["verify", "signed.efi", "--cert", "db2048.crt", "--json"],
  ["completion", "bash"],
];

/** @returns a directory with what these verbs are about, which the caller removes */
export function makeInputs(): string {
  const directory = mkdtempSync(join(tmpdir(), "seal-release-inputs-"));
  for (const path of ["usr", "boot", "sysroot"]) mkdirSync(join(directory, "root", path), { recursive: true });
  // Enough to start threads for.
  for (const name of ["a", "b", "c", "d"])
    writeFileSync(join(directory, "root/usr", name), randomFillSync(new Uint8Array(8 << 20)));
  const vectors = join(PROJECT, "test/vectors/uki/inputs");
  for (const name of ["kernel", "stub-wide", "db2048.crt"]) cpSync(join(vectors, name), join(directory, name));
  const text = (name: string) => readFileSync(join(vectors, name), "utf8");
  const key = forge.pki.privateKeyFromPem(text("db2048.key"));
  const p12 = forge.pkcs12.toPkcs12Asn1(key, [forge.pki.certificateFromPem(text("db2048.crt"))], "secret");
  writeFileSync(join(directory, "db.p12"), forge.asn1.toDer(p12).getBytes(), "latin1");
  writeFileSync(join(directory, "passphrase"), "secret\n");
  return directory;
}
