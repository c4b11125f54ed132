/**
 * Which bootc releases accept a command line. A host pulls the image with *its* bootc, computes the digest of the layers in its own way, and compares
 * that with one word on the UKI's command line; the initramfs of the image then goes by one word too. Which word is data of the release
 * ({@link DigestReader}).
 */
import type { HostDigest } from "../composefs/host-digests.ts";
import { type DigestReader, PROFILES, type Profile } from "../composefs/profile.ts";
import { SealError } from "../errors.ts";
import { shortDigest } from "../text.ts";
import { type ComposefsWord, digestsOf, isMalformed, type KargStyle } from "./cmdline.ts";

/** What a program takes as the digest: null where it finds no word. */
export function readDigest(words: readonly ComposefsWord[], reader: DigestReader): ComposefsWord | null {
  // bootc is built for SHA-512; a long word of another hash is passed over, a short one can't be read.
  const long = words.find(
    (word) => word.form === "composefs.digest" && (isMalformed(word) || word.algorithm === "sha512"),
  );
  if (reader === "composefs.digest" && long !== undefined) return long;
  return words.find((word) => word.form === "composefs") ?? null;
}

/** Which program in the initramfs mounts the root: one that tries all digests in order (composefs-setup-root), or bootc's. */
export type Initramfs = DigestReader | "all";

/**
 * Why a release refuses. `digest`: it computes another digest than any on the command line; `order`: its digest is there, but not where it looks; `no-digest`:
 * it finds no word; `malformed`: it can't read its word; `tree`: it refuses the root filesystem; `initramfs`: it accepts, but the initramfs of the image goes by
 * another digest, so that the machine does not start.
 */
export const REFUSAL_REASONS = ["digest", "order", "no-digest", "malformed", "tree", "initramfs"] as const;
export type RefusalReason = (typeof REFUSAL_REASONS)[number];

interface VerdictBase {
  readonly profile: Profile;
  /** The digest that the release computes of the image; null: none, or not known. */
  readonly expected: string | null;
}

/** Whether hosts with a line of bootc releases accept an image. */
export type HostVerdict =
  /** `condition`: what must be true besides, in words; null: nothing. */
  | (VerdictBase & { readonly kind: "accepts"; readonly condition: string | null })
  | (VerdictBase & { readonly kind: "refuses"; readonly reason: RefusalReason; readonly why: string })
  /** The digest that it computes is not known. */
  | (VerdictBase & { readonly kind: "unknown"; readonly why: string });

/**
 * What each line of releases does with a sealed image.
 * @param words what names digests on the command line of the UKI, in its order
 * @param hosts what each line computes of the root filesystem
 * @param initramfs null: not known, which only matters where the command line has several digests
 */
export function hostVerdicts(
  words: readonly ComposefsWord[],
  hosts: readonly HostDigest[],
  initramfs: Initramfs | null = null,
): readonly HostVerdict[] {
  return hosts.map((host) => verdictOf(words, host, initramfs));
}

function verdictOf(words: readonly ComposefsWord[], host: HostDigest, initramfs: Initramfs | null): HostVerdict {
  const { profile } = host;
  const expected = host.kind === "computes" ? host.digest : null;
  const refuses = (reason: RefusalReason, why: string): HostVerdict => ({
    kind: "refuses",
    profile,
    expected,
    reason,
    why,
  });
  const word = readDigest(words, profile.reads);
  if (word === null) return refuses("no-digest", `it finds no ${profile.reads}= of SHA-512`);
  if (isMalformed(word)) return refuses("malformed", `it can't read ${word.form}=: ${word.reason}`);
  if (word.algorithm !== "sha512") return refuses("malformed", "it reads digests of SHA-512 only");
  if (host.kind !== "computes") {
    if (host.kind === "unknown") return { kind: "unknown", profile, expected: null, why: host.why };
    return refuses("tree", `it refuses this root filesystem: ${host.why}`);
  }
  const digests = digestsOf(words);
  if (word.digest !== host.digest) {
    return digests.some(({ digest }) => digest === host.digest)
      ? refuses("order", `it goes by the first ${word.form}= only, which is for other releases`)
      : refuses("digest", `it computes ${profile.erofs} ${shortDigest(host.digest)}`);
  }
  const { size } = new Set(digests.map(({ digest }) => digest));
  if (size > 1 && initramfs !== null && initramfs !== "all") {
    const booted = readDigest(words, initramfs);
    if (booted === null || isMalformed(booted) || booted.digest !== expected) {
      return refuses("initramfs", "it installs the image, but the initramfs goes by another digest: it would not boot");
    }
  }
  return { kind: "accepts", profile, expected, condition: conditionOf(words, profile, size, initramfs) };
}

function conditionOf(
  words: readonly ComposefsWord[],
  { reads }: Profile,
  count: number,
  initramfs: Initramfs | null,
): string | null {
  if (count > 1 && initramfs === null) {
    return reads === "composefs"
      ? "if the initramfs tries all digests or is of bootc up to 1.16.2"
      : "if the initramfs tries all digests or is of bootc 1.16.3 or newer";
  }
  // bootc knows by this word that it runs from composefs at all.
  return words.some(({ form }) => form === "composefs")
    ? null
    : "but bootc can't update it: its status looks for composefs=";
}

/** A digest for a release that was asked for. */
export interface WantedDigest {
  readonly profile: Profile;
  readonly digest: string;
}

/** A digest and the form in which it stands on the command line. */
export interface PlacedDigest {
  readonly digest: string;
  readonly style: KargStyle;
}

/**
 * The digests for several releases in the forms and the order that serve all of them: `composefs.digest=` first, which older releases pass over, then
 * `composefs=`. Programs that try all find the newest first.
 * @throws SealError `usage` when releases exclude each other: each goes by one word, and they go by the same
 */
export function placeDigests(wanted: readonly WantedDigest[]): readonly PlacedDigest[] {
  const digests = new Set(wanted.map(({ digest }) => digest));
  if (digests.size <= 1) return [...digests].map((digest) => ({ digest, style: "composefs" }));
  const placed: PlacedDigest[] = [];
  for (const style of ["composefs.digest", "composefs"] as const) {
    const readers = wanted.filter(({ profile }) => profile.reads === style);
    const [first] = readers;
    const other = readers.find(({ digest }) => digest !== first?.digest);
    if (first === undefined) continue;
    if (other !== undefined) throw exclusion(first.profile, other.profile, style);
    placed.push({ digest: first.digest, style });
  }
  return placed;
}

function exclusion(a: Profile, b: Profile, style: KargStyle): SealError {
  const order = [a, b].sort((left, right) => PROFILES.indexOf(left) - PROFILES.indexOf(right));
  const [older, newer] = order.map(({ line }) => line);
  return new SealError(
    "usage",
    `--bootc: ${older} and ${newer} exclude each other: they compute different digests, and both go by the first ${style}= only. Seal an image for each`,
  );
}

/** Lines in words: `1.16.4–1.16.9, next`. Neighbours are joined. */
export function joinLines(profiles: readonly Profile[]): string {
  const runs: Profile[][] = [];
  for (const [index, profile] of PROFILES.entries()) {
    if (!profiles.some(({ line }) => line === profile.line)) continue;
    const run = runs.at(-1);
    const isNumbered = profile.line !== "next";
    if (run !== undefined && isNumbered && run.at(-1) === PROFILES[index - 1]) run.push(profile);
    else runs.push([profile]);
  }
  return runs.map(lineOf).join(", ");
}

function lineOf(run: readonly Profile[]): string {
  const first = run[0]?.releases[0] ?? "";
  const last = run.at(-1)?.releases.at(-1) ?? "";
  return first === last ? first : `${first}–${last}`;
}

/** The verdicts in one sentence each: who accepts, then who does not and why. */
export function describeVerdicts(verdicts: readonly HostVerdict[]): string[] {
  const groups = new Map<string, HostVerdict[]>();
  for (const verdict of [...verdicts.filter(isAccepting), ...verdicts.filter((one) => !isAccepting(one))]) {
    const key = JSON.stringify([verdict.kind, textOf(verdict)]);
    groups.set(key, [...(groups.get(key) ?? []), verdict]);
  }
  const lines = [...groups.values()].map((group) => {
    const [first] = group as [HostVerdict];
    const releases = joinLines(group.map(({ profile }) => profile));
    const text = textOf(first);
    if (first.kind === "accepts") return `bootc ${releases}${text === "" ? "" : `, ${text}`}`;
    if (first.kind === "unknown") return `not known for ${releases}: ${text}`;
    const option = optionFor(first);
    return `not by ${releases}: ${text}${option === null ? "" : ` (seal with ${option})`}`;
  });
  return verdicts.some(isAccepting) ? lines : ["no bootc release", ...lines];
}

function isAccepting({ kind }: HostVerdict): boolean {
  return kind === "accepts";
}

function textOf(verdict: HostVerdict): string {
  return verdict.kind === "accepts" ? (verdict.condition ?? "") : verdict.why;
}

/** A verdict as reports for programs have it. */
export interface HostReport {
  /** The line of releases: `1.16.7–1.16.9`. */
  readonly releases: string;
  /** Null: not known. */
  readonly accepts: boolean | null;
  readonly reason: RefusalReason | null;
  /** The reason in words, or what must be true besides. */
  readonly why: string | null;
  /** The digest that it computes, of SHA-512. */
  readonly expected: string | null;
  /** With which option it would accept. */
  readonly option: string | null;
}

export function reportVerdicts(verdicts: readonly HostVerdict[]): HostReport[] {
  return verdicts.map((verdict) => ({
    releases: verdict.profile.line,
    accepts: verdict.kind === "unknown" ? null : verdict.kind === "accepts",
    reason: verdict.kind === "refuses" ? verdict.reason : null,
    why: verdict.kind === "accepts" ? verdict.condition : verdict.why,
    expected: verdict.expected,
    option: optionFor(verdict),
  }));
}

/** What would make a release accept. */
export function optionFor(verdict: HostVerdict): string | null {
  if (verdict.kind !== "refuses" || verdict.reason === "tree") return null;
  return `--bootc ${verdict.profile.releases.at(-1)}`;
}
