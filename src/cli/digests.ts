/** Reads a root filesystem and computes its composefs digests, with progress: what all verbs that need a digest call. */
import { composefsKarg } from "../boot/cmdline.ts";
import { type DigestTarget, digestTrees, type TreeDigest, transformForTargets } from "../composefs/digest.ts";
import { isLayers, openAndPrepare, parseRootfsSpec } from "../io/rootfs.ts";
import type { ScanStats } from "../io/scan.ts";
import type { Rootfs } from "../tree/rootfs.ts";
import type { TransformOptions, TransformRules } from "../tree/transform.ts";
import type { Context } from "./context.ts";
import { type DigestChoices, mtimeFor } from "./options/digest.ts";
import { startScan } from "./scan-progress.ts";

/** A digest with the kernel argument that names it. */
export interface NamedDigest extends TreeDigest {
  readonly karg: string;
}

export interface RootfsDigests {
  /** As it was read. */
  readonly rootfs: Rootfs;
  readonly digests: readonly NamedDigest[];
  /** Whether nanoseconds count in them. */
  readonly mtime: TransformOptions["mtime"];
  readonly stats: Readonly<ScanStats>;
}

/**
 * Computes all digests that were asked for in one pass over the files.
 * @param spec ROOTFS argument
 * @param shape what the digests are of, made of what was read
 * @throws SealError `usage` or `input`, see `openRootfs`, `composefsDigests`
 */
export async function computeDigests(
  context: Context,
  spec: string,
  choices: DigestChoices,
  shape: (rootfs: Rootfs) => Rootfs = (rootfs) => rootfs,
): Promise<RootfsDigests> {
  const { algorithm, xattrs, jobs, platform, targets, kargStyle } = choices;
  const mtime = mtimeFor(choices, parseRootfsSpec(spec).kind);
  const { onProgress, done } = startScan(context, spec);
  const open = (paxOwners: TransformRules["paxOwners"], wanted: readonly DigestTarget[]) =>
    openAndPrepare(
      spec,
      {
        algorithm,
        xattrs,
        cwd: context.host.cwd,
        remote: context.remote,
        paxOwners,
        onProgress,
        ...(jobs === null ? {} : { jobs }),
        ...(platform === null ? {} : { platform }),
      },
      (opened) => transformForTargets(shape(opened), { ...choices.transform, mtime, targets: wanted }),
    );
  // Releases that read layers in another way need another reading; nearly always there is one only.
  const opened: Awaited<ReturnType<typeof open>>[] = [];
  for (const paxOwners of isLayers(spec) ? (["count", "ignored"] as const) : [null]) {
    const wanted = targets.filter(({ rules }) => paxOwners === null || rules.paxOwners === paxOwners);
    if (wanted.length > 0) opened.push(await open(paxOwners ?? "count", wanted));
  }
  const [first] = opened;
  if (first === undefined) throw new Error("there is no target");
  const { rootfs, stats } = first;
  const prepared = targets.flatMap((target) =>
    opened.flatMap((one) => one.prepared.filter((tree) => tree.target === target)),
  );
  const digests = digestTrees(prepared, algorithm).map((digest) => ({
    ...digest,
    karg: composefsKarg(digest, kargStyle),
  }));
  done(stats);
  return { rootfs, digests, mtime, stats };
}
