/**
 * Checks the signatures of `.auth` files. Such a file does not say which variable it is for, but its signature is over
 * the name: trying the names finds out.
 */
import { SealError } from "../errors.ts";
import {
  parseVariableUpdate,
  SECURE_BOOT_VARIABLES,
  type SecureBootVariable,
  signedOctets,
  signVariableChange,
  type VariableChange,
  type VariableUpdate,
} from "./authvar.ts";
import type { ParsedCertificate } from "./certificate.ts";
import { DerReader, TAG } from "./der.ts";
import { OID } from "./oids.ts";
import { readContentInfo, readSignedData, type SignedMessage } from "./signed-data.ts";
import type { Signer } from "./signer.ts";
import { verifyMessage } from "./verify-message.ts";

/** What a good signature of an update was found to sign. */
export interface UpdatePurpose {
  readonly variable: SecureBootVariable;
  readonly write: "replace" | "append";
}

/** The verdict on the signature of a variable update. */
export interface UpdateVerdict {
  /** The certificate that came with the signature; null when there is none. */
  readonly signer: ParsedCertificate | null;
  /** Null when the signature is for another variable, or invalid. */
  readonly purpose: UpdatePurpose | null;
  /** Why no purpose was found; null when one was. */
  readonly problem: string | null;
}

/**
 * Signs a change of a variable as {@link signVariableChange}, and verifies the result: signers may be wrong.
 * @throws SealError `external` when the signature does not verify; what the signer throws
 */
export async function signUpdate(change: VariableChange, signer: Signer): Promise<Uint8Array> {
  const bytes = await signVariableChange(change, signer);
  const subject = "the signature just made";
  const { certificate, chain } = signer;
  const message = readUpdateSignature(parseVariableUpdate(bytes, subject), subject, [certificate, ...chain]);
  const problem = verifyMessage(message, signedOctets(change));
  if (problem === null) return bytes;
  throw new SealError("external", `${certificate.label}: ${subject} is invalid: ${problem}`);
}

/**
 * Reads the signature of an update.
 * @param known certificates that have been parsed, see {@link readSignedData}
 * @throws SealError `input` when it is not a detached PKCS#7 signature with one signer
 */
export function readUpdateSignature(
  update: VariableUpdate,
  subject: string,
  known: readonly ParsedCertificate[] = [],
): SignedMessage {
  const outer = new DerReader(update.signature, subject);
  const inner = outer.enter("SignedData");
  outer.end("SignedData");
  // The specification wants bare SignedData; some tools put a ContentInfo around it, and newer firmware takes both.
  const message = inner.nextTag === TAG.objectIdentifier ? readContentInfo(inner, known) : readSignedData(inner, known);
  if (message.contentType !== OID.data) {
    throw outer.error(`its signature covers another type of content ( ${message.contentType})`);
  }
  if (message.content !== null)
    throw outer.error("its signature contains its own content instead of covering the update");
  return message;
}

/**
 * Finds out what an update is for, by its signature; who signed it is not judged.
 * @throws SealError `input` as `readUpdateSignature`
 */
export function identifyUpdate(update: VariableUpdate, subject: string): UpdateVerdict {
  const message = readUpdateSignature(update, subject);
  const signer = message.signerCertificate;
  let problem: string | null = null;
  for (const variable of SECURE_BOOT_VARIABLES) {
    for (const write of ["replace", "append"] as const) {
      problem = verifyMessage(message, signedOctets({ variable, write, time: update.time, value: update.value }));
      if (problem === null) return { signer, purpose: { variable, write }, problem };
    }
  }
  return {
    signer,
    purpose: null,
    problem: `it does not sign an update of ${SECURE_BOOT_VARIABLES.join(", ")}: ${problem}`,
  };
}
