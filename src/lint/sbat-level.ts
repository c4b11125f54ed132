/**
 * Revocation levels as shim publishes them (https://github.com/rhboot/shim/blob/main/SbatLevel_Variable.txt): a line
 * for each component with the lowest generation that is still valid.
 */
import { inputError } from "../errors.ts";

export interface SbatEntry {
  readonly component: string;
  readonly generation: number;
}

/** Lowest valid generation by component. */
export type RevocationLevel = ReadonlyMap<string, number>;

/**
 * Entries of SBAT text: component and generation, whatever else is on the line. Lines of another form are skipped.
 */
export function parseSbat(text: string): SbatEntry[] {
  return text.split(/[\r\n]+/).flatMap((line) => {
    const [component = "", generation = ""] = line.split(",").map((field) => field.trim());
    return component !== "" && /^\d+$/.test(generation) ? [{ component, generation: Number(generation) }] : [];
  });
}

/**
 * @param subject names the text in messages
 * @throws SealError `input` when no line is a component with a generation
 */
export function parseRevocationLevel(text: string, subject: string): RevocationLevel {
  const entries = parseSbat(text);
  if (entries.length === 0) {
    throw inputError(
      subject,
      "not an SBAT level: expected lines like `systemd-boot,2`, a component and its lowest valid generation",
    );
  }
  return new Map(entries.map(({ component, generation }) => [component, generation]));
}

/** An entry below a level, and the generation that it would need. */
export interface RevokedEntry extends SbatEntry {
  readonly wanted: number;
}

/** The entries of a program that a level revokes. */
export function revokedEntries(entries: readonly SbatEntry[], level: RevocationLevel): RevokedEntry[] {
  return entries.flatMap(({ component, generation }) => {
    const wanted = level.get(component);
    return wanted === undefined || generation >= wanted ? [] : [{ component, generation, wanted }];
  });
}
