/** Reads a root filesystem and computes its composefs digests: the first step of all use cases that need a digest. */
import {
  type DigestTarget,
  digestTrees,
  type NewImageHasher,
  type PlannedTree,
  planAhead,
  sameTarget,
  type TargetTree,
  type TreeDigest,
  transformForTargets,
} from "../composefs/digest.ts";
import { type HostDigest, hostDigests } from "../composefs/host-digests.ts";
import { SERIES } from "../composefs/releases.ts";
import type { ContentNeeds } from "../io/oci/kept-contents.ts";
import type { Layer } from "../io/oci/layer.ts";
import { openAndFinish, openAndPrepare } from "../io/rootfs.ts";
import { type ImageSource, isImage, type OpenOptions, type RootfsSource } from "../io/rootfs-source.ts";
import type { ScanStats } from "../io/scan.ts";
import type { LayerForm } from "../oci/layer-form.ts";
import type { StoredImage } from "../oci/schemas.ts";
import type { Rootfs } from "../tree/rootfs.ts";
import type { TransformOptions, TransformRules } from "../tree/transform.ts";
import { type DigestPlan, mtimeFor } from "./digest-plan.ts";
import type { Ports } from "./ports.ts";

/** A root filesystem with its digests. */
export interface RootfsDigests {
  /** The tree as it was read. */
  readonly rootfs: Rootfs;
  /** The tree that the digests are computed for, before any transform. */
  readonly digestedTree: Rootfs;
  /** In the order of the plan. */
  readonly digests: readonly TreeDigest[];
  /** Whether nanoseconds count in them. */
  readonly mtime: TransformOptions["mtime"];
  /** How the layers of {@link rootfs} were read. */
  readonly paxOwners: TransformRules["paxOwners"];
  readonly plan: DigestPlan;
  /** What each series of bootc releases computes for the same tree, without hashing a file again. */
  readonly hosts: () => Promise<readonly HostDigest[]>;
  readonly stats: Readonly<ScanStats>;
  /** Null: the root filesystem was not read from an image. */
  readonly image: StoredImage<Layer> | null;
  /** For layers: how each is stored, lowest first. */
  readonly forms?: readonly LayerForm[];
}

/** The digests of an image's root filesystem. */
export interface ImageDigests extends RootfsDigests {
  readonly image: StoredImage<Layer>;
}

/**
 * Maps the tree that was read to the tree to digest.
 * @param full the same, read with all that layers say: a different object if `rootfs` was read as by releases that
 *   ignore PAX headers
 */
export type TreeToDigest = (rootfs: Rootfs, full: Rootfs) => Promise<Rootfs>;

/** How a root filesystem is read for its digests. */
export interface Reading {
  /** Absent: the digests are computed for the tree as it was read. */
  readonly treeToDigest?: TreeToDigest | undefined;
  /** Work that is done once while the layers of an image are read, see `OpenOptions`. */
  readonly meanwhile?: OpenOptions["meanwhile"];
  /** See `OpenOptions`. */
  readonly memory?: OpenOptions["memory"];
  /** See `OpenOptions`. */
  readonly cacheUse?: OpenOptions["cacheUse"];
  /** See `OpenOptions`. */
  readonly readBack?: OpenOptions["readBack"];
  /** Digests that are expected, with their trees, see `digestTrees`. */
  readonly known?: readonly TreeDigest[] | undefined;
  /** For layers: what their contents are needed for afterwards; absent: everything. */
  readonly needs?: ContentNeeds | undefined;
  /** Aborts the reading of an image with its reason. */
  readonly signal?: AbortSignal | undefined;
  /**
   * Called once with the tree as it was read, before digests of trees are computed, which keeps this thread busy for
   * a while. All files are hashed by then; layers of an image may still be hashed.
   */
  readonly beforeDigests?: ((rootfs: Rootfs) => void) | undefined;
  /** The name of this step in the progress display; absent: reading. */
  readonly step?: string | undefined;
}

/**
 * Computes all digests of a plan in one pass over the files.
 * @throws SealError `input` for what can't be read, and where a transform or a format refuses the tree
 * @example
 * ```ts
 * import { digestRootfs, parseRootfsSource, planDigest, QUIET } from "seal";
 *
 * const ports = { ...QUIET, cwd: process.cwd() };
 * const { digests } = await digestRootfs(parseRootfsSource("oci:image"), planDigest({ bootc: ["1.17.5"] }), ports);
 * for (const { erofs, digest } of digests) console.log(erofs, digest);
 * ```
 */
export function digestRootfs(
  source: ImageSource,
  plan: DigestPlan,
  ports: Ports,
  reading?: Reading,
): Promise<ImageDigests>;
export function digestRootfs(
  source: RootfsSource,
  plan: DigestPlan,
  ports: Ports,
  reading?: Reading,
): Promise<RootfsDigests>;
export async function digestRootfs(
  source: RootfsSource,
  plan: DigestPlan,
  ports: Ports,
  reading: Reading = {},
): Promise<RootfsDigests> {
  const mtime = mtimeFor(plan, source);
  const { onProgress, done } = ports.progress.scan(reading.step ?? `reading ${source.subject}`);
  const { algorithm, xattrs, jobs, platform, targets } = plan;
  const { cwd, remote, cache } = ports;
  const { treeToDigest, meanwhile, memory, cacheUse, needs, readBack, signal, beforeDigests } = reading;
  const read = { needs, memory, cacheUse, readBack, meanwhile, signal, onProgress };
  const options = { algorithm, xattrs, jobs, platform, cwd, remote, cache, ...read };
  const prepare = async (rootfs: Rootfs, full: Rootfs, wanted: readonly DigestTarget[]): Promise<Prepared> => {
    // The tree of another pass has the same files.
    if (isImage(source) && rootfs === full) beforeDigests?.(rootfs);
    const digestedTree = treeToDigest === undefined ? rootfs : await treeToDigest(rootfs, full);
    const trees = await transformForTargets(digestedTree, { ...plan.transform, mtime, targets: wanted });
    // The digests of an image's files are there; and a tree that is expected may need no image.
    return { rootfs, digestedTree, trees: isImage(source) ? trees : planAhead(trees, algorithm) };
  };
  const digest: Digest = async ({ rootfs, digestedTree, trees }, newHasher) => {
    if (!isImage(source)) beforeDigests?.(rootfs);
    return { digestedTree, computed: await digestTrees(trees, algorithm, { known: reading.known, newHasher }) };
  };
  const { computed, ...rest } = isImage(source)
    ? await readLayers(source, options, targets, { prepare, digest, isChanged: treeToDigest !== undefined })
    : await readOther(source, options, targets, { prepare, digest });
  const digests = targets.flatMap((target) => computed.filter((digest) => digest.target === target));
  done(rest.stats);
  let hosts: Promise<readonly HostDigest[]> | null = null;
  return {
    ...{ ...rest, digests, mtime, plan },
    hosts: () => {
      hosts ??= hostsOf({ ...rest, digests, mtime, plan });
      return hosts;
    },
  };
}

async function hostsOf({
  digestedTree,
  digests,
  mtime,
  paxOwners,
  plan,
}: Pick<RootfsDigests, "digestedTree" | "digests" | "mtime" | "paxOwners" | "plan">): Promise<readonly HostDigest[]> {
  if (plan.algorithm !== "sha512") {
    return SERIES.map((series) => ({ kind: "unknown", series, why: "bootc has digests of SHA-512 only" }));
  }
  const { transform, xattrs } = plan.transform;
  const known = transform === "boot" && xattrs === "allowlist" ? digests : [];
  const hosts = await hostDigests(digestedTree, { mtime, paxOwners, known });
  // For releases that read layers in another way, only requested digests are known.
  return hosts.map((host): HostDigest => {
    const own = host.kind === "unknown" ? known.find(({ target }) => sameTarget(target, host.series)) : undefined;
    return own === undefined ? host : { kind: "computes", series: host.series, digest: own.digest, finds: [] };
  });
}

/** Trees as the targets want them. */
interface Prepared {
  readonly rootfs: Rootfs;
  readonly digestedTree: Rootfs;
  readonly trees: readonly (TargetTree | PlannedTree)[];
}

/** The tree with the digests of the targets. */
interface Digested {
  readonly digestedTree: Rootfs;
  readonly computed: readonly TreeDigest[];
}

type Prepare = (rootfs: Rootfs, full: Rootfs, wanted: readonly DigestTarget[]) => Promise<Prepared>;
type Digest = (prepared: Prepared, newHasher?: NewImageHasher) => Promise<Digested>;
type Read = Omit<RootfsDigests, "digests" | "digestedTree" | "mtime" | "plan" | "hosts"> & Digested;

interface Steps {
  readonly prepare: Prepare;
  readonly digest: Digest;
}

async function readOther(
  source: Exclude<RootfsSource, ImageSource>,
  options: OpenOptions,
  targets: readonly DigestTarget[],
  { prepare, digest }: Steps,
): Promise<Read> {
  const { finished, ...opened } = await openAndFinish(source, options, {
    prepare: (rootfs) => prepare(rootfs, rootfs, targets),
    finish: digest,
  });
  return { ...opened, ...finished, paxOwners: "count" };
}

/**
 * Releases that read layers in another way need another pass; nearly always one pass is enough.
 * @param isChanged whether the tree to digest differs from the tree that is read; it then needs the PAX headers even if
 *   no digest uses them
 */
async function readLayers(
  source: ImageSource,
  options: OpenOptions,
  targets: readonly DigestTarget[],
  { prepare, digest, isChanged }: Steps & { readonly isChanged: boolean },
): Promise<Read> {
  const counted = targets.filter(({ rules }) => rules.paxOwners === "count");
  const ignored = targets.filter(({ rules }) => rules.paxOwners === "ignored");
  const [paxOwners, wanted] =
    isChanged || counted.length > 0 ? (["count", counted] as const) : (["ignored", ignored] as const);
  // What its files hold is known when the tree is, and known layers are still being hashed.
  const { prepared, ...opened } = await openAndPrepare(source, { ...options, paxOwners }, async (rootfs) =>
    digest(await prepare(rootfs, rootfs, wanted)),
  );
  const first = { ...opened, ...prepared, paxOwners };
  if (paxOwners === "ignored" || ignored.length === 0) return first;
  const again = { ...options, paxOwners: "ignored", meanwhile: undefined } as const;
  const second = await openAndPrepare(source, again, async (rootfs) =>
    digest(await prepare(rootfs, first.rootfs, ignored)),
  );
  return { ...first, computed: [...first.computed, ...second.prepared.computed] };
}
