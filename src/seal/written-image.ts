/**
 * Writes an image with a sealed root filesystem, the layers of another image and two more on top, and reads it back.
 */
import { basename } from "node:path";
import { ukiOsRelease } from "../boot/efi-program.ts";
import { withLayer } from "../boot/layered.ts";
import { systemVersion } from "../boot/os-release.ts";
import type { BootFile } from "../boot/plan.ts";
import { bootLayer, type TakenOut, takenOut, treeLayer } from "../boot/sealed-layers.ts";
import { displayBytes, toHex } from "../bytes.ts";
import type { Chunks } from "../chunks.ts";
import { composefsDigests, type TreeDigest } from "../composefs/digest.ts";
import { seriesOf } from "../composefs/named-release.ts";
import { treeRecord } from "../composefs/tree-record.ts";
import { verityDigest } from "../composefs/verity.ts";
import { SealError } from "../errors.ts";
import { giveWay } from "../io/give-way.ts";
import type { ImageTarget } from "../io/oci/image-target.ts";
import type { StagedImage, WrittenImage, WrittenPlace } from "../io/oci/image-writer.ts";
import type { Layer } from "../io/oci/layer.ts";
import type { LayerMemory } from "../io/oci/layer-memory.ts";
import type { ImageSource } from "../io/rootfs-source.ts";
import { entriesArchive } from "../io/tar/entries-archive.ts";
import { together } from "../io/together.ts";
import { verityDigests } from "../io/verity-digests.ts";
import { type Annotations, editConfig, editManifest, type ImageLayer, newManifest, rfc3339 } from "../oci/edit.ts";
import { formatJson } from "../oci/json.ts";
import { LAYER_TYPE } from "../oci/media-types.ts";
import type { StoredImage } from "../oci/schemas.ts";
import { configDigest, manifestDigests, recordAnnotation, SEALED_LABELS, type TreeDigestName } from "../oci/sealed.ts";
import { versionAnnotation } from "../oci/version.ts";
import { type EfiArch, goArchOf } from "../pe/arch.ts";
import type { PeImage } from "../pe/headers.ts";
import { someOf } from "../text.ts";
import type { LayerEntry } from "../tree/build.ts";
import type { FileChanges } from "../tree/file-changes.ts";
import type { Rootfs } from "../tree/rootfs.ts";
import { sharePolicy } from "../tree/selinux/policy.ts";
import { digestRootfs, type Reading } from "./digest.ts";
import type { DigestPlan } from "./digest-plan.ts";
import type { LowerLayers } from "./lower-layers.ts";
import type { Ports } from "./ports.ts";

/** The parts of the image. */
export interface SealedParts {
  /** The layers that are in the new image already. */
  readonly lower: LowerLayers;
  /** The files of `/boot`. */
  readonly files: readonly BootFile[];
  /** Of the kernel. */
  readonly arch: EfiArch;
  readonly uki: PeImage;
  /** The digests that the UKI names. */
  readonly named: readonly TreeDigestName[];
  /** Its creation time; null: that of the image that is sealed. */
  readonly time: Date | null;
}

/** An image that has been written, not yet in its place. */
export interface SealedImage extends WrittenImage {
  /** The documents from which its own were made. */
  readonly base: StoredImage<Layer>;
  /**
   * The new layers: one that removes and prepares files, unless there is nothing to do, and one with the files of
   * `/boot`.
   */
  readonly added: readonly ImageLayer[];
  readonly takenOut: TakenOut;
  /** Of the manifest. */
  readonly annotations: Annotations;
  /** Of the whole root filesystem, EROFS V1. */
  readonly merged: TreeDigest;
}

/**
 * Adds layers, configuration and manifest to an image that has the carried layers.
 * @throws SealError `input` when the documents of the image that is sealed are damaged, or something can't be written
 */
export async function writeSealedImage(staged: StagedImage, parts: SealedParts): Promise<SealedImage> {
  const { lower, time } = parts;
  const { below: rootfs, computed } = lower;
  const { plan } = computed;
  const { algorithm } = plan;
  const image = lower.image(parts.arch);
  const out = takenOut(rootfs);
  const tree = treeLayer(rootfs.root, out, lower.changes);
  const base = withLayer(rootfs, tree, algorithm);
  const boot = bootLayer(base.root, parts.files, createdSeconds(image, time));
  const created = time === null ? null : rfc3339(time);
  const add = (entries: readonly LayerEntry<Chunks>[], createdBy: string) =>
    addLayer(staged, entries, { created: created ?? createdOf(image), createdBy, comment: null });
  const write = async () => [
    ...(tree.length === 0 ? [] : [await add(tree, treeCommand(lower.changes))]),
    await add(boot, "seal image: adds UKI and boot loader"),
  ];
  const describe = async () => {
    const digests = await verityDigests(boot, algorithm);
    lower.memory.rememberWritten(boot, digests, algorithm);
    const sealed = withLayer(base, boot, algorithm, digests);
    const merged = await mergedDigest(sealed, plan);
    await giveWay();
    return { merged, record: treeRecord(computed.digestedTree, algorithm) };
  };
  // Other threads write and hash the new layers meanwhile.
  const [added, { merged, record }] = await together(write, describe);
  const osRelease = ukiOsRelease(parts.uki);
  const version = osRelease === null ? null : systemVersion(osRelease);
  const annotations = {
    ...versionAnnotation(image, version, `${rootfs.subject}: its manifest`),
    ...manifestDigests([merged], parts.named),
    ...recordAnnotation(record),
  };

  const configuration = editConfig(
    image.documents.config,
    { layers: added, labels: SEALED_LABELS, created },
    `${rootfs.subject}: its configuration`,
  );
  const configBytes = formatJson(configuration);
  const manifest = editManifest(
    image.documents.manifest ?? newManifest(lower.layers),
    {
      config: await staged.blobs.add([configBytes]),
      configAnnotations: configDigest(algorithm, toHex(verityDigest(configBytes, algorithm))),
      carried: lower.layers,
      layers: added,
      annotations,
    },
    `${rootfs.subject}: its manifest`,
  );
  const blob = await staged.blobs.add([formatJson(manifest)]);
  return { manifest: blob, platform: image.config, base: image, added, takenOut: out, annotations, merged };
}

/** How many paths a message names. */
const SHOWN = 3;

/**
 * Warnings about files of `/boot` that are gone, and about an image for another architecture than its kernel. @param
 * subject of the image that is sealed @param arch of the kernel
 */
export function imageWarnings(
  subject: string,
  { takenOut, platform }: Pick<SealedImage, "takenOut" | "platform">,
  arch: EfiArch,
): string[] {
  const boot = takenOut.boot.map(displayBytes);
  const { architecture } = platform;
  const own = goArchOf(arch) ?? arch;
  return [
    ...(boot.length === 0
      ? []
      : [`${subject}: what was in its /boot is not in the sealed image: ${someOf(boot, SHOWN)}`]),
    ...(architecture === "" || architecture === own
      ? []
      : [
          `${subject}: is an image for ${architecture}, but has a kernel for ${own}: machines that pull it can't start it`,
        ]),
  ];
}

/** What must be found in the image. */
export interface ExpectedDigests {
  /** The digests computed for the root filesystem that was sealed, in the order of the plan. */
  readonly digests: readonly ExpectedDigest[];
  readonly merged: ExpectedDigest;
  readonly plan: DigestPlan;
  /** What was read from the layers that it was made from. */
  readonly memory: LayerMemory;
  /** Those digests whose trees were kept: where the image has the same tree, it has the same digest. */
  readonly known: readonly TreeDigest[];
  /** The root filesystem that was sealed, which mostly has the same policy; null: it was not kept. */
  readonly sealed: Rootfs | null;
}

/** A digest, with or without its tree. */
export interface ExpectedDigest {
  readonly digest: string;
}

/** What {@link checkSealedImage} must find in a sealed image. */
export function expectedOf({
  lower,
  merged,
}: Pick<SealedImage, "merged"> & { readonly lower: LowerLayers }): ExpectedDigests {
  const { digests, plan, digestedTree } = lower.computed;
  return { digests, merged, plan, memory: lower.memory, known: [...digests, merged], sealed: digestedTree };
}

/** The same, without the trees, which take much memory. */
export function withoutTrees({ digests, merged, ...expected }: ExpectedDigests): ExpectedDigests {
  const only = ({ digest }: ExpectedDigest) => ({ digest });
  return { ...expected, digests: digests.map(only), merged: only(merged), known: [], sealed: null };
}

/**
 * Reads what was written, all of it, and builds the trees again whose digests are expected. Layers that were read before
 * are only hashed: the same blob has the same content. Of a tree that is not the same as before the digest is computed.
 * @param written where it is
 * @throws SealError `input` when the disk does not return what was written to it; Error when the digests are not those
 *   in the UKI, which is a bug
 */
export async function checkSealedImage(
  target: ImageTarget,
  { kind, path, readBack }: WrittenPlace,
  { digests, plan, merged, memory, known, sealed }: ExpectedDigests,
  ports: Ports,
): Promise<void> {
  const source: ImageSource = { kind, path, reference: null, subject: `${kind}:${basename(path)}` };
  // PAX headers are read first, even those that some releases ignore.
  const step = `checking ${target.subject}`;
  const treeToDigest = async (rootfs: Rootfs) => {
    if (sealed !== null) await sharePolicy(rootfs, sealed);
    return rootfs;
  };
  const reading: Reading = { treeToDigest, needs: "digest", memory, known, step, readBack };
  // The cache of layers from other runs does not prove what is on the disk now.
  const found = await digestRootfs(source, plan, { ...ports, cache: undefined }, reading).catch((error: unknown) => {
    if (!(error instanceof SealError)) throw error;
    throw new SealError(error.code, `${target.subject}: can't be read back: ${error.message}`, { cause: error });
  });
  const have = [...found.digests, await mergedDigest(found.rootfs, plan, known)].map(({ digest }) => digest);
  const want = [...digests, merged].map(({ digest }) => digest);
  if (have.length === want.length && have.every((digest, index) => digest === want[index])) return;
  throw new Error(`${target.subject}: read back, the image has the digests ${have.join(", ")}, not ${want.join(", ")}`);
}

/** The digest that composefs-rs computes for an image as a container, not as what is booted. */
async function mergedDigest(
  rootfs: Rootfs,
  { algorithm, transform: { xattrs } }: Pick<DigestPlan, "algorithm" | "transform">,
  known: readonly TreeDigest[] = [],
): Promise<TreeDigest> {
  const { rules } = seriesOf("latest");
  const targets = [{ erofs: "v1", rules }] as const;
  const options = { targets, algorithm, transform: "oci", xattrs, mtime: "exact" } as const;
  const [merged] = await composefsDigests(rootfs, options, known);
  if (merged === undefined) throw new Error("there is no digest");
  return merged;
}

async function addLayer(
  { blobs }: StagedImage,
  entries: readonly LayerEntry<Chunks>[],
  history: ImageLayer["history"],
): Promise<ImageLayer> {
  // Not compressed: kernel and initramfs already are, and the bytes must not depend on the version of a compressor.
  const blob = await blobs.add(entriesArchive(entries, "the new layer"));
  return { ...blob, mediaType: LAYER_TYPE, diffId: blob.digest, history };
}

/** The history entry of the layer below the one with `/boot`. */
function treeCommand({ write }: FileChanges): string {
  const takesOut = "seal image: takes out what the UKI stands for";
  return write.length === 0 ? takesOut : `${takesOut}, adds what bootc install takes from /usr`;
}

function createdOf({ documents }: StoredImage<Layer>): string | null {
  const { created } = documents.config;
  return typeof created === "string" ? created : null;
}

/** The mtime of new files, in seconds since 1970. */
function createdSeconds(image: StoredImage<Layer>, time: Date | null): bigint {
  const milliseconds = time?.getTime() ?? Date.parse(createdOf(image) ?? "");
  return Number.isNaN(milliseconds) || milliseconds < 0 ? 0n : BigInt(Math.floor(milliseconds / 1000));
}
