import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { utf8 } from "../../../src/bytes.ts";
import { indexReportSchema } from "../../../src/cli/sealing/image-platforms.ts";
import { imageReportSchema } from "../../../src/cli/sealing/image-report.ts";
import { seal } from "../../support/cli.ts";
import { expectRefusal, SIGNING, snapshot } from "../../support/inputs.ts";
import { writeBlob, writeImageBlobs, writeIndex, writeJsonBlob, writeLayout } from "../../support/layout.ts";
import {
  ATTESTATION_TYPE,
  attestation,
  indexDigest,
  readBlobs,
  type TestImage,
  writePlatforms,
} from "../../support/platforms.ts";
import { arm64Program, sealableLayers } from "../../support/sealable.ts";
import { tempDir } from "../../support/temp.ts";
import { vector } from "../../support/vectors.ts";

const ARM: TestImage = { architecture: "arm64", variant: "v8", layers: sealableLayers(utf8("arm"), "aa64") };
const AMD: TestImage = { architecture: "amd64", layers: sealableLayers() };

/** A directory with keys. */
function workspace(): string {
  const cwd = tempDir();
  for (const kind of ["key", "crt"]) writeFileSync(join(cwd, `db.${kind}`), vector(`authenticode/keys/signer.${kind}`));
  return cwd;
}

/** A directory with keys, and the layout `in` with an index of images. */
function indexed(images: readonly TestImage[] = [ARM, AMD]): string {
  const cwd = workspace();
  writePlatforms(join(cwd, "in"), images, { tag: "1" });
  return cwd;
}

const FROM_TO = ["image", "--from", "oci:in:1", "--to", "oci:out:sealed"];

async function sealed(cwd: string, ...args: string[]) {
  const result = await seal([...FROM_TO, ...SIGNING, ...args, "--json"], { cwd });
  expect(result.code, result.stderr).toBe(0);
  return { ...indexReportSchema.parse(JSON.parse(result.stdout)), stderr: result.stderr };
}

async function refused(cwd: string, args: readonly string[], code: number, message: RegExp): Promise<void> {
  const before = snapshot(cwd);
  expectRefusal(await seal([...FROM_TO, ...SIGNING, ...args], { cwd }), code, message);
  expect(snapshot(cwd)).toEqual(before);
}

describe("seal image --all-platforms", () => {
  it("gives each image the bytes that it has when it is sealed alone", async () => {
    const cwd = indexed();
    const { index, images } = await sealed(cwd, "--all-platforms");
    expect(index.platforms).toEqual(["linux/arm64/v8", "linux/amd64"]);
    expect(images.map((one) => [one.arch, one.image.platform, one.image.from])).toEqual([
      ["aa64", "linux/arm64/v8", "oci:in:1 (linux/arm64/v8)"],
      ["x64", "linux/amd64", "oci:in:1 (linux/amd64)"],
    ]);
    for (const { image, ...report } of images) {
      const args = ["--platform", image.platform, "--from", "oci:in:1", "--to", `oci:${report.arch}`, ...SIGNING];
      const alone = imageReportSchema.parse(JSON.parse((await seal(["image", ...args, "--json"], { cwd })).stdout));
      expect({ ...report, rootfs: "" }).toEqual({ ...alone, rootfs: "", image: undefined });
      expect(image.digest).toBe(alone.image.digest);
      for (const { digest } of [{ digest: image.digest }, ...image.layers]) {
        const blob = `blobs/${digest.replace(":", "/")}`;
        expect(readFileSync(join(cwd, "out", blob)).equals(readFileSync(join(cwd, report.arch, blob)))).toBe(true);
      }
    }
  });

  it("keeps order, platforms and annotations of the index, and those of its entries", async () => {
    const cwd = workspace();
    const platform = { "os.features": ["odd"], "os.version": "1.2" };
    const marked = { ...AMD, platform, entryAnnotations: { mine: "entry" } };
    writePlatforms(join(cwd, "in"), [ARM, marked], {
      tag: "1",
      annotations: { "org.example": "index", "seal.tree": "old" },
    });
    const { index, images } = await sealed(cwd, "--all-platforms");
    const { top, document } = readBlobs(join(cwd, "out"), "sealed");
    expect(top).toMatchObject({ mediaType: "application/vnd.oci.image.index.v1+json", digest: index.digest });
    expect(document).toEqual({
      schemaVersion: 2,
      mediaType: "application/vnd.oci.image.index.v1+json",
      annotations: { "org.example": "index" },
      manifests: [
        expect.objectContaining({
          digest: images[0]?.image.digest,
          platform: { os: "linux", architecture: "arm64", variant: "v8" },
        }),
        expect.objectContaining({
          digest: images[1]?.image.digest,
          platform: { os: "linux", architecture: "amd64", ...platform },
          annotations: { mine: "entry" },
        }),
      ],
    });
    const lint = ["lint", "oci:out:sealed", "--platform", "linux/arm64", "--cert", "db.crt", "--json"];
    const { passed } = JSON.parse((await seal(lint, { cwd })).stdout);
    expect(passed).toEqual(expect.arrayContaining(["uki-digest", "uki-signature", "uki-arch", "bootloader-signature"]));
  });

  it("leaves attestations out, and says so", async () => {
    const cwd = workspace();
    writePlatforms(join(cwd, "in"), [ARM, AMD], { tag: "1", attest: true });
    const { index, stderr } = await sealed(cwd, "--all-platforms");
    expect(index.platforms).toEqual(["linux/arm64/v8", "linux/amd64"]);
    expect(index.dropped).toEqual([
      { digest: expect.stringMatching(/^sha256:/), type: ATTESTATION_TYPE, about: expect.stringMatching(/^sha256:/) },
      { digest: expect.stringMatching(/^sha256:/), type: ATTESTATION_TYPE, about: expect.stringMatching(/^sha256:/) },
    ]);
    expect(stderr).toMatch(
      /^oci:in:1: left out 2 entries of its index, which are not images to seal \(attestation-manifest\)/m,
    );
    expect(readBlobs(join(cwd, "out"), "sealed").document.manifests).toHaveLength(2);
  });

  it("seals those that are named, in the order of the index, and reports the others", async () => {
    const cwd = indexed([ARM, { ...ARM, variant: "v9" }, AMD]);
    const { index } = await sealed(cwd, "--platform", "linux/amd64", "--platform", "linux/arm64");
    expect(index).toMatchObject({ platforms: ["linux/arm64/v8", "linux/amd64"], leftOut: ["linux/arm64/v9"] });
  });

  it("finds images in indexes of the index, alone too", async () => {
    const cwd = workspace();
    writePlatforms(join(cwd, "in"), [ARM, AMD], { tag: "1", nested: true });
    const { index, images } = await sealed(cwd, "--all-platforms");
    expect(index.platforms).toEqual(["linux/arm64/v8", "linux/amd64"]);
    const alone = await seal(["compute-digest", "oci:out:sealed", "--platform", "linux/amd64", "--karg"], { cwd });
    expect(alone.stdout.trim()).toBe(images[1]?.cmdline);
    const before = await seal(["compute-digest", "oci:in:1", "--platform", "linux/arm64", "--json"], { cwd });
    expect(before.code, before.stderr).toBe(0);
  });

  it("takes images that stand in the layout's own index, with or without platforms", async () => {
    const cwd = workspace();
    const annotations = { "org.opencontainers.image.ref.name": "1" };
    const manifests = [ARM, AMD].map(({ layers, architecture, variant }) => ({
      ...writeImageBlobs(join(cwd, "in"), layers, { architecture }),
      platform: { os: "linux", architecture, variant },
      annotations,
    }));
    writeIndex(join(cwd, "in"), manifests);
    await sealed(cwd, "--all-platforms");
    const { document } = readBlobs(join(cwd, "out"), "sealed");
    expect(document.manifests.map((one: { annotations?: object }) => one.annotations)).toEqual([undefined, undefined]);

    const alone = workspace();
    writeLayout(join(alone, "in"), AMD.layers, { tag: "1" });
    expect((await sealed(alone, "--all-platforms")).index.platforms).toEqual(["linux/amd64"]);
    expect(readBlobs(join(alone, "out"), "sealed").document.manifests).toMatchObject([
      { platform: { os: "linux", architecture: "amd64" } },
    ]);
  });

  it.each(["oci-archive:out.tar:x", "oci:in:sealed"])("writes to %s", async (to) => {
    const cwd = indexed();
    const args = ["image", "--from", "oci:in:1", "--to", to, "--all-platforms"];
    const { code, stdout, stderr } = await seal(args, { cwd });
    expect(code, stderr).toBe(0);
    expect(stdout.trim()).toBe(to);
    expect(stderr).toMatch(/^linux\/arm64\/v8\n.*^linux\/amd64\n.* ✓ index +sha256:/ms);
    for (const platform of ["linux/amd64", "linux/arm64"]) {
      const { passed } = JSON.parse((await seal(["lint", to, "--platform", platform, "--json"], { cwd })).stdout);
      expect(passed).toEqual(expect.arrayContaining(["uki-digest", "uki-arch"]));
    }
  });

  it("takes stub and boot loader for each architecture", async () => {
    const cwd = indexed();
    writeFileSync(join(cwd, "x64.stub"), vector("uki/inputs/stub-nosbat"));
    writeFileSync(join(cwd, "aa64.stub"), arm64Program());
    const { images } = await sealed(
      cwd,
      "--all-platforms",
      "--stub",
      "x64.stub",
      "--stub",
      "aa64.stub",
      "--bootloader",
      "x64.stub",
    );
    const plain = await sealed(indexed(), "--all-platforms");
    const loader = (files: readonly { path: string; sha256: string }[]) =>
      files.find(({ path }) => path.startsWith("EFI/BOOT/"))?.sha256;
    expect(images[0]?.files).toEqual(plain.images[0]?.files);
    expect(images[1]?.uki.sha256).not.toBe(plain.images[1]?.uki.sha256);
    expect(loader(images[1]?.files ?? [])).not.toBe(loader(plain.images[1]?.files ?? []));
  });
});

describe("seal image --all-platforms refuses", () => {
  it("a platform that the index does not have, naming those that it has", async () => {
    const platforms = ["--platform", "linux/amd64", "--platform", "linux/riscv64"];
    await refused(
      indexed(),
      platforms,
      3,
      /oci:in:1: has no image for linux\/riscv64; it has those for linux\/arm64\/v8, linux\/amd64/,
    );
  });

  it("two images for one platform", async () => {
    const twins = indexed([AMD, ARM, { ...AMD, variant: "v1", layers: sealableLayers(utf8("other")) }]);
    await refused(twins, ["--all-platforms"], 3, /oci:in:1: has two images for linux\/amd64: sha256:\w+ and sha256:/);
    const named = ["--platform", "linux/arm64", "--platform", "linux/arm64/v8"];
    await refused(indexed(), named, 2, /linux\/arm64 and linux\/arm64\/v8 are the same image of oci:in:1/);
  });

  it("a kernel for other machines than the platform, and writes nothing", async () => {
    const wrong = { ...ARM, layers: sealableLayers(utf8("wrong")) };
    await refused(
      indexed([AMD, wrong]),
      ["--all-platforms"],
      3,
      /oci:in:1 \(linux\/arm64\/v8\): .*vmlinuz: is a kernel for x64, but the image is for aa64/,
    );
  });

  it("a configuration for another platform than the index says", async () => {
    const cwd = indexed([AMD, { ...ARM, config: { architecture: "riscv64" } }]);
    await refused(
      cwd,
      ["--all-platforms"],
      3,
      /oci:in:1 \(linux\/arm64\/v8\): is an image for linux\/riscv64.*, not linux\/arm64/,
    );
  });

  it("machines without UEFI, before anything is read", async () => {
    const cwd = indexed([AMD, { ...AMD, architecture: "s390x" }]);
    await refused(cwd, ["--all-platforms"], 3, /linux\/s390x has no UEFI that could start a UKI; name the others/);
  });

  it("files that are for one architecture, or for none of the images", async () => {
    const cwd = indexed();
    writeFileSync(join(cwd, "x64.efi"), vector("uki/inputs/stub-plain"));
    writeFileSync(join(cwd, "ia32.efi"), vector("uki/inputs/stub-ia32"));
    const all = (...args: string[]) => ["--all-platforms", ...args];
    await refused(cwd, all("--efi-arch", "x64"), 2, /--efi-arch: is for one architecture, but there are several/);
    await refused(cwd, all("--kernel-dir", "x"), 2, /--kernel-dir: is for one architecture/);
    await refused(cwd, all("--stub", "ia32.efi"), 2, /--stub ia32\.efi: is for ia32, and the images are for aa64, x64/);
    const two = all("--stub", "x64.efi", "--stub", "x64.efi");
    await refused(cwd, two, 2, /--stub: x64\.efi and x64\.efi are both for x64/);
    const one = ["--platform", "linux/amd64", "--stub", "x64.efi", "--stub", "ia32.efi"];
    await refused(cwd, one, 2, /--stub: several files require several images/);
  });

  it("what has no index, and options that contradict it", async () => {
    const cwd = indexed();
    await refused(cwd, ["--all-platforms", "--platform", "linux/amd64"], 2, /--platform/);
    const directory = ["image", "--from", "dir:in", "--to", "oci:out"];
    expectRefusal(
      await seal([...directory, "--all-platforms"], { cwd }),
      2,
      /--all-platforms: requires an image to seal/,
    );
    const several = ["--platform", "linux/amd64", "--platform", "linux/arm64"];
    expectRefusal(
      await seal([...directory, ...several], { cwd }),
      2,
      /an image built from a directory has one platform/,
    );
    expect(existsSync(join(cwd, "out"))).toBe(false);
  });

  it("an index that leads back to itself, or holds attestations only", async () => {
    const cwd = workspace();
    const path = join(cwd, "in");
    const image = writeImageBlobs(path, AMD.layers);
    const inner = indexDigest(path, [{ ...image, platform: { os: "linux", architecture: "amd64" } }]);
    const tag = { annotations: { "org.opencontainers.image.ref.name": "1" } };
    writeIndex(path, [{ ...indexDigest(path, [inner, inner]), ...tag }]);
    await refused(cwd, ["--all-platforms"], 3, /oci:in:1: lists the index sha256:\w+ twice/);
    writeIndex(path, [{ ...indexDigest(path, [attestation(path, image.digest)]), ...tag }]);
    await refused(cwd, ["--all-platforms"], 3, /oci:in:1: has no image for any platform/);
    const broken = writeBlob(path, utf8("{"), "application/vnd.oci.image.index.v1+json");
    writeIndex(path, [{ ...broken, ...tag }]);
    await refused(cwd, ["--all-platforms"], 3, /is not valid JSON/);
    const list = writeJsonBlob(path, { schemaVersion: 2, manifests: [{}] }, "application/vnd.oci.image.index.v1+json");
    writeIndex(path, [{ ...list, ...tag }]);
    await refused(cwd, ["--all-platforms"], 3, /is not an image index: manifests\.0\.mediaType/);
  });

  it("a damaged layer of one of them, and leaves the target as it was", async () => {
    const cwd = indexed();
    const { manifest } = readBlobs(join(cwd, "in"), "1", "arm64");
    const blob = join(cwd, "in/blobs", manifest.layers[1].digest.replace(":", "/"));
    const bytes = readFileSync(blob);
    bytes[bytes.length - 1] = (bytes.at(-1) ?? 0) ^ 1;
    writeFileSync(blob, bytes);
    await refused(cwd, ["--all-platforms"], 3, /oci:in:1 \(linux\/arm64\/v8\): layer /);
  });
});
