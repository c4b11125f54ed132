/**
 * Runs with a cache that are killed while they write to it, and runs beside each other: what they
 * leave changes no answer.
 */
import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, it } from "vitest";
import { seal } from "../support/cli.ts";
import { writeLayout } from "../support/layout.ts";
import { tarArchive, tarDirectory, tarFile } from "../support/tar.ts";
import { tempDir } from "../support/temp.ts";
import { until } from "../support/wait.ts";

const PROGRAM = fileURLToPath(new URL("../../src/cli/main.ts", import.meta.url));
const ARGS = ["compute-digest", "oci:in", "--transform", "oci", "--cache", "cache", "--quiet"];
/** Of how many runs each is killed when that many files have come into the cache, or are being written. */
const MOMENTS = [1, 2, 3, 4];

/** Bytes that don't pack, so that it takes a while to write them. */
function noise(name: string, size: number): Buffer {
  const blocks = Array.from({ length: size / 64 }, (_, index) =>
    createHash("sha512").update(`${name} ${index}`).digest(),
  );
  return Buffer.concat(blocks);
}

function workspace(): string {
  const cwd = tempDir();
  const names = ["a", "b", "c", "d"];
  const modules = ["usr", "usr/lib", "usr/lib/modules", ...names.map((name) => `usr/lib/modules/${name}`)];
  const kernels = names.map((name) => tarFile(`usr/lib/modules/${name}/vmlinuz`, noise(name, 2 << 20)));
  const base = tarArchive(tarDirectory("./"), ...modules.map((name) => tarDirectory(name)));
  writeLayout(join(cwd, "in"), [base, ...kernels.map((kernel) => tarArchive(kernel))]);
  return cwd;
}

const files = (cwd: string) => (existsSync(join(cwd, "cache")) ? readdirSync(join(cwd, "cache")) : []);

it("leaves a cache that the next run can use", async () => {
  const cwd = workspace();
  const without = await seal([...ARGS, "--no-cache"], { cwd });
  expect(without.code).toBe(0);
  for (const moment of MOMENTS) {
    const before = files(cwd).length;
    const child = spawn(process.execPath, [PROGRAM, ...ARGS], { cwd, stdio: "ignore" });
    const exit = once(child, "exit");
    await until("the cache is written", () => files(cwd).length >= before + 1 || child.exitCode !== null, child);
    child.kill(moment % 2 === 0 ? "SIGTERM" : "SIGKILL");
    await exit;
  }
  expect(await seal(ARGS, { cwd })).toEqual(without);
  // What was written halfway is of no harm, and what was written is whole.
  expect(await seal(ARGS, { cwd })).toEqual(without);
  const others = Array.from({ length: 3 }, () => spawn(process.execPath, [PROGRAM, ...ARGS], { cwd, stdio: "ignore" }));
  const codes = await Promise.all(others.map((child) => once(child, "exit")));
  expect(codes.map(([code]) => code)).toEqual([0, 0, 0]);
}, 240_000);
