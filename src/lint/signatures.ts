/** What is wrong with the signatures of a program in /boot; the same for UKIs and boot loaders. */

import { SealError } from "../errors.ts";
import { overlapClause } from "../pe/address-overlap.ts";
import { readCertificateTable, WIN_CERTIFICATE_TYPE, type WinCertificate } from "../pe/certtable.ts";
import { type ParsedCertificate, validityWarning } from "../sign/certificate.ts";
import { readSignature, type Signature } from "../sign/signature.ts";
import { type SignatureVerdict, verifyPe } from "../sign/verify.ts";
import type { BootProgram, ReadProgram } from "./boot-programs.ts";
import type { LintContext } from "./context.ts";
import type { Problem } from "./rule.ts";

/**
 * One valid signature is enough, as for firmware. An expired certificate is a warning: firmware does not check that,
 * but other verifiers do.
 * @returns null when there is nothing wrong
 * @throws SealError `input` when the certificate table is corrupt
 */
function signatureProblem(
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
      "sign it again with SHA-256 and the RSA key of a certificate that machines have in db.",
    );
  }
  const entries = readCertificateTable(pe);
  const read = good.flatMap((index) => signatureOf(entries[index]) ?? []);
  const warnings = read.map(({ message }) =>
    message.signerCertificate === null ? null : validityWarning(message.signerCertificate, now),
  );
  const [first] = warnings;
  if (first !== undefined && first !== null && !warnings.includes(null)) {
    return {
      ...problem(`It is signed, but ${first}.`, "sign it again with a certificate that is valid."),
      severity: "warning",
    };
  }
  if (read.every(({ image }) => image.type === "image")) return null;
  return {
    ...problem(
      "A signature on it names the type of a key purpose (1.3.6.1.4.1.311.2.1.21) instead of that of a PE image, as pesign up to 0.112 writes it; firmware, shim and Linux accept it.",
      "sign it again when convenient.",
    ),
    severity: "info",
  };
}

function isGood({ outcome }: SignatureVerdict, certificates: readonly ParsedCertificate[]): boolean {
  return outcome === "trusted" || (outcome === "untrusted" && certificates.length === 0);
}

function signatureOf(entry: WinCertificate | undefined): Signature | null {
  return entry?.type === WIN_CERTIFICATE_TYPE.pkcsSignedData ? readSignature(entry.data, "signature") : null;
}

/** Firmware starts it anyway, so this is not an error. */
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
export function programProblem(
  program: BootProgram,
  context: Pick<LintContext, "certificates" | "now">,
): Problem | null {
  const { path } = program;
  const broken = (reason: string) => ({
    path,
    message: `It can't be read (${reason}), so nothing is known about its signatures.`,
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
