/** The whole chain ends in firmware: what seal made, booted by a UEFI that enforces Secure Boot, and what it must refuse. */
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { type BootTestReport, bootTestSchema } from "../../src/cli/boot-test-report.ts";
import { sealReportSchema } from "../../src/cli/rootfs-report.ts";
import { seal } from "../support/cli.ts";
import { markerInitramfs } from "../support/marker-initramfs.ts";
import { describeWith, PEERS_DIR, peerTree, realRootfs } from "../support/peers.ts";

const NEEDS = ["rootfs", "qemu-system-x86_64", "mkfs.vfat", "mcopy", "mdeltree"] as const;

interface Booted {
  readonly code: number;
  readonly report: BootTestReport;
  /** What the serial console said. */
  readonly log: string;
}

/** A small sealed tree with the real kernel, stub and boot loader of Debian; its initramfs prints a marker. */
async function sealTree(cwd: string): Promise<void> {
  const source = realRootfs() ?? "";
  const [version = ""] = readdirSync(join(source, "usr/lib/modules"));
  const modules = join("usr/lib/modules", version);
  const efi = "usr/lib/systemd/boot/efi";
  for (const name of ["boot", "sysroot", modules, efi, "usr/lib/bootc/kargs.d"])
    mkdirSync(join(cwd, "root", name), { recursive: true });
  for (const path of [
    `${modules}/vmlinuz`,
    `${efi}/linuxx64.efi.stub`,
    `${efi}/systemd-bootx64.efi`,
    "usr/lib/os-release",
  ])
    cpSync(join(source, path), join(cwd, "root", path), { dereference: true });
  const busybox = join(peerTree("trixie"), "usr/bin/busybox");
  writeFileSync(join(cwd, "root", modules, "initramfs.img"), markerInitramfs(busybox, join(source, modules)));
  writeFileSync(join(cwd, "root/usr/lib/bootc/kargs.d/10-quiet.toml"), 'kargs = ["quiet"]\n');
  const keys = ["--key", "keys/db.key", "--cert", "keys/db.crt", "--enroll-keys", "keys"];
  for (const args of [
    ["keys", "generate", "--output", "keys"],
    ["keys", "generate", "--output", "other"],
    ["rootfs", "root", ...keys, "--output", "sealed"],
  ]) {
    const { code, stderr } = await seal(args, { cwd });
    expect(code, stderr).toBe(0);
  }
}

function ukiIn(boot: string): string {
  return join(boot, "EFI/Linux", readdirSync(join(boot, "EFI/Linux"))[0] ?? "");
}

/** Starts a machine; the firmware comes from the tree that QEMU runs in. */
async function bootTest(cwd: string, boot: string, ...args: readonly string[]): Promise<Booted> {
  const machine = ["--accel", "tcg", "--cpu", "qemu64", "--memory", "512", "--timeout", "110"];
  const firmware = ["--firmware-code", "OVMF_CODE_4M.secboot.fd", "--firmware-vars", "OVMF_VARS_4M.fd"];
  const log = `${boot}.log`;
  const output = ["--expect", "SEALED-END", "--keep-log", log, "--json"];
  const { code, stdout, stderr } = await seal(["boot-test", boot, ...machine, ...firmware, ...output, ...args], {
    cwd,
    env: { PATH: `${join(PEERS_DIR, "bin")}${delimiter}${process.env["PATH"]}` },
  });
  expect(stdout, stderr).not.toBe("");
  return { code, report: bootTestSchema.parse(JSON.parse(stdout)), log: readFileSync(join(cwd, log), "utf8") };
}

describeWith([...NEEDS, "trees"], "a machine with Secure Boot", () => {
  const results = new Map<string, Booted>();
  let cwd = "";
  let cmdline = "";
  const result = (name: string): Booted => {
    const booted = results.get(name);
    if (booted === undefined) throw new Error(`${name} was not run`);
    return booted;
  };

  beforeAll(async () => {
    cwd = mkdtempSync(join(tmpdir(), "seal-test-"));
    for (const name of ["OVMF_CODE_4M.secboot.fd", "OVMF_VARS_4M.fd"])
      cpSync(join(peerTree("trixie"), "usr/share/OVMF", name), join(cwd, name));
    await sealTree(cwd);
    cmdline = sealReportSchema.parse(JSON.parse(readFileSync(join(cwd, "sealed/report.json"), "utf8"))).cmdline;
    for (const name of ["tampered", "foreign", "revoked", "setup"])
      cpSync(join(cwd, "sealed/boot"), join(cwd, name), { recursive: true });
    const tampered = ukiIn(join(cwd, "tampered"));
    const bytes = readFileSync(tampered);
    // In the initramfs, which is not compressed.
    const marker = bytes.indexOf("SEALED-OK");
    bytes.write("5", marker);
    writeFileSync(tampered, bytes);
    const foreign = ukiIn(join(cwd, "foreign"));
    expect((await seal(["sign", foreign, "--key", "other/db.key", "--cert", "other/db.crt"], { cwd })).code).toBe(0);

    // Two machines at a time, one a core.
    const lane = async (...machines: readonly (readonly [string, ...string[]])[]) => {
      for (const [boot, ...args] of machines) results.set(boot, await bootTest(cwd, boot, ...args));
    };
    await Promise.all([
      lane(
        ["sealed", "--enroll", "keys"],
        ["revoked", "--enroll", "keys", "--dbx", ukiIn(join(cwd, "revoked"))],
        ["foreign", "--cert", "keys/db.crt"],
      ),
      lane(["tampered", "--enroll", "keys"], ["setup", "--setup-mode"]),
    ]);
  }, 500_000);

  afterAll(() => rmSync(cwd, { recursive: true, force: true }));

  it("boots what was sealed and signed, with the digest on its command line", () => {
    const { code, report, log } = result("sealed");
    expect({ code, ...report }).toMatchObject({ code: 0, passed: true, reached: "expected", end: "reached" });
    expect(cmdline).toMatch(/composefs=[0-9a-f]{128}/);
    expect(log).toContain(`cmdline: ${cmdline}`);
    expect(log).toContain("SecureBoot: 06 00 00 00 01");
  });

  it.each([
    ["with one byte of the initramfs changed", "tampered"],
    ["that was revoked by its hash", "revoked"],
    ["signed by a key that the firmware does not know", "foreign"],
  ])("refuses a UKI %s", (_, name) => {
    const { code, report, log } = result(name);
    expect({ code, ...report }).toMatchObject({ code: 1, passed: false, reached: "boot-loader", end: "refused" });
    expect(report.refused).toEqual({ by: "boot-loader", file: expect.stringMatching(/^EFI\/Linux\/.*\.efi$/) });
    expect(log).not.toContain("SEALED");
  });

  it("enrols the keys in loader/keys/auto by itself, and boots with Secure Boot on", () => {
    const { code, report, log } = result("setup");
    expect({ code, ...report }).toMatchObject({ code: 0, passed: true, secureBoot: "setup", end: "reached" });
    expect(log).toContain("SecureBoot: 06 00 00 00 01");
  });
});
