/**
 * Profiles: the further ways to boot that a UKI offers
 * (https://uapi-group.org/specifications/specs/unified_kernel_image/).
 */
import { concat } from "../chunks.ts";
import { inputError } from "../errors.ts";
import { decodeText } from "../text.ts";
import { type PeImage, sectionData } from "./headers.ts";
import type { UkiSection } from "./uki-sections.ts";

/** What a profile may bring along instead of the base's. */
const IMPORTED = [
  ...[".linux", ".osrel", ".cmdline", ".initrd", ".efifw", ".ucode", ".splash", ".dtb", ".uname", ".sbat", ".profile"],
];

/**
 * The sections of a profile binary that become a profile of a UKI.
 * @param osRelease whether the UKI has an os-release; a profile's is left out otherwise
 * @throws SealError `input` for a file that is not exactly one profile
 */
export function profileSections(pe: PeImage, osRelease: boolean): UkiSection[] {
  const sections = pe.sections
    .filter(({ name }) => IMPORTED.includes(name) && (osRelease || name !== ".osrel"))
    .map((section) => ({ name: section.name, content: sectionData(pe, section) }));
  const profiles = sections.filter(({ name }) => name === ".profile").length;
  if (profiles !== 1 || sections[0]?.name !== ".profile") {
    const found = profiles > 1 ? `has ${profiles} profiles` : "does not start with a .profile section";
    throw inputError(pe.subject, `${found}; make a profile with: seal build-uki --profile`);
  }
  return sections;
}

/**
 * The sections of a finished UKI: of its base first, then of each further profile. `.profile` ends the base
 * or starts a profile.
 */
export function profileGroups(pe: PeImage): UkiSection[][] {
  const groups: UkiSection[][] = [[]];
  for (const section of pe.sections) {
    const inBase = groups.length === 1 && groups[0]?.every(({ name }) => name !== ".profile");
    if (section.name === ".profile" && !inBase) groups.push([]);
    groups.at(-1)?.push({ name: section.name, content: sectionData(pe, section) });
  }
  return groups;
}

/** The `ID=` in a profile's description, which is written like os-release; null when it has none. */
export function profileId({ content }: UkiSection, subject: string): string | null {
  const lines = decodeText(concat(content), subject).split(/\r\n?|\n/);
  const value = lines
    .findLast((line) => line.startsWith("ID="))
    ?.slice(3)
    .trim();
  return value?.replace(/^(["'])(.*)\1$/, "$2") ?? null;
}
