/**
 * boot-test --swtpm with programs that only pretend: what it asks of the TPM, how it judges the answers, and that
 * nothing stays behind.
 */

import { spawn } from "node:child_process";
import { once } from "node:events";
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { bootTestReportSchema } from "../../../src/cli/boot-test/schema.ts";
import { referenceReportSchema } from "../../../src/cli/measure/reference.ts";
import { seal } from "../../support/cli.ts";
import { expectRefusal } from "../../support/inputs.ts";
import { tempDir } from "../../support/temp.ts";
import { usedStore } from "../../support/variable-store.ts";
import { vector } from "../../support/vectors.ts";
import { hasPid, isGone, until } from "../../support/wait.ts";

const PROGRAM = fileURLToPath(new URL("../../../src/cli/main.ts", import.meta.url));
const CONSOLE = fileURLToPath(new URL("../../boot/console/serial/boots.txt", import.meta.url));
const REFUSED = fileURLToPath(new URL("../../boot/console/serial/refused-uki.txt", import.meta.url));
const ARGS = ["boot-test", "out", "--cert", "db.crt", "--swtpm", "--accel", "tcg"];
/** With systemd in the initramfs, and without. */
const PHASES = ["enter-initrd:leave-initrd", "sysinit:ready"] as const;
const FIRMWARE = ["--firmware-code", "code.fd", "--firmware-vars", "vars.fd"];

/** Answers as swtpm does, with the values in `pcrs.json`; a register that is not there has no value. */
const TPM = (cwd: string, stored: number) => `#!${process.execPath}
const { createServer } = require("node:net");
const { appendFileSync, readFileSync } = require("node:fs");
appendFileSync(${JSON.stringify(join(cwd, "tpms"))}, process.pid + " " + process.argv.slice(2).join(" ") + "\\n");
const control = process.argv.includes("--ctrl");
createServer((socket) => socket.on("data", (request) => {
  if (control) return socket.write(Buffer.from([0, 0, 0, request.readUInt32BE() === 0x0a ? ${stored} : 1]));
  const pcr = Math.log2(request.readUIntLE(17, 3));
  const value = JSON.parse(readFileSync(${JSON.stringify(join(cwd, "pcrs.json"))}, "utf8"))[pcr] ?? "";
  const answer = Buffer.concat([Buffer.from("8001" + "00000000" + "00000000" + "00000001" + "00000001000b03000000" + (value === "" ? "00000000" : "00000001" + "0020" + value), "hex")]);
  answer.writeUInt32BE(answer.length, 2);
  socket.write(answer);
})).listen(control ? "control" : "data");
`;

/** A directory with a signed out/boot, and in bin programs that pretend. */
async function lab(qemu: string, stored = 0): Promise<string> {
  const cwd = tempDir();
  for (const path of ["bin", "tmp"]) mkdirSync(join(cwd, path));
  for (const name of ["kernel", "stub-plain", "initrd-1"]) writeFileSync(join(cwd, name), vector(`uki/inputs/${name}`));
  for (const kind of ["key", "crt"]) writeFileSync(join(cwd, `db.${kind}`), vector(`authenticode/keys/signer.${kind}`));
  writeFileSync(join(cwd, "code.fd"), "");
  writeFileSync(join(cwd, "vars.fd"), usedStore());
  const sign = ["--key", "db.key", "--cert", "db.crt"];
  const inputs = [
    "--linux",
    "kernel",
    "--initrd",
    "initrd-1",
    "--stub",
    "stub-plain",
    "--cmdline",
    "a",
    "--os-release",
    "ID=x",
  ];
  for (const args of [
    ["build-uki", ...inputs, ...sign, "--output", "uki.efi"],
    ["boot-layout", "--uki", "uki.efi", "--bootloader", "stub-plain", ...sign, "--output", "out"],
  ])
    expect(await seal(args, { cwd })).toMatchObject({ code: 0 });
  const script = `#!/bin/sh\nprintf '%s\\n' "$@" >'${cwd}/arguments'; echo $$ >'${cwd}/pid'; ${qemu}\n`;
  const nothing = "#!/bin/sh\n";
  const programs = {
    "qemu-system-x86_64": script,
    "mkfs.vfat": nothing,
    mcopy: nothing,
    mdeltree: nothing,
    swtpm: TPM(cwd, stored),
  };
  for (const [name, body] of Object.entries(programs)) {
    writeFileSync(join(cwd, "bin", name), body);
    chmodSync(join(cwd, "bin", name), 0o755);
  }
  const keys = ["--pk", "db.crt", "--kek", "db.crt", "--db", "db.crt"];
  const { stdout } = await seal(["measure", "out", "--reference", ...keys, "--phases", PHASES.join(",")], {
    cwd,
  });
  const pcrs = referenceReportSchema.parse(JSON.parse(stdout)).boots[0]?.pcrs ?? [];
  const values = Object.fromEntries([
    ...Array.from({ length: 16 }, (_, pcr) => [pcr, "00".repeat(32)]),
    ...pcrs.map(({ pcr, values: { sha256 } }) => [pcr, sha256]),
    ...(pcrs.at(-1)?.phases ?? []).map(({ phase, values: { sha256 } }) => [phase, sha256]),
  ]);
  writeFileSync(join(cwd, "pcrs.json"), JSON.stringify(values));
  return cwd;
}

/** Changes what the TPM says. */
function set(cwd: string, change: (values: Record<string, string>) => Record<string, string>): void {
  const values = JSON.parse(readFileSync(join(cwd, "pcrs.json"), "utf8")) as Record<string, string>;
  writeFileSync(join(cwd, "pcrs.json"), JSON.stringify({ ...values, ...change(values) }));
}

const environment = (cwd: string) => ({ PATH: `${join(cwd, "bin")}:${process.env["PATH"]}` });
const bootTest = (cwd: string, ...args: readonly string[]) =>
  seal([...ARGS, ...FIRMWARE, ...args], { cwd, env: environment(cwd) });

/** Whether all TPMs are gone, or dead and waiting for somebody to notice. */
function tpmsAreGone(cwd: string): boolean {
  const pids = readFileSync(join(cwd, "tpms"), "utf8")
    .trim()
    .split("\n")
    .map((line) => line.split(" ")[0] ?? "");
  return pids.every(isGone);
}

describe("a machine with a TPM", () => {
  it("is measured, and holds what was computed", async () => {
    const cwd = await lab(`cat '${CONSOLE}'; exec sleep 60`);
    const { code, stdout } = await bootTest(cwd);
    expect(stdout).toMatch(/^boots: reached the kernel after \d+\.\d s, Secure Boot on; PCR 4, 7, 11 as computed\n$/);
    expect(code).toBe(0);
    const [first, second] = readFileSync(join(cwd, "tpms"), "utf8").trim().split("\n");
    expect(first).toMatch(/ socket --tpm2 --tpmstate dir=\. --ctrl type=unixio,path=control$/);
    expect(second).toMatch(/ socket --tpm2 --tpmstate dir=\. --server type=unixio,path=data --flags not-need-init$/);
    expect(tpmsAreGone(cwd)).toBe(true);
    const given = readFileSync(join(cwd, "arguments"), "utf8");
    expect(given).toMatch(/^socket,id=tpm,path=\/.*\/tpm\/control\n-tpmdev\nemulator,id=tpm0,chardev=tpm\n/m);
    expect(given).toContain("-no-shutdown");
  });

  it.each(PHASES)("may have entered phases: %s", async (phase) => {
    const cwd = await lab(`cat '${CONSOLE}'; exec sleep 60`);
    set(cwd, ({ [phase]: value = "" }) => ({ 11: value }));
    const { stdout } = await bootTest(cwd, "--json");
    const { passed, pcrs } = bootTestReportSchema.parse(JSON.parse(stdout));
    expect(passed).toBe(true);
    expect(pcrs).toHaveLength(16);
    expect(pcrs?.[11]).toMatchObject({ matches: true, phase });
    expect(pcrs?.[4]).toMatchObject({ matches: true, phase: null });
    expect(pcrs?.[0]).toEqual({ pcr: 0, value: "00".repeat(32), expected: null, matches: null, phase: null });
  });

  it("was measured otherwise", async () => {
    const cwd = await lab(`cat '${CONSOLE}'; exec sleep 60`);
    set(cwd, () => ({ 7: "ab".repeat(32) }));
    const { code, stdout } = await bootTest(cwd);
    expect(code).toBe(1);
    expect(stdout).toMatch(/^unexpected measurements: PCR 7 is (?:ab){32}, expected [0-9a-f]{64}\n$/);
    const { passed, end, pcrs } = bootTestReportSchema.parse(JSON.parse((await bootTest(cwd, "--json")).stdout));
    expect({ passed, end }).toEqual({ passed: false, end: "pcr-mismatch" });
    expect(pcrs?.map(({ matches }) => matches).filter((matches) => matches !== null)).toEqual([true, false, true]);
  });

  it("that starts what it should refuse is told of, with its report", async () => {
    const cwd = await lab(`cat '${CONSOLE}'; exec sleep 60`);
    writeFileSync(join(cwd, "other.crt"), vector("authenticode/keys/other.crt"));
    const args = ["boot-test", "out", "--cert", "other.crt", "--swtpm", "--accel", "tcg", ...FIRMWARE, "--json"];
    const { stdout, stderr } = await seal(args, { cwd, env: environment(cwd) });
    expect(bootTestReportSchema.parse(JSON.parse(stdout))).toMatchObject({ passed: true, reached: "kernel" });
    expect(stderr).toMatch(
      /^warning: the measurements are not compared: EFI\/BOOT\/BOOTX64\.EFI: firmware with these keys/m,
    );
  });

  it("that starts no kernel is not judged by its TPM", async () => {
    const cwd = await lab(`cat '${REFUSED}'; exec sleep 60`);
    const report = bootTestReportSchema.parse(JSON.parse((await bootTest(cwd, "--json")).stdout));
    expect(report.end).toBe("refused");
    expect(report.pcrs?.every(({ expected }) => expected === null)).toBe(true);
  });

  it("that turned itself off still says what it held", async () => {
    // Connects to the monitor as QEMU does, and stays until it is killed.
    const monitor = `const path = process.argv.find((one) => one.includes("id=monitor")).split("path=")[1];
      const socket = require("node:net").connect(path);
      socket.on("data", () => socket.write('{"QMP": {}}\\r\\n{"event": "RESUME"}\\r\\n{"event": "SHUTDOWN", "data": {"guest": true}}\\r\\n'));
      setTimeout(() => {}, 60000);`;
    const cwd = await lab("");
    writeFileSync(join(cwd, "bin/qemu-system-x86_64.js"), monitor);
    writeFileSync(
      join(cwd, "bin/qemu-system-x86_64"),
      `#!/bin/sh\ncat '${CONSOLE}'\nexec '${process.execPath}' '${cwd}/bin/qemu-system-x86_64.js' "$@"\n`,
    );
    const report = bootTestReportSchema.parse(JSON.parse((await bootTest(cwd, "--expect", "never", "--json")).stdout));
    expect(report).toMatchObject({ passed: false, end: "off", reached: "kernel" });
    expect(report.pcrs?.[4]?.matches).toBe(true);
  });
});

describe("a TPM that does not work", () => {
  const BOOTS = `cat '${CONSOLE}'; exec sleep 60`;
  it("is not installed", async () => {
    const cwd = await lab(BOOTS);
    rmSync(join(cwd, "bin/swtpm"));
    const result = await seal([...ARGS, ...FIRMWARE], { cwd, env: { PATH: join(cwd, "bin") } });
    expectRefusal(result, 4, /^seal: not installed: swtpm\. Install swtpm \(Debian, Ubuntu\) or swtpm \(Fedora\)\n$/);
    expect(existsSync(join(cwd, "pid"))).toBe(false);
  });
  it("does not start", async () => {
    const cwd = await lab(BOOTS);
    writeFileSync(join(cwd, "bin/swtpm"), "#!/bin/sh\necho 'no such option' >&2; exit 1\n");
    expectRefusal(await bootTest(cwd), 4, /bin\/swtpm: failed \(exit code 1\): no such option/);
    expect(existsSync(join(cwd, "pid"))).toBe(false);
  });
  it("can't keep its state", async () => {
    const cwd = await lab(BOOTS, 0x0a);
    expectRefusal(await bootTest(cwd), 4, /bin\/swtpm: can't save its state/);
    expect(tpmsAreGone(cwd)).toBe(true);
  });
  it("hangs up", async () => {
    const cwd = await lab(BOOTS);
    writeFileSync(
      join(cwd, "bin/swtpm"),
      readFileSync(join(cwd, "bin/swtpm"), "utf8").replace(/if \(control\) return .*/, "return socket.destroy();"),
    );
    expectRefusal(await bootTest(cwd), 4, /bin\/swtpm: the TPM does not answer/);
    expect(tpmsAreGone(cwd)).toBe(true);
  });
  it("has no values", async () => {
    const cwd = await lab(BOOTS);
    set(cwd, () => ({ 3: "" }));
    expectRefusal(await bootTest(cwd), 4, /the TPM gives no SHA-256 value of PCR 3 \(0x0\)/);
    expect(tpmsAreGone(cwd)).toBe(true);
  });
  it("would have a path that is too long", async () => {
    const cwd = await lab(BOOTS);
    const long = join(cwd, "t".repeat(100));
    mkdirSync(long);
    const { code, stderr } = await run(cwd, long);
    expect(code).toBe(3);
    expect(stderr).toMatch(/^seal: .*: the path is too long for a socket in it; set TMPDIR to a shorter one\n$/);
  });
});

/** In a process of its own, which has a TMPDIR of its own. */
async function run(cwd: string, TMPDIR: string): Promise<{ code: unknown; stderr: string }> {
  const child = spawn(process.execPath, [PROGRAM, ...ARGS, ...FIRMWARE], { cwd, env: { ...environment(cwd), TMPDIR } });
  let stderr = "";
  child.stderr.on("data", (bytes) => {
    stderr += bytes;
  });
  const [code] = await once(child, "close");
  return { code, stderr };
}

describe("a signal", () => {
  it("leaves neither QEMU, TPM nor files behind", async () => {
    const cwd = await lab("exec sleep 60");
    const env = { ...environment(cwd), TMPDIR: join(cwd, "tmp") };
    const child = spawn(process.execPath, [PROGRAM, ...ARGS, ...FIRMWARE], { cwd, env });
    const exit = once(child, "exit");
    expect(await until("QEMU runs", () => hasPid(join(cwd, "pid")), child)).toBe(true);
    child.kill("SIGTERM");
    expect(await exit).toEqual([null, "SIGTERM"]);
    await expect.poll(() => tpmsAreGone(cwd)).toBe(true);
    expect(readdirSync(join(cwd, "tmp"))).toEqual([]);
  });
});
