/** Single claims of a statement, each of which is true or not. */
import { formatBlobDigest } from "../oci/digest.ts";
import type { StoredLayer } from "../oci/edit.ts";
import { someOf } from "../text.ts";
import type { Provenance } from "./provenance.ts";
import type { StatedBoot, StatedImage, StatedProgram, StatedUki } from "./sealed-image.ts";

/** A claim about one thing. */
export interface Claim {
  /** What it is about, in the words of a report. */
  readonly about: string;
  /** Parts of it by name, each as one text. */
  readonly parts: ReadonlyMap<string, string>;
  /** Whether there may be more parts than were stated, such as releases that are newer than the statement. */
  readonly open: boolean;
}

/** A claim of an attestation, and whether it is true. */
export type ClaimResult = { readonly about: string } & (
  | { readonly kind: "true" }
  | { readonly kind: "false" | "unchecked"; readonly reason: string }
);

/**
 * The claims of a predicate about an image. Each of its fields is in one, except for texts that are only for people.
 */
export function claimsOf(image: StatedImage): readonly Claim[] {
  return [
    claim("platform", { platform: image.platform }),
    ...image.programs.flatMap(programClaims),
    ...image.ukis.flatMap(ukiClaims),
    ...(image.firmware === null
      ? []
      : [claim("keys of the firmware", { enforced: image.firmware.enforced, ...image.firmware.variables })]),
    ...image.boots.flatMap(bootClaims),
  ];
}

function programClaims({ path, ...rest }: StatedProgram): Claim[] {
  return [
    claim(`${path}: SHA-256 and Authenticode hash`, { sha256: rest.sha256, authentihash: rest.authentihash }),
    claim(`${path}: version and SBAT`, { version: rest.version, sbat: rest.sbat }),
    claim(`${path}: signatures`, { ...rest.signatures, count: rest.signatures.length }),
  ];
}

function ukiClaims({ path, kernel, osRelease, cmdlines, composefs, hosts }: StatedUki): Claim[] {
  return [
    claim(`${path}: kernel`, { kernel }),
    claim(`${path}: os-release`, osRelease ?? { none: true }),
    claim(`${path}: command line`, { ...cmdlines, count: cmdlines.length }),
    claim(`${path}: number of digests`, { digests: composefs.length, verdicts: hosts.length }),
    ...composefs.map(({ computedBy, ...digest }, index) => ({
      ...claim(`${path}: composefs digest ${index + 1}, ${digest.digest.slice(0, 12)}…`, {
        ...digest,
        computedBy: computedBy.length === 0 ? "no release" : "these releases",
        ...Object.fromEntries(computedBy.map((release) => [`bootc ${release}`, "computes it"])),
      }),
      open: true,
    })),
    ...hosts.map((verdicts, index) => ({
      ...claim(
        `${path}: verdicts of bootc releases${hosts.length > 1 ? `, command line ${index + 1}` : ""}`,
        byName(
          verdicts.flatMap(({ releases, ...verdict }) => releases.map((release) => [`bootc ${release}`, verdict])),
        ),
      ),
      open: true,
    })),
  ];
}

/** A way to boot as claims name it. */
export function nameBoot({ uki, bootLoader, profile, devicetree }: StatedBoot): string {
  return [
    uki,
    `by ${bootLoader ?? "the firmware itself"}`,
    ...(profile === 0 ? [] : [`profile ${profile}`]),
    ...(devicetree === null ? [] : [`device tree ${devicetree}`]),
  ].join(", ");
}

function bootClaims(boot: StatedBoot): Claim[] {
  const { profileId, addons, pcrs, omitted } = boot;
  const way = nameBoot(boot);
  const untold = omitted.filter(({ pcr }) => !KEYED.includes(pcr));
  return [
    claim(`boot of ${way}`, {
      profileId,
      addons,
      ...byName(untold.map(({ pcr, reason }) => [`PCR ${pcr}`, reason])),
    }),
    ...pcrs.map(({ pcr, values, events, phases }) =>
      claim(`PCR ${pcr} of ${way}`, {
        ...values,
        events: events.map(({ type, digests }) => ({ type, digests })),
        ...byName(phases.map(({ phase, values: after }) => [`after ${phase}`, after])),
      }),
    ),
  ];
}

/** PCRs that depend on the keys of the firmware. */
export const KEYED: readonly number[] = [4, 7];

function claim(about: string, parts: Readonly<Record<string, unknown>>): Claim {
  return {
    about,
    parts: new Map(Object.entries(parts).map(([name, value]) => [name, canonical(value)])),
    open: false,
  };
}

/**
 * Values by name. If a name has several values, all of them together are the value: a reader must not choose between
 * contradicting ones.
 */
function byName(entries: readonly (readonly [string, unknown])[]): Readonly<Record<string, unknown>> {
  const all = Map.groupBy(entries, ([name]) => name);
  return Object.fromEntries(
    [...all].map(([name, own]) => {
      const values = new Map(own.map(([, value]) => [canonical(value), value]));
      return [name, values.size === 1 ? own[0]?.[1] : { contradicting: [...values.values()] }];
    }),
  );
}

/** One text for one value, whatever the order of its members. */
function canonical(value: unknown): string {
  return JSON.stringify(value, (_, inner: unknown) =>
    typeof inner === "object" && inner !== null && !Array.isArray(inner)
      ? Object.fromEntries(Object.entries(inner).toSorted(([a], [b]) => (a < b ? -1 : 1)))
      : inner,
  );
}

/** Whether two statements are for firmware with the same keys. */
export function sameFirmware({ firmware: one }: StatedImage, { firmware: other }: StatedImage): boolean {
  return canonical(one) === canonical(other);
}

/** What can't be judged. */
export interface Unknown {
  /** Claims whose beginning fits are not checked, for this reason; null: all are. */
  readonly unchecked: { readonly about: RegExp; readonly reason: string } | null;
  /** Whether the image may have this without stating it. */
  readonly mayBeUnstated: (about: string) => boolean;
}

/**
 * Compares what was stated with the image.
 * @returns one for each claim that was stated, then one for each thing that was not stated
 */
export function compareClaims(
  stated: readonly Claim[],
  actual: readonly Claim[],
  { unchecked, mayBeUnstated }: Unknown,
): readonly ClaimResult[] {
  const found = new Map(actual.map((one) => [one.about, one]));
  const results = stated.map(({ about, parts, open }): ClaimResult => {
    if (unchecked?.about.test(about) === true) return { about, kind: "unchecked", reason: unchecked.reason };
    const own = found.get(about);
    if (own === undefined) return { about, kind: "false", reason: "the image has no such thing" };
    const names = [...parts.keys(), ...(open ? [] : own.parts.keys())];
    const wrong = [...new Set(names)].filter((name) => parts.get(name) !== own.parts.get(name));
    if (wrong.length === 0) return { about, kind: "true" };
    const [first = ""] = wrong;
    const both = `stated ${shown(parts.get(first))}, found ${shown(own.parts.get(first))}`;
    return { about, kind: "false", reason: `${someOf(wrong)}: ${both}` };
  });
  const known = new Set(stated.map(({ about }) => about));
  if (known.size < stated.length) {
    results.push({ about: "the statement", kind: "false", reason: "it says something about the same thing twice" });
  }
  for (const { about } of actual) {
    if (known.has(about) || mayBeUnstated(about)) continue;
    results.push({ about, kind: "false", reason: "the image has it, and nothing is stated about it" });
  }
  return results;
}

const SHOWN = 100;

function shown(text: string | undefined): string {
  if (text === undefined) return "nothing";
  return text.length > SHOWN ? `${text.slice(0, SHOWN)}…` : text;
}

/** Compares a provenance with the layers of an image. The rest of it can't be checked against the image. */
export function provenanceResults(
  { buildDefinition, runDetails }: Provenance,
  layers: readonly Pick<StoredLayer, "digest">[],
): readonly ClaimResult[] {
  const own = new Set(layers.map(({ digest }) => formatBlobDigest(digest)));
  const { builder } = runDetails;
  const namesLayer = buildDefinition.resolvedDependencies.some(({ name }) => LAYER.test(name));
  return [
    {
      about: `made by ${builder.id}${Object.entries(builder.version).map(([name, version]) => `, ${name} ${version}`)}`,
      kind: "unchecked",
      reason: "only the signature vouches for it",
    },
    ...buildDefinition.resolvedDependencies.map(({ name, digest }): ClaimResult => {
      const digests = Object.entries(digest).map(([algorithm, hex]) => `${algorithm}:${hex}`);
      const about = `made of ${name} ${digests.join(" ")}`;
      if (!LAYER.test(name)) return { about, kind: "unchecked", reason: "only the signature vouches for it" };
      return digests.length > 0 && digests.every((one) => own.has(one))
        ? { about, kind: "true" }
        : { about, kind: "false", reason: "the image has no layer with that digest" };
    }),
    ...(namesLayer ? [] : [{ about: "made of layers", kind: "false", reason: "it names none" } as const]),
  ];
}

const LAYER = /^layer \d+$/;
