/** Says in words how two EROFS images differ, for tests that compare bytes. */
import { concat } from "../../src/chunks.ts";
import { readErofs } from "../../src/composefs/reader.ts";
import { writeDumpfile } from "../../src/tree/dumpfile.ts";

const SHOWN = 20;

/** Empty when the images are equal; otherwise the first differing byte, and what their trees differ in. */
export function imageDifference(ours: Uint8Array, theirs: Uint8Array): string {
  if (Buffer.compare(ours, theirs) === 0) return "";
  const length = Math.min(ours.length, theirs.length);
  let at = 0;
  while (at < length && ours[at] === theirs[at]) at++;
  const lines = [
    `${ours.length} and ${theirs.length} bytes; the first that differs is ${at} (block ${at >> 12}, slot ${at >> 5})`,
  ];
  const [a, b] = [describe(ours), describe(theirs)];
  const [onlyA, onlyB] = [a.filter((line) => !b.includes(line)), b.filter((line) => !a.includes(line))];
  lines.push(
    ...onlyA.slice(0, SHOWN).map((line) => `ours:   ${line}`),
    ...onlyB.slice(0, SHOWN).map((line) => `theirs: ${line}`),
  );
  if (onlyA.length + onlyB.length === 0) lines.push("both hold the same tree, laid out differently");
  return lines.join("\n");
}

function describe(bytes: Uint8Array): string[] {
  try {
    const { erofs, root, links } = readErofs(bytes, "image");
    const text = Buffer.from(concat([...writeDumpfile(root)])).toString("latin1");
    return [`format ${erofs}, ${links.size} other link counts`, ...text.split("\n")];
  } catch (error) {
    return [`can't be read: ${(error as Error).message}`];
  }
}
