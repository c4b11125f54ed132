/**
 * The revocation levels that shim carries in its section `.sbatlevel` (shim, sbat_var.S; since 15.7): a format version
 * of 0, then two offsets from the first of them, each to text that ends with a zero byte. Shim writes one of them to
 * the variable SbatLevel when it starts, if it is newer than what is there, and uses it from then on (shim, sbat.c,
 * `set_sbat_uefi_variable`).
 */
import { Cursor } from "../bytes.ts";
import { concat } from "../chunks.ts";
import { inputError } from "../errors.ts";
import { decodeText } from "../text.ts";
import { type PeImage, sectionData } from "./headers.ts";
import { sectionsNamed } from "./long-names.ts";

const SECTION = ".sbatlevel";
/** Of the only format that there is. */
const FORMAT = 0;
/** Where the offsets are, and from where they count. */
const HEADER = 4;

/** Lines as in SbatLevel, with the date of the level in the first: `sbat,1,2025021800`. */
export interface ShimLevels {
  /** What shim writes by itself where Secure Boot is on. */
  readonly automatic: string;
  /** What it writes once requested (`mokutil --set-sbat-policy latest`). */
  readonly latest: string;
}

/**
 * The levels of a shim; null for a program that has none.
 * @throws SealError `input` for another format, or offsets that lead out of the section
 */
export function shimLevels(pe: PeImage): ShimLevels | null {
  const [section] = sectionsNamed(pe, SECTION);
  if (section === undefined) return null;
  const subject = `${pe.subject} (${SECTION})`;
  const bytes = concat(sectionData(pe, section));
  const cursor = new Cursor(bytes, subject);
  const format = cursor.u32(0, "its format");
  if (format !== FORMAT) throw inputError(subject, `has the unknown format ${format}`);
  const text = (place: number, what: string) => {
    const start = HEADER + cursor.u32(place, `the offset of ${what}`);
    const end = bytes.indexOf(0, start);
    if (start >= bytes.length || end < 0) throw inputError(subject, `${what} does not end within the section`);
    return decodeText(bytes.subarray(start, end), subject);
  };
  return { automatic: text(HEADER, "its automatic level"), latest: text(HEADER + 4, "its latest level") };
}
