/** What the formats of reference values for verifiers have in common. */
import type { BankValues, PcrBank, PcrEvent } from "../pe/pcr-events.ts";
import type { WayReference } from "../sign/boot-reference.ts";

/** A file, or what a file is made of. */
export interface Variant {
  readonly name: string;
  readonly text: string;
}

/** Reference values in the form of a verifier. */
export interface VerifierReference {
  /** A self-contained document, or files whose names, relative to a directory, have a meaning. */
  readonly output:
    | { readonly kind: "document"; readonly text: string }
    | { readonly kind: "files"; readonly files: readonly Variant[] };
  /** Fields of the format that can't be known in advance, one line each. */
  readonly omitted: readonly string[];
}

/** What firmware measures into PCR 4 on a way to boot, by kind: programs that it loads by itself or for the stub. */
export interface Applications {
  readonly bootLoader: readonly PcrEvent[];
  readonly uki: readonly PcrEvent[];
  readonly addons: readonly PcrEvent[];
  /** The kernel in the UKI, with stubs that have the firmware load it. */
  readonly kernel: readonly PcrEvent[];
}

/** The events of a PCR on a way to boot; null where it is not computed. */
export function eventsOf({ pcrs }: WayReference, pcr: 4 | 7 | 11 | 12): readonly PcrEvent[] | null {
  return pcrs.find((one) => one.pcr === pcr)?.events ?? null;
}

/** The programs that a way to boot measures, in the order of {@link WayReference.bootPath}. */
export function applicationsOf(way: WayReference): Applications {
  const { bootLoader, addons } = way.bootPath;
  const loaded = (eventsOf(way, 4) ?? []).filter(({ type }) => type === "EV_EFI_BOOT_SERVICES_APPLICATION");
  const uki = bootLoader === null ? 0 : 1;
  const kernel = uki + 1 + addons.length;
  return {
    bootLoader: loaded.slice(0, uki),
    uki: loaded.slice(uki, uki + 1),
    addons: loaded.slice(uki + 1, kernel),
    kernel: loaded.slice(kernel),
  };
}

/** A value or digest in a bank that was computed. */
export function digestIn(digests: BankValues, bank: PcrBank): Uint8Array {
  const digest = digests[bank];
  if (digest === undefined) throw new RangeError(`the references were not computed in bank ${bank}`);
  return digest;
}

/** File name of a program without `.efi`. */
export function programName(path: string): string {
  return (path.split("/").at(-1) ?? path).replace(/\.efi$/i, "");
}

/** What a way to boot is called: as the UKI, with profile and device tree where there are several. */
export function wayName(way: WayReference, ways: readonly WayReference[]): string {
  const { bootPath, profile, devicetree } = way;
  const alike = ways.filter((other) => other.bootPath === bootPath && other.profile === profile);
  return [
    programName(bootPath.uki.pe.subject),
    ...(profile === 0 ? [] : [`profile-${profile}`]),
    ...(alike.length > 1 && devicetree !== null ? [`devicetree-${devicetree}`] : []),
  ].join("-");
}

/** Each text once, under a unique name. */
export function distinctVariants(variants: readonly Variant[]): Variant[] {
  const texts = new Set<string>();
  const names = new Set<string>();
  return variants.flatMap(({ name, text }) => {
    if (texts.has(text)) return [];
    let free = name;
    for (let number = 2; names.has(free); number++) free = `${name}-${number}`;
    texts.add(text);
    names.add(free);
    return [{ name: free, text }];
  });
}

/** A JSON document as people read it. */
export function jsonDocument(value: unknown): VerifierReference["output"] {
  return { kind: "document", text: `${JSON.stringify(value, null, 2)}\n` };
}

/** Reasons why PCR 12 is not computed, one line for each UKI that has one. */
export function withoutParameters(ways: readonly WayReference[]): string[] {
  const reasons = ways.flatMap(({ bootPath, unknown }) =>
    unknown === null ? [] : [`PCR 12 of ${bootPath.uki.pe.subject}: ${unknown}`],
  );
  return [...new Set(reasons)];
}
