/** Reads EFI programs whose signatures are judged. */
import { readInput } from "../io/read-input.ts";
import { parsePe } from "../pe/headers.ts";
import { PePass } from "../pe/pe-pass.ts";

/**
 * @param path of the file
 * @param subject its name in messages
 * @throws SealError `input` when it can't be read or is not a PE image
 */
export async function readPeFile(path: string, subject: string): Promise<PePass> {
  return new PePass(parsePe([await readInput(path)], subject), "verify");
}
