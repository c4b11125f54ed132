/** What is wrong with the signatures of a program in /boot; the same for UKIs and boot loaders. */

import { SealError } from "../errors.ts";
import { readCertificateTable, WIN_CERTIFICATE_TYPE } from "../pe/certtable.ts";
import { overlapClause } from "../pe/headers.ts";
import { type ParsedCertificate, validityWarning } from "../sign/certificate.ts";
import { readSignature } from "../sign/signature.ts";
import { type SignatureReport, verifyPe } from "../sign/verify.ts";
import type { BootProgram, ReadProgram } from "./boot-programs.ts";
import type { LintContext } from "./context.ts";
import type { Problem } from "./rule.ts";

/**
 * One good signature is enough, as it is for firmware. That its certificate has expired is a warning: firmware does not look at that, but
 * other verifiers do.
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
  const warnings = good.map((index) => {
    const signer = signerOf(entries[index]);
    return signer === null ? null : validityWarning(signer, now);
  });
  const [first] = warnings;
  if (first === undefined || first === null || warnings.includes(null)) return null;
  return {
    ...problem(`It is signed, but ${first}.`, "sign it again with a certificate that is valid."),
    severity: "warning",
  };
}

function isGood({ outcome }: SignatureReport, certificates: readonly ParsedCertificate[]): boolean {
  return outcome === "trusted" || (outcome === "untrusted" && certificates.length === 0);
}

function signerOf(entry: ReturnType<typeof readCertificateTable>[number] | undefined): ParsedCertificate | null {
  if (entry?.type !== WIN_CERTIFICATE_TYPE.pkcsSignedData) return null;
  return readSignature(entry.data, "signature").message.signerCertificate;
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
