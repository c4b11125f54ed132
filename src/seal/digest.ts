/** Reads a root filesystem and computes its composefs digests: what all use cases that need a digest begin with. */
import { composefsKarg, type KargStyle } from "../boot/cmdline.ts";
import { placeDigests } from "../boot/hosts.ts";
import {
  type DigestTarget,
  digestTrees,
  sameTarget,
  type TargetTree,
  type TreeDigest,
  transformForTargets,
} from "../composefs/digest.ts";
import { SealError } from "../errors.ts";
import type { ContentNeeds } from "../io/oci/kept-contents.ts";
import type { Layer } from "../io/oci/layer.ts";
import { openAndPrepare, openRootfs } from "../io/rootfs.ts";
import { type ImageSource, isImage, type OpenOptions, type RootfsSource } from "../io/rootfs-source.ts";
import type { ScanStats } from "../io/scan.ts";
import type { StoredImage } from "../oci/schemas.ts";
import type { Rootfs } from "../tree/rootfs.ts";
import type { TransformOptions, TransformRules } from "../tree/transform.ts";
import { type DigestPlan, mtimeFor } from "./digest-plan.ts";
import type { Ports } from "./ports.ts";

/** A root filesystem with its digests. */
export interface RootfsDigests {
  /** As it was read. */
  readonly rootfs: Rootfs;
  /** What the digests are of, before any transform. */
  readonly shaped: Rootfs;
  /** In the order of the plan. */
  readonly digests: readonly TreeDigest[];
  /** Whether nanoseconds count in them. */
  readonly mtime: TransformOptions["mtime"];
  /** How the layers of {@link rootfs} were read. */
  readonly paxOwners: TransformRules["paxOwners"];
  readonly plan: DigestPlan;
  readonly stats: Readonly<ScanStats>;
  /** Null: the root filesystem was read from something else than an image. */
  readonly image: StoredImage<Layer> | null;
}

export interface ImageDigests extends RootfsDigests {
  readonly image: StoredImage<Layer>;
}

/**
 * Maps the tree that was read to the tree to digest.
 * @param full the same, read with all that layers say: another object where `rootfs` was read as releases do that don't heed PAX headers
 */
export type Shape = (rootfs: Rootfs, full: Rootfs) => Rootfs;

/** How a root filesystem is read for its digests. */
export interface Reading {
  /** Without: the digests are of the tree as it was read. */
  readonly shape?: Shape | undefined;
  /** Work that is done once while the layers of an image are read, see `OpenOptions`. */
  readonly meanwhile?: OpenOptions["meanwhile"];
  /** Of layers: what their contents are needed for afterwards; without: all. */
  readonly needs?: ContentNeeds | undefined;
  /** What progress calls it; without: reading. */
  readonly step?: string | undefined;
}

/**
 * Computes all digests of a plan in one pass over the files.
 * @throws SealError `input` for what can't be read, and where a transform or a format refuses the tree
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
  const { onProgress, done } = ports.progress.scan(reading.step ?? `reading ${source.label}`);
  const { algorithm, xattrs, jobs, platform, targets } = plan;
  const { cwd, remote } = ports;
  const { shape, meanwhile, needs } = reading;
  const options = { algorithm, xattrs, jobs, platform, cwd, remote, needs, meanwhile, onProgress };
  const prepare = async (rootfs: Rootfs, full: Rootfs, wanted: readonly DigestTarget[]): Promise<Prepared> => {
    const shaped = shape?.(rootfs, full) ?? rootfs;
    return { shaped, trees: await transformForTargets(shaped, { ...plan.transform, mtime, targets: wanted }) };
  };
  const { trees, ...rest } = isImage(source)
    ? await readLayers(source, options, targets, prepare, shape !== undefined)
    : await readOther(source, options, targets, prepare);
  const inOrder = targets.flatMap((target) => trees.filter((tree) => tree.target === target));
  const digests = digestTrees(inOrder, algorithm);
  done(rest.stats);
  return { ...rest, digests, mtime, plan };
}

/** A tree as it is digested, and what the targets make of it. */
interface Prepared {
  readonly shaped: Rootfs;
  readonly trees: readonly TargetTree[];
}

type Prepare = (rootfs: Rootfs, full: Rootfs, wanted: readonly DigestTarget[]) => Promise<Prepared>;
type Read = Omit<RootfsDigests, "digests" | "mtime" | "plan"> & Prepared;

async function readOther(
  source: Exclude<RootfsSource, ImageSource>,
  options: OpenOptions,
  targets: readonly DigestTarget[],
  prepare: Prepare,
): Promise<Read> {
  const { prepared, ...opened } = await openAndPrepare(source, options, (rootfs) => prepare(rootfs, rootfs, targets));
  return { ...opened, ...prepared, paxOwners: "count" };
}

/**
 * Releases that read layers in another way need another reading; nearly always there is one only.
 * @param isShaped a shape needs to know what layers say even where no digest of that is wanted
 */
async function readLayers(
  source: ImageSource,
  options: OpenOptions,
  targets: readonly DigestTarget[],
  prepare: Prepare,
  isShaped: boolean,
): Promise<Read> {
  const counted = targets.filter(({ rules }) => rules.paxOwners === "count");
  const ignored = targets.filter(({ rules }) => rules.paxOwners === "ignored");
  const [paxOwners, wanted] =
    isShaped || counted.length > 0 ? (["count", counted] as const) : (["ignored", ignored] as const);
  const { prepared, ...opened } = await openAndPrepare(source, { ...options, paxOwners }, (rootfs) =>
    prepare(rootfs, rootfs, wanted),
  );
  const first = { ...opened, ...prepared, paxOwners };
  if (paxOwners === "ignored" || ignored.length === 0) return first;
  const again = { ...options, paxOwners: "ignored", meanwhile: undefined } as const;
  const second = await openAndPrepare(source, again, (rootfs) => prepare(rootfs, first.rootfs, ignored));
  return { ...first, trees: [...first.trees, ...second.prepared.trees] };
}

/** A digest with the kernel argument that names it. */
export interface NamedDigest extends TreeDigest {
  readonly karg: string;
}

/** How a digest is written on a command line. */
export interface NamingOptions {
  /** See `composefsKarg`. */
  readonly allowMissingVerity?: boolean | undefined;
}

/**
 * The digests of a plan as arguments of a kernel command line, in their order there. Several for named releases stand in the forms and the order in
 * which each release finds its own; otherwise in the order of the plan.
 * @param digests that `plan` gave
 * @throws SealError `usage` for releases that exclude each other, see `placeDigests`
 */
export function nameDigests(
  digests: readonly TreeDigest[],
  { kargStyle, hosts }: Pick<DigestPlan, "kargStyle" | "hosts">,
  { allowMissingVerity = false }: NamingOptions = {},
): readonly NamedDigest[] {
  const named = <Digest extends TreeDigest>(digest: Digest, style: KargStyle) => ({
    ...digest,
    karg: composefsKarg(digest, style, allowMissingVerity),
  });
  if (kargStyle !== null || hosts.length < 2) return digests.map((digest) => named(digest, kargStyle ?? "composefs"));
  const wanted = hosts.map((profile) => {
    const digest = digests.find(({ target }) => sameTarget(target, profile));
    if (digest === undefined) throw new Error(`there is no digest for bootc ${profile.line}: another plan gave these`);
    return { ...digest, profile };
  });
  return placeDigests(wanted).flatMap(({ digest, style }) =>
    wanted
      .filter((one) => one.digest === digest)
      .slice(0, 1)
      .map(({ profile, ...own }) => named(own, style)),
  );
}

/** How a root filesystem comes to the digests on its command line. */
export interface NamedRootfsOptions extends NamingOptions {
  readonly plan: DigestPlan;
  /** 128 or 64 lower-case hex digits; without: the digests of the plan are computed. */
  readonly digest?: string | undefined;
  readonly shape?: Shape | undefined;
}

/** A root filesystem and the kernel arguments that name its digests. */
export interface NamedRootfs {
  readonly rootfs: Rootfs;
  /** Null: the digest was given, so that nothing was hashed. */
  readonly computed: RootfsDigests | null;
  readonly kargs: readonly string[];
}

/**
 * Reads a root filesystem and names its digests, or the one that is known already.
 * @throws SealError `usage` for one digest where the plan has several; as {@link digestRootfs} and {@link nameDigests}
 */
export async function openNamed(
  source: RootfsSource,
  { plan, digest, shape, ...naming }: NamedRootfsOptions,
  ports: Ports,
): Promise<NamedRootfs> {
  if (digest === undefined) {
    const computed = await digestRootfs(source, plan, ports, { shape });
    return { rootfs: computed.rootfs, computed, kargs: kargsOf(computed, naming) };
  }
  const [{ erofs }, second] = plan.targets;
  if (second !== undefined) {
    throw new SealError("usage", "--digest: is one digest; give one --erofs and one --bootc only");
  }
  const { cwd, remote } = ports;
  const { rootfs } = await openRootfs(source, { algorithm: null, xattrs: [], cwd, remote, platform: plan.platform });
  const known = { erofs, algorithm: digest.length === 64 ? "sha256" : "sha512", digest } as const;
  const karg = composefsKarg(known, plan.kargStyle ?? "composefs", naming.allowMissingVerity ?? false);
  return { rootfs, computed: null, kargs: [karg] };
}

/** The kernel arguments of {@link nameDigests}. */
export function kargsOf({ digests, plan }: Pick<RootfsDigests, "digests" | "plan">, naming: NamingOptions): string[] {
  return nameDigests(digests, plan, naming).map(({ karg }) => karg);
}
