/**
 * An image that seal made, installed by the real bootc and booted under Secure Boot. bootc computes the digest itself,
 * and refuses a UKI that was sealed for another one.
 */
import { cpSync, readFileSync, truncateSync, writeFileSync } from "node:fs";
import { delimiter, join } from "node:path";
import { expect, it } from "vitest";
import { bootTestReportSchema } from "../../src/cli/boot-test/schema.ts";
import { BOOTC_SETUP_ROOT, describeBootc, installWithBootc } from "../support/bootc.ts";
import { seal } from "../support/cli.ts";
import { writeLayout } from "../support/layout.ts";
import { bootLayer, fileLayer, kernelLayer, treeLayer, unpackBoot, versionLayer } from "../support/machine-image.ts";
import { PEERS_DIR, peerTree } from "../support/peers.ts";
import { tempDir } from "../support/temp.ts";

const NEEDS = ["qemu-system-x86_64", "mkfs.ext4", "root", "machine", "trees"] as const;
const ENV = { PATH: `${join(PEERS_DIR, "bin")}${delimiter}${process.env["PATH"]}` };
const BOOT = ["--accel", "tcg", "--cpu", "qemu64", "--memory", "768", "--timeout", "240"];
const LOADER = "usr/lib/systemd/boot/efi/systemd-bootx64.efi";
const DISK_SIZE = 4 * 2 ** 30;

/** A sealed image as the layout `sealed`, and what it was made of. */
async function sealedImage() {
  const cwd = tempDir();
  const done = async (...args: readonly string[]) => {
    const { code, stdout, stderr } = await seal(args, { cwd, env: ENV });
    expect(code, stderr).toBe(0);
    return stdout.trim();
  };
  const keys = ["--key", "keys/db.key", "--cert", "keys/db.crt"];
  await done("keys", "generate", "--output", "keys");
  // The entry that a bootctl since 258 has bootc write is for a systemd-boot since 258; bootctl prefers the signed one.
  cpSync(join(peerTree("sid"), LOADER), join(cwd, "loader.efi"));
  await done("sign", "loader.efi", ...keys, "--output", "loader.efi.signed");
  const bootc = fileLayer({
    "usr/lib/bootc/install/00-machine.toml": Buffer.from('[install]\nbootloader = "systemd"\n'),
    "usr/lib/ostree/prepare-root.conf": Buffer.from("[composefs]\nenabled = verity\n"),
    [LOADER]: readFileSync(join(cwd, "loader.efi")),
    [`${LOADER}.signed`]: readFileSync(join(cwd, "loader.efi.signed")),
  });
  const layers = [treeLayer(), kernelLayer(["rw", "quiet", "panic=-1"], BOOTC_SETUP_ROOT), bootc];
  writeLayout(join(cwd, "base"), layers, { compression: "none" });
  await done("image", "--from", "oci:base", "--to", "oci:sealed:v", ...keys);
  return { cwd, layers, digest: await done("compute-digest", "oci:sealed:v") };
}

function emptyDisk(path: string): string {
  writeFileSync(path, "");
  truncateSync(path, DISK_SIZE);
  return path;
}

describeBootc(NEEDS, "a sealed image and bootc install", () => {
  it("is installed on a disk that boots under Secure Boot, with fs-verity enforced", { timeout: 900_000 }, async () => {
    const { cwd, digest } = await sealedImage();
    const installed = await installWithBootc(join(cwd, "sealed"), emptyDisk(join(cwd, "disk.img")));
    expect(installed).toMatch(/^INSTALL-END 0$/m);

    for (const name of ["OVMF_CODE_4M.secboot.fd", "OVMF_VARS_4M.fd"])
      cpSync(join(peerTree("trixie"), "usr/share/OVMF", name), join(cwd, name));
    const firmware = ["--firmware-code", "OVMF_CODE_4M.secboot.fd", "--firmware-vars", "OVMF_VARS_4M.fd"];
    const output = ["--enroll", "keys", "--expect", "TELL-END", "--keep-log", "log", "--json"];
    const booted = await seal(["boot-test", "--disk", "disk.img", ...BOOT, ...firmware, ...output], { cwd, env: ENV });
    const log = readFileSync(join(cwd, "log"), "utf8").replaceAll("\r", "");
    expect(booted.code, `${booted.stderr}\n${log.slice(-4000)}`).toBe(0);
    expect(bootTestReportSchema.parse(JSON.parse(booted.stdout)).root).toMatchObject({ digest, enforced: true });
    expect(log).toContain("TELL secure-boot  01\n");
    expect(log).toMatch(new RegExp(`^TELL mount composefs:${digest} overlay .*verity=require`, "m"));
    expect(log).toMatch(/^TELL write .*Read-only file system$/m);
  });

  it("is refused when its UKI was sealed for other content", { timeout: 600_000 }, async () => {
    const { cwd, layers, digest } = await sealedImage();
    unpackBoot(join(cwd, "sealed"), join(cwd, "boot"));
    const other = [...layers, versionLayer(2), bootLayer(join(cwd, "boot/boot"))];
    writeLayout(join(cwd, "other"), other, { compression: "none", tag: "v" });
    const installed = await installWithBootc(join(cwd, "other"), emptyDisk(join(cwd, "disk.img")));
    expect(installed).toMatch(/^INSTALL-END 1$/m);
    expect(installed).toContain(`The UKI has the wrong composefs= parameter (is '${digest}'`);
  });
});
