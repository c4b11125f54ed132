/** Which composefs digests are computed of a root filesystem, and how it is read for them. */
import type { KargStyle } from "../boot/cmdline.ts";
import { type DigestTarget, sameTarget } from "../composefs/digest.ts";
import { type ErofsVersion, type Profile, profileFor, type VerityAlgorithm } from "../composefs/profile.ts";
import { SealError } from "../errors.ts";
import type { RootfsSource } from "../io/rootfs-source.ts";
import type { XattrFilter } from "../io/xattrs.ts";
import type { TransformOptions } from "../tree/transform.ts";

/** Whether nanoseconds of modification times count: always, never, or as the source of the tree has it (see {@link mtimeFor}). */
export type MtimeChoice = TransformOptions["mtime"] | "auto";

/** What a digest is wanted for; {@link DIGEST_DEFAULTS} has what is left out. */
export interface DigestOptions {
  /** The bootc releases that have to accept it: versions, `latest` or `next`. */
  readonly bootc?: readonly string[] | undefined;
  /** Formats of the EROFS image; without, or with none, that of each release. */
  readonly erofs?: readonly ErofsVersion[] | undefined;
  /** The fs-verity hash. */
  readonly algorithm?: VerityAlgorithm | undefined;
  readonly transform?: TransformOptions["transform"] | undefined;
  readonly xattrs?: TransformOptions["xattrs"] | undefined;
  readonly mtime?: MtimeChoice | undefined;
  /** Form of the kernel argument; without, the one that serves the releases. */
  readonly kargStyle?: KargStyle | undefined;
  /** Threads that hash; without, as many as there are cores. */
  readonly jobs?: number | undefined;
  /** Which image of several, `os/architecture[/variant]`; without, Linux on the architecture of this machine. */
  readonly platform?: string | undefined;
}

/** What applies where nothing is said, in the library and on the command line. */
export const DIGEST_DEFAULTS = {
  bootc: ["latest"],
  algorithm: "sha512",
  transform: "boot",
  xattrs: "allowlist",
  mtime: "auto",
} as const satisfies DigestOptions;

/** {@link DigestOptions}, worked out. */
export interface DigestPlan {
  readonly algorithm: VerityAlgorithm;
  /** In the order of the options, each once. */
  readonly targets: readonly [DigestTarget, ...DigestTarget[]];
  /** How the tree is transformed, beside the rules of the targets. */
  readonly transform: Omit<TransformOptions, "rules" | "mtime">;
  readonly mtime: MtimeChoice;
  /** Null: the one that serves the releases. */
  readonly kargStyle: KargStyle | null;
  /** The releases that were named; empty where formats were named instead. */
  readonly hosts: readonly Profile[];
  /** What of a directory's xattrs can count at all. */
  readonly xattrs: XattrFilter;
  readonly jobs: number | undefined;
  readonly platform: string | undefined;
}

/**
 * Works out what to compute: a digest for each release and each format, the format of the release where none is named.
 * @throws SealError `usage` for an unknown release, and where none is named
 */
export function planDigest(options: DigestOptions = {}): DigestPlan {
  const { transform = DIGEST_DEFAULTS.transform, xattrs = DIGEST_DEFAULTS.xattrs } = options;
  const { bootc = DIGEST_DEFAULTS.bootc, erofs: formats = [] } = options;
  const profiles = bootc.map(profileFor);
  const [first, ...others] = profiles.flatMap(({ erofs, rules }) =>
    (formats.length > 0 ? formats : [erofs]).map((version): DigestTarget => ({ erofs: version, rules })),
  );
  if (first === undefined) throw new SealError("usage", "--bootc: name a release, latest or next");
  const targets: [DigestTarget, ...DigestTarget[]] = [first];
  for (const target of others) if (!targets.some((other) => sameTarget(other, target))) targets.push(target);
  return {
    algorithm: options.algorithm ?? DIGEST_DEFAULTS.algorithm,
    targets,
    transform: { transform, xattrs },
    mtime: options.mtime ?? DIGEST_DEFAULTS.mtime,
    kargStyle: options.kargStyle ?? null,
    hosts: formats.length > 0 ? [] : profiles,
    xattrs: neededXattrs(transform, xattrs),
    jobs: options.jobs,
    platform: options.platform,
  };
}

/**
 * What `auto` means for a root filesystem. A directory is mostly a mount of what becomes layers: builders show nanoseconds there that they do not
 * write into layers, so they are left out. Everything else has the times that it has, and so has a directory that is taken as it is
 * (docs/two-views.md).
 */
export function mtimeFor(
  { mtime, transform }: Pick<DigestPlan, "mtime" | "transform">,
  { kind }: Pick<RootfsSource, "kind">,
): TransformOptions["mtime"] {
  if (mtime !== "auto") return mtime;
  return kind === "dir" && transform.transform !== "none" ? "seconds" : "exact";
}

function neededXattrs(transform: TransformOptions["transform"], xattrs: TransformOptions["xattrs"]): XattrFilter {
  if (transform === "none") return "all";
  return xattrs === "keep-user" ? ["security.capability", "user."] : ["security.capability"];
}
