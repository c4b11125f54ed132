/** `seal image` that is killed: at any moment the target is the old image or the new one, whole. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readdirSync, statSync } from "node:fs";
import { basename, join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { seal } from "../support/cli.ts";
import { snapshot } from "../support/inputs.ts";
import { writeLayout } from "../support/layout.ts";
import { sealableLayers } from "../support/sealable.ts";
import { tempDir } from "../support/temp.ts";
import { until } from "../support/wait.ts";

const PROGRAM = fileURLToPath(new URL("../../src/cli/main.ts", import.meta.url));
const PLATFORM = ["--platform", "linux/amd64"];
/** Of how many moments each signal is tried. */
const MOMENTS = 4;
/** Large enough that there is something to interrupt. */
const CONTENT = Buffer.alloc(16 << 20, "content");

/** What is being written in a directory, or in the layout `out` in it. */
const partials = (directory: string) =>
  [directory, join(directory, "out")].flatMap((one) => readdirSync(one)).filter((name) => name.endsWith(".partial"));

/** Bytes that have been written of what is not complete yet. */
function written(directory: string, before: ReadonlySet<string>): number {
  const places = [directory, join(directory, "out")];
  const files = places.flatMap((one) => readdirSync(one).map((name) => join(one, name)));
  return files
    .filter((file) => file.endsWith(".partial") && !before.has(basename(file)))
    .flatMap((file) => [
      file,
      ...(isDirectory(file)
        ? readdirSync(file, { recursive: true, encoding: "utf8" }).map((name) => join(file, name))
        : []),
    ])
    .reduce((sum, file) => sum + sizeOf(file), 0);
}

/** What has its name meanwhile has been written. */
function sizeOf(file: string): number {
  return statSync(file, { throwIfNoEntry: false })?.size ?? 0;
}

function isDirectory(file: string): boolean {
  return statSync(file, { throwIfNoEntry: false })?.isDirectory() ?? false;
}

/**
 * Runs it until it has begun to write and has written so many bytes, or ends.
 * @returns whether it came to its end, and whether a file was being written when the signal came: it was stopped then
 */
async function killed(cwd: string, to: string, signal: NodeJS.Signals, bytes: number) {
  const before = new Set(partials(cwd));
  const args = ["image", ...PLATFORM, "--from", "oci:in", "--to", to, "--quiet"];
  const child = spawn(process.execPath, [PROGRAM, ...args], { cwd, stdio: "ignore" });
  const exit = once(child, "exit");
  const begun = () => partials(cwd).some((name) => !before.has(name));
  await until("a file is being written", () => begun() && written(cwd, before) >= bytes, child);
  child.kill("SIGSTOP");
  const isWriting = begun() && child.exitCode === null;
  child.kill(signal);
  child.kill("SIGCONT");
  const [code] = await exit;
  return { done: code === 0, isWriting };
}

async function digestOf(cwd: string, spec: string): Promise<string> {
  const { code, stdout, stderr } = await seal(["lint", spec, ...PLATFORM, "--json"], { cwd });
  expect(code, stderr).not.toBe(3);
  expect(JSON.parse(stdout).passed).toContain("uki-digest");
  return (await seal(["compute-digest", spec, ...PLATFORM], { cwd })).stdout;
}

describe("a signal in the middle of seal image", () => {
  it.each([
    ["SIGKILL", "oci:out:tag"],
    ["SIGTERM", "oci:out:tag"],
    ["SIGKILL", "oci-archive:out.tar:tag"],
    ["SIGTERM", "oci-archive:out.tar:tag"],
  ] as const)(
    "%s leaves the old or the new image in %s",
    async (signal, to) => {
      const cwd = tempDir();
      writeLayout(join(cwd, "in"), sealableLayers(Buffer.from("old")));
      await seal(["image", ...PLATFORM, "--from", "oci:in", "--to", to], { cwd });
      await seal(["image", ...PLATFORM, "--from", "oci:in", "--to", "oci:out:other"], { cwd });
      const old = await digestOf(cwd, to);
      writeLayout(join(cwd, "in"), sealableLayers(CONTENT));
      await seal(["image", ...PLATFORM, "--from", "oci:in", "--to", "oci:new:tag"], { cwd });
      const fresh = await digestOf(cwd, "oci:new:tag");
      expect(fresh).not.toBe(old);

      const blobs = join(cwd, "new/blobs/sha256");
      const size = readdirSync(blobs).reduce((sum, name) => sum + sizeOf(join(blobs, name)), 0);
      let interrupted = 0;
      for (let moment = 0; moment < MOMENTS; moment++) {
        const before = snapshot(cwd);
        const { done, isWriting } = await killed(cwd, to, signal, (size * moment) / MOMENTS);
        const found = await digestOf(cwd, to);
        expect([old, fresh]).toContain(found);
        if (done) expect(found).toBe(fresh);
        else if (isWriting || found === old) interrupted++;
        // What can be cleaned up is: nothing is left, or all is there.
        if (signal === "SIGTERM" && !done && found === old) expect(snapshot(cwd)).toEqual(before);
        if (to.startsWith("oci:")) expect(await digestOf(cwd, "oci:out:other")).toBe(old);
      }
      expect(interrupted).toBeGreaterThan(0);
      // What was left behind is in nobody's way.
      expect((await seal(["image", ...PLATFORM, "--from", "oci:in", "--to", to], { cwd })).code).toBe(0);
      expect(await digestOf(cwd, to)).toBe(fresh);
    },
    120_000,
  );
});
