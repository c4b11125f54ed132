/** What is wrong with the signatures of a program in /boot; the same for UKIs and boot loaders. */

import { SealError } from "../errors.ts";
import { readCertificateTable, WIN_CERTIFICATE_TYPE } from "../pe/certtable.ts";
import { overlapClause } from "../pe/headers.ts";
import type { ParsedCertificate } from "../sign/certificate.ts";
import { readSignature } from "../sign/signature.ts";
import { type SignatureReport, verifyPe } from "../sign/verify.ts";
import type { BootProgram, ReadProgram } from "./boot-programs.ts";
import type { LintContext } from "./context.ts";
import type { Problem } from "./rule.ts";

/**
 * One good signature is enough, as it is for firmware. Its certificate must be valid too: firmware does not look at that,
 * but other verifiers do.
 * @returns null when there is nothing wrong
 * @throws SealError `input` when the certificate table is corrupt
 */
export function signatureProblem(
  { pe, path }: ReadProgram,
  { certificates, now }: Pick<LintContext, "certificates" | "now">,
): Problem | null {
  const { signatures } = verifyPe(pe, { certificates, now });
  const problem = (message: string, fix: string) => ({ path, message, fix });
  if (signatures.length === 0) {
    return problem(
      "It is not signed: with Secure Boot, firmware refuses to start it.",
      `sign it with seal sign --key KEY --cert CERT ${path}.`,
    );
  }
  const good = signatures.flatMap((signature, index) => (isGood(signature, certificates) ? [index] : []));
  if (good.length === 0) {
    const reasons = signatures.map(({ reason }) => reason ?? "unknown").join("; ");
    return problem(
      `No signature on it will be accepted: ${reasons}.`,
      "sign it again with the RSA key of the certificate that machines have in db, and SHA-256.",
    );
  }
  const entries = readCertificateTable(pe);
  const notes = good.map((index) => validity(signerOf(entries[index]), now));
  if (notes.includes(null)) return null;
  return problem(
    `It is signed with a certificate that ${notes.join("; ")}. Firmware may accept it all the same, other verifiers will not.`,
    "sign it again with a certificate that is valid.",
  );
}

function isGood({ outcome }: SignatureReport, certificates: readonly ParsedCertificate[]): boolean {
  return outcome === "trusted" || (outcome === "untrusted" && certificates.length === 0);
}

function signerOf(entry: ReturnType<typeof readCertificateTable>[number] | undefined): ParsedCertificate | null {
  if (entry?.type !== WIN_CERTIFICATE_TYPE.pkcsSignedData) return null;
  return readSignature(entry.data, "signature").message.signerCertificate;
}

/** Why the certificate is not valid now; null when it is. */
function validity(certificate: ParsedCertificate | null, now: Date): string | null {
  if (certificate === null) return null;
  const day = (date: Date) => date.toISOString().slice(0, 10);
  const { notBefore, notAfter, subjectText } = certificate;
  if (now > notAfter) return `expired on ${day(notAfter)} (${subjectText})`;
  if (now < notBefore) return `is valid from ${day(notBefore)} on only (${subjectText})`;
  return null;
}

/** Firmware starts it all the same, so this is no error. */
function addressProblem({ pe, path }: ReadProgram): Problem | null {
  const clause = overlapClause(pe);
  if (clause === null) return null;
  return {
    path,
    severity: "warning",
    message: `${clause.replace(/^t/, "T")}: firmware starts it, but what is in memory is not what was signed and measured.`,
    fix: "build it again, with another stub or linker.",
  };
}

/**
 * {@link signatureProblem} of any program; one that can't be read is a problem itself.
 */
export function programProblem(program: BootProgram, context: LintContext): Problem | null {
  const { path } = program;
  const broken = (reason: string) => ({
    path,
    message: `It can't be read (${reason}), so nothing is known of its signatures.`,
    fix: "write it again.",
  });
  switch (program.kind) {
    case "symlink":
      return {
        path,
        message: `It is a symlink to ${program.target}, which FAT can't hold.`,
        fix: "put the file itself there.",
      };
    case "broken":
      return broken(program.reason);
    case "program":
      try {
        return signatureProblem(program, context) ?? addressProblem(program);
      } catch (error) {
        if (!(error instanceof SealError)) throw error;
        return broken(error.message.replace(`${path}: `, ""));
      }
  }
}
