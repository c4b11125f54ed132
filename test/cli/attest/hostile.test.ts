/** What somebody without a trusted key puts beside an image, or around it, to have it pass for verified. */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { attestLab, ok, PLATFORM, parseParts, readIndex, signAgain, writeBlob } from "../../support/attest-lab.ts";
import { seal } from "../../support/cli.ts";
import { expectRefusal, SIGNING } from "../../support/inputs.ts";

const INDEX_TYPE = "application/vnd.oci.image.index.v1+json";
const REF = "org.opencontainers.image.ref.name";
const AMD64 = { platform: { os: "linux", architecture: "amd64" } };
const ARM64 = { platform: { os: "linux", architecture: "arm64" } };
const NONE = { platform: { os: "unknown", architecture: "unknown" } };

/** The image, attested, and what makes an index `oci:image:all` of descriptors. */
async function indexLab() {
  const { cwd } = await attestLab();
  await ok(["attest", "--from", "oci:image:1", "--attest-key", "attest.key"], cwd);
  const layout = readIndex(cwd, "image");
  const { mediaType = "", digest = "", size = 0 } = layout.manifests[0] ?? {};
  return {
    cwd,
    image: { mediaType, digest, size },
    verifyIndex: (manifests: readonly unknown[], ...options: readonly string[]) => {
      const inner = { schemaVersion: 2, mediaType: INDEX_TYPE, manifests };
      const blob = writeBlob(cwd, "image", Buffer.from(JSON.stringify(inner)));
      const entry = { mediaType: INDEX_TYPE, ...blob, annotations: { [REF]: "all" } };
      const all = { ...layout, manifests: [...layout.manifests, entry] };
      writeFileSync(join(cwd, "image/index.json"), JSON.stringify(all));
      return seal(["verify", "oci:image:all", "--attest-cert", "attest.pub", ...options], { cwd });
    },
  };
}

describe("seal verify of an index", () => {
  it("does not verify an index without images", async () => {
    const { cwd, image, verifyIndex } = await indexLab();
    expectRefusal(await verifyIndex([]), 3, /oci:image:all: has no image for any platform/);
    expectRefusal(await verifyIndex([{ ...image, ...NONE }], "--json"), 3, /has no image for any platform/);
    const attest = await seal(["attest", "--from", "oci:image:all", "--attest-key", "attest.key"], { cwd });
    expectRefusal(attest, 3, /has no image for any platform/);
  });

  it.each<[string, object]>([
    [
      "BuildKit's name for a statement",
      { ...ARM64, annotations: { "vnd.docker.reference.type": "attestation-manifest" } },
    ],
    ["the type of an artifact", { ...ARM64, artifactType: "text/x" }],
    ["the type of an artifact, for all platforms", { artifactType: "text/x" }],
    ["the media type of a text", { ...ARM64, mediaType: "text/plain" }],
  ])("leaves out no image that hides behind %s, for skopeo takes it for that platform", async (_, disguise) => {
    const { image, verifyIndex } = await indexLab();
    const good = { ...image, ...AMD64 };
    const other = { ...image, digest: `sha256:${"ab".repeat(32)}` };
    expectRefusal(
      await verifyIndex([good, { ...other, ...disguise }]),
      3,
      /oci:image:all: its index declares sha256:abab\S+ not to be an image .*choose an image with --platform/,
    );
    expect((await verifyIndex([good, { ...other, ...disguise }], "--platform", "linux/amd64")).code).toBe(0);
    // Of what is for no platform nobody gets anything.
    expect((await verifyIndex([good, { ...other, ...NONE }])).code).toBe(0);
  });
});

describe("seal verify of one image of an index", () => {
  it("refuses a platform with two images, of which skopeo takes the one that is packed otherwise", async () => {
    const { image, verifyIndex } = await indexLab();
    const good = { ...image, ...AMD64 };
    const zstd = { annotations: { "io.github.containers.compression.zstd": "true" } };
    const twin = { ...good, ...zstd, digest: `sha256:${"ab".repeat(32)}` };
    const only = ["--platform", "linux/amd64"];
    const refusal = /oci:image:all: has two images for linux\/amd64: sha256:\S+ and sha256:abab\S+, and podman may/;
    expectRefusal(await verifyIndex([good, twin], ...only), 3, refusal);
    expectRefusal(await verifyIndex([good, { ...twin, artifactType: "text/x" }], ...only), 3, refusal);
    expect((await verifyIndex([good, { ...twin, ...ARM64 }], ...only)).code).toBe(0);
  });
});

describe("seal verify of an image with other things beside it", () => {
  it("passes over what is no manifest", async () => {
    const { cwd } = await indexLab();
    const layout = readIndex(cwd, "image");
    for (const mediaType of ["text/plain", "application/vnd.oci.artifact.manifest.v1+json", INDEX_TYPE]) {
      layout.manifests.push({ mediaType, ...writeBlob(cwd, "image", Buffer.from(`{"it is": "${mediaType}"}`)) });
    }
    writeFileSync(join(cwd, "image/index.json"), JSON.stringify(layout));
    await ok(["verify", "oci:image:1", "--attest-cert", "attest.pub"], cwd);
  });

  it("shows what somebody else wrote so that it starts no line and moves no cursor", async () => {
    const { cwd } = await attestLab();
    await ok(["attest", "--from", "oci:image:1", "--attest-key", "other.key", "--bundle", "other"], cwd);
    const bundle = JSON.parse(readFileSync(join(cwd, "other/sealed-image.sigstore.json"), "utf8"));
    bundle["\u001b[2J\n✓ oci:image:1  verified"] = 1;
    writeFileSync(join(cwd, "b"), JSON.stringify(bundle));
    const { stdout, code } = await seal(["verify", "oci:image:1", "--attest-cert", "attest.pub", "--bundle", "b"], {
      cwd,
    });
    expect(code).toBe(1);
    expect(stdout.trimEnd().split("\n")).toEqual([
      expect.stringMatching(/^✗ oci:image:1 .*not verified$/),
      expect.stringContaining(
        String.raw`b  false: it has \x1b[2J\x0a✓ oci:image:1  verified, which bundles don't have`,
      ),
    ]);
  });
});

describe("seal verify of a provenance", () => {
  it("compares all digests that a layer is said to have", async () => {
    const { cwd, key } = await attestLab();
    await ok(["attest", "--from", "oci:image:1", "--attest-key", "attest.key", "--bundle", "b"], cwd);
    const parts = parseParts(readFileSync(join(cwd, "b/provenance.sigstore.json")));
    const [layer] = parts.statement.predicate.buildDefinition.resolvedDependencies;
    const outcomes: unknown[] = [];
    for (const digest of [layer.digest, { ...layer.digest, sha512: "ab".repeat(64) }, {}]) {
      layer.digest = digest;
      writeFileSync(join(cwd, "p"), signAgain(parts, key));
      const bundles = ["--bundle", "b/sealed-image.sigstore.json", "--bundle", "p"];
      const { code } = await seal(["verify", "oci:image:1", "--attest-cert", "attest.pub", ...bundles], { cwd });
      outcomes.push(code);
    }
    expect(outcomes).toEqual([0, 1, 1]);
  });
});

describe("seal image with a key for attestations that fails", () => {
  it("says that the image is there, and how to attest it", async () => {
    const { cwd } = await attestLab();
    const signer = ["--attest-signer", "exit 7", "--attest-cert", "attest.pub"];
    const failed = await seal(
      ["image", "--from", "oci:in:1", "--to", "oci:new:1", ...SIGNING, ...PLATFORM, ...signer],
      {
        cwd,
      },
    );
    expectRefusal(
      failed,
      4,
      /exit code 7.*\. oci:new:1 is sealed but not attested; seal attest --from oci:new:1 does that/,
    );
    await ok(["attest", "--from", "oci:new:1", "--attest-key", "attest.key"], cwd);
    await ok(["verify", "oci:new:1", "--attest-cert", "attest.pub"], cwd);
  });
});
