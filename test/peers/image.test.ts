/**
 * Images that seal has sealed, as the real tools take them: cfsctl computes the digest that the UKI
 * names, skopeo copies them.
 */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { execaSync } from "execa";
import { expect, it } from "vitest";
import { imageReportSchema } from "../../src/cli/sealing/image-report.ts";
import { openRootfs } from "../../src/io/rootfs.ts";
import { parseRootfsSource } from "../../src/io/rootfs-source.ts";
import { readTreeFile } from "../../src/tree/rootfs.ts";
import { seal } from "../support/cli.ts";
import { containerTools } from "../support/containers.ts";
import { keySet, keyUpdate } from "../support/key-sets.ts";
import { writeLayout } from "../support/layout.ts";
import { describeWith, realRootfs, runPeer } from "../support/peers.ts";
import { sealableLayers } from "../support/sealable.ts";
import { tarArchive, tarDirectory, tarFile } from "../support/tar.ts";
import { tempDir } from "../support/temp.ts";
import { vector } from "../support/vectors.ts";

/** Of the times only those of modification count; PAX has their nanoseconds. */
const TIMES = "--pax-option=delete=atime,delete=ctime";
const SIGNING = ["--key", "db.key", "--cert", "db.crt"];

function workspace(): string {
  const cwd = tempDir();
  for (const kind of ["key", "crt"]) writeFileSync(join(cwd, `db.${kind}`), vector(`authenticode/keys/signer.${kind}`));
  return cwd;
}

async function sealed(cwd: string, from: string, to: string, ...others: readonly string[]) {
  const args = [
    "image",
    "--platform",
    "linux/amd64",
    "--bootc",
    "1.17.5",
    "--from",
    from,
    "--to",
    to,
    ...SIGNING,
    ...others,
    "--json",
  ];
  const { code, stdout, stderr } = await seal(args, { cwd });
  expect(code, stderr).toBe(0);
  return imageReportSchema.parse(JSON.parse(stdout));
}

/** What cfsctl finds in an image: what it calls the boot image, and the digests of what is booted and of all. */
function pulled(reference: string) {
  const repository = join(tempDir(), "repository");
  const cfsctl = (...args: string[]) => {
    const { status, stdout, stderr } = runPeer("cfsctl", ["--repo", repository, ...args]);
    expect(status, stderr).toBe(0);
    return stdout.toString();
  };
  cfsctl("init", "--insecure");
  const pull = cfsctl("oci", "pull", "--bootable", reference, "image");
  const compute = (...flags: string[]) => cfsctl("--erofs-version", "1", "oci", "compute-id", ...flags, "image").trim();
  return {
    manifest: /^manifest +(\S+)$/m.exec(pull)?.[1],
    boot: /^Boot image: (\S+)$/m.exec(pull)?.[1],
    bootable: compute("--bootable"),
    merged: compute(),
  };
}

function expectPulled(reference: string, report: Awaited<ReturnType<typeof sealed>>): void {
  const digest = report.digests[0]?.digest;
  const { annotations } = report.image;
  expect(report.cmdline).toContain(`composefs=${digest}`);
  expect(pulled(reference)).toEqual({
    manifest: report.image.digest,
    boot: digest,
    bootable: annotations["composefs.merged.bootable.erofs.v1.fsverity-sha512-12"],
    merged: annotations["composefs.merged.erofs.v1.fsverity-sha512-12"],
  });
  expect(annotations["composefs.merged.bootable.erofs.v1.fsverity-sha512-12"]).toBe(digest);
}

describeWith(["cfsctl"], "a sealed image in cfsctl", () => {
  it.each(["oci:out:tag", "oci-archive:out.tar:tag"])("boots what its UKI names (%s)", async (to) => {
    const cwd = workspace();
    writeLayout(join(cwd, "in"), sealableLayers());
    const report = await sealed(cwd, "oci:in", to);
    expectPulled(to.replace(":out", `:${cwd}/out`), report);
  });
});

describeWith(["cfsctl", "sbverify"], "what bootc installs from /usr", () => {
  it("is in the digest that cfsctl computes, and signed as sbverify wants it", async () => {
    const cwd = workspace();
    const auto = "usr/lib/bootc/install/secureboot-keys/auto";
    const directories = ["usr", "usr/lib", "usr/lib/bootc", "usr/lib/bootc/install"];
    const old = tarArchive(
      ...[...directories, dirname(auto), auto].map((name) => tarDirectory(`${name}/`, { mtime: 1_600_000_000 })),
      tarFile(`${auto}/dbx.auth`, await keyUpdate("dbx", "leaf")),
    );
    writeLayout(join(cwd, "in"), [...sealableLayers(), old]);
    mkdirSync(join(cwd, "keys"));
    for (const [variable, bytes] of await keySet()) writeFileSync(join(cwd, `keys/${variable}.auth`), bytes);
    const report = await sealed(cwd, "oci:in", "oci:out:tag", "--enroll-keys", "keys");
    expect(report.image.prepared.keys.map(({ change }) => change)).toEqual([
      "written",
      "written",
      "written",
      "removed",
    ]);
    expectPulled(`oci:${cwd}/out:tag`, report);
    const options = { algorithm: null, xattrs: [], cwd, platform: "linux/amd64" };
    const { rootfs } = await openRootfs(parseRootfsSource("oci:out"), options);
    const [loader] = report.image.prepared.loaders;
    writeFileSync(join(cwd, "loader.efi"), (await readTreeFile(rootfs, loader?.path ?? "")) ?? "");
    const { stdout } = runPeer("sbverify", ["--cert", join(cwd, "db.crt"), join(cwd, "loader.efi")]);
    expect(stdout.toString()).toContain("Signature verification OK");
  });
});

describeWith(["skopeo", "root"], "a sealed image and skopeo", () => {
  it("is copied as it is, and compressed, with the same digest", async () => {
    const cwd = workspace();
    writeLayout(join(cwd, "in"), sealableLayers());
    const report = await sealed(cwd, "oci:in", "oci:out:tag");
    mkdirSync(join(cwd, "tools"));
    const { skopeo } = containerTools(join(cwd, "tools"));
    const inspected = JSON.parse(skopeo("inspect", `oci:${cwd}/out:tag`));
    expect(inspected).toMatchObject({ Digest: report.image.digest, Labels: { "containers.bootc": "sealed" } });
    skopeo("copy", "--preserve-digests", `oci:${cwd}/out:tag`, `oci-archive:${cwd}/copy.tar:tag`);
    skopeo("copy", `oci:${cwd}/out:tag`, `docker-archive:${cwd}/docker.tar:image:tag`);
    skopeo("copy", `docker-archive:${cwd}/docker.tar:image:tag`, `oci:${cwd}/again:tag`);
    for (const spec of [`oci-archive:${cwd}/copy.tar`, `docker-archive:${cwd}/docker.tar`, `oci:${cwd}/again:tag`]) {
      const { stdout } = await seal(["compute-digest", spec, "--bootc", "1.17.5"]);
      expect(stdout.trim()).toBe(report.digests[0]?.digest);
    }
  });
});

describeWith(["skopeo", "root"], "an image in the store of container tools", () => {
  it("is sealed from there", async () => {
    const cwd = workspace();
    writeLayout(join(cwd, "in"), sealableLayers());
    mkdirSync(join(cwd, "tools"));
    const { skopeo, env } = containerTools(join(cwd, "tools"));
    skopeo("copy", `oci:${cwd}/in`, "containers-storage:localhost/os:1");
    const args = [
      "--platform",
      "linux/amd64",
      "--from",
      "containers-storage:localhost/os:1",
      "--to",
      "oci:out:1",
      ...SIGNING,
    ];
    const { code, stderr } = await seal(["image", ...args], { cwd, env });
    expect(code, stderr).toBe(0);
    await sealed(cwd, "oci:in", "oci:direct:1");
    const digests = await Promise.all(
      ["oci:out:1", "oci:direct:1"].map((spec) => seal(["compute-digest", spec, "--bootc", "1.17.5"], { cwd })),
    );
    expect(digests[0]?.stdout).toMatch(/^[0-9a-f]{128}\n$/);
    expect(digests[0]?.stdout).toBe(digests[1]?.stdout);
  });
});

describeWith(["cfsctl", "root", "rootfs"], "the real root filesystem as a sealed image", () => {
  it("is pulled with the digest that its UKI names", async () => {
    const cwd = workspace();
    const archive = join(cwd, "rootfs.tar");
    const xattrs = ["--xattrs", "--xattrs-include=*"];
    execaSync("tar", ["-C", realRootfs() ?? "", ...xattrs, "--format=pax", TIMES, "-cf", archive, "."]);
    writeLayout(join(cwd, "in"), [readFileSync(archive)]);
    expectPulled(`oci:${cwd}/out:tag`, await sealed(cwd, "oci:in", "oci:out:tag"));
  }, 180_000);
});
