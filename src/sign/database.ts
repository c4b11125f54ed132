/**
 * What the variables db and dbx say about images: certificates, hashes of images and hashes of certificates,
 * taken from signature lists (UEFI specification 32.4.1). Signed updates (`.auth`) are accepted where lists are:
 * what they would set.
 */
import { createHash } from "node:crypto";
import { equalBytes } from "../bytes.ts";
import { inputError, SealError } from "../errors.ts";
import type { AuthentihashAlgorithm } from "../pe/authentihash.ts";
import { decodeRevocationTime, parseVariableUpdate } from "./authvar.ts";
import { type ParsedCertificate, parseCertificate } from "./certificate.ts";
import type { EfiTime } from "./efi-time.ts";
import { keyFileKind } from "./file-kind.ts";
import { isPem } from "./pem.ts";
import { parseSignatureLists, REVOCATION_TIME_BYTES, type SignatureList, signatureKind } from "./siglist.ts";

/** The hash of an image or of a certificate. */
export interface ListedHash {
  readonly algorithm: AuthentihashAlgorithm;
  readonly digest: Uint8Array;
  /** What the user knows its list by: a path. */
  readonly subject: string;
}

/** The hash of a revoked certificate's TBSCertificate. */
export interface ListedCertificateHash extends ListedHash {
  /** Signatures that a trusted clock says are older may stay good, where firmware knows such clocks; null: none do. */
  readonly since: EfiTime | null;
}

/** What db or dbx holds: certificates and hashes. */
export interface SignatureDatabase {
  readonly certificates: readonly ParsedCertificate[];
  readonly imageHashes: readonly ListedHash[];
  readonly certificateHashes: readonly ListedCertificateHash[];
  /** Names of the types of entries that say nothing about images, each once. */
  readonly ignored: readonly string[];
  /** Certificate entries that are not certificates, which firmware skips: why, one clause each. */
  readonly unreadable: readonly string[];
}

/**
 * Reads signature lists, or the ones in a signed update, whose signature is not looked at.
 * @param subject names the file in errors and verdicts
 * @throws SealError `input` when it is neither
 */
export function readDatabase(bytes: Uint8Array, subject: string): SignatureDatabase {
  return databaseOf(readSignatureLists(bytes, subject), subject);
}

/**
 * The lists of a file that holds them, of a signed update that would set them, or of Linux' file of a variable
 * (`/sys/firmware/efi/efivars/dbx-…`), which has the attributes in front.
 * @throws SealError `input` when it is none of these
 */
export function readSignatureLists(bytes: Uint8Array, subject: string): SignatureList[] {
  const file = keyFileKind(bytes);
  switch (file.kind) {
    case "lists":
      return parseSignatureLists(file.bytes, subject);
    case "update":
      return parseSignatureLists(parseVariableUpdate(file.bytes, subject).value, subject);
    case "empty":
      return [];
    case "pem":
    case "der":
      throw inputError(subject, "is not a signature list; create one from a certificate with: seal keys esl");
    case "program":
      throw inputError(
        subject,
        "is an EFI program, not a signature list; create one from its hash with: seal keys esl",
      );
    case "store":
      throw inputError(subject, "is a variable store, not a signature list; seal keys show lists its contents");
    case "unknown":
      throw inputError(subject, `is not a signature list: ${file.reason}`);
  }
}

/** {@link readDatabase} of lists that have been read. */
export function databaseOf(lists: readonly SignatureList[], subject: string): SignatureDatabase {
  const certificates: ParsedCertificate[] = [];
  const imageHashes: ListedHash[] = [];
  const certificateHashes: ListedCertificateHash[] = [];
  const ignored = new Set<string>();
  const unreadable: string[] = [];
  for (const { type, signatures } of lists) {
    const kind = signatureKind(type);
    for (const { data } of signatures) {
      switch (kind.kind) {
        case "certificate": {
          const certificate = readListedCertificate(data, subject);
          if ("problem" in certificate) unreadable.push(certificate.problem);
          else certificates.push(certificate);
          break;
        }
        case "image hash":
          imageHashes.push({ algorithm: kind.algorithm, digest: data, subject });
          break;
        case "certificate hash": {
          const digest = data.subarray(0, -REVOCATION_TIME_BYTES);
          const since = decodeRevocationTime(data.subarray(-REVOCATION_TIME_BYTES));
          certificateHashes.push({ algorithm: kind.algorithm, digest, subject, since });
          break;
        }
        case "other":
          ignored.add(kind.name);
      }
    }
  }
  return { certificates, imageHashes, certificateHashes, ignored: [...ignored], unreadable };
}

/**
 * The certificate in an entry of a list, or what is there instead: firmware reads DER only, and skips everything else.
 */
export function readListedCertificate(data: Uint8Array, subject: string): ParsedCertificate | { problem: string } {
  if (isPem(data)) return { problem: "PEM text instead of a certificate in DER" };
  try {
    return parseCertificate({ der: data, label: subject });
  } catch (error) {
    if (!(error instanceof SealError)) throw error;
    return {
      problem: `${data.length} bytes that are not a certificate (${error.message.replace(`${subject}: `, "")})`,
    };
  }
}

/** The certificates in lists; entries with anything else are skipped, as firmware does. */
export function listedCertificates(lists: readonly SignatureList[], subject: string): readonly ParsedCertificate[] {
  return databaseOf(lists, subject).certificates;
}

/** What to report about one of {@link SignatureDatabase.unreadable}. */
export function unreadableEntry(subject: string, problem: string): string {
  return `${subject}: an entry is ${problem}: firmware skips it. Create the list again with seal keys esl`;
}

/** Several files as one database, in order. */
export function joinDatabases(databases: readonly SignatureDatabase[]): SignatureDatabase {
  return {
    certificates: databases.flatMap(({ certificates }) => certificates),
    imageHashes: databases.flatMap(({ imageHashes }) => imageHashes),
    certificateHashes: databases.flatMap(({ certificateHashes }) => certificateHashes),
    ignored: [...new Set(databases.flatMap(({ ignored }) => ignored))],
    unreadable: databases.flatMap(({ unreadable }) => unreadable),
  };
}

/** The entry that is the hash of an image; null when there is none. */
export function findImageHash(
  hashes: readonly ListedHash[],
  algorithm: AuthentihashAlgorithm,
  digest: Uint8Array,
): ListedHash | null {
  return hashes.find((listed) => listed.algorithm === algorithm && equalBytes(listed.digest, digest)) ?? null;
}

/** The entry that is the hash of a certificate; null when there is none. */
export function findCertificateHash(
  hashes: readonly ListedCertificateHash[],
  certificate: ParsedCertificate,
): ListedCertificateHash | null {
  const digests = new Map<AuthentihashAlgorithm, Uint8Array>();
  const digestOf = (algorithm: AuthentihashAlgorithm): Uint8Array => {
    const digest = digests.get(algorithm) ?? createHash(algorithm).update(certificate.tbs).digest();
    digests.set(algorithm, digest);
    return digest;
  };
  return hashes.find(({ algorithm, digest }) => equalBytes(digest, digestOf(algorithm))) ?? null;
}
