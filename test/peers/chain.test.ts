/** The whole chain on a real Debian root filesystem, each step checked by the tool that it replaces. */
import { cpSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { sealReportSchema } from "../../src/cli/sealing/report.ts";
import { seal } from "../support/cli.ts";
import { describeWith, realRootfs, runPeer } from "../support/peers.ts";
import { tempDir } from "../support/temp.ts";

describeWith(["rootfs", "root", "cfsctl", "ukify", "sbverify", "osslsigncode"], "seal rootfs on Debian", () => {
  it("gives what cfsctl, ukify, sbverify and osslsigncode expect, twice the same", async () => {
    const cwd = tempDir();
    const source = realRootfs() ?? "";
    expect((await seal(["keys", "generate", "--output", "keys", "--type", "rsa3072"], { cwd })).code).toBe(0);
    const keys = ["--key", "keys/db.key", "--cert", "keys/db.crt", "--enroll-keys", "keys"];
    for (const output of ["a", "b"]) {
      const result = await seal(
        ["rootfs", source, ...keys, "--bootc", "1.17.5", "--mtime", "exact", "--output", output],
        { cwd },
      );
      expect(result).toMatchObject({ code: 0, stdout: `${output}/boot\n` });
    }
    const report = sealReportSchema.parse(JSON.parse(readFileSync(join(cwd, "a/report.json"), "utf8")));
    for (const { path } of report.files) {
      expect(readFileSync(join(cwd, "a/boot", path)).equals(readFileSync(join(cwd, "b/boot", path))), path).toBe(true);
    }

    const cfsctl = runPeer("cfsctl", [
      "--no-repo",
      "--hash",
      "sha512",
      "--erofs-version",
      "1",
      "compute-id",
      "--bootable",
      source,
    ]);
    expect(report.cmdline.split(" ")).toContain(`composefs=${cfsctl.stdout.toString().trim()}`);

    const programs = report.files.map(({ path }) => path).filter((path) => /\.efi$/i.test(path));
    expect(programs).toHaveLength(3);
    for (const path of programs) {
      const file = join(cwd, "a/boot", path);
      expect(runPeer("sbverify", ["--cert", join(cwd, "keys/db.crt"), file]).stdout.toString()).toContain(
        "Signature verification OK",
      );
      const verified = runPeer("osslsigncode", ["verify", "-CAfile", join(cwd, "keys/db.crt"), "-in", file]);
      expect(verified.stdout.toString()).toContain("Signature verification: ok");
    }

    const uki = join(cwd, "a/boot", report.uki.output);
    const inspected = JSON.parse(runPeer("ukify", ["inspect", uki, "--all", "--json=short"]).stdout.toString());
    expect(inspected[".cmdline"].text).toBe(report.cmdline);
    expect(inspected[".uname"].text).toBe(report.kver);
    for (const { name, sha256 } of report.uki.sections) {
      if (name in inspected) expect(inspected[name].sha256, name).toBe(sha256);
    }

    const auth = join(cwd, "a/boot/loader/keys/auto/db.auth");
    expect(readFileSync(auth).equals(readFileSync(join(cwd, "keys/db.auth")))).toBe(true);
  });

  it("leaves nothing for lint to find but what the tree itself lacks, and finds a changed file", async () => {
    const cwd = tempDir();
    const root = join(cwd, "root");
    cpSync(realRootfs() ?? "", root, { recursive: true, preserveTimestamps: true, verbatimSymlinks: true });
    await seal(["keys", "generate", "--output", "keys"], { cwd });
    const keys = ["--key", "keys/db.key", "--cert", "keys/db.crt"];
    expect((await seal(["rootfs", "root", ...keys, "--output", "out"], { cwd })).code).toBe(0);
    cpSync(join(cwd, "out/boot"), join(root, "boot"), { recursive: true });
    const lint = async () =>
      JSON.parse((await seal(["lint", "root", "--json", "--cert", "keys/db.crt"], { cwd })).stdout);
    const passed = [
      "uki-digest",
      "uki-signature",
      "uki-osrel",
      "uki-arch",
      "uki-name",
      "bootloader-signature",
      "bootloader-missing",
    ];
    expect((await lint()).passed).toEqual(expect.arrayContaining(passed));
    writeFileSync(join(root, "usr/bin/true"), "changed");
    expect((await lint()).findings.map(({ id }: { id: string }) => id)).toContain("uki-digest");
  });
});
