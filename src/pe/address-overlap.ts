/** Sections of a PE image that overlap in memory, which no check of the file finds. */
import { type PeImage, type PeSection, sectionLabel } from "./headers.ts";

/**
 * Two sections of which a loader puts one over a part of the other; null when there are none. EDK II and shim
 * copy section after section and do not look (BasePeCoffLib, PeCoffLoaderLoadImage); what is hashed and signed is
 * the file, where nothing overlaps. ukify makes such images of stubs whose `.sbat` ends where another section
 * begins (systemd 252).
 */
export function addressOverlap(pe: PeImage): { readonly first: PeSection; readonly second: PeSection } | null {
  const sections = pe.sections
    .filter((section) => section.virtualSize > 0)
    .sort((a, b) => a.virtualAddress - b.virtualAddress);
  let previous: PeSection | null = null;
  for (const section of sections) {
    if (previous !== null && section.virtualAddress < previous.virtualAddress + previous.virtualSize) {
      return { first: previous, second: section };
    }
    previous = section;
  }
  return null;
}

/** {@link addressOverlap} as a clause; null when there is none. */
export function overlapClause(pe: PeImage): string | null {
  const overlap = addressOverlap(pe);
  if (overlap === null) return null;
  return `the addresses of ${sectionLabel(overlap.second)} overlap those of ${sectionLabel(overlap.first)}`;
}

/**
 * What a person should know of an image's addresses: nothing, or that what is in memory will not be what the file has.
 */
export function addressWarnings(pe: PeImage): string[] {
  const clause = overlapClause(pe);
  return clause === null
    ? []
    : [`${pe.subject}: ${clause}: firmware starts it, but one overwrites the other in memory`];
}
