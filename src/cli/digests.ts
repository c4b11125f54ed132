/** Reads a root filesystem and computes its composefs digests, with progress: what all verbs that need a digest call. */
import { composefsKarg } from "../boot/cmdline.ts";
import { type ComposefsDigest, imageDigest } from "../composefs/digest.ts";
import { openAndPrepare } from "../io/rootfs.ts";
import type { ScanStats } from "../io/scan.ts";
import { transformTree } from "../tree/apply.ts";
import type { Directory } from "../tree/node.ts";
import type { Rootfs } from "../tree/rootfs.ts";
import type { Context } from "./context.ts";
import type { DigestChoices, DigestTarget } from "./options/digest.ts";
import { startScan } from "./scan-progress.ts";

/** A digest with the tree that it is of. */
export interface TreeDigest extends ComposefsDigest {
  readonly target: DigestTarget;
  /** After the transform. */
  readonly root: Directory;
  /** The kernel argument that names it. */
  readonly karg: string;
}

export interface RootfsDigests {
  readonly rootfs: Rootfs;
  readonly digests: readonly TreeDigest[];
  readonly stats: Readonly<ScanStats>;
}

/**
 * Computes all digests that were asked for in one pass over the files.
 * @param spec ROOTFS argument
 * @throws SealError `usage` or `input`, see `openRootfs`, `transformTree` and `imageDigest`
 */
export async function computeDigests(context: Context, spec: string, choices: DigestChoices): Promise<RootfsDigests> {
  const { algorithm, xattrs, jobs, targets, kargStyle } = choices;
  const { onProgress, done } = startScan(context, spec);
  const { rootfs, stats, prepared } = await openAndPrepare(
    spec,
    {
      algorithm,
      xattrs,
      cwd: context.host.cwd,
      onProgress,
      ...(jobs === null ? {} : { jobs }),
    },
    (opened) => transformAll(opened, targets),
  );
  const digests = prepared.map(({ target, root }): TreeDigest => {
    const digest = imageDigest(root, { erofs: target.erofs, algorithm });
    return { ...digest, target, root, karg: composefsKarg(digest, kargStyle) };
  });
  done(stats);
  return { rootfs, digests, stats };
}

/** The transformed tree of each target; targets with the same transform share it. */
async function transformAll(
  rootfs: Rootfs,
  targets: readonly DigestTarget[],
): Promise<{ target: DigestTarget; root: Directory }[]> {
  const trees = new Map<string, Directory>();
  const results: { target: DigestTarget; root: Directory }[] = [];
  for (const target of targets) {
    const key = JSON.stringify(target.transform);
    const root = trees.get(key) ?? (await transformTree(rootfs, target.transform));
    trees.set(key, root);
    results.push({ target, root });
  }
  return results;
}
