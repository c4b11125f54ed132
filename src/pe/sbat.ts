/**
 * The `.sbat` section: CSV lines of component generations that shim revokes by
 * (https://github.com/rhboot/shim/blob/main/SBAT.md). A UKI's section holds the lines of the stub, of the kernel and
 * its own after one header line.
 */
import { utf8 } from "../bytes.ts";
import { concat, readRange } from "../chunks.ts";
import { decodeText } from "../text.ts";
import type { PeImage } from "./headers.ts";

const HEADER = "sbat,1,SBAT Version,sbat,1,https://github.com/rhboot/shim/blob/main/SBAT.md";

/** What ukify writes where the user gives no line of their own. */
export const DEFAULT_SBAT = {
  uki: `${HEADER}\nuki,1,UKI,uki,1,https://uapi-group.org/specifications/specs/unified_kernel_image/\n`,
  addon: `${HEADER}\nuki-addon,1,UKI Addon,addon,1,https://www.freedesktop.org/software/systemd/man/latest/systemd-stub.html\n`,
} as const;

/** An SBAT text and what the user knows its origin by. */
export interface SbatSource {
  readonly subject: string;
  readonly text: string;
}

/** The texts of an image's `.sbat` sections without trailing zeros. */
export function sbatOf(pe: PeImage): SbatSource[] {
  const subject = `${pe.subject} (.sbat)`;
  return pe.sections
    .filter((section) => section.name === ".sbat" && section.rawSize > 0)
    .map((section) => {
      // All of the raw data: stubs count their padding in VirtualSize or not.
      const raw = concat([...readRange(pe.file, section.rawOffset, section.rawOffset + section.rawSize)]);
      return { subject, text: decodeText(trimZeros(raw), subject) };
    });
}

/**
 * One `.sbat` section from several, each without its first line.
 * @returns the section's bytes, and the sources that were left out because they do not start with an `sbat,` line
 */
export function mergeSbat(sources: readonly SbatSource[]): { content: Uint8Array; skipped: readonly string[] } {
  const lines = [HEADER];
  const skipped: string[] = [];
  for (const { subject, text } of sources) {
    const [first = "", ...rest] = splitLines(text);
    if (first.startsWith("sbat,")) lines.push(...rest);
    else skipped.push(subject);
  }
  return { content: utf8(`${lines.join("\n")}\n`), skipped };
}

/** Lines at any universal line end, without an empty one after the last end. */
function splitLines(text: string): string[] {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: the information separators end lines too
  const lines = text.split(/\r\n|[\n\v\f\r\x1c-\x1e\x85\u2028\u2029]/);
  if (lines.at(-1) === "") lines.pop();
  return lines;
}

function trimZeros(bytes: Uint8Array): Uint8Array {
  let end = bytes.length;
  while (end > 0 && bytes[end - 1] === 0) end--;
  return bytes.subarray(0, end);
}
