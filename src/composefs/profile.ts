/**
 * Which bootc release computes which digest: the composefs-rs revision that it embeds decides on the EROFS version, the
 * transforms and their details. Releases of one line behave alike.
 */
import { SealError } from "../errors.ts";
import type { TransformRules } from "../tree/transform.ts";

export type ErofsVersion = "v0" | "v1" | "v2";
export type VerityAlgorithm = "sha512" | "sha256";

/**
 * Which word of a command line bootc goes by, in `install` and `update` where it compares the UKI with what it pulled, and in its initramfs. It is one
 * word only, of SHA-512. `composefs`: the first `composefs=`; `composefs.digest`: the first `composefs.digest=`, of whatever format, and only where there is
 * none the first `composefs=` (docs/hosts.md).
 */
export type DigestReader = "composefs" | "composefs.digest";

/** How one line of bootc releases turns a tree into a digest. */
export interface Profile {
  /** First and last release of the line, for people: `1.16.4–1.16.9`. */
  readonly line: string;
  /** Releases, oldest first, by their version. `next` stands for the one to come. */
  readonly releases: readonly string[];
  /** composefs-rs revision or version. */
  readonly composefs: string;
  readonly erofs: ErofsVersion;
  readonly rules: TransformRules;
  /** Whether it can keep `user.*` xattrs. */
  readonly keepUser: boolean;
  readonly reads: DigestReader;
}

/** What bootc 1.16.4 to 1.16.9 do; the other lines are said by how they differ. */
const RULES: TransformRules = {
  bootMtime: "seconds",
  hardlinkLabels: "split",
  lookaround: "pcre2",
  symlinkMax: null,
  layerXattrs: "filtered",
  paxOwners: "count",
};

/**
 * The lines, oldest first. Those of revisions 2203e8f, e277075, 0a819c3 and 0fbc853 are confirmed by what the tools of
 * these revisions compute, `next` by cfsctl 0.9.4; 679a342 and a29622c are known from their source only.
 */
export const PROFILES: readonly Profile[] = [
  {
    line: "1.14.0–1.15.2",
    releases: ["1.14.0", "1.14.1", "1.15.0", "1.15.1", "1.15.2"],
    composefs: "2203e8f",
    erofs: "v2",
    rules: { ...RULES, hardlinkLabels: "last", lookaround: "refuse", layerXattrs: "all", paxOwners: "ignored" },
    keepUser: false,
    reads: "composefs",
  },
  {
    line: "1.16.0–1.16.2",
    releases: ["1.16.0", "1.16.1", "1.16.2"],
    composefs: "e277075",
    erofs: "v2",
    rules: { ...RULES, lookaround: "refuse", symlinkMax: 1024, layerXattrs: "all" },
    keepUser: false,
    reads: "composefs",
  },
  {
    line: "1.16.3",
    releases: ["1.16.3"],
    composefs: "679a342",
    erofs: "v2",
    rules: { ...RULES, symlinkMax: 1024, layerXattrs: "all" },
    keepUser: false,
    reads: "composefs.digest",
  },
  {
    line: "1.16.4",
    releases: ["1.16.4"],
    composefs: "a29622c",
    erofs: "v1",
    rules: RULES,
    keepUser: false,
    reads: "composefs.digest",
  },
  {
    line: "1.16.5–1.16.6",
    releases: ["1.16.5", "1.16.6"],
    composefs: "0a819c3",
    erofs: "v1",
    rules: RULES,
    keepUser: false,
    reads: "composefs.digest",
  },
  {
    line: "1.16.7–1.16.9",
    releases: ["1.16.7", "1.16.8", "1.16.9"],
    composefs: "0fbc853",
    erofs: "v1",
    rules: RULES,
    keepUser: true,
    reads: "composefs.digest",
  },
  {
    line: "next",
    releases: ["next"],
    composefs: "0.9.4",
    erofs: "v1",
    rules: { ...RULES, bootMtime: "nanoseconds" },
    keepUser: true,
    reads: "composefs.digest",
  },
];

/** The newest release that is out. */
export const LATEST_RELEASE = "1.16.9";

/**
 * The profile of a bootc release.
 * @param version a release (`1.16.4`), a series whose releases behave alike (`1.15`), `latest` or `next`
 * @throws SealError `usage` for anything else, with the releases that are known
 */
export function profileFor(version: string): Profile {
  const wanted = version === "latest" ? LATEST_RELEASE : version;
  const matches = PROFILES.filter((profile) =>
    profile.releases.some((release) => release === wanted || release.startsWith(`${wanted}.`)),
  );
  const [only] = matches;
  if (only !== undefined && matches.length === 1) return only;
  const lines = (profiles: readonly Profile[]) => profiles.map((profile) => profile.line).join(", ");
  throw new SealError(
    "usage",
    matches.length > 1 && /^\d+\.\d+$/.test(wanted)
      ? `bootc ${version}: the releases of that series compute different digests (${lines(matches)}); name one release`
      : `bootc ${version}: not a known release; known are ${lines(PROFILES)} and latest (${LATEST_RELEASE})`,
  );
}
