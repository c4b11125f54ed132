/**
 * What systemd-stub and the booting system will measure into TPM PCR 11 (UAPI Linux TPM PCR Registry,
 * https://uapi-group.org/specifications/specs/linux_tpm_pcr_registry/; systemd-measure(1)).
 */
import { utf8 } from "../bytes.ts";
import { byteLength } from "../chunks.ts";
import { digestOf } from "./digest.ts";
import { dataEvent, inBanks, PCR_BANKS, type PcrBank, type PcrEvent, replayEvents } from "./pcr-events.ts";
import type { UkiSection } from "./uki-sections.ts";

/** What can be measured while a system boots, each at most once and in this order. */
export const BOOT_PHASES = ["enter-initrd", "leave-initrd", "sysinit", "ready", "shutdown", "final"] as const;

/** Phase paths that are predicted when none are asked for. */
export const DEFAULT_PHASE_PATHS: readonly string[] = [
  "enter-initrd",
  "enter-initrd:leave-initrd",
  "enter-initrd:leave-initrd:sysinit",
  "enter-initrd:leave-initrd:sysinit:ready",
];

/** The order of measurement, whatever the order in the file. Other sections are not measured. */
const MEASURED = [
  ...[".linux", ".osrel", ".cmdline", ".initrd", ".ucode", ".splash", ".dtb", ".uname", ".sbat", ".pcrpkey"],
  ...[".profile", ".dtbauto", ".hwids"],
];

/** Whether a section counts in PCR 11. */
export function isMeasured({ name }: UkiSection): boolean {
  return MEASURED.includes(name);
}

/** A predicted value of PCR 11. */
export interface PcrPrediction {
  readonly bank: PcrBank;
  /** Phases that have been entered, joined by colons. */
  readonly phase: string;
  /** PCR 11, as long as the bank's digests. */
  readonly value: Uint8Array;
}

/** The sections that one way to boot a UKI measures. */
export interface MeasuredSet {
  /** 0: the base; n: the n-th further profile. */
  readonly profile: number;
  /** Which of several `.dtbauto` sections the stub picks; null where there is none. */
  readonly devicetree: number | null;
  readonly sections: readonly UkiSection[];
}

/**
 * The ways in which a profile can be booted: one for each device tree that the stub may pick.
 * @param groups sections of the base, then of each further profile, each group starting with its `.profile`
 * @param profile index into the groups; what a profile lacks, it takes from the base
 */
export function measuredSets(groups: readonly (readonly UkiSection[])[], profile: number): MeasuredSet[] {
  const [base = []] = groups;
  const own = (groups[profile] ?? []).filter(isMeasured);
  const names = new Set(own.map(({ name }) => name));
  const inherited =
    profile === 0
      ? []
      : base.filter((section) => section.name !== ".profile" && !names.has(section.name) && isMeasured(section));
  const all = [...own, ...inherited];
  const common = all.filter(({ name }) => name !== ".dtbauto");
  const trees = all.filter(({ name }) => name === ".dtbauto");
  if (trees.length === 0) return [{ profile, devicetree: null, sections: common }];
  return trees.map((tree, devicetree) => ({ profile, devicetree, sections: [...common, tree] }));
}

/**
 * What systemd-stub measures into PCR 11: name (with a NUL) and content of each section. Sections without content are
 * skipped.
 * @param sections in any order, at most one of each name
 */
export function stubEvents(sections: readonly UkiSection[], banks: readonly PcrBank[]): PcrEvent[] {
  const present = MEASURED.flatMap((name) => sections.find((section) => section.name === name) ?? []);
  return present
    .filter(({ content }) => byteLength(content) > 0)
    .flatMap(({ name, content }) => {
      const measured = { kind: "section", name } as const;
      return [
        dataEvent("EV_IPL", [utf8(`${name}\0`)], banks, { description: `name of ${name}`, measured }),
        dataEvent("EV_IPL", content, banks, { description: `content of ${name}`, measured }),
      ];
    });
}

/**
 * What must be so for PCR 11 to hold because a UKI has firmware for devices: systemd-stub 258 and newer measure an
 * image in `.efifw` as they do other sections, on machines whose `.hwids` name it.
 * @param sections all of the UKI
 */
export function firmwareAssumptions(sections: readonly { readonly name: string }[]): readonly string[] {
  if (!sections.some(({ name }) => name === ".efifw")) return [];
  return ["The UKI contains no firmware for this machine (.efifw): the stub would measure that as well."];
}

/**
 * What the booting system measures when it enters phases (systemd-pcrphase.service(8)).
 * @param path joined by colons
 */
export function phaseDigests(path: string, banks: readonly PcrBank[]): Pick<PcrEvent, "digests">[] {
  return path.split(":").map((phase) => ({ digests: inBanks(banks, (bank) => digestOf(bank, [utf8(phase)])) }));
}

/**
 * PCR 11 after each phase path, in each bank: zeros, extended by what the stub measures, then by
 * the name of each phase.
 * @param sections in any order, at most one of each name
 * @param phases phase paths; each once, in the order of their text
 * @returns phase paths outermost, banks in the order of {@link PCR_BANKS}
 * @example
 * ```ts
 * import { readFile } from "node:fs/promises";
 * import { measuredSets, parsePe, predictPcr11, profileGroups } from "seal";
 *
 * const uki = parsePe([await readFile("tool.efi")], "tool.efi");
 * for (const { sections } of measuredSets(profileGroups(uki), 0)) {
 *   const [predicted] = predictPcr11(sections, ["sha256"], ["enter-initrd"]);
 *   if (predicted !== undefined) console.log(Buffer.from(predicted.value).toString("hex"));
 * }
 * ```
 */
export function predictPcr11(
  sections: readonly UkiSection[],
  banks: readonly PcrBank[],
  phases: readonly string[],
): PcrPrediction[] {
  const wanted = PCR_BANKS.filter((bank) => banks.includes(bank));
  const events = stubEvents(sections, wanted);
  return [...new Set(phases)].toSorted().flatMap((phase) => {
    const all = [...events, ...phaseDigests(phase, wanted)];
    return wanted.map((bank) => ({ bank, phase, value: replayEvents(all, bank) }));
  });
}
