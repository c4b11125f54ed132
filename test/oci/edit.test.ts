import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  describeManifest,
  editConfig,
  editIndex,
  editManifest,
  type ImageLayer,
  NEW_INDEX,
  newConfig,
  newManifest,
} from "../../src/oci/edit.ts";
import { layerCommands } from "../../src/oci/history.ts";
import { formatJson, type JsonObject } from "../../src/oci/json.ts";
import { parseConfig, parseIndex, parseManifest } from "../../src/oci/schemas.ts";

const hex = (digit: string) => digit.repeat(64);
const blob = (digit: string) => ({ digest: { algorithm: "sha256", hex: hex(digit) } as const, size: 7 });
const LAYER: ImageLayer = {
  ...blob("a"),
  mediaType: "application/vnd.oci.image.layer.v1.tar",
  diffId: { algorithm: "sha256", hex: hex("b") },
  history: { created: "2026-01-02T03:04:05Z", createdBy: "seal", comment: null },
};
const EDIT = { layers: [LAYER], labels: { sealed: "yes" }, created: null };
const MANIFEST_EDIT = {
  config: blob("c"),
  configAnnotations: { of: "config" },
  layers: [LAYER],
  annotations: { of: "manifest" },
};
const REF = "org.opencontainers.image.ref.name";

const unknown = fc.dictionary(
  fc
    .string()
    .filter((key) => !["config", "rootfs", "history", "layers", "annotations", "mediaType", "manifests"].includes(key)),
  fc.jsonValue() as fc.Arbitrary<JsonObject[string]>,
  { maxKeys: 5 },
);

describe("a new image", () => {
  const amd64 = { os: "linux", architecture: "amd64" };
  const arm = { os: "linux", architecture: "arm", variant: "v7" };
  const entry = { mediaType: "application/vnd.oci.image.manifest.v1+json", digest: `sha256:${hex("a")}`, size: 7 };

  it("says what it is for, and when it was made where that is known", () => {
    const empty = { config: {}, rootfs: { type: "layers", diff_ids: [] }, history: [] };
    expect(newConfig(amd64, null)).toEqual({ ...amd64, ...empty });
    expect(newConfig(arm, "2026-01-02T03:04:05Z")).toEqual({ created: "2026-01-02T03:04:05Z", ...arm, ...empty });
  });

  it("has its platform in an index, if it has one at all", () => {
    expect(describeManifest(blob("a"), arm, "x")).toEqual({ ...entry, platform: arm, annotations: { [REF]: "x" } });
    expect(describeManifest(blob("a"), amd64, null)).toEqual({ ...entry, platform: amd64 });
    expect(describeManifest(blob("a"), { os: "", architecture: "amd64" }, null)).toEqual(entry);
    expect(describeManifest(blob("a"), { os: "linux", architecture: "" }, null)).toEqual(entry);
  });
});

describe("the configuration of an image", () => {
  it("gets layers with their history, and labels; all else in it stays", () => {
    fc.assert(
      fc.property(unknown, unknown, unknown, (top, run, labels) => {
        const config = {
          ...top,
          config: { ...run, Labels: labels },
          rootfs: { type: "layers", diff_ids: [`sha256:${hex("1")}`] },
          history: [{ created_by: "x", empty_layer: true }, {}],
        };
        expect(JSON.parse(Buffer.from(formatJson(editConfig(config, EDIT, "config"))).toString())).toEqual(
          JSON.parse(
            JSON.stringify({
              ...config,
              config: { ...run, Labels: { ...labels, sealed: "yes" } },
              rootfs: { type: "layers", diff_ids: [`sha256:${hex("1")}`, `sha256:${hex("b")}`] },
              history: [...config.history, { created: "2026-01-02T03:04:05Z", created_by: "seal" }],
            }),
          ),
        );
      }),
    );
  });

  it("gets no history where it has none for the layers below, and a new time only when there is one", () => {
    const old = {
      created: "2020-01-01T00:00:00.123456789Z",
      config: null,
      rootfs: { type: "layers", diff_ids: [`sha256:${hex("1")}`] },
    };
    expect(editConfig(old, EDIT, "config")).not.toHaveProperty("history");
    expect(editConfig(old, EDIT, "config")).toMatchObject({
      created: old.created,
      config: { Labels: { sealed: "yes" } },
    });
    expect(editConfig(old, { ...EDIT, created: "2026-01-01T00:00:00Z" }, "config")).toMatchObject({
      created: "2026-01-01T00:00:00Z",
    });
  });

  it("tells what made each layer, where its history has as many", () => {
    const history = [{ created_by: "one" }, { created_by: "ENV", empty_layer: true }, { comment: "?" }];
    expect(layerCommands({ history }, 2, "config")).toEqual(["one", null]);
    expect(layerCommands({ history }, 3, "config")).toEqual([null, null, null]);
    expect(layerCommands({}, 1, "config")).toEqual([null]);
    expect(() => layerCommands({ history: "x" }, 1, "config")).toThrow(/config: history/);
  });

  it("is begun anew for a platform", () => {
    const config = editConfig(newConfig({ os: "linux", architecture: "arm64", variant: "v8" }, null), EDIT, "config");
    expect(parseConfig(formatJson(config), "config")).toMatchObject({ architecture: "arm64", variant: "v8" });
    expect(config["history"]).toHaveLength(1);
  });

  it("loses labels that name the digest of the former image", () => {
    const old = { config: { Labels: { "containers.composefs.fsverity": "ab", "containers.bootc": "1" } } };
    expect(editConfig(old, EDIT, "config")["config"]).toEqual({ Labels: { "containers.bootc": "1", sealed: "yes" } });
  });

  it("is refused when it is damaged", () => {
    expect(() => editConfig({ config: [] }, EDIT, "oci:x: config")).toThrow(
      "oci:x: config: config: is not a JSON object",
    );
    expect(() => editConfig({ history: {} }, EDIT, "oci:x: config")).toThrow("history: is not a JSON array");
  });
});

describe("the manifest of an image", () => {
  const layer = { mediaType: "application/vnd.oci.image.layer.v1.tar+gzip", digest: `sha256:${hex("2")}`, size: 3 };
  const config = { mediaType: "application/vnd.oci.image.config.v1+json", digest: `sha256:${hex("3")}`, size: 4 };

  it("gets layers, another configuration and annotations; all else in it stays", () => {
    fc.assert(
      fc.property(unknown, unknown, (top, own) => {
        const manifest = {
          ...top,
          schemaVersion: 2,
          config,
          layers: [{ ...own, ...layer }],
          annotations: { kept: "1" },
        };
        const edited = editManifest(manifest, MANIFEST_EDIT, "manifest");
        expect(edited).toEqual({
          ...manifest,
          mediaType: "application/vnd.oci.image.manifest.v1+json",
          config: { ...config, digest: `sha256:${hex("c")}`, size: 7, annotations: { of: "config" } },
          layers: [
            { ...own, ...layer },
            { mediaType: LAYER.mediaType, digest: `sha256:${hex("a")}`, size: 7 },
          ],
          annotations: { kept: "1", of: "manifest" },
        });
        expect(parseManifest(formatJson(edited), "manifest").layers).toHaveLength(2);
      }),
    );
  });

  it("loses what was true of the former image only, and keeps what is said of its layers", () => {
    const manifest = {
      config: { ...config, data: "e30=", annotations: { "composefs.config.fsverity-sha512-12": "x" } },
      layers: [
        {
          ...layer,
          annotations: {
            "composefs.layer.erofs.v1.fsverity-sha512-12": "y",
            "composefs.merged.fsverity-sha512-12": "z",
          },
        },
      ],
      annotations: { "composefs.merged.bootable.erofs.v1.fsverity-sha512-12": "z", "org.example": "1" },
    };
    const edited = editManifest(manifest, { ...MANIFEST_EDIT, configAnnotations: {}, annotations: {} }, "manifest");
    expect(edited["config"]).toEqual({ ...config, digest: `sha256:${hex("c")}`, size: 7 });
    expect(edited["layers"]).toMatchObject([
      { annotations: { "composefs.layer.erofs.v1.fsverity-sha512-12": "y" } },
      {},
    ]);
    expect(JSON.stringify(edited)).not.toContain('"z"');
    expect(edited["annotations"]).toEqual({ "org.example": "1" });
  });

  it("tells where layers lie that were packed anew, and nothing that was true of the old blobs only", () => {
    const annotations = {
      "io.github.containers.zstd-chunked.manifest-position": "1:2:3:4",
      "containerd.io/snapshot/stargz/toc.digest": "sha256:x",
      "io.containers.estargz.uncompressed-size": "7",
      "org.example": "stays",
    };
    const manifest = {
      config,
      layers: [
        { ...layer, urls: ["x"], data: "x", annotations },
        { ...layer, annotations },
      ],
    };
    const carried = [
      { ...blob("5"), mediaType: LAYER.mediaType },
      { ...blob("2"), mediaType: LAYER.mediaType },
    ];
    const { layers } = editManifest(manifest, { ...MANIFEST_EDIT, carried, layers: [] }, "manifest");
    expect(layers).toEqual([
      { mediaType: LAYER.mediaType, digest: `sha256:${hex("5")}`, size: 7, annotations: { "org.example": "stays" } },
      { ...layer, mediaType: LAYER.mediaType, annotations },
    ]);
  });

  it("becomes OCI's where it was Docker's", () => {
    const docker = (type: string) => ({ ...layer, mediaType: `application/vnd.docker.image.rootfs.diff.tar${type}` });
    const manifest = {
      schemaVersion: 2,
      mediaType: "application/vnd.docker.distribution.manifest.v2+json",
      config: { ...config, mediaType: "application/vnd.docker.container.image.v1+json" },
      layers: [docker(".gzip"), docker(""), docker(".zstd")],
    };
    const edited = parseManifest(formatJson(editManifest(manifest, MANIFEST_EDIT, "manifest")), "manifest");
    expect(edited.config.mediaType).toBe("application/vnd.oci.image.config.v1+json");
    expect(edited.layers.map(({ mediaType }) => mediaType.replace(/^.*\.v1/, ""))).toEqual([
      ".tar+gzip",
      ".tar",
      ".tar+zstd",
      ".tar",
    ]);
  });

  it("is begun anew", () => {
    const bytes = formatJson(editManifest(newManifest([]), MANIFEST_EDIT, "manifest"));
    expect(parseManifest(bytes, "manifest")).toMatchObject({ layers: [{ size: 7 }], config: { size: 7 } });
  });
});

describe("the index of a layout", () => {
  const image = (digit: string, tag: string | null) =>
    describeManifest(blob(digit), { os: "linux", architecture: "amd64" }, tag);
  const tags = (index: JsonObject) =>
    parseIndex(formatJson(index), "index").manifests.map((one) => [one.annotations?.[REF] ?? null, one.digest.hex[0]]);

  it("has a new image in the place of those with its tag, or behind the others", () => {
    const tag = fc.constantFrom("a", "b", "c");
    fc.assert(
      fc.property(fc.array(tag), tag, (old, added) => {
        const index = { ...NEW_INDEX, manifests: old.map((one) => image("1", one)) };
        const found = tags(editIndex(index, image("2", added), added, "oci:x"));
        expect(found.filter(([one]) => one !== added)).toEqual(
          old.filter((one) => one !== added).map((one) => [one, "1"]),
        );
        expect(found.filter(([one]) => one === added)).toEqual([[added, "2"]]);
        const place = old.indexOf(added);
        expect(found.findIndex(([one]) => one === added)).toBe(place < 0 ? old.length : place);
      }),
    );
  });

  it("takes an image without a tag where it is the only one", () => {
    const only = editIndex(NEW_INDEX, image("1", null), null, "oci:x");
    expect(tags(editIndex(only, image("2", null), null, "oci:x"))).toEqual([[null, "2"]]);
    expect(tags(editIndex(only, image("2", "a"), "a", "oci:x"))).toEqual([
      [null, "1"],
      ["a", "2"],
    ]);
    const tagged = editIndex(NEW_INDEX, image("1", "a"), "a", "oci:x");
    expect(() => editIndex(tagged, image("2", null), null, "oci:x")).toThrow(
      "oci:x: contains other images; give a tag",
    );
  });
});
