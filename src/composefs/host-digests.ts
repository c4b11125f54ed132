/** What each line of bootc releases computes of a root filesystem; the digests of its files are known by then. */
import { displayBytes, equalBytes, latin1, utf8 } from "../bytes.ts";
import { SealError } from "../errors.ts";
import { transformTree } from "../tree/apply.ts";
import { allEntries, hardlinks } from "../tree/links.ts";
import { type Directory, lookup, type Metadata } from "../tree/node.ts";
import { type Rootfs, resolvePath } from "../tree/rootfs.ts";
import { loadPolicy } from "../tree/selinux/policy.ts";
import type { TransformOptions, TransformRules } from "../tree/transform.ts";
import { erofsDigest, type TreeDigest } from "./digest.ts";
import { SERIES } from "./releases.ts";
import type { ErofsVersion, Series } from "./series.ts";

/** A digest with the format that it is of. */
export interface FormatDigest {
  readonly erofs: ErofsVersion;
  readonly digest: string;
}

/**
 * What a line of releases computes: a digest, in SHA-512 as bootc has it; or why it makes none; or why
 * that is not known here.
 */
export type HostDigest =
  | {
      readonly kind: "computes";
      readonly series: Series;
      readonly digest: string;
      /**
       * What it finds besides, where it looks for each digest of the UKI in other formats and with `user.*` xattrs
       * kept, as far as those were read; else none.
       */
      readonly finds: readonly FormatDigest[];
    }
  | { readonly kind: "refuses" | "unknown"; readonly series: Series; readonly why: string };

/** How the digests of each series of bootc releases are computed. */
export interface HostDigestsOptions {
  /** Which times the image will have, see `TransformOptions.mtime`. */
  readonly mtime: TransformOptions["mtime"];
  /**
   * Digests of the tree that were computed with the boot transform, the allow-list of xattrs, SHA-512 and these times:
   * they are not computed again.
   */
  readonly known?: readonly TreeDigest[];
  /** How the layers were read, see `TransformRules.paxOwners`; default: `count`. */
  readonly paxOwners?: TransformRules["paxOwners"];
  /** Reads the layers the other way, if it makes a difference; without it what needs that is unknown. */
  readonly readOtherwise?: () => Promise<Rootfs>;
}

/**
 * The digest of each series of {@link SERIES}, in that order. What differs between the series makes no difference to
 * most trees, so that nearly all share one transformed tree.
 * @param rootfs with the SHA-512 digests of its files
 * @throws SealError `input` when no release can make anything of the tree
 */
export async function hostDigests(rootfs: Rootfs, options: HostDigestsOptions): Promise<readonly HostDigest[]> {
  const { mtime, known = [], paxOwners = "count", readOtherwise } = options;
  const own = new LineDigests(rootfs, mtime, known);
  let other: Promise<LineDigests> | null = null;
  const digests: HostDigest[] = [];
  for (const series of SERIES) {
    if (series.rules.paxOwners === paxOwners || rootfs.headersDiffer !== true) {
      digests.push(await own.of(series));
    } else if (readOtherwise === undefined) {
      digests.push({ kind: "unknown", series, why: unknownHeaders(series) });
    } else {
      other ??= readOtherwise().then((read) => new LineDigests(read, mtime, []));
      digests.push(await (await other).of(series));
    }
  }
  return digests;
}

function unknownHeaders({ releases }: Series): string {
  return `PAX headers of the layers have other times or owners than their tar headers, and releases differ in which they use; see seal compute-digest --bootc ${releases.at(-1)}`;
}

/** The digests of one reading of a root filesystem. */
class LineDigests {
  readonly #rootfs: Rootfs;
  readonly #mtime: TransformOptions["mtime"];
  readonly #trees = new Map<string, Promise<Directory>>();
  readonly #digests = new Map<Directory, Map<string, string>>();
  readonly #matters: ReturnType<typeof whatMatters>;
  #refusal: Promise<string | null> | null = null;

  constructor(rootfs: Rootfs, mtime: TransformOptions["mtime"], known: readonly TreeDigest[]) {
    this.#rootfs = rootfs;
    this.#mtime = mtime;
    this.#matters = whatMatters(rootfs, mtime);
    for (const { target, root, digest, algorithm } of known) {
      if (algorithm !== "sha512") continue;
      this.#trees.set(`${this.#key(target.rules)} allowlist`, Promise.resolve(root));
      this.#digestsOf(root).set(target.erofs, digest);
    }
  }

  async of(series: Series): Promise<HostDigest> {
    const { rules, erofs, reads } = series;
    try {
      const root = await this.#tree(rules);
      const why = (await this.#policyRefusal(rules)) ?? symlinkRefusal(root, rules);
      if (why !== null) return { kind: "refuses", series, why };
      const digest = this.#digest(root, erofs);
      return { kind: "computes", series, digest, finds: reads === "all" ? await this.#found(rules) : [] };
    } catch (error) {
      if (error instanceof SealError) return { kind: "refuses", series, why: error.message };
      throw error;
    }
  }

  /** In the order in which composefs-rs tries them (crates/composefs-oci/src/boot.rs, `find_matching_boot_image`). */
  async #found(rules: TransformRules): Promise<readonly FormatDigest[]> {
    const trees = [await this.#tree(rules)];
    if (this.#matters.userXattrs) trees.push(await this.#tree(rules, "keep-user"));
    return trees.flatMap((root) => SEARCHED.map((erofs) => ({ erofs, digest: this.#digest(root, erofs) })));
  }

  #digest(root: Directory, erofs: ErofsVersion): string {
    const digests = this.#digestsOf(root);
    const digest = digests.get(erofs) ?? erofsDigest(root, { erofs, algorithm: "sha512" }).digest;
    digests.set(erofs, digest);
    return digest;
  }

  #digestsOf(root: Directory): Map<string, string> {
    const digests = this.#digests.get(root) ?? new Map<string, string>();
    this.#digests.set(root, digests);
    return digests;
  }

  #tree(rules: TransformRules, xattrs: TransformOptions["xattrs"] = "allowlist"): Promise<Directory> {
    const key = `${this.#key(rules)} ${xattrs}`;
    const tree = this.#trees.get(key) ?? this.#transform(rules, xattrs);
    this.#trees.set(key, tree);
    return tree;
  }

  async #transform(rules: TransformRules, xattrs: TransformOptions["xattrs"]): Promise<Directory> {
    const mtime = this.#mtime;
    if (this.#matters.hardlinkLabels && rules.hardlinkLabels === "last") {
      // Where nothing had to be split, no hardlink has two labels. Labelling is what takes long.
      const split = await this.#tree({ ...rules, hardlinkLabels: "split" }, xattrs);
      if (countNames(split) === countNames(this.#rootfs.root)) return split;
    }
    const lenient: TransformRules = { ...rules, lookaround: "pcre2", symlinkMax: null };
    return transformTree(this.#rootfs, { transform: "boot", xattrs, mtime, rules: lenient });
  }

  /** Equal for rules that make the same of this tree, if they make anything of it. */
  #key({ bootMtime, hardlinkLabels, layerXattrs }: TransformRules): string {
    const matters = this.#matters;
    return [
      matters.bootMtime ? bootMtime : "",
      matters.hardlinkLabels ? hardlinkLabels : "",
      matters.layerXattrs ? layerXattrs : "",
    ].join();
  }

  /** What a release says to the SELinux policy that newer ones take; null: nothing. */
  async #policyRefusal({ lookaround }: TransformRules): Promise<string | null> {
    if (lookaround === "pcre2" || !this.#matters.policy) return null;
    this.#refusal ??= loadPolicy(this.#rootfs, { lookaround }).then(
      () => null,
      (error: unknown) => {
        if (error instanceof SealError) return error.message;
        throw error;
      },
    );
    return this.#refusal;
  }
}

/** How many names files share with others. */
function countNames(root: Directory): number {
  return [...hardlinks(root).values()].reduce((sum, { count }) => sum + count, 0);
}

/** Whether there is an xattr of some name. */
function hasXattr(root: Directory, isWanted: (name: Uint8Array) => boolean): boolean {
  const has = ({ xattrs }: Metadata) => xattrs.some(({ name }) => isWanted(name));
  if (has(root)) return true;
  for (const { node } of allEntries(root)) if (has(node)) return true;
  return false;
}

/** The formats in which images are looked for. */
const SEARCHED = ["v1", "v2"] as const;

const CAPABILITY = utf8("security.capability");

function symlinkRefusal(root: Directory, { symlinkMax }: TransformRules): string | null {
  if (symlinkMax === null) return null;
  for (const { name, node } of allEntries(root)) {
    if (node.kind === "symlink" && node.target.length > symlinkMax) {
      return `the symlink ${displayBytes(name)} has a target of ${node.target.length} bytes`;
    }
  }
  return null;
}

/** Which of the rules make a difference to a tree. */
function whatMatters(rootfs: Rootfs, mtime: TransformOptions["mtime"]) {
  const { root, view } = rootfs;
  const policy = resolvePath(rootfs, "etc/selinux/config") !== null;
  const nanoseconds = ["usr", "boot", "sysroot"].map((name) => lookup(root, utf8(name))?.mtimeNsec);
  return {
    policy,
    bootMtime: mtime === "exact" && new Set(nanoseconds).size > 1,
    hardlinkLabels: policy && hardlinks(root).size > 0,
    layerXattrs: view === "layers" && hasXattr(root, (name) => !equalBytes(name, CAPABILITY)),
    userXattrs: hasXattr(root, (name) => latin1(name).startsWith("user.")),
  };
}
