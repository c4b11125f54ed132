import { describe, expect, it } from "vitest";
import { addToConfig, addToManifest, cosignTag, envelopesOf } from "../../src/oci/cosign-tag.ts";
import { formatBlobDigest } from "../../src/oci/digest.ts";
import { formatJson } from "../../src/oci/json.ts";

const digest = (char: string) => ({ algorithm: "sha256" as const, hex: char.repeat(64) });
const layer = (char: string) => ({ digest: digest(char), size: 9, predicateType: `type ${char}` });
const config = { digest: digest("c"), size: 7 };

describe("the image of attestations that cosign makes", () => {
  it("has a tag that is made of the digest", () => {
    expect(cosignTag(digest("a"))).toBe(`sha256-${"a".repeat(64)}.att`);
  });

  it("gets a layer for each envelope, and keeps those that it has, and all else", () => {
    const first = {
      manifest: addToManifest(null, [layer("a")], config, "x"),
      config: addToConfig(null, [layer("a")], "x"),
    };
    const manifest = addToManifest(
      { ...first, manifest: { ...first.manifest, more: 1 } },
      [layer("a"), layer("b")],
      config,
      "x",
    );
    const both = [layer("a"), layer("b")].map((one) => formatBlobDigest(one.digest));
    expect(manifest).toMatchObject({ schemaVersion: 2, more: 1, config: { size: 7 } });
    const envelopes = envelopesOf(formatJson(manifest), "x");
    expect(envelopes.map((one) => formatBlobDigest(one.digest))).toEqual(both);
    expect(envelopes.map(({ annotations }) => annotations)).toEqual(
      ["type a", "type b"].map((predicateType) => ({ predicateType, "dev.cosignproject.cosign/signature": "" })),
    );
    const documents = addToConfig(first, [layer("a"), layer("b")], "x");
    expect(documents).toMatchObject({ rootfs: { type: "layers", diff_ids: both } });
    expect(documents["history"]).toHaveLength(2);
  });

  it("is refused where it is another one, or damaged", () => {
    const manifest = addToManifest(null, [layer("a")], config, "x");
    const other = {
      ...manifest,
      config: { ...config, mediaType: "application/json", digest: formatBlobDigest(config.digest) },
    };
    expect(() => envelopesOf(formatJson(other), "x")).toThrow(
      /^x: is not an image of attestations as cosign makes them$/,
    );
    expect(() => envelopesOf(formatJson({ schemaVersion: 2 }), "x")).toThrow(/^x: is not an image manifest/);
    for (const rootfs of [[], { diff_ids: 1 }]) {
      expect(() => addToConfig({ manifest, config: { rootfs } }, [layer("a")], "x")).toThrow(
        /is not a JSON (?:object|array)/,
      );
    }
    const layers = { manifest: { layers: ["a"] }, config: {} };
    expect(() => addToManifest(layers, [layer("a")], config, "x")).toThrow(/is not a JSON object/);
    // Layers of other kinds are nothing to read, and nothing to add to.
    const system = { manifest: { ...manifest, layers: [{ ...config, mediaType: "x" }] }, config: {} };
    expect(() => addToManifest(system, [layer("a")], config, "x")).toThrow(/^x: is not an image of attestations/);
    expect(
      envelopesOf(
        formatJson({ ...manifest, layers: [{ ...config, mediaType: "x", digest: formatBlobDigest(config.digest) }] }),
        "x",
      ),
    ).toEqual([]);
  });
});
