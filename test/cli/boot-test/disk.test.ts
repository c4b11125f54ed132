/**
 * boot-test of whole systems, with programs that only pretend: what decides, what it says, what it
 * refuses to begin with.
 */
import { existsSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { bootTestReportSchema } from "../../../src/cli/boot-test/schema.ts";
import { findFirmware } from "../../../src/io/vm/machine-types.ts";
import { seal } from "../../support/cli.ts";
import { expectRefusal } from "../../support/inputs.ts";
import { writeLayout } from "../../support/layout.ts";
import { makeUki, STUB, signed, UKI_PATH } from "../../support/lint.ts";
import { LAB_FIRMWARE, pretendEnvironment, pretendLab } from "../../support/pretend-lab.ts";
import { tarArchive, tarDirectory, tarFile } from "../../support/tar.ts";

const CONSOLE = fileURLToPath(new URL("../../boot/console/serial/sealed-image.txt", import.meta.url));
const ROOT = `composefs:${"8c".repeat(64)} overlay ro,relatime`;
const START = "BdsDxe: loading Boot0001 x\nBdsDxe: starting Boot0001 x\n[    0.000000] Linux version 6.12\n";

/** Firmware of this machine, which is not missing then. */
const INSTALLED = await findFirmware("x64");

/** QEMU whose machine says this. */
function saying(text: string): string {
  const cwd = pretendLab("cat console");
  writeFileSync(join(cwd, "console"), text);
  writeFileSync(join(cwd, "disk.img"), "");
  return cwd;
}

const bootDisk = (cwd: string, ...args: readonly string[]) =>
  seal(["boot-test", "--disk", "disk.img", "--cert", "db.crt", ...LAB_FIRMWARE, ...args], {
    cwd,
    env: pretendEnvironment(cwd),
  });

describe("a disk", () => {
  it("is booted when its root enforces fs-verity, and the stages are told with their times", async () => {
    const cwd = saying(readFileSync(CONSOLE, "latin1"));
    const json = await bootDisk(cwd, "--expect", "TELL-END", "--json");
    const report = bootTestReportSchema.parse(JSON.parse(json.stdout));
    expect({ code: json.code, ...report }).toMatchObject({ code: 0, passed: true, root: { enforced: true } });
    const stages = ["firmware", "boot-loader", "kernel", "image", "root", "expected"];
    expect(report.stages.map(({ stage }) => stage)).toEqual(stages);
    expect(report.disk).toBe(join(cwd, "disk.img"));

    const text = await bootDisk(cwd, "--expect", "TELL-END");
    expect(text.stdout).toMatch(/^boots: reached the expected text after .* s, Secure Boot on, fs-verity enforced\n$/);
    expect(text.stderr).toMatch(/✓ fs-verity {9}verity=require/);
  });

  it("gets the questions for the guest, and a console to answer on", async () => {
    const cwd = saying(`${START}SEAL-BOOT-TEST up .\n`);
    await bootDisk(cwd);
    const given = readFileSync(join(cwd, "arguments"), "utf8").split("\n");
    expect(given).toContain(
      "type=11,value=io.systemd.stub.kernel-cmdline-extra=console=ttyS0 loglevel=7 systemd.show_status=yes",
    );
    expect(given.filter((text) => text.includes("io.systemd.credential.binary:systemd.extra-unit."))).toHaveLength(2);
    expect(given).toContain(`if=none,id=esp,format=raw,file=${cwd}/disk.img,snapshot=on`);
  });

  it.each([
    [
      "mounted, not enforced",
      `SEAL-BOOT-TEST root ${ROOT} .`,
      /^mounted, not enforced: it reached the default target, but/,
    ],
    [
      "a root that is not a composefs",
      "SEAL-BOOT-TEST root /dev/vda2 ext4 rw .",
      /its root is ext4 without verity=require/,
    ],
    ["no word about it", "", /^not proved: .* did not say that its root enforces fs-verity/],
  ])("does not pass with %s, unless that is allowed", async (_, answer, message) => {
    const cwd = saying(`${START}${answer}\nSEAL-BOOT-TEST up .\n`);
    const refused = await bootDisk(cwd);
    expect(refused.code).toBe(1);
    expect(refused.stdout).toMatch(message);
    expect(refused.stderr).toContain("--allow-missing-verity");
    const allowed = await bootDisk(cwd, "--allow-missing-verity");
    expect(allowed).toMatchObject({ code: 0, stdout: expect.stringMatching(/^boots: reached the default target/) });
  });

  it("does not blame the command line for a transient root, which hides what is enforced", async () => {
    const root = `transient:composefs=${"ab".repeat(64)} overlay rw,lowerdir=/`;
    const cwd = saying(`${START}SEAL-BOOT-TEST root ${root} .\nSEAL-BOOT-TEST up .\n`);
    const { code, stderr } = await bootDisk(cwd);
    expect(code).toBe(1);
    expect(stderr).toContain("its root is transient");
    expect(stderr).not.toContain("the command line says");
  });

  it("tells what the initramfs refused it for, and what to do", async () => {
    const cwd = saying(`${START}Error: no composefs image found (tried: ${"ab".repeat(64)})\n`);
    const result = await bootDisk(cwd);
    expect(result.code).toBe(1);
    expect(result.stdout).toMatch(
      /^refused: the initramfs does not mount the root filesystem: Error: no composefs image/,
    );
    expect(result.stderr).toContain(
      "the repository has no image with that digest: the UKI was sealed for content other than",
    );
  });

  const KERNEL = "[    1.000000] ";
  const IMAGE = `${START}${KERNEL}erofs (device fd): mounted with root inode @ nid 36.\n`;
  it.each([
    [
      "an unsigned boot loader",
      "BdsDxe: failed to load Boot0001 x: Access Denied\n",
      /✗ boot loader {7}refused: unsigned, invalid sig/,
    ],
    ["an empty disk", "BdsDxe: No bootable option or device was found.\n", /✗ firmware {10}found nothing to start/],
    [
      "an unsigned UKI",
      "x: Error loading \\EFI\\x.efi: Access denied\n",
      /✗ UKI {15}refused: unsigned, invalid signature/,
    ],
    [
      "another root filesystem",
      `${START}Error: no composefs image found (tried: x)\n`,
      /✗ initramfs {9}refused the root/,
    ],
    ["a panic", `${IMAGE}${KERNEL}Kernel panic - not syncing: x\n`, /✗ root filesystem {3}the kernel gave up\n/],
    ["an early end", `${IMAGE}${KERNEL}systemd[1]: Switching root.\n`, /✗ systemd {11}the machine powered off/],
  ])("shows the stage that it did not come to: %s", async (_, text, row) => {
    const result = await bootDisk(saying(text));
    expect(result.code).toBe(1);
    expect(result.stderr).toMatch(row);
    expect(result.stderr.match(/✗/g)).toHaveLength(1);
  });

  it("does not pass when a file differs from its digest, though all else went well", async () => {
    const corrupted = "[    9.1] x\n[    9.120000] fs-verity (vda2, inode 17): FILE CORRUPTED! pos=0\n";
    const cwd = saying(`${START}SEAL-BOOT-TEST root ${ROOT},verity=require .\n${corrupted}SEAL-BOOT-TEST up .\nOK\n`);
    const result = await bootDisk(cwd, "--expect", "OK");
    expect(result).toMatchObject({
      code: 1,
      stdout: expect.stringMatching(/^refused: a file differs from its digest/),
    });
  });
});

describe("an image", () => {
  const LOADER = "usr/lib/systemd/boot/efi/systemd-bootx64.efi";
  const KEYS = "usr/lib/bootc/install/secureboot-keys/auto";
  const ACCESS_DENIED = "BdsDxe: loading Boot0001 x\nBdsDxe: failed to load Boot0001 x: Access Denied\n";
  const UKI = makeUki({ cmdline: `composefs=${"ab".repeat(64)}` });
  const KEYED = { [LOADER]: STUB, [UKI_PATH]: UKI, [`${KEYS}/PK.auth`]: "PK", [`${KEYS}/db.auth`]: "db" };

  /** A place to boot `oci:image` in. */
  function withImage(console: string, files: Readonly<Record<string, string | Uint8Array>>): string {
    const cwd = saying(console);
    const cfsctl = '#!/bin/sh\n[ "$3" = init ] && mkdir -p "$2/images" "$2/objects" && : >"$2/meta.json"; exit 0\n';
    writeFileSync(join(cwd, "bin/cfsctl"), cfsctl, { mode: 0o755 });
    for (const name of ["sfdisk", "mkfs.ext4", "debugfs"]) symlinkSync("mkfs.vfat", join(cwd, "bin", name));
    const parts = Object.entries(files).map(([path, content]) => tarFile(path, Buffer.from(content)));
    const parents = new Set(Object.keys(files).flatMap((path) => parentsOf(path)));
    writeLayout(join(cwd, "image"), [tarArchive(...[...parents].map((path) => tarDirectory(path)), ...parts)]);
    return cwd;
  }
  const parentsOf = (path: string) =>
    path.split("/").map((_, index, names) => `${["."].concat(names.slice(0, index)).join("/")}/`);
  const bootImage = (cwd: string, ...args: readonly string[]) =>
    seal(["boot-test", "--from", "oci:image", ...LAB_FIRMWARE, ...args], { cwd, env: pretendEnvironment(cwd) });

  it("enrols its own keys where none are given, and is told where its boot loader comes from", async () => {
    const cwd = withImage(ACCESS_DENIED, KEYED);
    const { code, stdout } = await bootImage(cwd, "--json");
    expect({ code, ...bootTestReportSchema.parse(JSON.parse(stdout)) }).toMatchObject({
      code: 1,
      secureBoot: "setup",
      end: "refused",
      refused: { by: "firmware", file: "EFI/BOOT/BOOTX64.EFI" },
      reason: `bootc install takes it from ${LOADER}. It is not signed: with Secure Boot, firmware refuses to start it`,
      image: { loader: LOADER, keys: [`${KEYS}/PK.auth`, `${KEYS}/db.auth`] },
    });
    expect(readFileSync(join(cwd, "arguments"), "utf8")).not.toContain("-no-reboot");
    writeFileSync(join(cwd, "console"), `BdsDxe: starting Boot0001 x\n${ACCESS_DENIED}`);
    const told = await bootImage(cwd);
    expect(told.stdout).toMatch(
      /^refused: EFI\/BOOT\/BOOTX64\.EFI, which the firmware does not start: bootc install takes/,
    );
    expect(told.stderr).toMatch(/✓ boot loader {7}enrolled the keys .*\n.*✓ firmware .*\n.*✗ boot loader {7}refused: /);
    expect(told.stderr).toMatch(new RegExp(`^sign ${LOADER} with a key in db .*: seal prepare / --key KEY`, "m"));
  });

  it("is started by a machine that knows the keys that are given", async () => {
    const cwd = withImage(ACCESS_DENIED, { ...KEYED, [`${LOADER}.signed`]: await signed(STUB, "other") });
    const { stdout } = await bootImage(cwd, "--cert", "db.crt", "--json");
    expect(bootTestReportSchema.parse(JSON.parse(stdout))).toMatchObject({
      secureBoot: "enforced",
      reason: expect.stringMatching(/\.efi\.signed\. No signature on it will be accepted: /),
    });
    expect(readFileSync(join(cwd, "arguments"), "utf8")).toContain("-no-reboot");
  });

  it("must bring keys to be enrolled", async () => {
    const { [`${KEYS}/PK.auth`]: _, ...files } = KEYED;
    for (const args of [[], ["--setup-mode"]]) {
      const cwd = withImage("", { ...files, "boot/loader/keys/auto/PK.auth": "x" });
      expectRefusal(
        await bootImage(cwd, ...args),
        3,
        /oci:image: has no keys to enrol in usr\/lib\/bootc\/.*seal prepare/,
      );
      expect(existsSync(join(cwd, "pid"))).toBe(false);
    }
    expectRefusal(
      await bootImage(withImage("", files), "--dbx", "db.crt"),
      2,
      /--enroll: give the directory of the keys/,
    );
  });

  it("is installed without its addons, unless they are named", async () => {
    const cwd = withImage(START, { ...KEYED, [`${UKI_PATH}.extra.d/debug.addon.efi`]: "x" });
    const left = "the addon debug is not installed, as with bootc install without --uki-addon debug";
    expect((await bootImage(cwd)).stderr).toContain(left);
    expect((await bootImage(cwd, "--uki-addon", "debug")).stderr).not.toContain(left);
    expectRefusal(
      await bootImage(cwd, "--uki-addon", "other"),
      3,
      /has an addon other\.addon\.efi \(there are: debug\)/,
    );
  });
});

describe("what is wrong before anything runs", () => {
  it.each<[string, readonly string[], number, RegExp]>([
    [
      "two subjects",
      ["--from", "oci:x", "--disk", "disk.img"],
      2,
      /--from, --disk: give only one of a \/boot, an image or a disk/,
    ],
    ["a disk to keep that nobody makes", ["--disk", "disk.img", "--keep-disk", "y"], 2, /--keep-disk: only --from/],
    ["an addon of nothing", ["out", "--uki-addon", "x"], 2, /--uki-addon: only --from installs an image/],
    [
      "no root filesystem at all",
      ["out", "--allow-missing-verity"],
      2,
      /--allow-missing-verity: a root filesystem is mounted with --from or --disk only/,
    ],
    [
      "a disk to keep in the place of a directory",
      ["--from", "oci:plain", "--keep-disk", "out"],
      3,
      /out: can't be wri/,
    ],
    ["a disk that is not there", ["--disk", "no.img"], 3, /no\.img: can't be read: no such file or directory/],
    ["a disk that is a directory", ["--disk", "out"], 3, /out: is a directory; give a file/],
    ["no image", ["--from", "out"], 3, /out: is not an image; give oci:PATH/],
    ["an archive that is not there", ["--from", "docker-archive:x"], 3, /docker-archive:x: can't be read/],
    ["an image that is not there", ["--from", "oci:none"], 3, /oci:none: /],
    ["an image that is not sealed", ["--from", "oci:plain"], 3, /oci:plain: is not sealed: its \/boot is empty/],
  ])("%s", async (_, args, code, message) => {
    const cwd = saying("");
    for (const name of ["cfsctl", "sfdisk", "mkfs.ext4", "debugfs"]) symlinkSync("mcopy", join(cwd, "bin", name));
    writeLayout(join(cwd, "plain"), [tarArchive(tarDirectory("./"), tarDirectory("boot/"), tarDirectory("usr/"))]);
    const result = await seal(["boot-test", ...args, "--cert", "db.crt", ...LAB_FIRMWARE], {
      cwd,
      env: pretendEnvironment(cwd),
    });
    expectRefusal(result, code, message);
    expect(existsSync(join(cwd, "pid"))).toBe(false);
    expect(readdirSync(cwd).filter((name) => name.includes("partial"))).toEqual([]);
  });

  it("names all programs that are missing, and where they come from", async () => {
    const cwd = saying("");
    const args = ["boot-test", "--from", "oci:plain", "--cert", "db.crt", ...LAB_FIRMWARE];
    const env = { PATH: join(cwd, "bin") };
    const result = await seal(args, { cwd, env });
    const packages = "fdisk e2fsprogs \\(Debian, Ubuntu\\) or util-linux e2fsprogs \\(Fedora\\)";
    expectRefusal(
      result,
      4,
      new RegExp(
        `not installed: cfsctl, sfdisk, mkfs\\.ext4, debugfs\\. Install ${packages}; cfsctl with cargo install`,
      ),
    );
    rmSync(join(cwd, "bin"), { recursive: true });
    const all = "qemu-system-x86_64, swtpm, mkfs\\.vfat, mcopy, mdeltree, cfsctl, sfdisk, mkfs\\.ext4, debugfs";
    expectRefusal(await seal([...args, "--swtpm"], { cwd, env }), 4, new RegExp(`not installed: ${all}\\. Install`));
  });

  it.skipIf(INSTALLED !== null)("names the firmware with them", async () => {
    const cwd = saying("");
    const args = ["boot-test", "--disk", "disk.img", "--cert", "db.crt", "--qemu", "none"];
    const result = await seal(args, { cwd, env: { PATH: join(cwd, "bin") } });
    expectRefusal(result, 4, /not installed: none, OVMF, the firmware\. Install ovmf \(Debian, Ubuntu\) or edk2-ovmf/);
  });
});
