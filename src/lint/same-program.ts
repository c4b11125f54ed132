/** Compares EFI programs, with or without their signatures. */
import { equalBytes } from "../bytes.ts";
import { concat } from "../chunks.ts";
import type { PeImage } from "../pe/headers.ts";
import { PePass } from "../pe/pe-pass.ts";

/** A program is compared with several others, and verified with several databases; it is hashed once. */
const passes = new WeakMap<PeImage, PePass>();

/** What is computed over all bytes of a program for its signatures. */
export function pePass(pe: PeImage): PePass {
  const pass = passes.get(pe) ?? new PePass(pe, "verify");
  passes.set(pe, pass);
  return pass;
}

/** Whether two files are the same program apart from signatures. @throws SealError `input` when one can't be hashed */
export function isSameProgram(a: PeImage, b: PeImage): boolean {
  return equalBytes(pePass(a).hash("sha256"), pePass(b).hash("sha256"));
}

/** Whether two files are equal, byte for byte. */
export function isSameFile(a: PeImage, b: PeImage): boolean {
  return a.length === b.length && equalBytes(concat([...a.file]), concat([...b.file]));
}
