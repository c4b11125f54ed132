/** What the final `/boot` is made of: the boot loader that is found, and EFI programs that are signed where they are not yet. */
import { inputError } from "../errors.ts";
import { sourceDate } from "../io/host.ts";
import { readBelow } from "../io/read-below.ts";
import type { EfiArch } from "../pe/arch.ts";
import { type PeImage, parsePe } from "../pe/headers.ts";
import { signingWarnings, signPe } from "../sign/authenticode.ts";
import { parseCertificate } from "../sign/certificate.ts";
import type { Signer } from "../sign/signer.ts";
import { verifyPe } from "../sign/verify.ts";
import type { Context } from "./context.ts";

/** Where systemd installs its EFI programs. */
const EFI_DIRECTORY = "usr/lib/systemd/boot/efi";

/**
 * systemd-boot for an architecture, from the first directory that has one. A file `.signed` goes before the plain one, as
 * with bootctl(1).
 * @param roots directories of root filesystems; `/` is this machine
 * @throws SealError `input` when none has one
 */
export async function findBootloader(roots: readonly string[], arch: EfiArch): Promise<PeImage> {
  const name = `systemd-boot${arch}.efi`;
  for (const root of roots) {
    for (const path of [`${EFI_DIRECTORY}/${name}.signed`, `${EFI_DIRECTORY}/${name}`]) {
      const bytes = await readBelow(root, path);
      if (bytes !== null) return parsePe([bytes], root === "/" ? `/${path}` : `${root}/${path}`);
    }
  }
  throw inputError(
    roots.join(", "),
    `has no ${EFI_DIRECTORY}/${name}. Install systemd-boot (package systemd-boot-efi, systemd-boot-unsigned or systemd), or give it with --bootloader`,
  );
}

/** An EFI program as it shall be written, and whether this run signed it. */
export interface SignedProgram {
  readonly pe: PeImage;
  readonly signed: "already" | "now" | "no";
}

/**
 * Signs an EFI program unless it has a valid signature by the same certificate. Valid signatures by others stay beside it.
 * @param signer null: nothing is signed, which is a warning for a program without any signature
 * @throws SealError as {@link signPe}
 */
export async function signUnlessSigned(context: Context, pe: PeImage, signer: Signer | null): Promise<SignedProgram> {
  const now = context.host.now();
  if (signer === null) {
    if (pe.certificateTable !== null) return { pe, signed: "already" };
    context.ui.warn(`${pe.subject} is not signed; with Secure Boot no machine starts it. Give --key and --cert`);
    return { pe, signed: "no" };
  }
  const report = verifyPe(pe.file, pe.subject, { certificates: [parseCertificate(signer.certificate)], now });
  if (report.valid) return { pe, signed: "already" };
  for (const warning of signingWarnings(pe)) context.ui.warn(warning);
  const append = report.signatures.every(({ outcome }) => outcome !== "invalid");
  if (!append) context.ui.warn(`${pe.subject} had a signature that is not valid; it is replaced`);
  const file = await signPe(pe.file, pe.subject, signer, { append, signingTime: sourceDate(context.host.env) });
  return { pe: parsePe(file, pe.subject), signed: "now" };
}
