/** A kernel as firmware could start it: a PE image, unpacked where it is compressed as a whole. */
import { inputError } from "../errors.ts";
import { decompressKernel } from "./decompress.ts";
import { type PeImage, parsePe } from "./headers.ts";

export interface OpenedKernel {
  readonly pe: PeImage;
  /** Whether it was compressed as a whole, so that firmware could not have started it. */
  readonly unpacked: boolean;
}

/**
 * @param subject names the kernel in messages
 * @throws SealError `input` when it is not an EFI kernel, or in a compression that can't be unpacked
 */
export function openKernel(bytes: Uint8Array, subject: string): OpenedKernel {
  const unpacked = decompressKernel(bytes, subject);
  if (unpacked[0] !== 0x4d || unpacked[1] !== 0x5a) {
    throw inputError(
      subject,
      "not an EFI kernel (it has no MZ header); give a vmlinuz, bzImage or Image built with CONFIG_EFI_STUB",
    );
  }
  return { pe: parsePe([unpacked], subject), unpacked: unpacked !== bytes };
}

/** What is reported about a kernel that was unpacked. */
export function unpackedNote(subject: string): string {
  return `${subject} is compressed and could not be started by UEFI: decompressed`;
}
