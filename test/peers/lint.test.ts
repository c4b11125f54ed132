/** Lint of an image as `seal image` writes it, with a real kernel, its modules and composefs-setup-root. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { lintReportSchema } from "../../src/cli/lint/schema.ts";
import { seal } from "../support/cli.ts";
import { writeLayout } from "../support/layout.ts";
import { lintReport } from "../support/lint-image.ts";
import { kernelLayer, machineKernel, treeLayer, unpackBoot, versionLayer } from "../support/machine-image.ts";
import { describeWith } from "../support/peers.ts";

/** What the small tree lacks that only bootc's own checks want. */
const BOOTC_ONLY = ["baseimage-root", "baseimage-composefs", "var-tmpfiles"];

describeWith(["machine", "trees"], "seal lint of an image that boots", () => {
  let cwd = "";
  const sealed = async (name: string, version: number, keys: string) => {
    writeLayout(join(cwd, `${name}-in`), [treeLayer(), kernelLayer(["quiet"]), versionLayer(version)]);
    const signer = ["--key", `${keys}/db.key`, "--cert", `${keys}/db.crt`];
    const result = await seal(["image", "--from", `oci:${name}-in`, "--to", `oci:${name}`, ...signer], { cwd });
    expect(result.code, result.stderr).toBe(0);
  };

  beforeAll(async () => {
    cwd = mkdtempSync(join(tmpdir(), "seal-test-"));
    for (const keys of ["keys", "other"]) await seal(["keys", "generate", "--output", keys], { cwd });
    await sealed("out", 1, "keys");
  });

  afterAll(() => rmSync(cwd, { recursive: true, force: true }));

  it("names what mounts the root, and says what the raw kernel below wastes", async () => {
    const report = await lintReport(`oci:${cwd}/out`, "--cert", join(cwd, "keys/db.crt"));
    expect(report.couldNotRun).toEqual([]);
    const modules = `usr/lib/modules/${machineKernel()}`;
    expect(report.findings.filter(({ id }) => !BOOTC_ONLY.includes(id))).toMatchObject([
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
    const passed = [
      "uki-digest",
      "bootloader-installed",
      "uki-initramfs",
      "bootloader-entries",
      "image-label",
      "image-layers",
      "secrets",
    ];
    expect(report.passed).toEqual(expect.arrayContaining(passed));
  });

  it("says of the next image whether machines start it, by whose key signed it and what they have in db and dbx", async () => {
    await sealed("next", 2, "keys");
    await sealed("rotated", 3, "other");
    const answers = async (next: string, installed: string, ...firmware: readonly string[]) => {
      const args = ["--bootc", "latest", "--skip", "baseimage-root", "--json", ...firmware];
      const { stdout, stderr } = await seal(["lint", `oci:${next}`, "--after", `oci:${installed}`, ...args], { cwd });
      expect(stderr).toBe("");
      const { after, findings } = lintReportSchema.parse(JSON.parse(stdout));
      const said = findings.filter(({ id, severity }) => id.startsWith("after-") && severity !== "info");
      return { starts: after?.starts, back: after?.back, ids: said.map(({ id }) => id) };
    };
    const yes = { ok: true, rules: [] };
    const db = ["--db", "keys/db.esl"];
    expect(await answers("next", "out", ...db)).toEqual({ starts: yes, back: yes, ids: [] });
    expect(await answers("rotated", "next", ...db)).toEqual({
      starts: { ok: false, rules: ["after-signature"] },
      back: yes,
      ids: ["after-signature", "after-esp"],
    });
    expect(await answers("rotated", "next", ...db, "--db", "other/db.esl")).toEqual({
      starts: yes,
      back: yes,
      ids: ["after-esp"],
    });
    unpackBoot(join(cwd, "out"), join(cwd, "boot"));
    const uki = join(cwd, "boot/boot/EFI/Linux", `${machineKernel()}.efi`);
    const revoked = await seal(["keys", "esl", uki, "--output", "dbx.esl"], { cwd });
    expect(revoked.code, revoked.stderr).toBe(0);
    expect(await answers("next", "out", ...db, "--dbx", "dbx.esl")).toEqual({
      starts: yes,
      back: { ok: false, rules: ["after-rollback"] },
      ids: ["after-rollback"],
    });
  });
});
