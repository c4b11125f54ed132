/** `seal image` that is killed: at any moment the target is the old image or the new one, whole. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { seal } from "../support/cli.ts";
import { snapshot } from "../support/inputs.ts";
import { writeLayout } from "../support/layout.ts";
import { sealableLayers } from "../support/sealable.ts";
import { tempDir } from "../support/temp.ts";

const PROGRAM = fileURLToPath(new URL("../../src/cli/main.ts", import.meta.url));
const PLATFORM = ["--platform", "linux/amd64"];
/** Of how many moments each signal is tried. */
const MOMENTS = 4;
/** Large enough that there is something to interrupt. */
const CONTENT = Buffer.alloc(16 << 20, "content");

/** What is being written in a directory, or in the layout `out` in it. */
const partials = (directory: string) =>
  [directory, join(directory, "out")].flatMap((one) => readdirSync(one)).filter((name) => name.endsWith(".partial"));

/** Runs it until it ends, or a file of that kind is there and some time has gone by; tells whether it came to its end. */
async function killed(cwd: string, to: string, signal: NodeJS.Signals, wait: number): Promise<boolean> {
  const before = new Set(partials(cwd));
  const args = ["image", ...PLATFORM, "--from", "oci:in", "--to", to, "--quiet"];
  const child = spawn(process.execPath, [PROGRAM, ...args], { cwd, stdio: "ignore" });
  const exit = once(child, "exit");
  const begun = () => partials(cwd).some((name) => !before.has(name));
  while (!begun() && child.exitCode === null) await setTimeout(1);
  await setTimeout(wait);
  child.kill(signal);
  const [code] = await exit;
  return code === 0;
}

/** How long it takes once it has begun to write, in milliseconds. */
async function duration(cwd: string, to: string): Promise<number> {
  const start = performance.now();
  await seal(["image", ...PLATFORM, "--from", "oci:in", "--to", to], { cwd });
  return performance.now() - start;
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
      const time = await duration(cwd, to);
      await seal(["image", ...PLATFORM, "--from", "oci:in", "--to", "oci:out:other"], { cwd });
      const old = await digestOf(cwd, to);
      writeLayout(join(cwd, "in"), sealableLayers(CONTENT));
      await duration(cwd, "oci:new:tag");
      const fresh = await digestOf(cwd, "oci:new:tag");
      expect(fresh).not.toBe(old);

      for (let moment = 0; moment < MOMENTS; moment++) {
        const before = snapshot(cwd);
        const done = await killed(cwd, to, signal, (time * moment) / MOMENTS);
        const found = await digestOf(cwd, to);
        expect([old, fresh]).toContain(found);
        if (done) expect(found).toBe(fresh);
        // What can be cleaned up is: nothing is left, or all is there.
        if (signal === "SIGTERM" && !done && found === old) expect(snapshot(cwd)).toEqual(before);
        if (to.startsWith("oci:")) expect(await digestOf(cwd, "oci:out:other")).toBe(old);
      }
      // What was left behind is in nobody's way.
      expect((await seal(["image", ...PLATFORM, "--from", "oci:in", "--to", to], { cwd })).code).toBe(0);
      expect(await digestOf(cwd, to)).toBe(fresh);
    },
    120_000,
  );
});
