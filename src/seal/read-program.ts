/** Reads EFI programs that are signed or verified: what is computed over all of their bytes begins with the first ones. */
import type { Chunks } from "../bytes.ts";
import { SealError } from "../errors.ts";
import { readProgressively } from "../io/read-input.ts";
import { type PeImage, parsePe } from "../pe/headers.ts";
import { ImagePass, type Purpose } from "../pe/image-pass.ts";

/**
 * @param path where it lies
 * @param subject what it is called in messages
 * @throws SealError `input` when it can't be read or is no PE image
 */
export async function readImage(path: string, subject: string, purpose: Purpose): Promise<ImagePass> {
  let whole: Chunks = [];
  let early: ImagePass | null = null;
  for await (const { bytes, end } of readProgressively(path)) {
    if (whole.length === 0 && end < bytes.length) {
      const pe = parseEarly([bytes.subarray(0, end), bytes.subarray(end)], subject);
      early = pe === null ? null : new ImagePass(pe, purpose);
    }
    whole = [bytes];
    early?.advance(end);
  }
  return early ?? new ImagePass(parsePe(whole, subject), purpose);
}

/** Null when the first chunk does not hold all headers, or something is wrong with them: then the whole file tells what. */
function parseEarly(file: Chunks, subject: string): PeImage | null {
  try {
    return parsePe(file, subject);
  } catch (error) {
    if (error instanceof SealError) return null;
    throw error;
  }
}
