/** Makes attestations of sealed images, has them signed, and attaches them. */

import { join } from "node:path";
import { BUNDLE_MEDIA_TYPE, formatBundle, formatEnvelope, parseBundle, toBeSigned } from "../attest/bundle.ts";
import { PROVENANCE_TYPE, provenanceOf } from "../attest/provenance.ts";
import { SEALED_IMAGE_TYPE } from "../attest/sealed-image.ts";
import { type AttestSigner, keyHint } from "../attest/signer.ts";
import { formatStatement } from "../attest/statement.ts";
import { attach } from "../io/oci/attach.ts";
import type { Attachment } from "../io/oci/attachment.ts";
import { pushEnvelopes } from "../io/oci/cosign-tag.ts";
import { requireRemote } from "../io/oci/image.ts";
import { isLayout, type LayoutTarget, type RemoteTarget } from "../io/oci/image-target.ts";
import type { Layer } from "../io/oci/layer.ts";
import { type FoundImage, type FoundImages, findImages } from "../io/oci/referrers.ts";
import type { RemoteImages } from "../io/oci/remote-images.ts";
import { pushReferrers } from "../io/oci/remote-referrers.ts";
import { type ImageSource, isImage, type RootfsSource } from "../io/rootfs-source.ts";
import { type BlobDigest, formatBlobDigest } from "../oci/digest.ts";
import type { Blob, StoredLayer } from "../oci/edit.ts";
import { layerCommands } from "../oci/history.ts";
import { isIndexType } from "../oci/media-types.ts";
import type { StoredImage } from "../oci/schemas.ts";
import { type ParsedCertificate, publicKeyOf } from "../sign/certificate.ts";
import { isSameKey } from "../sign/same-key.ts";
import { type DescribeOptions, describeImage } from "./describe-image.ts";
import type { Ports } from "./ports.ts";

/** What an attestation states beyond what can be read from an image. */
export interface StateOptions extends DescribeOptions {
  /** How the image was made: in this run of `seal image`, or before. */
  readonly command: "seal image" | "seal attest";
  /** Who vouches for how it was made, a URI. */
  readonly builder: string;
  /** Of seal. */
  readonly version: string;
  /** The image that was sealed; null: unknown. Without a manifest nothing is stated about it. */
  readonly base: RootfsSource | null;
}

/** A statement about one image. */
export interface ImageStatement {
  /** `sealed-image`, or `provenance-linux-arm64` where there are several images. */
  readonly name: string;
  readonly image: StoredLayer;
  readonly predicateType: string;
  readonly bytes: Uint8Array;
}

/** All statements about the images that a reference names. */
export interface Stated {
  readonly found: FoundImages;
  readonly statements: readonly ImageStatement[];
  /** Certificates of those who signed the programs of the images. */
  readonly signers: readonly ParsedCertificate[];
}

/**
 * Reads an image, or all images of an index, and states what they are and how they were made.
 * @throws SealError as {@link findImages} and {@link describeImage}
 * @example
 * ```ts
 * import { createPrivateKey } from "node:crypto";
 * import { readFile } from "node:fs/promises";
 * import { attachAttestations, keySigner, parseImageTarget, QUIET, signStatements, stateImages } from "seal";
 *
 * const ports = { ...QUIET, cwd: process.cwd() };
 * const image = { kind: "oci", path: "sealed", reference: "1", subject: "oci:sealed:1" } as const;
 * const made = { command: "seal attest", builder: "https://ci.example/os", version: "1", base: null } as const;
 * const options = { ...made, platform: undefined, policy: null, now: new Date() };
 * const { found, statements } = await stateImages(image, options, ports);
 * const key = createPrivateKey(await readFile("attest.key"));
 * const attestations = await signStatements(statements, keySigner({ key, label: "attest.key" }));
 * const target = parseImageTarget("oci:attested:1", "target", ports.cwd);
 * if ("path" in target) await attachAttestations(found, target, attestations, ports);
 * ```
 */
export async function stateImages(source: ImageSource, options: StateOptions, ports: Ports): Promise<Stated> {
  const found = await findImages(source, { ...ports, platform: options.platform });
  const stated: Omit<Stated, "found">[] = [];
  for (const one of found.images) stated.push(await stateImage(found, one, options, ports));
  return {
    found,
    statements: stated.flatMap(({ statements }) => statements),
    signers: stated.flatMap(({ signers }) => signers),
  };
}

async function stateImage(
  { images }: FoundImages,
  { manifest, platform, source }: FoundImage,
  options: StateOptions,
  ports: Ports,
): Promise<Omit<Stated, "found">> {
  const { image, predicate, signers } = await describeImage(
    source,
    { ...options, platform: platform ?? undefined },
    ports,
  );
  const provenance = provenanceOf({
    ...options,
    base: options.base === null ? null : await manifestDigest(options.base, predicate.platform, ports),
    layers: layersBelow(image, source.subject),
  });
  const suffix = images.length === 1 ? "" : `-${predicate.platform.replaceAll("/", "-")}`;
  const state = (name: string, predicateType: string, content: unknown): ImageStatement => ({
    name: `${name}${suffix}`,
    image: manifest,
    predicateType,
    bytes: formatStatement(manifest.digest, predicateType, content),
  });
  return {
    statements: [state("sealed-image", SEALED_IMAGE_TYPE, predicate), state("provenance", PROVENANCE_TYPE, provenance)],
    signers,
  };
}

/** Null if it has no manifest. */
async function manifestDigest(source: RootfsSource, platform: string, ports: Ports): Promise<BlobDigest | null> {
  if (!isImage(source) || source.kind === "docker-archive") return null;
  const { images } = await findImages(source, { ...ports, platform });
  return images[0]?.manifest.digest ?? null;
}

/** The history marks the layers that sealing added. */
const ADDED = /^seal image: (?:adds|takes out) /;

function layersBelow({ documents, layers }: StoredImage<Layer>, subject: string) {
  const commands = layerCommands(documents.config, layers.length, subject);
  const below = commands.findLastIndex((command) => !ADDED.test(command ?? "")) + 1;
  return layers.slice(0, below).flatMap(({ digest, mediaType }) => (digest === null ? [] : [{ digest, mediaType }]));
}

/** A warning about a key that also signs programs; null: it does not. */
export function sharedKeyWarning(
  { publicKey }: Pick<AttestSigner, "publicKey">,
  signers: readonly ParsedCertificate[],
): string | null {
  const shared = signers.find((certificate) => isSameKey(publicKeyOf(certificate), publicKey));
  if (shared === undefined) return null;
  return `the attestation key is that of ${shared.subjectText}, which signs boot programs: whoever can attest can then also decide what boots. Use another one`;
}

/** A statement that has been signed. */
export interface Attestation extends Omit<ImageStatement, "bytes"> {
  /** A Sigstore bundle. */
  readonly bundle: Uint8Array;
}

/**
 * Signs statements, each as a Sigstore bundle.
 * @throws SealError `external` when a token or program fails
 */
export async function signStatements(
  statements: readonly ImageStatement[],
  signer: AttestSigner,
): Promise<readonly Attestation[]> {
  const hint = keyHint(signer.publicKey);
  const attestations: Attestation[] = [];
  for (const { bytes, ...rest } of statements) {
    const signature = await signer.sign(toBeSigned(bytes));
    attestations.push({ ...rest, bundle: formatBundle(bytes, signature, hint) });
  }
  return attestations;
}

/** Where attestations go: a layout or an archive, or the registry that holds the image. */
export type AttestTarget = LayoutTarget | RegistryTarget;

interface RegistryTarget extends RemoteTarget {
  readonly kind: "docker";
  /** Whether they also get the tag where cosign before version 3 looks for them. */
  readonly cosignTag: boolean;
}

/**
 * Writes attestations next to their images, whose digests don't change.
 * @param target where; if it is not where the images are, it gets a copy of them
 * @returns digests of the new manifests
 * @throws SealError `input` when it can't be written; `external` when the registry or skopeo fails
 */
export async function attachAttestations(
  found: FoundImages,
  target: AttestTarget,
  attestations: readonly Attestation[],
  ports: Ports,
): Promise<readonly Blob[]> {
  const attachments = attestations.map(
    ({ image, bundle, predicateType }): Attachment => ({
      image,
      artifactType: BUNDLE_MEDIA_TYPE,
      bytes: bundle,
      annotations: bundleAnnotations(predicateType),
    }),
  );
  const archiving = () => ports.progress.copy(`writing ${target.subject}`);
  if (isLayout(target)) return attach(found, target, attachments, archiving);
  const remote = requireRemote(target.subject, ports.remote);
  if (found.given.subject !== target.subject) await pushImages(found, target, remote);
  const referrers = await pushReferrers(remote, target.subject, attachments);
  if (target.cosignTag) await pushTags(attestations, target, remote);
  return referrers;
}

async function pushTags(
  attestations: readonly Attestation[],
  { subject }: RemoteTarget,
  remote: RemoteImages,
): Promise<void> {
  const digests = new Map(attestations.map(({ image }) => [formatBlobDigest(image.digest), image.digest]));
  for (const digest of digests.values()) {
    const own = attestations.filter(({ image }) => image.digest.hex === digest.hex);
    const envelopes = own.map(({ name, bundle, predicateType }) => ({
      bytes: formatEnvelope(parseBundle(bundle, name)),
      predicateType,
    }));
    await pushEnvelopes(remote, subject, digest, envelopes);
  }
}

/** Takes images to a registry as they are. */
async function pushImages(found: FoundImages, target: RemoteTarget, remote: RemoteImages): Promise<void> {
  const path = join(await remote.directory(), "image");
  const layout: LayoutTarget = { kind: "oci", path, tag: null, subject: target.subject, isTemporary: true };
  await attach(found, layout, [], () => ({ onBytes: () => {}, done: () => {} }));
  const isIndex = found.entry !== null && isIndexType(found.entry.mediaType);
  await remote.put(path, target, { isIndex, asIs: true });
}

/** The annotations that cosign writes for a bundle. */
export function bundleAnnotations(predicateType: string): Readonly<Record<string, string>> {
  return {
    "dev.sigstore.bundle.content": "dsse-envelope",
    "dev.sigstore.bundle.predicateType": predicateType,
  };
}
