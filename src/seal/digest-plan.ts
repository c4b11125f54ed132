/** Decides which composefs digests are computed for a root filesystem, and how it is read for them. */
import type { KargStyle } from "../boot/cmdline.ts";
import { type DigestTarget, sameTarget } from "../composefs/digest.ts";
import { namedRelease, seriesOf } from "../composefs/named-release.ts";
import type { ErofsVersion, Series, VerityAlgorithm } from "../composefs/series.ts";
import { SealError } from "../errors.ts";
import type { RootfsSource } from "../io/rootfs-source.ts";
import type { XattrFilter } from "../io/xattrs.ts";
import type { TransformOptions } from "../tree/transform.ts";

/**
 * Whether nanoseconds of modification times are included: always, never, or depending on the source of the tree (see
 * {@link mtimeFor}).
 */
export type MtimeChoice = TransformOptions["mtime"] | "auto";

/** Which digests to compute; {@link DIGEST_DEFAULTS} applies to what is left out. */
export interface DigestOptions {
  /**
   * The bootc releases that have to accept it, see `namedRelease`; absent or empty: the newest, and for a command line
   * the choice that most releases accept.
   */
  readonly bootc?: readonly string[] | undefined;
  /** Formats of the EROFS image; absent or empty: that of each release. */
  readonly erofs?: readonly ErofsVersion[] | undefined;
  /** The fs-verity hash. */
  readonly algorithm?: VerityAlgorithm | undefined;
  readonly transform?: TransformOptions["transform"] | undefined;
  readonly xattrs?: TransformOptions["xattrs"] | undefined;
  readonly mtime?: MtimeChoice | undefined;
  /**
   * Form of the kernel argument, or `both`, the pair that bootc 1.17 and newer write by default; absent: what the
   * releases accept.
   */
  readonly kargStyle?: KargStyle | "both" | undefined;
  /** Threads that hash; absent: as many as there are cores. */
  readonly jobs?: number | undefined;
  /** Which image of several, `os/architecture[/variant]`; absent: Linux on the architecture of this machine. */
  readonly platform?: string | undefined;
}

/** The defaults, in the library and on the command line. */
export const DIGEST_DEFAULTS = {
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
  /** How the tree is transformed, in addition to the rules of the targets. */
  readonly transform: Omit<TransformOptions, "rules" | "mtime">;
  readonly mtime: MtimeChoice;
  /** Null: what the releases accept. */
  readonly kargStyle: KargStyle | "both" | null;
  /** The named releases, each once; empty if formats were named instead, or nothing. */
  readonly hosts: readonly Series[];
  /** Whether no release, format or form was named, so that the choice is free. */
  readonly isOpen: boolean;
  /** Notes about the named releases, one line each. */
  readonly notes: readonly string[];
  /** Which xattrs of a directory can be in the digest at all. */
  readonly xattrs: XattrFilter;
  readonly jobs: number | undefined;
  readonly platform: string | undefined;
}

/**
 * Works out what to compute: a digest for each release and each format, the format of the release where none is named.
 * @throws SealError `usage` for an unknown release, and for a form that contradicts the other options
 */
export function planDigest(options: DigestOptions = {}): DigestPlan {
  const { transform = DIGEST_DEFAULTS.transform, xattrs = DIGEST_DEFAULTS.xattrs } = options;
  const { bootc = [], erofs = [], kargStyle = null, algorithm = DIGEST_DEFAULTS.algorithm } = options;
  const named = (bootc.length > 0 ? bootc : ["latest"]).map(namedRelease);
  const seriesList = [...new Set(named.map(({ series }) => series))];
  checkStyle(kargStyle, erofs.length, seriesList.length);
  const formats = kargStyle === "both" ? BOTH : erofs;
  const [first, ...others] = seriesList.flatMap((series) =>
    (formats.length > 0 ? formats : [series.erofs]).map(
      (version): DigestTarget => ({ erofs: version, rules: series.rules }),
    ),
  );
  if (first === undefined) throw new Error("no release is named");
  const targets: [DigestTarget, ...DigestTarget[]] = [first];
  for (const target of others) if (!targets.some((other) => sameTarget(other, target))) targets.push(target);
  const isBootc = transform === "boot" && xattrs === "allowlist" && algorithm === "sha512";
  return {
    algorithm,
    targets,
    transform: { transform, xattrs },
    mtime: options.mtime ?? DIGEST_DEFAULTS.mtime,
    kargStyle,
    hosts: bootc.length === 0 || erofs.length > 0 ? [] : seriesList,
    isOpen: isBootc && bootc.length === 0 && erofs.length === 0 && kargStyle === null,
    notes: named.flatMap(({ note }) => (note === null ? [] : [note])),
    xattrs: neededXattrs(transform, xattrs),
    jobs: options.jobs,
    platform: options.platform,
  };
}

/** The formats that bootc 1.17 has. */
const BOTH = ["v1", "v2"] as const;

function checkStyle(style: DigestPlan["kargStyle"], formats: number, seriesCount: number): void {
  if (style === "both" && (formats > 0 || seriesCount > 1)) {
    const way = "leave out --erofs, give one --bootc";
    throw new SealError("usage", `--karg-style both: writes the V1 and V2 digests of one release; ${way}`);
  }
  if (style === "composefs" && seriesCount * Math.max(formats, 1) > 1) {
    const way = "leave it out, or give both";
    throw new SealError("usage", `--karg-style composefs: bootc 1.17 refuses a second composefs=; ${way}`);
  }
}

/**
 * Adds all digests that an open plan may put on a command line; what mounts the root decides which of them are used.
 */
export function withCandidates(plan: DigestPlan): DigestPlan {
  if (!plan.isOpen) return plan;
  const { rules } = seriesOf("latest");
  return {
    ...plan,
    targets: [
      { erofs: "v1", rules },
      { erofs: "v2", rules },
    ],
  };
}

/**
 * What `auto` means for a root filesystem. A directory is mostly a mount of future layers, in which builders show
 * nanoseconds that they do not write into the layers, so these are left out. Everything else is read with its exact
 * times, also a directory that is not transformed (docs/two-views.md).
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
