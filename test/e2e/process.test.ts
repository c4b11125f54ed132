/** What seal does as a process: signals, pipes that close, streams that are missing. */

import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { mkdirSync, readdirSync, readFileSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { makeInputs, SIGNING, snapshot } from "../support/inputs.ts";
import { withoutSteps } from "../support/steps.ts";
import { until } from "../support/wait.ts";

const PROGRAM = fileURLToPath(new URL("../../src/cli/main.ts", import.meta.url));
const BUILT = fileURLToPath(new URL("../../dist/cli/main.js", import.meta.url));
const source = (path: string) => JSON.stringify(new URL(`../../src/${path}`, import.meta.url).href);

/** Runs a shell command in which `seal` is the program. */
function shell(cwd: string, command: string) {
  const script = `seal() { "${process.execPath}" "${PROGRAM}" "$@"; }\n${command}`;
  const { status, stdout, stderr } = spawnSync("bash", ["-c", script], { cwd, encoding: "utf8" });
  return { status, stdout, stderr: withoutSteps(stderr) };
}

async function ended(child: ChildProcess) {
  const [code, signal] = (await once(child, "exit")) as [number | null, NodeJS.Signals | null];
  return { code, signal };
}

const SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

describe("a signal in the middle of writing", () => {
  /** Work on outputs that stops half way, for ever. */
  const WORK: Readonly<Record<string, string>> = {
    writeOutput: `
      import { writeOutput } from ${source("io/files.ts")};
      await writeOutput("new/deep/out", half());`,
    "writeOutput in place of an older file": `
      import { writeOutput } from ${source("io/files.ts")};
      await writeOutput("old", half());`,
    replaceFile: `
      import { replaceFile } from ${source("io/files.ts")};
      await replaceFile("old", half());`,
    orUndo: `
      import { mkdirSync, rmdirSync } from "node:fs";
      import { orUndo } from ${source("io/undo.ts")};
      const failing = () => { throw new Error("this can't be undone"); };
      await orUndo(() => rmdirSync("half"), () => orUndo(failing, async () => {
        mkdirSync("half");
        for await (const chunk of half());
      }));`,
  };
  const HALF = `
    async function* half() {
      yield Buffer.alloc(100000);
      console.log("half");
      await new Promise(() => setInterval(() => {}, 1000));
    }`;

  for (const [title, script] of Object.entries(WORK)) {
    it.each(SIGNALS)(`${title}: %s`, async (signal) => {
      const cwd = makeInputs();
      writeFileSync(join(cwd, "old"), "old");
      const before = snapshot(cwd);
      const child = spawn(process.execPath, ["--input-type=module", "--eval", script + HALF], { cwd });
      await once(child.stdout, "data");
      expect(snapshot(cwd)).not.toEqual(before);
      child.kill(signal);
      expect(await ended(child)).toEqual({ code: null, signal });
      expect(snapshot(cwd)).toEqual(before);
    });
  }

  it("ends the program, with nothing left behind", async () => {
    const cwd = makeInputs();
    mkdirSync(join(cwd, "out"));
    // So much that the temporary file is seen before it is complete.
    writeFileSync(join(cwd, "initrd"), Buffer.alloc(64 << 20));
    const initrds = Array.from({ length: 4 }, () => ["--initrd", "initrd"]).flat();
    const args = ["build-uki", "--rootfs", "root", ...initrds, "--output", "out/uki.efi"];
    const child = spawn(process.execPath, [PROGRAM, ...args], { cwd });
    const exit = ended(child);
    const isWriting = () => readdirSync(join(cwd, "out")).some((name) => name.endsWith(".partial"));
    expect(await until("a file is being written", isWriting, child)).toBe(true);
    child.kill("SIGINT");
    expect(await exit).toEqual({ code: null, signal: "SIGINT" });
    expect(readdirSync(join(cwd, "out"))).toEqual([]);
  });

  it.each([
    ["SIGTERM", 143],
    ["SIGINT", 130],
  ])("is seen by a shell as the signal that it was: %s", (signal, code) => {
    const script = `import { orUndo } from ${source("io/undo.ts")};
      await orUndo(() => {}, async () => { process.kill(process.pid, "${signal}"); await new Promise((r) => setTimeout(r, 9999)); });`;
    const { stdout } = spawnSync("sh", [
      "-c",
      '"$0" --input-type=module --eval "$1"; echo $?',
      process.execPath,
      script,
    ]);
    expect(stdout.toString()).toBe(`${code}\n`);
  });
});

describe("standard streams", () => {
  it.each([
    ["a picture", "seal inspect uki.efi"],
    ["JSON", "seal inspect uki.efi --json"],
    ["bytes", "seal inspect uki.efi --section .initrd"],
    ["a page", "seal help build-uki"],
    ["several lines", "seal lint --list"],
  ])("nobody reads %s to its end", (_, command) => {
    const result = shell(makeInputs(), `{ sleep 0.3; ${command}; echo "exit $?" >&2; } | true`);
    expect(result.stderr).toBe("exit 0\n");
  });

  it("nobody reads what it says", () => {
    expect(shell(makeInputs(), "seal inspect nothing 2> >(true)")).toMatchObject({ status: 3, stdout: "" });
  });

  it.each(["seal inspect uki.efi", "seal inspect uki.efi --section .linux", "seal sign uki.efi --output x $KEY"])(
    "the result of %s can't be written",
    (command) => {
      const result = shell(makeInputs(), `KEY="${SIGNING.join(" ")}"; ${command} > /dev/full`);
      expect(result).toEqual({
        status: 3,
        stdout: "",
        stderr: "seal: standard output: can't be written: no space left on the device\n",
      });
    },
  );

  it("are closed", () => {
    const cwd = makeInputs();
    expect(shell(cwd, "seal sign uki.efi --key - --cert db.crt <&-")).toEqual({
      status: 3,
      stdout: "",
      stderr: expect.stringMatching(/^seal: the key on standard input: is not a private key[^\n]*\n$/),
    });
    expect(shell(cwd, "seal inspect nothing 2>&-").status).toBe(3);
    expect(shell(cwd, "seal inspect uki.efi >&-")).toEqual({ status: 0, stdout: "", stderr: "" });
  });

  it("take all of a result, however slowly", () => {
    const cwd = makeInputs();
    writeFileSync(join(cwd, "initrd"), randomBytes(1 << 20));
    // Writing to such a pipe fails where it is full.
    const nonBlocking =
      "import fcntl, os, sys; fcntl.fcntl(1, fcntl.F_SETFL, os.O_NONBLOCK); os.execv(sys.argv[1], sys.argv[1:])";
    const result = shell(
      cwd,
      `seal build-uki --rootfs root --initrd initrd --output big.efi --quiet >/dev/null
       seal inspect big.efi --section .initrd > whole
       python3 -c '${nonBlocking}' "${process.execPath}" "${BUILT}" inspect big.efi --section .initrd | { sleep 0.5; cat > piped; }`,
    );
    expect(result).toEqual({ status: 0, stdout: "", stderr: "" });
    expect(readFileSync(join(cwd, "piped")).length).toBeGreaterThan(1 << 20);
    expect(readFileSync(join(cwd, "piped")).equals(readFileSync(join(cwd, "whole")))).toBe(true);
  });

  it("take an output that is a pipe", () => {
    const cwd = makeInputs();
    const result = shell(
      cwd,
      `seal sign uki.efi ${SIGNING.join(" ")} --output /dev/stderr 2>&1 >/dev/null | cat > piped`,
    );
    expect(result).toEqual({ status: 0, stdout: "", stderr: "" });
    shell(cwd, `seal sign uki.efi ${SIGNING.join(" ")} --output file`);
    expect(readFileSync(join(cwd, "piped")).equals(readFileSync(join(cwd, "file")))).toBe(true);
  });
});

it.each([
  ["done", "compute-digest dir:root --transform oci", 0],
  ["done, with a thread that has not ended yet", "compute-digest dir:large --transform oci --jobs 2", 0],
  ["stopped by an error", "compute-digest dir:nothing", 3],
])("ends at once when it is %s", (_, args, code) => {
  const cwd = makeInputs();
  // So much that the thread has its share of it.
  mkdirSync(join(cwd, "large/usr"), { recursive: true });
  for (let file = 0; file < 1000; file++) {
    writeFileSync(join(cwd, "large/usr", `${file}`), "");
    truncateSync(join(cwd, "large/usr", `${file}`), 300_000);
  }
  // Node says so when nothing is left to do, and then works off what V8 has put off.
  writeFileSync(join(cwd, "idle.cjs"), 'process.on("beforeExit", () => console.log("idle"));');
  const result = spawnSync(process.execPath, ["--require", "./idle.cjs", BUILT, ...args.split(" ")], { cwd });
  expect(result.status).toBe(code);
  expect(result.stdout.toString()).not.toContain("idle");
});

it("says that the current directory is gone", () => {
  const cwd = makeInputs();
  mkdirSync(join(cwd, "gone"));
  const result = shell(join(cwd, "gone"), `rmdir "${cwd}/gone"; seal inspect "${cwd}/uki.efi"`);
  expect(result).toEqual({
    status: 3,
    stdout: "",
    stderr: "seal: the current directory: is gone; change to another one\n",
  });
});
