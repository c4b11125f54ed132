/** Signature lists for people and as JSON: the entries, one by one. */
import { z } from "zod";
import { toHex } from "../../bytes.ts";
import { decodeRevocationTime } from "../../sign/authvar.ts";
import { keyName, type ParsedCertificate } from "../../sign/certificate.ts";
import { readListedCertificate } from "../../sign/database.ts";
import { timeText } from "../../sign/efi-time.ts";
import {
  type ListedSignature,
  REVOCATION_TIME_BYTES,
  type SignatureKind,
  type SignatureList,
  signatureKind,
} from "../../sign/siglist.ts";
import { renderIndented } from "../terminal/report.ts";

export const certificateReportSchema = z.strictObject({
  subject: z.string(),
  issuer: z.string(),
  /** `RSA-2048` */
  key: z.string(),
  notBefore: z.string(),
  notAfter: z.string(),
  /** Of its DER. */
  sha256: z.string(),
});

const owner = z.string();
const algorithm = z.enum(["sha1", "sha256", "sha384", "sha512"]);
export const entryReportSchema = z.discriminatedUnion("type", [
  z.strictObject({ type: z.literal("certificate"), owner, certificate: certificateReportSchema }),
  z.strictObject({ type: z.literal("image-hash"), owner, algorithm, digest: z.string() }),
  z.strictObject({
    type: z.literal("certificate-hash"),
    owner,
    algorithm,
    digest: z.string(),
    /** Null: always revoked. */
    since: z.string().nullable(),
  }),
  /** `name` of the type, or its GUID. */
  z.strictObject({ type: z.literal("other"), owner, name: z.string(), size: z.int() }),
  /** An entry for a certificate whose data are not one. */
  z.strictObject({ type: z.literal("unreadable"), owner, size: z.int(), reason: z.string() }),
  /** A list without entries; `name` of its type. */
  z.strictObject({ type: z.literal("empty-list"), name: z.string() }),
  /** What precedes the entries of a list, which firmware skips. */
  z.strictObject({ type: z.literal("list-header"), name: z.string(), size: z.int() }),
]);
export type EntryReport = z.infer<typeof entryReportSchema>;
export type CertificateReport = z.infer<typeof certificateReportSchema>;

export function describeCertificate(certificate: ParsedCertificate): CertificateReport {
  return {
    subject: certificate.subjectText,
    issuer: certificate.issuerText,
    key: keyName(certificate),
    notBefore: certificate.notBefore.toISOString(),
    notAfter: certificate.notAfter.toISOString(),
    sha256: certificate.x509.fingerprint256.replaceAll(":", "").toLowerCase(),
  };
}

/** @param subject names the lists in what is said of entries */
export function describeLists(lists: readonly SignatureList[], subject: string): EntryReport[] {
  return lists.flatMap(({ type, signatures, header }): EntryReport[] => {
    const kind = signatureKind(type);
    const name = kindName(kind);
    return [
      ...(header === undefined ? [] : [{ type: "list-header", name, size: header.length } as const]),
      ...(signatures.length === 0 ? [{ type: "empty-list", name } as const] : []),
      ...signatures.map((signature) => describeEntry(kind, signature, subject)),
    ];
  });
}

function kindName(kind: SignatureKind): string {
  switch (kind.kind) {
    case "certificate":
      return "certificates";
    case "image hash":
      return `${algorithmText(kind.algorithm)} hashes of images`;
    case "certificate hash":
      return `${algorithmText(kind.algorithm)} hashes of certificates`;
    case "other":
      return kind.name;
  }
}

function describeEntry(kind: SignatureKind, { owner: guid, data }: ListedSignature, subject: string): EntryReport {
  switch (kind.kind) {
    case "certificate": {
      const certificate = readListedCertificate(data, subject);
      if ("problem" in certificate) {
        return { type: "unreadable", owner: guid, size: data.length, reason: certificate.problem };
      }
      return { type: "certificate", owner: guid, certificate: describeCertificate(certificate) };
    }
    case "image hash":
      return { type: "image-hash", owner: guid, algorithm: kind.algorithm, digest: toHex(data) };
    case "certificate hash": {
      const since = decodeRevocationTime(data.subarray(-REVOCATION_TIME_BYTES));
      const digest = toHex(data.subarray(0, -REVOCATION_TIME_BYTES));
      const { algorithm: name } = kind;
      return {
        type: "certificate-hash",
        owner: guid,
        algorithm: name,
        digest,
        since: since === null ? null : timeText(since),
      };
    }
    case "other":
      return { type: "other", owner: guid, name: kind.name, size: data.length };
  }
}

/** A table, indented. */
export function drawEntries(entries: readonly EntryReport[], columns: number | null): string {
  const rows = entries.map((entry) => [...entryCells(entry), "owner" in entry ? `owner ${entry.owner}` : ""]);
  return renderIndented(rows, columns);
}

function entryCells(entry: EntryReport): string[] {
  switch (entry.type) {
    case "certificate":
      return certificateCells(entry.certificate);
    case "image-hash":
      return ["hash of an image", algorithmText(entry.algorithm), "", entry.digest];
    case "certificate-hash": {
      const since = entry.since === null ? "revoked" : `revoked since ${entry.since.slice(0, 10)}`;
      return ["hash of a certificate", algorithmText(entry.algorithm), since, entry.digest];
    }
    case "other":
      return [entry.name, `${entry.size} bytes`, "", ""];
    case "unreadable":
      return ["not understood", `${entry.size} bytes`, "", entry.reason];
    case "empty-list":
      return ["a list without entries", "", "", entry.name];
    case "list-header":
      return ["header of a list", `${entry.size} bytes`, "skipped", entry.name];
  }
}

/** Name, key, validity, hash. */
export function certificateCells({ subject, key, notBefore, notAfter, sha256 }: CertificateReport): string[] {
  return [subject, key, `${notBefore.slice(0, 10)} to ${notAfter.slice(0, 10)}`, sha256];
}

function algorithmText(name: string): string {
  return name.replace("sha", "SHA-");
}
