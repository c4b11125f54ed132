/**
 * JSON from outside, with limits: what is larger or nested deeper than any attestation is refused before it is read.
 */
import { inputError } from "../errors.ts";

/** Bytes of a bundle. A statement with the reference values of a dozen UKIs has some hundred kilobytes. */
export const BUNDLE_LIMIT = 16 << 20;
/** How deep arrays and objects may be nested. */
const DEPTH_LIMIT = 64;

/**
 * Reads JSON in UTF-8.
 * @param subject names the document in messages
 * @throws SealError `input` for what is too large, too deep or not JSON
 */
export function parseLimitedJson(bytes: Uint8Array, subject: string): unknown {
  if (bytes.length > BUNDLE_LIMIT) throw inputError(subject, `has ${bytes.length} bytes, too many for an attestation`);
  if (depthOf(bytes) > DEPTH_LIMIT) throw inputError(subject, "is nested too deeply for an attestation");
  try {
    return JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch (error) {
    const lines = new TextDecoder().decode(bytes).trim().split("\n");
    const isList = lines.length > 1 && lines.every((line) => line.startsWith("{") && line.endsWith("}"));
    const hint = isList ? `, but ${lines.length} documents, one a line; give each as a file of its own` : "";
    throw inputError(subject, `is not valid JSON${hint}`, error);
  }
}

/** Brackets that are open at once, outside of strings. */
function depthOf(bytes: Uint8Array): number {
  let depth = 0;
  let deepest = 0;
  let inString = false;
  for (let at = 0; at < bytes.length; at++) {
    const byte = bytes[at];
    if (inString) {
      if (byte === BACKSLASH) at++;
      else if (byte === QUOTE) inString = false;
    } else if (byte === QUOTE) inString = true;
    else if (byte === OPEN_BRACKET || byte === OPEN_BRACE) deepest = Math.max(deepest, ++depth);
    else if (byte === CLOSE_BRACKET || byte === CLOSE_BRACE) depth--;
  }
  return deepest;
}

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const OPEN_BRACKET = 0x5b;
const CLOSE_BRACKET = 0x5d;
const OPEN_BRACE = 0x7b;
const CLOSE_BRACE = 0x7d;
