/** The composefs digest of a tree: the fs-verity digest of its EROFS image, hashed while the image is written. */
import { toHex } from "../bytes.ts";
import { transformTree } from "../tree/apply.ts";
import type { Directory } from "../tree/node.ts";
import type { Rootfs } from "../tree/rootfs.ts";
import { sameTree } from "../tree/same-tree.ts";
import { sameRules, type TransformOptions, type TransformRules } from "../tree/transform.ts";
import type { ErofsOptions } from "./inodes.ts";
import { type ImagePlan, planImage } from "./layout.ts";
import type { ErofsVersion, VerityAlgorithm } from "./series.ts";
import { VerityHasher } from "./verity.ts";
import { passErofs } from "./writer.ts";

/** A digest in lower-case hex, 128 or 64 digits. */
export type DigestHex = string & { readonly __brand: "DigestHex" };

/** The fs-verity digest of a tree's EROFS image. */
export interface ComposefsDigest {
  readonly erofs: ErofsVersion;
  readonly algorithm: VerityAlgorithm;
  readonly digest: DigestHex;
  /** Size of the image. */
  readonly imageBytes: number;
}

/**
 * The digest of a tree as it is, without any transform.
 * @throws SealError `input` naming the path for what the format can't store
 */
export function erofsDigest(root: Directory, options: ErofsOptions): ComposefsDigest {
  const hasher = new VerityHasher(options.algorithm);
  const imageBytes = writeInto(hasher, planImage(root, options), options);
  return digestOf(options, imageBytes, hasher.digest());
}

/** Computes the fs-verity digest of an image whose bytes come in order. */
export interface ImageHasher {
  /** Adds the next bytes, whose memory may be used again afterwards. */
  update(chunk: Uint8Array): void;
  /** Of all bytes. */
  digest(): Uint8Array | Promise<Uint8Array>;
}

/** Makes a hasher for one image. */
export type NewImageHasher = (algorithm: VerityAlgorithm) => ImageHasher;

/** Makes hashers that do all of it in this thread. */
export const newVerityHasher: NewImageHasher = (algorithm) => new VerityHasher(algorithm);

/** @returns bytes of the image */
function writeInto(hasher: ImageHasher, plan: ImagePlan, options: ErofsOptions): number {
  let imageBytes = 0;
  for (const chunk of passErofs(plan, options)) {
    hasher.update(chunk);
    imageBytes += chunk.length;
  }
  return imageBytes;
}

function digestOf({ erofs, algorithm }: ErofsOptions, imageBytes: number, digest: Uint8Array): ComposefsDigest {
  return { erofs, algorithm, digest: toHex(digest) as DigestHex, imageBytes };
}

/** One digest that is wanted: the format, and the rules of the bootc release that will compute it again. */
export interface DigestTarget {
  readonly erofs: ErofsVersion;
  readonly rules: TransformRules;
}

/** Whether two targets have one and the same digest of every tree. */
export function sameTarget(a: DigestTarget, b: DigestTarget): boolean {
  return a.erofs === b.erofs && sameRules(a.rules, b.rules);
}

/** Which digests of a tree are computed, and how it is transformed for them. */
export interface DigestsOptions extends Omit<TransformOptions, "rules"> {
  readonly targets: readonly DigestTarget[];
  readonly algorithm: VerityAlgorithm;
}

/** A tree as a target wants it. */
export interface TargetTree {
  readonly target: DigestTarget;
  /** After the transform. */
  readonly root: Directory;
}

/** A digest and the tree that it is of. */
export interface TreeDigest extends ComposefsDigest, TargetTree {}

/**
 * The digests of a root filesystem, in the order of the targets. The tree is transformed once for all targets with the
 * same rules.
 * @param known digests that may be wanted again: a tree that is the same as one of theirs needs no image
 * @throws SealError `input` when a transform or a format refuses the tree
 */
export async function composefsDigests(
  rootfs: Rootfs,
  options: DigestsOptions,
  known: readonly TreeDigest[] = [],
): Promise<readonly TreeDigest[]> {
  return digestTrees(await transformForTargets(rootfs, options), options.algorithm, { known });
}

/**
 * The first half of {@link composefsDigests}, which needs no digests of files.
 * @throws SealError `input` when a transform refuses the tree
 */
export async function transformForTargets(
  rootfs: Rootfs,
  { targets, transform, xattrs, mtime }: Omit<DigestsOptions, "algorithm">,
): Promise<readonly TargetTree[]> {
  const roots = new Map<string, Directory>();
  const trees: TargetTree[] = [];
  for (const target of targets) {
    const { bootMtime, hardlinkLabels, lookaround, symlinkMax, layerXattrs } = target.rules;
    const key = [bootMtime, hardlinkLabels, lookaround, symlinkMax, layerXattrs].join();
    const root = roots.get(key) ?? (await transformTree(rootfs, { transform, xattrs, mtime, rules: target.rules }));
    roots.set(key, root);
    trees.push({ target, root });
  }
  return trees;
}

/** A tree whose image is planned. */
export interface PlannedTree extends TargetTree {
  readonly plan: ImagePlan;
}

/**
 * Plans the images of large trees while digests of their files are still computed. Of others that is left to
 * {@link digestTrees}: it would be code that runs for the first time, which costs the threads that hash more than it
 * saves at the end.
 * @throws SealError `input` when a format refuses a tree
 */
export function planAhead(
  trees: readonly TargetTree[],
  algorithm: VerityAlgorithm,
): readonly (TargetTree | PlannedTree)[] {
  const planned: PlannedTree[] = [];
  return trees.map((tree) => {
    const { root, target } = tree;
    if (!hasNames(root, WORTH_AHEAD)) return tree;
    const same = planned.find((other) => other.root === root && other.target.erofs === target.erofs);
    const plan = same?.plan ?? planImage(root, { erofs: target.erofs, algorithm });
    planned.push({ root, target, plan });
    return { root, target, plan };
  });
}
/** Names in a tree. */
const WORTH_AHEAD = 50_000;

/** Whether a tree has so many names. */
function hasNames(root: Directory, wanted: number): boolean {
  let count = 0;
  const open = [root];
  for (let directory = open.pop(); directory !== undefined && count < wanted; directory = open.pop()) {
    count += directory.entries.length;
    for (const { node } of directory.entries) if (node.kind === "directory") open.push(node);
  }
  return count >= wanted;
}

/** What {@link digestTrees} makes use of. */
export interface DigestMeans {
  /** See {@link composefsDigests}. */
  readonly known?: readonly TreeDigest[] | undefined;
  /** Absent: images are hashed in this thread. */
  readonly newHasher?: NewImageHasher | undefined;
}

/**
 * The second half of {@link composefsDigests}.
 * @throws SealError `input` when a format refuses a tree
 */
export async function digestTrees(
  trees: readonly (TargetTree | PlannedTree)[],
  algorithm: VerityAlgorithm,
  { known = [], newHasher = newVerityHasher }: DigestMeans = {},
): Promise<readonly TreeDigest[]> {
  const digests: TreeDigest[] = [];
  for (const tree of trees) {
    const { root, target } = tree;
    const options = { erofs: target.erofs, algorithm };
    const own = digests.find((other) => other.root === root && other.erofs === options.erofs);
    const digest =
      own ?? digestOfSame(root, options, known) ?? (await imageDigest(tree, options, newHasher(algorithm)));
    digests.push({ ...digest, root, target });
  }
  return digests;
}

async function imageDigest(
  tree: TargetTree | PlannedTree,
  options: ErofsOptions,
  hasher: ImageHasher,
): Promise<ComposefsDigest> {
  const plan = "plan" in tree ? tree.plan : planImage(tree.root, options);
  const imageBytes = writeInto(hasher, plan, options);
  return digestOf(options, imageBytes, await hasher.digest());
}

/** A digest depends on the tree alone: the same trees have the same one. */
function digestOfSame(
  root: Directory,
  { erofs, algorithm }: Pick<ComposefsDigest, "erofs" | "algorithm">,
  known: readonly TreeDigest[],
): ComposefsDigest | undefined {
  return known.find((one) => one.erofs === erofs && one.algorithm === algorithm && sameTree(one.root, root));
}
