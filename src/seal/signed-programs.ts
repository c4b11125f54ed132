/** Checks whether firmware will start programs that someone else signed. */
import { inputError } from "../errors.ts";
import type { PeImage } from "../pe/headers.ts";
import { type Trust, verifyPe } from "../sign/verify.ts";

/**
 * Refuses a program that firmware would not start.
 * @param trust without certificates and hashes, any valid signature is enough
 * @param advice what to do about an unsigned program
 * @throws SealError `input` when it is not signed, when no signature is valid, and when no trusted signer signed it
 */
export function checkSigned(
  pe: PeImage,
  trust: Trust,
  advice = "sign it first, with seal sign or any other signer",
): void {
  const { subject } = pe;
  const { valid, decision, signatures } = verifyPe(pe, trust);
  if (valid) return;
  const refusal = decision ?? signatures.find(({ outcome }) => outcome === "revoked")?.reason;
  if (refusal !== undefined && refusal !== null) throw inputError(subject, `firmware refuses it: ${refusal}`);
  const [first] = signatures;
  if (first === undefined) throw inputError(subject, `is not signed; ${advice}`);
  const good = signatures.filter(({ outcome }) => outcome === "untrusted");
  if (good.length === 0) throw inputError(subject, `its signature is invalid: ${first.reason}`);
  if (trust.certificates.length === 0 && (trust.imageHashes ?? []).length === 0) return;
  const signers = good.map((one) => one.subject).join(", ");
  throw inputError(subject, `is signed by ${signers}, whose certificate is not in --cert or --db`);
}
