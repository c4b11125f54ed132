/** The options that decide on a composefs digest, shared by all verbs that compute one. */
import { z } from "zod";
import { KARG_STYLES, type KargStyle } from "../../boot/cmdline.ts";
import type { DigestTarget } from "../../composefs/digest.ts";
import { LATEST_RELEASE, type Profile, profileFor, type VerityAlgorithm } from "../../composefs/profile.ts";
import type { RootfsSpec } from "../../io/rootfs-source.ts";
import type { XattrFilter } from "../../io/xattrs.ts";
import type { TransformOptions } from "../../tree/transform.ts";
import type { ArgumentSpec, OptionSpec } from "../command.ts";
import { PLATFORM_OPTION, platformShape } from "./platform.ts";

const GROUP = "Digest";
const EROFS_VERSIONS = ["v0", "v1", "v2"] as const;
const ALGORITHMS = ["sha512", "sha256"] as const;
const TRANSFORMS = ["boot", "oci", "none"] as const;
const XATTRS = ["allowlist", "keep-user"] as const;
const MTIMES = ["auto", "exact", "seconds"] as const;
export type MtimeChoice = (typeof MTIMES)[number];

export const DEFAULT_ROOTFS = "/target";

export const ROOTFS_ARGUMENT: ArgumentSpec = {
  name: "[rootfs]",
  description: `root filesystem: a directory, oci:PATH[:TAG], oci-archive:FILE, docker-archive:FILE, docker://REF, containers-storage:REF, tar:FILE, erofs:FILE or dumpfile:FILE (default: ${DEFAULT_ROOTFS})`,
};

export const DIGEST_OPTIONS: readonly OptionSpec[] = [
  {
    flags: "--erofs <version...>",
    description: "format of the EROFS image; repeatable, for several digests",
    default: "that of the bootc release: v1",
    group: GROUP,
    complete: EROFS_VERSIONS,
  },
  { flags: "--algorithm <name>", description: "fs-verity hash", default: "sha512", group: GROUP, complete: ALGORITHMS },
  {
    flags: "--bootc <version...>",
    description: "the bootc release that has to accept the digest, latest or next; repeatable",
    default: `latest: ${LATEST_RELEASE}`,
    group: GROUP,
    complete: ["latest", "next"],
  },
  {
    flags: "--transform <name>",
    description: "boot: as it is booted; oci: as an image means it; none: as it is, with all xattrs",
    default: "boot",
    group: GROUP,
    complete: TRANSFORMS,
  },
  {
    flags: "--xattrs <mode>",
    description: "allowlist: keep security.capability only; keep-user: user.* too",
    default: "allowlist",
    group: GROUP,
    complete: XATTRS,
  },
  {
    flags: "--mtime <precision>",
    description: "exact: with nanoseconds; seconds: cut; auto: cut for a directory, as layers made of it have them",
    default: "auto",
    group: GROUP,
    complete: MTIMES,
  },
  {
    flags: "--karg-style <style>",
    description: "form of the kernel argument: composefs=HEX or composefs.digest=v1-sha512-12:HEX",
    default: "composefs; for several releases what serves them all",
    group: GROUP,
    complete: KARG_STYLES,
  },
  { flags: "--jobs <n>", description: "threads that hash files", default: "all cores", group: GROUP },
  PLATFORM_OPTION,
];

/** Zod fields for {@link DIGEST_OPTIONS}, by camel-case name. */
export const digestShape = {
  erofs: z.array(z.enum(EROFS_VERSIONS)).optional(),
  algorithm: z.enum(ALGORITHMS).default("sha512"),
  bootc: z.array(z.string()).default(["latest"]),
  transform: z.enum(TRANSFORMS).default("boot"),
  xattrs: z.enum(XATTRS).default("allowlist"),
  mtime: z.enum(MTIMES).default("auto"),
  kargStyle: z.enum(KARG_STYLES).optional(),
  jobs: z.coerce.number("give a whole number from 1 to 1024").int().min(1).max(1024).optional(),
  ...platformShape,
};

const digestOptions = z.object(digestShape);
export type DigestOptions = z.infer<typeof digestOptions>;

export interface DigestChoices {
  readonly algorithm: VerityAlgorithm;
  /** In the order of the options, each once. */
  readonly targets: readonly DigestTarget[];
  /** How the tree is transformed, beside the rules of the targets. */
  readonly transform: Omit<TransformOptions, "rules" | "mtime">;
  /** See {@link mtimeFor}. */
  readonly mtime: MtimeChoice;
  /** Null: the one that serves the releases. */
  readonly kargStyle: KargStyle | null;
  /** The releases that were named; empty where formats were named instead. */
  readonly hosts: readonly Profile[];
  /** What of a directory's xattrs can count at all. */
  readonly xattrs: XattrFilter;
  /** Null: all cores. */
  readonly jobs: number | null;
  /** Null: that of this machine. */
  readonly platform: string | null;
}

/**
 * What to compute: a digest for each release and each format, the format of the release where none is named.
 * @throws SealError `usage` for an unknown release
 */
export function digestChoices(options: DigestOptions): DigestChoices {
  const { transform, xattrs, mtime } = options;
  const targets = new Map<string, DigestTarget>();
  for (const profile of options.bootc.map(profileFor)) {
    for (const erofs of options.erofs ?? [profile.erofs]) {
      const target = { erofs, rules: profile.rules };
      targets.set(JSON.stringify(target), target);
    }
  }
  return {
    algorithm: options.algorithm,
    targets: [...targets.values()],
    transform: { transform, xattrs },
    mtime,
    kargStyle: options.kargStyle ?? null,
    hosts: options.erofs === undefined ? options.bootc.map(profileFor) : [],
    xattrs: neededXattrs(transform, xattrs),
    jobs: options.jobs ?? null,
    platform: options.platform ?? null,
  };
}

/**
 * What `auto` means for a root filesystem. A directory is mostly a mount of what becomes layers: builders show nanoseconds there that they do not
 * write into layers, so they are left out. Everything else has the times that it has, and so has a directory that is taken as it is
 * (docs/two-views.md).
 */
export function mtimeFor({ mtime, transform }: DigestChoices, kind: RootfsSpec["kind"]): TransformOptions["mtime"] {
  if (mtime !== "auto") return mtime;
  return kind === "dir" && transform.transform !== "none" ? "seconds" : "exact";
}

function neededXattrs(transform: DigestOptions["transform"], xattrs: DigestOptions["xattrs"]): XattrFilter {
  if (transform === "none") return "all";
  return xattrs === "keep-user" ? ["security.capability", "user."] : ["security.capability"];
}
