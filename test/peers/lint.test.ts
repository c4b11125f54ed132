/** Lint of an image as `seal image` writes it, with a real kernel, its modules and composefs-setup-root. */
import { join } from "node:path";
import { expect, it } from "vitest";
import { seal } from "../support/cli.ts";
import { writeLayout } from "../support/layout.ts";
import { lintReport } from "../support/lint-image.ts";
import { kernelLayer, machineKernel, treeLayer, versionLayer } from "../support/machine-image.ts";
import { describeWith } from "../support/peers.ts";
import { tempDir } from "../support/temp.ts";

/** What the small tree lacks that only bootc's own checks want. */
const BOOTC_ONLY = ["baseimage-root", "baseimage-composefs", "var-tmpfiles"];

describeWith(["machine", "trees"], "seal lint of an image that boots", () => {
  it("finds the boot loader that nobody signed in /usr, names what mounts the root, and says what the raw kernel below wastes", async () => {
    const cwd = tempDir();
    writeLayout(join(cwd, "in"), [treeLayer(), kernelLayer(["quiet"]), versionLayer(1)]);
    await seal(["keys", "generate", "--output", "keys"], { cwd });
    const keys = ["--key", "keys/db.key", "--cert", "keys/db.crt"];
    const sealed = await seal(["image", "--from", "oci:in", "--to", "oci:out", ...keys], { cwd });
    expect(sealed.code, sealed.stderr).toBe(0);
    const report = await lintReport(`oci:${cwd}/out`, "--cert", join(cwd, "keys/db.crt"));
    expect(report.couldNotRun).toEqual([]);
    const modules = `usr/lib/modules/${machineKernel()}`;
    expect(report.findings.filter(({ id }) => !BOOTC_ONLY.includes(id))).toMatchObject([
      // Debian's own, as it came: bootc would put it onto the disk.
      { id: "bootloader-installed", severity: "error", path: "usr/lib/systemd/boot/efi/systemd-bootx64.efi" },
      { id: "image-waste", path: `${modules}/initramfs.img`, message: expect.stringContaining("in layer 2 of 5") },
      { id: "image-waste", path: `${modules}/vmlinuz`, message: expect.stringContaining("in layer 1 of 5") },
      {
        id: "image-waste",
        path: `${modules}/vmlinuz`,
        message: expect.stringMatching(/^4 files .*usr\/share\/payload .*usr\/lib\/os-release/),
      },
      { id: "uki-digest-count", severity: "info", message: expect.stringContaining("tries them in order") },
      {
        id: "uki-initramfs",
        severity: "info",
        message: expect.stringContaining("composefs-setup-root 0.9.4 (bin/composefs-setup-root)"),
      },
    ]);
    const passed = ["uki-digest", "uki-initramfs", "bootloader-entries", "image-label", "image-layers", "secrets"];
    expect(report.passed).toEqual(expect.arrayContaining(passed));
  });
});
