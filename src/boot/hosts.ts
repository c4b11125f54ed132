/**
 * What hosts with a bootc release do with a sealed image. A host pulls it with *its* bootc, computes the digest of the
 * layers in its own way, compares that with words on the UKI's command line, and installs the UKI; then the initramfs
 * of the image mounts the root. What differs is data of the release ({@link Series}).
 */
import type { FormatDigest, HostDigest } from "../composefs/host-digests.ts";
import type { DigestReader, Series } from "../composefs/series.ts";
import { shortDigest } from "../text.ts";
import { type ComposefsWord, digestsOf, isMalformed } from "./cmdline.ts";
import { comparedWords, isFound, primaryDigest, readDigest, triedDigests } from "./digest-words.ts";

/**
 * Why a step fails, or what it depends on. Of the digest: `digest`: the release computes another one than any on the
 * command line; `unfound`: it finds one of them, but requires all; `order`: its digest is there, but not where it
 * looks; `no-digest`: it finds no word; `malformed`: it can't read a word; `duplicate`: two bare words; `mixed-marks`:
 * `?` on some words only; `tree`: it refuses the root filesystem. Of the image: {@link ImageDefect}. Of the machine:
 * `initramfs`: the initramfs reads another digest; `no-mount`: nothing in it mounts the root; `verity`: it does not
 * always require fs-verity, or that could not be checked; `insecure`: `?`; `status`: bootc can't tell that it runs from
 * composefs.
 */
export const REASONS = [
  "digest",
  "unfound",
  "order",
  "no-digest",
  "malformed",
  "duplicate",
  "mixed-marks",
  "tree",
  "layers",
  "media-type",
  "aboot",
  "osrel",
  "boot-entry",
  "kernel",
  "initramfs",
  "no-mount",
  "verity",
  "insecure",
  "status",
] as const;
/** The name of a reason. */
export type ReasonId = (typeof REASONS)[number];

/** Why a host does not accept, install or boot an image. */
export interface Reason {
  readonly id: ReasonId;
  /** In words, the release being "it". */
  readonly text: string;
}

/** One of the steps from an image to a machine. */
export interface Step {
  /** Null: it depends on what is not known here, or an earlier step fails. */
  readonly ok: boolean | null;
  /** Why it fails, or further conditions. */
  readonly reasons: readonly Reason[];
}

/** The steps from an image to a running machine, in order. */
export const STEPS = ["accepts", "installs", "boots", "enforces"] as const;
/** The name of a step from an image to a running machine. */
export type StepName = (typeof STEPS)[number];

/** What hosts with a series of bootc releases do with an image. */
export interface HostVerdict extends Readonly<Record<StepName, Step>> {
  readonly series: Series;
  /** The digest that the release computes for the image; null: none, or unknown. */
  readonly expected: string | null;
  /** What else it finds, see `HostDigest`. */
  readonly finds: readonly FormatDigest[];
  /**
   * `accepts`: the image is pulled, installed and started, as far as is known; `unknown`: the digest that it
   * computes is not known.
   */
  readonly kind: "accepts" | "refuses" | "unknown";
  /** The first reason why not. */
  readonly refusal: Reason | null;
}

/** Something about an image, besides its digest, that makes releases refuse it. */
export interface ImageDefect {
  readonly id: DefectId;
  /** As in {@link Reason}. */
  readonly text: string;
}
/** The name of a defect that keeps hosts from taking an image. */
export type DefectId = Extract<
  ReasonId,
  "layers" | "media-type" | "aboot" | "osrel" | "boot-entry" | "kernel" | "mixed-marks"
>;

/**
 * Which step a defect stops, and in which releases. Whether a kernel has the known faults of its version depends on the
 * distribution, which may have fixed them.
 */
const DEFECTS: Readonly<
  Record<
    DefectId,
    {
      readonly step: StepName;
      readonly ok: false | null;
      readonly concerns: (one: Series, words: readonly ComposefsWord[]) => boolean;
    }
  >
> = {
  layers: { step: "accepts", ok: false, concerns: ({ layers }) => layers === "first" },
  "media-type": { step: "accepts", ok: false, concerns: () => true },
  aboot: { step: "accepts", ok: false, concerns: ({ aboot }) => aboot },
  "mixed-marks": { step: "installs", ok: false, concerns: ({ mark }) => mark === "binding" },
  osrel: { step: "installs", ok: false, concerns: ({ osrel }) => osrel === "named" },
  "boot-entry": { step: "installs", ok: false, concerns: () => true },
  kernel: { step: "boots", ok: null, concerns: (_, words) => digestsOf(words).some(({ insecure }) => !insecure) },
};

/** What mounts the root of an image, as far as its initramfs shows. */
export type RootMount =
  /** The reason, to follow "not checked:". */
  | { readonly kind: "unknown"; readonly why: string }
  /** The machine stops in the initramfs. */
  | { readonly kind: "none"; readonly why: string }
  | {
      readonly kind: "mounts";
      /** For people: `composefs-setup-root 0.9.4`. */
      readonly name: string;
      /** Which arguments it reads; null: not known. */
      readonly reads: DigestReader | null;
      /** Whether it requires fs-verity in every case. */
      readonly verity: "insists" | "not-always" | "unknown";
    };

/** An image as it is judged. */
export interface JudgedImage {
  /** What names digests on the command line of the UKI, in its order. */
  readonly words: readonly ComposefsWord[];
  readonly mount: RootMount;
  readonly defects: readonly ImageDefect[];
}

/**
 * What each series of releases does with a sealed image.
 * @param hosts what each series computes for the root filesystem
 */
export function hostVerdicts(image: JudgedImage, hosts: readonly HostDigest[]): readonly HostVerdict[] {
  return hosts.map((host) => verdictOf(image, host));
}

function verdictOf(image: JudgedImage, host: HostDigest): HostVerdict {
  const { words } = image;
  const { series } = host;
  const against = series.reads === "all" ? againstAll(words, host) : againstOne(words, host, series.reads);
  const isUnknown = host.kind === "unknown" && against === null;
  const accepts = step(
    isUnknown ? null : against === null,
    [isUnknown ? ({ id: "tree", text: host.why } as const) : against],
    "accepts",
    image,
    series,
  );
  const installs = step(...installing(words, series), "installs", image, series);
  const boots = step(...booting(words, image.mount, host, accepts.ok), "boots", image, series);
  const enforces = step(...enforcing(words, image.mount), "enforces", image, series);
  const failed = [accepts, installs, boots].find(({ ok }) => ok === false);
  return {
    series,
    expected: host.kind === "computes" ? host.digest : null,
    finds: host.kind === "computes" ? host.finds : [],
    kind: failed !== undefined ? "refuses" : accepts.ok === null ? "unknown" : "accepts",
    refusal: failed?.reasons[0] ?? null,
    ...{ accepts, installs, boots, enforces },
  };
}

function step(
  ok: boolean | null,
  reasons: readonly (Reason | null)[],
  name: StepName,
  { defects, words }: JudgedImage,
  series: Series,
): Step {
  const stopping = defects.filter(({ id }) => DEFECTS[id].step === name && DEFECTS[id].concerns(series, words));
  const outcomes = [ok, ...stopping.map(({ id }) => DEFECTS[id].ok)];
  return {
    ok: outcomes.includes(false) ? false : outcomes.includes(null) ? null : true,
    reasons: [...reasons.filter((reason) => reason !== null), ...stopping],
  };
}

/** Why a release that reads one argument rejects the arguments; null: it accepts them. */
function againstOne(words: readonly ComposefsWord[], host: HostDigest, reads: DigestReader): Reason | null {
  const word = readDigest(words, reads);
  if (word === null) return { id: "no-digest", text: `it finds no ${reads}= with SHA-512` };
  const unreadable = unreadableWord(word);
  if (unreadable !== null) return unreadable;
  if (host.kind !== "computes") return refusedTree(host);
  const digests = digestsOf(words);
  if (digests.some((one) => one === word && one.digest === host.digest)) return null;
  return digests.some(({ digest }) => digest === host.digest)
    ? { id: "order", text: `it reads only the first ${word.form}=, which is for other releases` }
    : { id: "digest", text: computes(host) };
}

/** Why a release that requires an image for each argument rejects the arguments; null: it accepts them. */
function againstAll(words: readonly ComposefsWord[], host: HostDigest): Reason | null {
  const compared = comparedWords(words);
  for (const word of compared) {
    const unreadable = unreadableWord(word);
    if (unreadable !== null) return unreadable;
  }
  if (compared.filter(({ form }) => form === "composefs").length > 1) {
    return { id: "duplicate", text: "it accepts no second composefs=" };
  }
  const digests = digestsOf(compared);
  if (digests.length === 0) return { id: "no-digest", text: "it finds no SHA-512 digest" };
  if (new Set(digests.map(({ insecure }) => insecure)).size > 1) {
    return { id: "mixed-marks", text: "it requires ? on all digests, or on none" };
  }
  if (host.kind !== "computes") return refusedTree(host);
  const unfound = digests.filter((word) => !isFound(word, host.finds));
  const [first] = unfound;
  if (first === undefined) return null;
  return unfound.length === digests.length
    ? { id: "digest", text: computes(host) }
    : {
        id: "unfound",
        text: `it requires an image for each digest, and finds none for ${shortDigest(first.digest)}`,
      };
}

function unreadableWord(word: ComposefsWord): Reason | null {
  if (isMalformed(word)) return { id: "malformed", text: `it can't read ${word.form}=: ${word.reason}` };
  return word.algorithm === "sha512" ? null : { id: "malformed", text: "it reads only SHA-512 digests" };
}

function refusedTree(host: Exclude<HostDigest, { kind: "computes" }>): Reason | null {
  if (host.kind === "unknown") return null;
  return { id: "tree", text: `it refuses this root filesystem: ${host.why}` };
}

function computes({ series, digest }: Extract<HostDigest, { kind: "computes" }>): string {
  return `it computes ${series.erofs} ${shortDigest(digest)}`;
}

function installing(words: readonly ComposefsWord[], { mark, status }: Series): [boolean | null, (Reason | null)[]] {
  const isBound = mark === "binding" && digestsOf(words).some(({ insecure }) => insecure);
  return [
    isBound ? null : true,
    [
      isBound ? { id: "insecure", text: "only where the host does not require fs-verity, because of ?" } : null,
      // bootc recognises a composefs root by this argument.
      status === "any" || words.some(({ form }) => form === "composefs")
        ? null
        : { id: "status", text: "but bootc can't update it: its status looks for composefs=" },
    ],
  ];
}

/** @param accepted whether bootc accepts the image; otherwise there is nothing to start, whatever the initramfs does */
function booting(
  words: readonly ComposefsWord[],
  mount: RootMount,
  host: HostDigest,
  accepted: boolean | null,
): [boolean | null, (Reason | null)[]] {
  if (mount.kind === "none") return [false, [{ id: "no-mount", text: mount.why }]];
  if (accepted !== true || host.kind !== "computes") return [null, []];
  const { reads } = host.series;
  const digests = digestsOf(comparedWords(words));
  if (new Set(digests.map(({ digest }) => digest)).size < 2) return [true, []];
  if (mount.kind === "unknown" || mount.reads === null) {
    const which =
      reads === "all"
        ? null
        : reads === "composefs"
          ? "is from bootc 1.16.2 or older"
          : "is from bootc 1.16.3 or newer";
    // A release that finds all arguments has all images on disk, whichever is tried.
    if (which === null) return [true, []];
    return [null, [{ id: "initramfs", text: `if the initramfs tries all digests or ${which}` }]];
  }
  const there = reads === "all" ? digests.map(({ digest }) => digest) : [host.digest];
  const found = triedDigests(words, mount.reads).find(({ digest }) => there.includes(digest));
  if (found === undefined) {
    const text = "it installs the image, but the initramfs reads another digest: it would not boot";
    return [false, [{ id: "initramfs", text }]];
  }
  const deployed = reads === "all" ? primaryDigest(digests)?.digest : host.digest;
  if (found.digest === deployed) return [true, []];
  const text = `if the initramfs finds the deployment, which is named after ${shortDigest(deployed ?? "")}`;
  return [null, [{ id: "initramfs", text }]];
}

function enforcing(words: readonly ComposefsWord[], mount: RootMount): [boolean | null, (Reason | null)[]] {
  if (digestsOf(words).some(({ insecure }) => insecure)) {
    return [false, [{ id: "insecure", text: "? on the digest: fs-verity is not required" }]];
  }
  if (mount.kind !== "mounts") return [null, [{ id: "verity", text: `not checked: ${mount.why}` }]];
  switch (mount.verity) {
    case "insists":
      return [true, []];
    case "not-always":
      return [false, [{ id: "verity", text: `${mount.name} does not require fs-verity in every case` }]];
    case "unknown":
      return [null, [{ id: "verity", text: `it is not known whether ${mount.name} always requires fs-verity` }]];
  }
}
