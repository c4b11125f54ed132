/**
 * The verdicts per release beside what the code that bootc has for it says: cfsctl's `prepare-boot` compares a UKI
 * with what was pulled.
 */
import { mkdirSync, mkdtempSync, readdirSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { execaSync } from "execa";
import { expect, it, onTestFinished, vi } from "vitest";
import { z } from "zod";
import { writeSampleTree } from "../../examples/demo/sample-tree.ts";
import { hostReportSchema } from "../../src/cli/sealing/host-report.ts";
import { seal } from "../support/cli.ts";
import { removeStore } from "../support/containers.ts";
import { writeLayout } from "../support/layout.ts";
import { describeWith, runPeer } from "../support/peers.ts";
import { tarArchive, tarDirectory, tarFile } from "../support/tar.ts";

vi.setConfig({ testTimeout: 120_000 });

/** A line that computes this format and goes by the same words as cfsctl 0.9.4. */
const LINES = { "1": "1.16.11", "2": "1.16.3" } as const;

describeWith(["cfsctl"], "verdicts per bootc release", () => {
  const report = z.object({ hosts: z.array(hostReportSchema) });

  /** Whether the code that compares accepts an image, on a disk whose repository has a format. */
  function accepts(directory: string, layout: string, erofs: string): boolean {
    const place = mkdtempSync(join(directory, "disk-"));
    mkdirSync(join(place, "boot"));
    const repository = ["--repo", join(place, "repository"), "--insecure"];
    const cfsctl = (...args: readonly string[]) => runPeer("cfsctl", [...repository, ...args]);
    expect(cfsctl("init", "--erofs-version", erofs).stderr).not.toContain("Error");
    expect(cfsctl("oci", "pull", "--bootable", `oci:${layout}:1`, "image").status).toBe(0);
    const { status, stderr } = cfsctl("oci", "prepare-boot", "--bootdir", join(place, "boot"), "image");
    if (status !== 0) expect(stderr).toMatch(/wrong composefs digest/);
    return status === 0;
  }

  it("know that a boot entry in the image comes before its UKI", async () => {
    const cwd = mkdtempSync(join(tmpdir(), "seal-hosts-"));
    onTestFinished(() => removeStore(cwd));
    const places = [
      "usr/",
      "sysroot/",
      "boot/",
      "boot/EFI/",
      "boot/EFI/Linux/",
      "boot/loader/",
      "boot/loader/entries/",
    ];
    const layer = tarArchive(
      ...places.map((name) => tarDirectory(name)),
      tarFile("usr/kernel", Buffer.from("kernel")),
      tarFile("boot/EFI/Linux/6.1.efi", Buffer.from("not even looked at")),
      tarFile("boot/loader/entries/old.conf", Buffer.from("title old\nlinux /usr/kernel\n")),
    );
    writeLayout(join(cwd, "in"), [layer], { tag: "1" });
    expect(accepts(cwd, join(cwd, "in"), "1")).toBe(true);
    const [disk = ""] = readdirSync(cwd).filter((name) => name.startsWith("disk-"));
    const installed = readdirSync(join(cwd, disk, "boot"), { recursive: true });
    expect(installed).toContain("loader/entries/old.conf");
    expect(installed.filter((name) => String(name).endsWith(".efi"))).toEqual([]);
    expect((await seal(["lint", "oci:in"], { cwd })).stdout).toContain("boot-entry");
  });

  it.each([
    ["one of the newest", ["--bootc", "latest"]],
    ["one of an old release", ["--bootc", "1.16.3"]],
    ["both in the forms that serve both kinds", ["--bootc", "1.15", "--bootc", "latest"]],
    ["both as bootc 1.17 writes them, the new one first", ["--karg-style", "both"]],
    [
      "both in the long form, the old one first",
      ["--erofs", "v2", "--erofs", "v1", "--karg-style", "composefs.digest"],
    ],
  ])("are those of cfsctl: %s", async (_, options) => {
    const cwd = mkdtempSync(join(tmpdir(), "seal-hosts-"));
    onTestFinished(() => removeStore(cwd));
    writeSampleTree(join(cwd, "root"));
    const format = ["--format=pax", "--pax-option=delete=atime,delete=ctime", "--mtime=@1700000000"];
    const { stdout: tar } = execaSync("tar", ["-C", join(cwd, "root"), ...format, "-cf", "-", "."], {
      encoding: "buffer",
    });
    writeLayout(join(cwd, "in"), [tar]);
    const args = ["image", "--from", "oci:in", "--to", "oci:out:1", "--json", ...options];
    const { code, stdout, stderr } = await seal(args, { cwd });
    expect(code, stderr).toBe(0);
    const { hosts } = report.parse(JSON.parse(stdout));
    for (const [erofs, line] of Object.entries(LINES)) {
      const verdict = hosts.find(({ releases }) => releases === line);
      expect(accepts(cwd, join(cwd, "out"), erofs), `${line}: ${verdict?.why}`).toBe(verdict?.accepts.ok);
    }
  });
});
