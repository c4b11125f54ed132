/** Writes images for several platforms with their index, as builders do. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { type StoredBlob, writeBlob, writeImageBlobs, writeIndex, writeJsonBlob } from "./layout.ts";

export const INDEX_TYPE = "application/vnd.oci.image.index.v1+json";
export const ATTESTATION_TYPE = "attestation-manifest";
const REF = "org.opencontainers.image.ref.name";

export interface TestImage {
  readonly architecture: string;
  readonly variant?: string;
  /** More that its entry says of the platform. */
  readonly platform?: Readonly<Record<string, unknown>>;
  readonly entryAnnotations?: Readonly<Record<string, string>>;
  /** Members of the configuration that are to be others. */
  readonly config?: Readonly<Record<string, unknown>>;
  readonly layers: readonly Uint8Array[];
}

export interface PlatformsOptions {
  readonly tag: string;
  /** Of the index. */
  readonly annotations?: Readonly<Record<string, string>>;
  /** Whether each image has an attestation. */
  readonly attest?: boolean;
  /** Whether the images stand in indexes of their own, which say nothing of platforms. */
  readonly nested?: boolean;
}

/** A layout with one tag. */
export function writePlatforms(path: string, images: readonly TestImage[], options: PlatformsOptions): void {
  const entries = images.map(({ architecture, variant, platform, entryAnnotations, config, layers }) => ({
    ...writeImageBlobs(path, layers, { architecture, ...(config === undefined ? {} : { config }) }),
    platform: { architecture, os: "linux", ...(variant === undefined ? {} : { variant }), ...platform },
    ...(entryAnnotations === undefined ? {} : { annotations: entryAnnotations }),
  }));
  const attested = options.attest === true ? entries.map(({ digest }) => attestation(path, digest)) : [];
  const manifests = options.nested === true ? entries.map((entry) => indexDigest(path, [entry])) : entries;
  const index = indexDigest(path, [...manifests, ...attested], options.annotations);
  writeIndex(path, [{ ...index, annotations: { [REF]: options.tag } }]);
}

/** The descriptor of an index with these entries. */
export function indexDigest(
  path: string,
  manifests: readonly unknown[],
  annotations?: Readonly<Record<string, string>>,
): StoredBlob {
  const index = {
    schemaVersion: 2,
    mediaType: INDEX_TYPE,
    manifests,
    ...(annotations === undefined ? {} : { annotations }),
  };
  return writeJsonBlob(path, index, INDEX_TYPE);
}

/**
 * The entry of an attestation, as BuildKit's exporter writes it beside an image: a manifest whose layer is
 * an in-toto statement.
 */
export function attestation(path: string, about: string): object {
  const [algorithm, hex] = about.split(":");
  const statement = Buffer.from(
    JSON.stringify({
      _type: "https://in-toto.io/Statement/v0.1",
      predicateType: "https://slsa.dev/provenance/v0.2",
      subject: [{ name: "pkg:docker/os@1", digest: { [algorithm ?? ""]: hex } }],
      predicate: { builder: { id: "" }, buildType: "https://mobyproject.org/buildkit@v1" },
    }),
  );
  const layer = {
    ...writeBlob(path, statement, "application/vnd.in-toto+json"),
    annotations: { "in-toto.io/predicate-type": "https://slsa.dev/provenance/v0.2" },
  };
  const config = {
    architecture: "unknown",
    os: "unknown",
    config: {},
    rootfs: { type: "layers", diff_ids: [layer.digest] },
  };
  const manifest = {
    schemaVersion: 2,
    mediaType: "application/vnd.oci.image.manifest.v1+json",
    config: writeJsonBlob(path, config, "application/vnd.oci.image.config.v1+json"),
    layers: [layer],
  };
  return {
    ...writeJsonBlob(path, manifest, manifest.mediaType),
    annotations: { "vnd.docker.reference.digest": about, "vnd.docker.reference.type": ATTESTATION_TYPE },
    platform: { architecture: "unknown", os: "unknown" },
  };
}

/** What a tag of a layout stands for. @param architecture of the image whose manifest is wanted too */
export function readBlobs(layout: string, tag: string, architecture = "amd64") {
  const json = (name: string) => JSON.parse(readFileSync(join(layout, name), "utf8"));
  const blob = (digest: string) => json(`blobs/${digest.replace(":", "/")}`);
  const top = json("index.json").manifests.find((one: Entry) => one.annotations?.[REF] === tag);
  const document = blob(top.digest);
  const entry = document.manifests.find((one: Entry) => one.platform?.architecture === architecture);
  return { top, document, manifest: entry === undefined ? null : blob(entry.digest) };
}

interface Entry {
  readonly annotations?: Readonly<Record<string, string>>;
  readonly platform?: { readonly architecture: string };
}
