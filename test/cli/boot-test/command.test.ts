/** boot-test with programs that only pretend: what it asks of QEMU, what it says, and that nothing stays behind. */

import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { bootTestReportSchema } from "../../../src/cli/boot-test/schema.ts";
import { seal } from "../../support/cli.ts";
import { expectRefusal } from "../../support/inputs.ts";
import { LAB_FIRMWARE, pretendEnvironment, pretendLab } from "../../support/pretend-lab.ts";
import { emptyStore } from "../../support/variable-store.ts";
import { hasPid, isGone, until } from "../../support/wait.ts";

const PROGRAM = fileURLToPath(new URL("../../../src/cli/main.ts", import.meta.url));
const CONSOLE = fileURLToPath(new URL("../../boot/console/serial/boots.txt", import.meta.url));
const REFUSED = fileURLToPath(new URL("../../boot/console/serial/refused-uki.txt", import.meta.url));
function bootTest(cwd: string, ...args: readonly string[]) {
  return seal(["boot-test", "out", ...LAB_FIRMWARE, ...args], { cwd, env: pretendEnvironment(cwd) });
}

function qemuIsGone(cwd: string): boolean {
  return isGone(readFileSync(join(cwd, "pid"), "latin1").trim());
}

describe("a machine that pretends", () => {
  it("boots, and is turned off as soon as the text was seen", async () => {
    const cwd = pretendLab(`cat '${CONSOLE}'; exec sleep 60`);
    const result = await bootTest(cwd, "--cert", "db.crt", "--expect", "SEALED-OK", "--keep-log", "log");
    expect(result).toMatchObject({ code: 0, stderr: "" });
    expect(result.stdout).toMatch(/^boots: reached the expected text after \d+\.\d s, Secure Boot on\n$/);
    expect(readFileSync(join(cwd, "log")).equals(readFileSync(CONSOLE))).toBe(true);
    expect(qemuIsGone(cwd)).toBe(true);
  });

  it.each([
    ["a directory", "out", "is a directory"],
    ["a place below a file", "db.crt/log", "part of the path is not a directory"],
    ["a filesystem of the kernel", "/proc/log", "no such file or directory"],
  ])("is not started when the log can't be kept: %s", async (_, log, reason) => {
    const cwd = pretendLab(`cat '${CONSOLE}'; exec sleep 60`);
    const result = await bootTest(cwd, "--cert", "db.crt", "--keep-log", log);
    expectRefusal(result, 3, new RegExp(`${log}: can't be written: ${reason}\n$`));
    expect(existsSync(join(cwd, "pid"))).toBe(false);
  });

  it("gives its report even when the log can't be written in the end", async () => {
    const cwd = pretendLab(`mkdir log; cat '${CONSOLE}'; exec sleep 60`);
    const result = await bootTest(cwd, "--cert", "db.crt", "--keep-log", "log");
    expect(result.stdout).toMatch(/^boots: reached the kernel/);
    expect(result.code).toBe(3);
    expect(result.stderr).toMatch(/^seal: .*log: can't be written: /m);
  });

  it("leaves nothing but the log where it is kept", async () => {
    const cwd = pretendLab(`cat '${CONSOLE}'; exec sleep 60`);
    await bootTest(cwd, "--cert", "db.crt", "--keep-log", "logs/of/today");
    expect(readdirSync(join(cwd, "logs/of"))).toEqual(["today"]);
    expect(readdirSync(cwd).filter((name) => name.includes("partial"))).toEqual([]);
  });

  it("is asked for what Secure Boot needs", async () => {
    const cwd = pretendLab(`cat '${CONSOLE}'`);
    await bootTest(cwd, "--cert", "db.crt", "--kernel-arguments", "a,b");
    const given = readFileSync(join(cwd, "arguments"), "utf8").split("\n");
    expect(given).toEqual(
      expect.arrayContaining([
        "q35,smm=on,accel=tcg",
        "driver=cfi.pflash01,property=secure,value=on",
        `if=pflash,format=raw,unit=0,file=${cwd}/code.fd,readonly=on`,
        "type=11,value=io.systemd.stub.kernel-cmdline-extra=a,,b",
        "-no-reboot",
      ]),
    );
  });

  it("refuses", async () => {
    const cwd = pretendLab(`cat '${REFUSED}'; exec sleep 60`);
    const { code, stdout } = await bootTest(cwd, "--cert", "db.crt", "--json");
    expect(code).toBe(1);
    expect(bootTestReportSchema.parse(JSON.parse(stdout))).toMatchObject({
      passed: false,
      end: "refused",
      refused: { by: "boot-loader", file: "EFI/Linux/6.12.107+deb13-amd64.efi" },
    });
    const said = await bootTest(cwd, "--cert", "db.crt");
    expect(said.stdout).toMatch(
      /^refused: EFI\/Linux\/\S+\.efi, which the boot loader does not start: .* or revoked by dbx\n$/,
    );
    expect(said.stderr).toContain("Access denied");
    expect(said.stderr).toMatch(
      /^seal verify EFI\/Linux\/\S+\.efi --cert db\.crt \(and --dbx\) shows what is wrong; sign it /m,
    );
  });

  it("is stopped when time is up", async () => {
    const cwd = pretendLab("echo BdsDxe: loading Boot0001; exec sleep 60");
    const { code, stdout } = await bootTest(cwd, "--cert", "db.crt", "--timeout", "1");
    expect(code).toBe(1);
    expect(stdout).toMatch(/^does not boot: after \d\.\d s it had only reached the firmware\n$/);
    expect(qemuIsGone(cwd)).toBe(true);
  });

  it("turns itself off too early", async () => {
    const { code, stdout } = await bootTest(pretendLab(`cat '${CONSOLE}'`), "--cert", "db.crt", "--expect", "login:");
    expect(code).toBe(1);
    expect(stdout).toMatch(/^does not boot: powered off or reset after \d\.\d s; it reached the kernel\n$/);
  });

  it("boots in setup mode without enrolling anything", async () => {
    const cwd = pretendLab(`cat '${CONSOLE}'`);
    mkdirSync(join(cwd, "out/boot/loader/keys/auto"), { recursive: true });
    writeFileSync(join(cwd, "out/boot/loader/keys/auto/PK.auth"), "");
    // Other verbs want it.
    writeFileSync(join(cwd, "seal.toml"), 'cert = "db.crt"\n');
    const { code, stdout } = await bootTest(cwd, "--setup-mode");
    expect(code).toBe(1);
    expect(stdout).toMatch(/^not enrolled: /);
    expect(readFileSync(join(cwd, "arguments"), "utf8")).not.toContain("-no-reboot");
  });

  it("has firmware that knows no Secure Boot", async () => {
    const cwd = pretendLab(`cat '${CONSOLE}'`);
    writeFileSync(join(cwd, "vars.fd"), emptyStore());
    expectRefusal(await bootTest(cwd, "--cert", "db.crt"), 4, /code\.fd: this firmware does not support Secure Boot/);
    expect(await bootTest(cwd, "--no-secure-boot")).toMatchObject({ code: 0 });
  });

  it("is not run by QEMU", async () => {
    const cwd = pretendLab("echo 'could not open x' >&2; exit 1");
    expectRefusal(
      await bootTest(cwd, "--cert", "db.crt"),
      4,
      /qemu-system-x86_64: failed \(exit code 1\): could not open x/,
    );
  });
});

describe("a signal", () => {
  it.each(["SIGINT", "SIGTERM", "SIGHUP"] as const)("%s leaves neither QEMU nor files behind", async (signal) => {
    const cwd = pretendLab("exec sleep 60");
    const args = ["boot-test", "out", ...LAB_FIRMWARE, "--cert", "db.crt"];
    const env = { ...pretendEnvironment(cwd), TMPDIR: join(cwd, "tmp") };
    const child = spawn(process.execPath, [PROGRAM, ...args], { cwd, env });
    const exit = once(child, "exit");
    expect(await until("QEMU runs", () => hasPid(join(cwd, "pid")), child)).toBe(true);
    expect(readdirSync(join(cwd, "tmp"))).toHaveLength(1);
    child.kill(signal);
    expect(await exit).toEqual([null, signal]);
    expect(readdirSync(join(cwd, "tmp"))).toEqual([]);
    await expect.poll(() => qemuIsGone(cwd)).toBe(true);
  });
});

describe("what is wrong before anything runs", () => {
  it.each<[string, readonly string[], number, RegExp]>([
    ["no keys", [], 2, /--enroll: give the directory of the keys/],
    ["two modes", ["--setup-mode", "--no-secure-boot"], 2, /cannot be combined with/],
    [
      "keys that nobody would enrol",
      ["--setup-mode", "--enroll", "keys"],
      2,
      /--setup-mode and --no-secure-boot enrol nothing beforehand/,
    ],
    ["a timeout of 0", ["--cert", "db.crt", "--timeout", "0"], 2, /--timeout: give seconds/],
    ["no keys in loader/keys", ["--setup-mode"], 3, /out: has no keys in loader\/keys\/auto/],
    [
      "a directory without keys",
      ["--enroll", "tmp"],
      3,
      /tmp\/PK\.auth: is missing; PK, KEK and db are enrolled together/,
    ],
    ["no certificate", ["--cert", "code.fd"], 3, /code\.fd: has no entries for db/],
    ["firmware that is not there", ["--cert", "db.crt", "--firmware-code", "no.fd"], 3, /no\.fd: can't be read/],
    ["no QEMU", ["--cert", "db.crt", "--qemu", "no-qemu"], 4, /not installed: no-qemu\. Give a program that exists/],
  ])("%s", async (_, args, code, message) => {
    const cwd = pretendLab("exit 9");
    expectRefusal(await bootTest(cwd, ...args), code, message);
    expect(existsSync(join(cwd, "pid"))).toBe(false);
  });

  it("no /boot, and one for another machine", async () => {
    const cwd = pretendLab("exit 9");
    expectRefusal(await seal(["boot-test", "bin", "--cert", "db.crt"], { cwd }), 3, /bin: is not a \/boot/);
    rmSync(join(cwd, "out/boot/EFI/BOOT/BOOTX64.EFI"));
    expectRefusal(
      await bootTest(cwd, "--cert", "db.crt"),
      3,
      /out: has no EFI\/BOOT\/BOOTX64\.EFI, which the firmware starts; give the architecture with --arch/,
    );
  });
});
