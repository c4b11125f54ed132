/** The options that decide on a composefs digest, shared by all verbs that compute one. */
import { KARG_STYLES, type KargStyle } from "../../boot/cmdline.ts";
import type { DigestTarget } from "../../composefs/digest.ts";
import { LATEST_RELEASE, type Profile, profileFor, type VerityAlgorithm } from "../../composefs/profile.ts";
import type { RootfsSpec } from "../../io/rootfs-source.ts";
import type { XattrFilter } from "../../io/xattrs.ts";
import type { TransformOptions } from "../../tree/transform.ts";
import { type GroupValues, optionGroup } from "./group.ts";
import { choice, count, path, text } from "./option.ts";
import { platformOptions } from "./platform.ts";

const MTIMES = ["auto", "exact", "seconds"] as const;
export type MtimeChoice = (typeof MTIMES)[number];

export const rootfsArgument = path({
  default: "/target",
  complete: "directory",
  problem: "give a root filesystem",
  help: "root filesystem: a directory, oci:PATH[:TAG], oci-archive:FILE, docker-archive:FILE, docker://REF, containers-storage:REF, tar:FILE, erofs:FILE or dumpfile:FILE",
});

export const bootcOption = text({
  many: true,
  placeholder: "version",
  default: ["latest"],
  shownDefault: `latest: ${LATEST_RELEASE}`,
  help: "the bootc release that has to accept the digest, latest or next; repeatable",
  complete: ["latest", "next"],
});

export const digestOptions = optionGroup("Digest", {
  erofs: choice(["v0", "v1", "v2"], {
    many: true,
    placeholder: "version",
    help: "format of the EROFS image; repeatable, for several digests",
    shownDefault: `that of the bootc release: ${profileFor("latest").erofs}`,
  }),
  algorithm: choice(["sha512", "sha256"], { placeholder: "name", default: "sha512", help: "fs-verity hash" }),
  bootc: bootcOption,
  transform: choice(["boot", "oci", "none"], {
    placeholder: "name",
    default: "boot",
    help: "boot: as it is booted; oci: as an image means it; none: as it is, with all xattrs",
  }),
  xattrs: choice(["allowlist", "keep-user"], {
    placeholder: "mode",
    default: "allowlist",
    help: "allowlist: keep security.capability only; keep-user: user.* too",
  }),
  mtime: choice(MTIMES, {
    placeholder: "precision",
    default: "auto",
    help: "exact: with nanoseconds; seconds: cut; auto: cut for a directory, as layers made of it have them",
  }),
  kargStyle: choice(KARG_STYLES, {
    placeholder: "style",
    help: "form of the kernel argument: composefs=HEX or composefs.digest=v1-sha512-12:HEX",
    shownDefault: "composefs; for several releases what serves them all",
  }),
  jobs: count({ min: 1, max: 1024, help: "threads that hash files", shownDefault: "all cores" }),
}).and(platformOptions);

export type DigestOptions = GroupValues<typeof digestOptions>;

/** An installed system computes the digest in one way: verbs that seal what gets installed leave these two out. */
export const AS_INSTALLED = { transform: "boot", mtime: "auto" } as const;

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
    for (const erofs of options.erofs.length > 0 ? options.erofs : [profile.erofs]) {
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
    hosts: options.erofs.length > 0 ? [] : options.bootc.map(profileFor),
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
