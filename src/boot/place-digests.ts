/**
 * Chooses which digests go on a command line, and in which form: the choice that most hosts accept, and all named
 * releases.
 */
import type { HostDigest } from "../composefs/host-digests.ts";
import { SERIES } from "../composefs/releases.ts";
import type { ErofsVersion, Series } from "../composefs/series.ts";
import { SealError } from "../errors.ts";
import { composefsKarg, findComposefsWords, type KargStyle } from "./cmdline.ts";
import { type HostVerdict, hostVerdicts, type RootMount } from "./hosts.ts";

/** A digest and the form in which it is written on the command line. */
export interface PlacedDigest {
  readonly erofs: ErofsVersion;
  /** SHA-512, lower-case hex. */
  readonly digest: string;
  readonly style: KargStyle;
}

/** The inputs of that choice. */
export interface Placement {
  /** The digests that the command line may have. */
  readonly digests: readonly { readonly erofs: ErofsVersion; readonly digest: string }[];
  /** What each series of releases computes. */
  readonly hosts: readonly HostDigest[];
  /** The releases that must accept it; empty: as many as possible. */
  readonly named: readonly Series[];
  readonly mount: RootMount;
}

/**
 * The form that the newest series accepts and boots, then as many older series as possible, with as few arguments as
 * that takes; never two short ones, which bootc 1.17 refuses. The long form comes first: older releases skip it, and
 * deployments are named after it.
 * @throws SealError `usage` if no command line is accepted by all named releases
 */
export function placeDigests(placement: Placement): readonly PlacedDigest[] {
  const rated = candidates(placement.digests).map((words) => rate(words, placement));
  const [best] = rated.filter(({ missing }) => missing.length === 0).sort(compare);
  if (best !== undefined) return best.words;
  const { named } = placement;
  for (const [index, a] of named.entries()) {
    for (const b of named.slice(index + 1)) {
      const isServed = rated.some(({ missing }) => !missing.includes(a) && !missing.includes(b));
      if (!isServed) throw exclusion(a, b, placement.mount);
    }
  }
  // Either no release accepts the root filesystem, or three exclude each other though no two of them do.
  const [least] = rated.sort((a, b) => a.missing.length - b.missing.length);
  const [first] = named.filter((series) => least?.missing.includes(series));
  if (named.length > 1 && first !== undefined) {
    const other = named.find((series) => series !== first) ?? first;
    throw exclusion(first, other, placement.mount);
  }
  return rated[0]?.words ?? [];
}

/** One argument, or a long and a short one: more would help no other release, as older ones read one of each form. */
function candidates(digests: Placement["digests"]): readonly (readonly PlacedDigest[])[] {
  const unique = [...new Map(digests.map((one) => [`${one.erofs} ${one.digest}`, one])).values()];
  const short = unique.map(({ erofs, digest }) => ({ erofs, digest, style: "composefs" as const }));
  // V0 has no name in the long form.
  const long = short
    .filter(({ erofs }) => erofs !== "v0")
    .map((one) => ({ ...one, style: "composefs.digest" as const }));
  const pairs = long.flatMap((first) =>
    short.filter(({ digest }) => digest !== first.digest).map((second) => [first, second]),
  );
  return [...short.map((one) => [one]), ...long.map((one) => [one]), ...pairs];
}

interface Rated {
  readonly words: readonly PlacedDigest[];
  /** Named releases that don't accept or boot it. */
  readonly missing: readonly Series[];
  /** Named releases that boot it or not, depending on the initramfs, which is unknown. */
  readonly doubtful: number;
  readonly servesNewest: boolean;
  /** How many series accept and boot it. */
  readonly lines: number;
}

function rate(words: readonly PlacedDigest[], { hosts, named, mount }: Placement): Rated {
  const cmdline = words
    .map(({ erofs, digest, style }) => composefsKarg({ erofs, algorithm: "sha512", digest }, style))
    .join(" ");
  // An initramfs that can't boot is not a reason for one form or the other.
  const verdicts = hostVerdicts(
    {
      words: findComposefsWords(cmdline),
      mount: mount.kind === "none" ? { ...mount, kind: "unknown" } : mount,
      defects: [],
    },
    hosts,
  );
  const of = (series: Series) => verdicts.find((verdict) => verdict.series === series);
  return {
    words,
    missing: named.filter((series) => of(series)?.kind !== "accepts"),
    doubtful: named.filter((series) => of(series)?.boots.ok !== true).length,
    servesNewest: isServed(verdicts.at(-1)),
    lines: verdicts.filter(isServed).length,
  };
}

function isServed(verdict: HostVerdict | undefined): boolean {
  // A release that can't update what it has installed does not count.
  const { kind, boots, installs } = verdict ?? {};
  return kind === "accepts" && boots?.ok === true && installs?.reasons.every(({ id }) => id !== "status") === true;
}

function compare(a: Rated, b: Rated): number {
  if (a.doubtful !== b.doubtful) return a.doubtful - b.doubtful;
  if (a.servesNewest !== b.servesNewest) return a.servesNewest ? -1 : 1;
  if (a.lines !== b.lines) return b.lines - a.lines;
  return a.words.length - b.words.length;
}

function exclusion(a: Series, b: Series, mount: RootMount): SealError {
  const order = [a, b].sort((left, right) => SERIES.indexOf(left) - SERIES.indexOf(right));
  const [older, newer] = order.map(({ name }) => name);
  const why = mount.kind === "mounts" && mount.reads !== "all" ? `, with ${mount.name} in the initramfs` : "";
  return new SealError(
    "usage",
    `--bootc: ${older} and ${newer} exclude each other: no command line serves both${why}. Seal an image for each`,
  );
}
