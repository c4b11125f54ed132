/** Reads EFI programs whose signatures are judged. */
import { readInput } from "../io/read-input.ts";
import { parsePe } from "../pe/headers.ts";
import { ImagePass } from "../pe/image-pass.ts";

/**
 * @param path where it lies
 * @param subject what it is called in messages
 * @throws SealError `input` when it can't be read or is no PE image
 */
export async function readImage(path: string, subject: string): Promise<ImagePass> {
  return new ImagePass(parsePe([await readInput(path)], subject), "verify");
}
