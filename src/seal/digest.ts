/** Reads a root filesystem and computes its composefs digests, with progress: what all verbs that need a digest call. */
import { composefsKarg, type KargStyle } from "../boot/cmdline.ts";
import { placeDigests } from "../boot/hosts.ts";
import type { Context } from "../cli/context.ts";
import { type DigestChoices, mtimeFor } from "../cli/options/digest.ts";
import { startScan } from "../cli/terminal/progress.ts";
import { type DigestTarget, digestTrees, type TreeDigest, transformForTargets } from "../composefs/digest.ts";
import type { Profile } from "../composefs/profile.ts";
import type { ContentNeeds } from "../io/oci/kept-contents.ts";
import type { Layer } from "../io/oci/layer.ts";
import { openAndPrepare } from "../io/rootfs.ts";
import { isLayers, type OpenOptions, parseRootfsSpec } from "../io/rootfs-source.ts";
import type { ScanStats } from "../io/scan.ts";
import type { StoredImage } from "../oci/schemas.ts";
import type { Rootfs } from "../tree/rootfs.ts";
import type { TransformOptions, TransformRules } from "../tree/transform.ts";

export interface RootfsDigests {
  /** As it was read. */
  readonly rootfs: Rootfs;
  /** What the digests are of, before any transform. */
  readonly shaped: Rootfs;
  /** In the order of the options. */
  readonly digests: readonly TreeDigest[];
  /** Whether nanoseconds count in them. */
  readonly mtime: TransformOptions["mtime"];
  /** How the layers of {@link rootfs} were read. */
  readonly paxOwners: TransformRules["paxOwners"];
  readonly choices: DigestChoices;
  readonly stats: Readonly<ScanStats>;
  /** Where the root filesystem is an image. */
  readonly image: StoredImage<Layer> | null;
}

/** How a root filesystem is read for its digests. */
export interface Reading {
  /**
   * What the digests are of, made of what was read; without: that itself. `told` is the same, read with all that layers say: another object where
   * `rootfs` was read as releases do that don't heed PAX headers.
   */
  readonly shape?: (rootfs: Rootfs, told: Rootfs) => Rootfs;
  /** Is done once while the layers of an image are read, see `OpenOptions`. */
  readonly meanwhile?: OpenOptions["meanwhile"];
  /** Where a relative path in the argument starts; without: where the command was called. */
  readonly cwd?: string;
  /** Of layers: what their contents are needed for afterwards; without: all. */
  readonly needs?: ContentNeeds;
  /** What progress calls it; without: reading. */
  readonly step?: string;
}

/**
 * Computes all digests that were asked for in one pass over the files.
 * @param spec ROOTFS argument
 * @throws SealError `usage` or `input`, see `openRootfs`, `composefsDigests`
 */
export async function computeDigests(
  context: Context,
  spec: string,
  choices: DigestChoices,
  { shape, meanwhile, needs, cwd = context.host.cwd, step = `reading ${spec}` }: Reading = {},
): Promise<RootfsDigests> {
  const { algorithm, xattrs, jobs, platform, targets } = choices;
  const mtime = mtimeFor(choices, parseRootfsSpec(spec).kind);
  const { onProgress, done } = startScan(context, step);
  const open = (paxOwners: TransformRules["paxOwners"], wanted: readonly DigestTarget[], told?: Rootfs) =>
    openAndPrepare(
      spec,
      {
        algorithm,
        xattrs,
        cwd,
        remote: context.remote,
        paxOwners,
        onProgress,
        ...(jobs === null ? {} : { jobs }),
        ...(platform === null ? {} : { platform }),
        ...(needs === undefined ? {} : { needs }),
        ...(meanwhile === undefined || told !== undefined ? {} : { meanwhile }),
      },
      async (opened) => {
        const shaped = shape?.(opened, told ?? opened) ?? opened;
        return { shaped, trees: await transformForTargets(shaped, { ...choices.transform, mtime, targets: wanted }) };
      },
    );
  // Releases that read layers in another way need another reading; nearly always there is one only.
  const opened: Awaited<ReturnType<typeof open>>[] = [];
  for (const paxOwners of isLayers(spec) ? (["count", "ignored"] as const) : [null]) {
    const wanted = targets.filter(({ rules }) => paxOwners === null || rules.paxOwners === paxOwners);
    // A shape needs to know what layers say even where no digest of it is wanted.
    if (wanted.length === 0 && (shape === undefined || paxOwners !== "count")) continue;
    opened.push(await open(paxOwners ?? "count", wanted, opened[0]?.rootfs));
  }
  const [first] = opened;
  if (first === undefined) throw new Error("there is no target");
  const { rootfs, stats, image = null } = first;
  const prepared = targets.flatMap((target) =>
    opened.flatMap((one) => one.prepared.trees.filter((tree) => tree.target === target)),
  );
  const digests = digestTrees(prepared, algorithm);
  done(stats);
  const paxOwners = opened.length > 1 || !isLayers(spec) ? "count" : (targets[0]?.rules.paxOwners ?? "count");
  return { rootfs, shaped: first.prepared.shaped, digests, mtime, paxOwners, choices, stats, image };
}

/** A digest with the kernel argument that names it. */
export interface NamedDigest extends TreeDigest {
  readonly karg: string;
}

/**
 * The digests as arguments of a kernel command line, in their order there. Several for named releases stand in the forms and the order in which each
 * release finds its own; otherwise in the order of the options.
 * @param insecure see `composefsKarg`
 * @throws SealError `usage` for releases that exclude each other, see `placeDigests`
 */
export function nameDigests(
  digests: readonly TreeDigest[],
  { kargStyle, hosts }: Pick<DigestChoices, "kargStyle" | "hosts">,
  insecure = false,
): readonly NamedDigest[] {
  const named = (digest: TreeDigest, style: KargStyle) => ({ ...digest, karg: composefsKarg(digest, style, insecure) });
  if (kargStyle !== null || hosts.length < 2) return digests.map((digest) => named(digest, kargStyle ?? "composefs"));
  const wanted = hosts.map((profile) => ({ profile, ...digestFor(profile, digests) }));
  return placeDigests(wanted).map(({ digest, style }) => {
    const own = wanted.find((one) => one.digest === digest);
    if (own === undefined) throw new Error("a digest was placed that nobody wants");
    return named(own, style);
  });
}

function digestFor({ erofs, rules }: Profile, digests: readonly TreeDigest[]): TreeDigest {
  const key = JSON.stringify({ erofs, rules });
  const found = digests.find(({ target }) => JSON.stringify(target) === key);
  if (found === undefined) throw new Error("a digest is missing");
  return found;
}
