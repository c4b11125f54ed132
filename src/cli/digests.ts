/** Reads a root filesystem and computes its composefs digests, with progress: what all verbs that need a digest call. */
import { composefsKarg } from "../boot/cmdline.ts";
import { digestTrees, type TreeDigest, transformForTargets } from "../composefs/digest.ts";
import { openAndPrepare } from "../io/rootfs.ts";
import type { ScanStats } from "../io/scan.ts";
import type { Rootfs } from "../tree/rootfs.ts";
import type { Context } from "./context.ts";
import type { DigestChoices } from "./options/digest.ts";
import { startScan } from "./scan-progress.ts";

/** A digest with the kernel argument that names it. */
export interface NamedDigest extends TreeDigest {
  readonly karg: string;
}

export interface RootfsDigests {
  readonly rootfs: Rootfs;
  readonly digests: readonly NamedDigest[];
  readonly stats: Readonly<ScanStats>;
}

/**
 * Computes all digests that were asked for in one pass over the files.
 * @param spec ROOTFS argument
 * @throws SealError `usage` or `input`, see `openRootfs`, `composefsDigests`
 */
export async function computeDigests(context: Context, spec: string, choices: DigestChoices): Promise<RootfsDigests> {
  const { algorithm, xattrs, jobs, kargStyle } = choices;
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
    (opened) => transformForTargets(opened, { ...choices.transform, targets: choices.targets }),
  );
  const digests = digestTrees(prepared, algorithm).map((digest) => ({
    ...digest,
    karg: composefsKarg(digest, kargStyle),
  }));
  done(stats);
  return { rootfs, digests, stats };
}
