import { describe, expect, it } from "vitest";
import { checkLayoutMarker, parseConfig, parseIndex, parseManifest } from "../../src/oci/schemas.ts";

const bytes = (value: unknown) => Buffer.from(JSON.stringify(value));
const DIGEST = `sha256:${"a".repeat(64)}`;
const BLOB = { mediaType: "x", digest: DIGEST, size: 0 };

describe("the documents of images", () => {
  it("may have null for what is not there, as Go's encoder writes it", () => {
    expect(parseIndex(bytes({ schemaVersion: 2, manifests: null }), "x").manifests).toEqual([]);
    const entry = { ...BLOB, platform: null, annotations: null };
    expect(parseIndex(bytes({ schemaVersion: 2, manifests: [entry] }), "x").manifests[0]?.platform).toBeUndefined();
    const config = { rootfs: { type: "layers", diff_ids: null }, config: null, variant: null };
    expect(parseConfig(bytes(config), "x")).toMatchObject({ os: "", architecture: "", rootfs: { diff_ids: [] } });
  });

  it.each<[string, (subject: string) => unknown, string]>([
    ["text", (s) => parseIndex(Buffer.from("no"), s), "is not valid JSON; expected an image index"],
    ["bytes that are no UTF-8", (s) => parseIndex(Buffer.from([0x22, 0xff, 0x22]), s), "is not valid JSON;"],
    ["a list", (s) => parseManifest(bytes([]), s), "is not an image manifest: Invalid input"],
    [
      "another version",
      (s) => parseManifest(bytes({ schemaVersion: 1, config: BLOB, layers: [] }), s),
      "is not an image manifest: schemaVersion: ",
    ],
    [
      "a digest of another kind",
      (s) => parseManifest(bytes({ schemaVersion: 2, config: BLOB, layers: [BLOB, { ...BLOB, digest: "md5:0" }] }), s),
      "is not an image manifest: layers.1.digest: is not a sha256 or sha512 digest",
    ],
    [
      "a negative size",
      (s) => parseManifest(bytes({ schemaVersion: 2, config: { ...BLOB, size: -1 }, layers: [] }), s),
      "is not an image manifest: config.size: ",
    ],
    [
      "a root filesystem that is not of layers",
      (s) => parseConfig(bytes({ rootfs: { type: "x", diff_ids: [] } }), s),
      "is not an image configuration: rootfs.type: ",
    ],
    [
      "another layout",
      (s) => checkLayoutMarker(bytes({ imageLayoutVersion: "2.0.0" }), s),
      "is not an OCI layout of version 1.0.0: imageLayoutVersion: ",
    ],
  ])("are refused with the place: %s", (_, parse, message) => {
    expect(() => parse("blob")).toThrow(
      expect.objectContaining({ code: "input", message: expect.stringContaining(`blob: ${message}`) }),
    );
  });
});
