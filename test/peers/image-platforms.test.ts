/** Images for several platforms that were sealed in one run, as the real tools take them. */
import { mkdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { writeSampleTree } from "../../examples/demo/sample-tree.ts";
import { indexReportSchema } from "../../src/cli/sealing/image-platforms.ts";
import { checkImage, singleLayout } from "../../src/io/oci/export-layout.ts";
import { thisPlatform } from "../../src/io/oci/image.ts";
import { parseRootfsSource } from "../../src/io/rootfs-source.ts";
import { formatPlatform } from "../../src/oci/platform.ts";
import { seal } from "../support/cli.ts";
import { containerTools } from "../support/containers.ts";
import { layersOf, writeLayout } from "../support/layout.ts";
import { describeWith, runPeer } from "../support/peers.ts";
import { writePlatforms } from "../support/platforms.ts";
import { pullDigest } from "../support/pull.ts";
import { serveLayout } from "../support/registry.ts";
import { arm64Program } from "../support/sealable.ts";
import { tempDir } from "../support/temp.ts";
import { vector } from "../support/vectors.ts";

/** The layers of a complete system for 64-bit ARM and of one for x86. */
async function layers() {
  const [amd64, arm64] = [join(tempDir(), "amd64"), join(tempDir(), "arm64")];
  writeSampleTree(amd64);
  writeSampleTree(arm64);
  const efi = join(arm64, "usr/lib/systemd/boot/efi");
  for (const [name, other] of [
    ["linuxx64.efi.stub", "linuxaa64.efi.stub"],
    ["systemd-bootx64.efi", "systemd-bootaa64.efi"],
  ] as const) {
    rmSync(join(efi, name));
    writeFileSync(join(efi, other), arm64Program());
  }
  writeFileSync(join(arm64, "usr/lib/modules/6.1.0-sample/vmlinuz"), vector("uki/inputs/kernel-aa64"));
  return { amd64: await layersOf(amd64), arm64: await layersOf(arm64) };
}

function workspace(): string {
  const cwd = tempDir();
  for (const kind of ["key", "crt"]) writeFileSync(join(cwd, `db.${kind}`), vector(`authenticode/keys/signer.${kind}`));
  return cwd;
}

async function sealedAll(cwd: string, from: string, to: string, env: Readonly<Record<string, string>> = {}) {
  const args = [
    "--from",
    from,
    "--to",
    to,
    "--all-platforms",
    "--bootc",
    "1.17.5",
    "--key",
    "db.key",
    "--cert",
    "db.crt",
  ];
  const { code, stdout, stderr } = await seal(["image", ...args, "--json"], { cwd, env });
  expect(code, stderr).toBe(0);
  return indexReportSchema.parse(JSON.parse(stdout));
}

describeWith(["cfsctl", "skopeo", "sbverify"], "images of several platforms", () => {
  it("have each the digest that cfsctl computes, pass lint, and stay an index for skopeo", async () => {
    const cwd = workspace();
    const { amd64, arm64 } = await layers();
    writePlatforms(
      join(cwd, "in"),
      [
        { architecture: "amd64", layers: amd64 },
        { architecture: "arm64", variant: "v8", layers: arm64 },
      ],
      { tag: "1", attest: true, annotations: { "org.example": "kept" } },
    );
    const { index, images } = await sealedAll(cwd, "oci:in:1", "oci:out:sealed");
    expect(index.dropped).toHaveLength(2);
    const skopeo = (...args: readonly string[]) => {
      const { status, stdout, stderr } = runPeer("skopeo", ["--insecure-policy", ...args], { cwd });
      expect(status, stderr).toBe(0);
      return stdout.toString();
    };
    skopeo("copy", "--multi-arch", "all", "--preserve-digests", "oci:out:sealed", "oci:copy:sealed");
    const raw = JSON.parse(skopeo("inspect", "--raw", "oci:copy:sealed"));
    expect(raw.annotations).toEqual({ "org.example": "kept" });
    expect(raw.manifests.map((one: { digest: string }) => one.digest)).toEqual(images.map((one) => one.image.digest));
    const here = images.find(({ image }) => image.platform === formatPlatform(thisPlatform()));
    if (here !== undefined) expect(pullDigest(`${cwd}/out:sealed`)).toBe(here.digests[0]?.digest);
    for (const { image, arch, digests } of images) {
      const [, architecture = ""] = image.platform.split("/");
      skopeo("--override-arch", architecture, "copy", "oci:out:sealed", `oci:${arch}:one`);
      expect(JSON.parse(skopeo("inspect", "--config", `oci:${arch}:one`)).architecture).toBe(architecture);
      // cfsctl refuses what is not for the machine that it runs on, unless the entry says that it is.
      const source = checkImage(parseRootfsSource("oci:copy:sealed"));
      await singleLayout(source, join(cwd, `${arch}-here`), { cwd, platform: image.platform });
      expect(pullDigest(`${cwd}/${arch}-here`)).toBe(digests[0]?.digest);
      const lint = await seal(["lint", "oci:copy:sealed", "--platform", image.platform, "--cert", "db.crt"], { cwd });
      expect(lint.code, lint.stdout).toBe(0);
    }
  });
});

describeWith(["buildah", "skopeo", "root"], "a manifest list of buildah", () => {
  it("is sealed whole, from an archive", async () => {
    const cwd = workspace();
    mkdirSync(join(cwd, "tools"));
    const { buildah } = containerTools(join(cwd, "tools"));
    const all = await layers();
    buildah("manifest", "create", "localhost/os");
    for (const architecture of ["arm64", "amd64"] as const) {
      writeLayout(join(cwd, architecture), all[architecture], { architecture });
      buildah("manifest", "add", "localhost/os", `oci:${cwd}/${architecture}:latest`);
    }
    buildah("manifest", "push", "--all", "localhost/os", `oci-archive:${cwd}/os.tar`);
    const { index, images } = await sealedAll(cwd, "oci-archive:os.tar", "oci-archive:sealed.tar:1");
    expect(index.platforms).toEqual(["linux/arm64", "linux/amd64"]);
    for (const { image } of images) {
      const args = ["lint", "oci-archive:sealed.tar", "--platform", image.platform, "--cert", "db.crt"];
      const lint = await seal(args, { cwd });
      expect(lint.code, lint.stdout).toBe(0);
    }
    renameSync(join(cwd, "os.tar"), join(cwd, "moved.tar"));
    buildah("manifest", "create", "localhost/sealed");
    buildah("manifest", "add", "--all", "localhost/sealed", `oci-archive:${cwd}/sealed.tar:1`);
    const { manifests } = JSON.parse(buildah("manifest", "inspect", "localhost/sealed"));
    expect(manifests.map((one: { digest: string }) => one.digest).sort()).toEqual(
      images.map((one) => one.image.digest).sort(),
    );
  });
});

describeWith(["skopeo", "root"], "an index in a registry", () => {
  it("is copied whole, with attestations, and sealed as from a layout", async () => {
    const cwd = workspace();
    mkdirSync(join(cwd, "tools"));
    const { amd64, arm64 } = await layers();
    const images = [
      { architecture: "amd64", layers: amd64 },
      { architecture: "arm64", layers: arm64 },
    ];
    writePlatforms(join(cwd, "in"), images, { tag: "1", attest: true });
    const { host, requests } = await serveLayout(join(cwd, "in"));
    const { env } = containerTools(join(cwd, "tools"), host);
    const here = await sealedAll(cwd, "oci:in:1", "oci:here");
    const there = await sealedAll(cwd, `docker://${host}/os:1`, "oci:there", env);
    expect(there.index).toEqual({ ...here.index, from: `docker://${host}/os:1`, to: "oci:there" });
    // One copy for both.
    expect(requests.filter((url) => url.endsWith("/manifests/1"))).toHaveLength(1);
    const { code, stderr } = await seal(["lint", `docker://${host}/none:2`, "--all-platforms"], { env });
    expect(code).toBe(4);
    expect(stderr).toMatch(/^seal: docker:.*: skopeo can't copy it: [^\n]*\n$/);
  });
});
