/** How two PE files differ, in words, for failing comparisons. */
import { equalBytes } from "../../src/bytes.ts";
import { concat } from "../../src/chunks.ts";
import { type PeImage, parsePe, sectionData } from "../../src/pe/headers.ts";

/** Differences between two files; empty when they are equal byte for byte. */
export function peDifferences(actual: Uint8Array, expected: Uint8Array): string[] {
  if (equalBytes(actual, expected)) return [];
  const [a, b] = [parsePe([actual], "actual"), parsePe([expected], "expected")];
  const found = [...headerDifferences(a, b), ...sectionDifferences(a, b)];
  if (a.length !== b.length) found.push(`length ${a.length}, not ${b.length}`);
  const at = actual.findIndex((byte, index) => byte !== expected[index]);
  found.push(`first different byte at ${at}: ${actual[at]}, not ${expected[at]}`);
  return found;
}

function headerDifferences(a: PeImage, b: PeImage): string[] {
  const keys = ["sizeOfHeaders", "sizeOfImage", "checksum", "dllCharacteristics", "machine"] as const;
  return keys.filter((key) => a[key] !== b[key]).map((key) => `${key} ${a[key]}, not ${b[key]}`);
}

function sectionDifferences(a: PeImage, b: PeImage): string[] {
  const count = Math.max(a.sections.length, b.sections.length);
  return Array.from({ length: count }, (_, index) => {
    const [left, right] = [a.sections[index], b.sections[index]];
    if (left === undefined || right === undefined) return `section ${(left ?? right)?.name} only in one`;
    const fields = ["name", "virtualSize", "virtualAddress", "rawSize", "rawOffset", "characteristics"] as const;
    const different = fields.filter((field) => left[field] !== right[field]);
    const changes = different.map((field) => `${right.name} ${field} ${left[field]}, not ${right[field]}`);
    const same = equalBytes(concat(sectionData(a, left)), concat(sectionData(b, right)));
    return [...changes, ...(same ? [] : [`${right.name} content`])].join(", ");
  }).filter((line) => line !== "");
}
