/**
 * Which entries of db make firmware start an image: EDK II measures them into PCR 7 (DxeImageVerificationLib,
 * IsAllowedByDb and IsSignatureFoundInDatabase).
 */
import { equalBytes } from "../bytes.ts";
import { AUTHENTIHASH_ALGORITHMS } from "../pe/authentihash.ts";
import type { PePass } from "../pe/pe-pass.ts";
import { databaseOf, readListedCertificate } from "./database.ts";
import { type ListedSignature, type SignatureList, signatureKind, X509_TYPE } from "./siglist.ts";
import { type Trust, verifyPePass } from "./verify.ts";

/** The variables that decide, in order. */
export interface ImagePolicy {
  readonly db: readonly SignatureList[];
  /** Empty: there is none. */
  readonly dbx: readonly SignatureList[];
}

/** An entry of db that lets an image start. */
export interface Authority {
  readonly entry: ListedSignature;
  /** For people: a certificate's subject, or that it is a hash. */
  readonly subject: string;
}

export type StartDecision =
  /** With the entries that firmware finds, in the order in which it does. */
  | { readonly starts: true; readonly authorities: readonly Authority[] }
  | { readonly starts: false; readonly reason: string };

/** What firmware with these variables trusts. @param now for the validity of certificates */
export function trustOfPolicy({ db, dbx }: ImagePolicy, now: Date): Trust {
  const { certificates, imageHashes } = databaseOf(db, "db");
  return { certificates, imageHashes, now, revoked: dbx.length === 0 ? undefined : databaseOf(dbx, "dbx") };
}

/**
 * Whether firmware starts an image, and by which entries of db: for a signed image one, that of the first
 * signature by a trusted certificate, for lack of that the one with its hash; for an unsigned image those with
 * its hash in any algorithm.
 * @throws SealError `input` when the image's certificate table, db or dbx is corrupt
 */
export function decideStart(image: PePass, { db, dbx }: ImagePolicy, now: Date): StartDecision {
  const verdict = verifyPePass(image, trustOfPolicy({ db, dbx }, now));
  if (!verdict.valid) {
    const reasons = verdict.signatures.flatMap(({ reason }) => reason ?? []);
    return { starts: false, reason: verdict.decision ?? reasons[0] ?? "it is not signed, and its hash is not in db" };
  }
  for (const [index, { outcome, digestAlgorithm }] of verdict.signatures.entries()) {
    const authority =
      outcome === "trusted" ? findSigner(image, db, index, now) : findHashes(image, db, [digestAlgorithm])[0];
    if (authority !== undefined) return { starts: true, authorities: [authority] };
  }
  return { starts: true, authorities: findHashes(image, db, AUTHENTIHASH_ALGORITHMS.toReversed()) };
}

/** The first certificate that a signature is good for. */
function findSigner(image: PePass, db: readonly SignatureList[], index: number, now: Date): Authority | undefined {
  const entries = db.filter(({ type }) => type === X509_TYPE).flatMap(({ signatures }) => signatures);
  for (const entry of entries) {
    const certificate = readListedCertificate(entry.data, "db");
    if ("problem" in certificate) continue;
    const { signatures } = verifyPePass(image, { certificates: [certificate], now });
    if (signatures[index]?.outcome === "trusted") return { entry, subject: certificate.subjectText };
  }
  return undefined;
}

/** The first entry with the image's hash in each of these algorithms. */
function findHashes(image: PePass, db: readonly SignatureList[], algorithms: readonly string[]): Authority[] {
  return algorithms.flatMap((algorithm) => {
    const entries = db.flatMap(({ type, signatures }) => {
      const kind = signatureKind(type);
      if (kind.kind !== "image hash" || kind.algorithm !== algorithm) return [];
      return signatures.filter(({ data }) => equalBytes(data, image.hash(kind.algorithm, "firmware")));
    });
    return entries
      .slice(0, 1)
      .map((entry) => ({ entry, subject: `${algorithm.replace("sha", "SHA-")} hash of an image` }));
  });
}
