/** Text: what bytes say, and what messages and reports are made of. */
import { inputError } from "./errors.ts";

/** UTF-8 to text. @throws SealError `input` when the bytes are none */
export function decodeText(bytes: Uint8Array, subject: string): string {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch (error) {
    throw inputError(subject, "is not valid UTF-8", error);
  }
}

/** JSON as Python's json.dumps writes it. */
export function spacedJson(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(spacedJson).join(", ")}]`;
  if (typeof value === "object" && value !== null) {
    const pairs = Object.entries(value).map(([key, inner]) => `${spacedJson(key)}: ${spacedJson(inner)}`);
    return `{${pairs.join(", ")}}`;
  }
  return JSON.stringify(value).replace(
    /[\x7f-\uffff]/g,
    (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}

/**
 * A digest in hexadecimal where it is context, not for copying: `9f3c…a1b2`.
 * @param start how much of its beginning is shown
 */
export function shortDigest(hex: string, start = 4): string {
  return `${hex.slice(0, start)}…${hex.slice(-4)}`;
}

/**
 * A piece of a file as messages quote it: only its beginning if it is long, so that the reason after it is not lost.
 */
export function excerpt(text: string, most = 200): string {
  return text.length > most ? `${text.slice(0, most)}…` : text;
}

/**
 * The first few of a list, and how many more there are: `a, b and 3 more`.
 * @param textOf called for those only that are shown
 */
export function someOf<Item>(items: readonly Item[], shown = 5, textOf: (item: Item) => string = String): string {
  const rest = items.length - shown;
  const texts = items.slice(0, shown).map(textOf).join(", ");
  return rest > 0 ? `${texts} and ${rest} more` : texts;
}

/** Words with blanks between, in lines of at most `width` characters; a longer word has a line of its own. */
export function breakWords(words: readonly string[], width: number): string[] {
  const lines: string[] = [];
  let line = "";
  for (const word of words) {
    if (line !== "" && line.length + 1 + word.length > width) {
      lines.push(line);
      line = word;
    } else line = line === "" ? word : `${line} ${word}`;
  }
  return [...lines, line];
}
