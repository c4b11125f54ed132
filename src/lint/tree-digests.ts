/** Computes the digests of a tree in all the ways that tools may have computed them. */
import type { CmdlineDigest } from "../boot/cmdline.ts";
import { displayBytes } from "../bytes.ts";
import { composefsDigests, type DigestTarget, sameTarget, type TreeDigest } from "../composefs/digest.ts";
import { type HostDigest, hostDigests } from "../composefs/host-digests.ts";
import { SERIES } from "../composefs/releases.ts";
import type { ErofsVersion, Series, VerityAlgorithm } from "../composefs/series.ts";
import { SealError } from "../errors.ts";
import type { Rootfs } from "../tree/rootfs.ts";
import type { TransformOptions, TransformRules } from "../tree/transform.ts";
import { walk } from "./files.ts";

type Times = "exact" | "seconds";
/**
 * By view, most likely first. Layers have definite times; a mount shows more than the layers made from it will have.
 */
const TIMES: Readonly<Record<Rootfs["view"], readonly [Times, ...Times[]]>> = {
  mounted: ["seconds", "exact"],
  layers: ["exact", "seconds"],
};

/**
 * Reads the tree with the file digests of an algorithm, and its layers, if it has any, as `TransformRules.paxOwners`
 * says.
 */
export type RootfsReader = (algorithm: VerityAlgorithm, paxOwners: TransformRules["paxOwners"]) => Promise<Rootfs>;

/** A way to compute a digest. */
interface Target extends DigestTarget {
  /** Default: `allowlist`. */
  readonly xattrs?: TransformOptions["xattrs"];
}

/** A digest that is computed, or will be. */
interface Known {
  readonly target: Target;
  readonly algorithm: VerityAlgorithm;
  readonly mtime: Times;
  readonly digest: Promise<string>;
}

/** The way of computing that gives a certain digest. */
export interface Match {
  readonly erofs: ErofsVersion;
  readonly times: Times;
  /** Whether `user.*` xattrs are in it, which bootc keeps only on request. */
  readonly userXattrs: boolean;
  /** Series of bootc releases that compute it; empty for a format that none uses. */
  readonly lines: readonly string[];
}

/** Digests of the tree in all ways that they may have been computed, each computed once. */
export class TreeDigests {
  readonly #view: Rootfs["view"];
  readonly #rootfsFor: RootfsReader;
  readonly #known: Known[] = [];

  constructor(view: Rootfs["view"], rootfsFor: RootfsReader) {
    this.#view = view;
    this.#rootfsFor = rootfsFor;
  }

  /** The tree with the file digests of an algorithm, read with PAX headers. */
  read(algorithm: VerityAlgorithm): Promise<Rootfs> {
    return this.#rootfsFor(algorithm, "count");
  }

  /** Which mtimes are in the digest that a host will compute, as far as this tree shows. */
  get times(): Times {
    return TIMES[this.#view][0];
  }

  /** @throws SealError `input` when the tree has no such digest */
  compute(target: Target, algorithm: VerityAlgorithm, mtime: Times): Promise<string> {
    const known = this.#known.find(
      (one) =>
        one.algorithm === algorithm &&
        one.mtime === mtime &&
        one.target.xattrs === target.xattrs &&
        sameTarget(one.target, target),
    );
    if (known !== undefined) return known.digest;
    const digest = this.#digest(target, algorithm, mtime);
    this.#known.push({ target, algorithm, mtime, digest });
    return digest;
  }

  async #digest(
    { erofs, rules, xattrs = "allowlist" }: Target,
    algorithm: VerityAlgorithm,
    mtime: Times,
  ): Promise<string> {
    const rootfs = await this.#rootfsFor(algorithm, rules.paxOwners);
    const options = { targets: [{ erofs, rules }], algorithm, transform: "boot", xattrs, mtime } as const;
    const [digest] = await composefsDigests(rootfs, options);
    return digest?.digest ?? "";
  }

  /**
   * Whether a host with that release accepts a digest.
   * @returns for which times: those of this tree, or whole seconds as in layers made of a mount; null: it does not
   */
  async accepts({ digest, algorithm, erofs }: CmdlineDigest, series: Series): Promise<Times | null> {
    const { rules, reads } = series;
    // A release that looks for each digest tries all formats, also with user.* xattrs kept.
    const isSearching = reads === "all" && algorithm === "sha512";
    const formats = (isSearching ? (["v1", "v2"] as const) : [series.erofs]).filter((one) =>
      [null, one].includes(erofs),
    );
    for (const mtime of this.possibleTimes) {
      for (const format of formats) {
        if ((await this.compute({ erofs: format, rules }, algorithm, mtime)) === digest) return mtime;
      }
    }
    if (!isSearching || !hasUserXattrs(await this.#rootfsFor(algorithm, rules.paxOwners))) return null;
    for (const mtime of this.possibleTimes) {
      for (const format of formats) {
        const target = { erofs: format, rules, xattrs: "keep-user" } as const;
        if ((await this.compute(target, algorithm, mtime)) === digest) return mtime;
      }
    }
    return null;
  }

  /**
   * What each series of releases computes for the tree.
   * @param mtime which times the image has
   */
  async hosts(mtime: Times): Promise<readonly HostDigest[]> {
    const rootfs = await this.#rootfsFor("sha512", "count");
    return hostDigests(rootfs, { mtime, readOtherwise: () => this.#rootfsFor("sha512", "ignored") });
  }

  /** The times for which a release could accept: those of layers, or both of a mount. */
  get possibleTimes(): readonly Times[] {
    return this.#view === "layers" ? [this.times] : TIMES.mounted;
  }

  /** Which other way of computing gives this digest; null: none. */
  async explain({ digest, algorithm }: CmdlineDigest): Promise<Match | null> {
    const counting = await this.#rootfsFor(algorithm, "count");
    for (const xattrs of hasUserXattrs(counting) ? (["allowlist", "keep-user"] as const) : (["allowlist"] as const)) {
      for (const times of TIMES[this.#view]) {
        const options = { algorithm, transform: "boot", xattrs, mtime: times } as const;
        const matches: Candidate[] = [];
        for (const paxOwners of ["count", "ignored"] as const) {
          const targets = CANDIDATES.filter(({ rules }) => rules.paxOwners === paxOwners);
          const rootfs = await this.#rootfsFor(algorithm, paxOwners);
          const digests = await composefsDigests(rootfs, { ...options, targets }).catch(noDigests);
          matches.push(...targets.filter((_, index) => digests[index]?.digest === digest));
        }
        const [first] = matches;
        if (first === undefined) continue;
        const lines = CANDIDATES.filter((candidate) => matches.includes(candidate)).flatMap((match) => match.lines);
        return { erofs: first.erofs, times, userXattrs: xattrs === "keep-user", lines };
      }
    }
    return null;
  }
}

function hasUserXattrs(rootfs: Rootfs): boolean {
  for (const { node } of walk(rootfs, "")) {
    if (node.xattrs.some(({ name }) => displayBytes(name).startsWith("user."))) return true;
  }
  return false;
}

/** A format that refuses the tree: the other digests are then unknown, and nothing depends on them. */
function noDigests(error: unknown): readonly TreeDigest[] {
  if (error instanceof SealError) return [];
  throw error;
}

/** A way to compute a digest that differs from the others, and the series of bootc releases that do. */
interface Candidate extends DigestTarget {
  readonly lines: readonly string[];
}

/** All of them, without what releases refuse: that does not change a digest. */
const CANDIDATES: readonly Candidate[] = (() => {
  const candidates: (DigestTarget & { readonly lines: string[] })[] = [];
  const add = (erofs: ErofsVersion, { rules, name }: Series, counts: boolean) => {
    const target: DigestTarget = { erofs, rules: { ...rules, lookaround: "pcre2", symlinkMax: null } };
    const lines = counts ? [name] : [];
    const known = candidates.find((one) => sameTarget(one, target));
    if (known === undefined) candidates.push({ ...target, lines });
    else known.lines.push(...lines);
  };
  for (const series of SERIES) add(series.erofs, series, true);
  // V0 is what mkcomposefs writes; it differs little from V1.
  for (const series of SERIES) if (series.erofs === "v1") add("v0", series, false);
  return candidates;
})();
