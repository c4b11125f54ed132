/**
 * Everything that signature lists can be made of: lists, signed updates, certificates, and the hashes of EFI programs.
 */
import { createHash } from "node:crypto";
import { toHex } from "../bytes.ts";
import { concat } from "../chunks.ts";
import { inputError, SealError } from "../errors.ts";
import { listedImageHashes } from "../pe/authentihash.ts";
import { parsePe } from "../pe/headers.ts";
import { parseCertificate } from "./certificate.ts";
import { readSignatureLists } from "./database.ts";
import { keyFileKind } from "./file-kind.ts";
import type { Guid } from "./guid.ts";
import { readCertificateFile } from "./key-file.ts";
import {
  certificateHashList,
  certificateList,
  imageHashList,
  type ListedSignature,
  REVOCATION_TIME_BYTES,
  SHA256_TYPE,
  type SignatureList,
} from "./siglist.ts";

/** How signature lists are made of a source. */
export interface ListOptions {
  /** Of the entries that are made here; lists keep the owners that they have. */
  readonly owner: Guid;
  /**
   * Name certificates by their hash, as dbx may: what they signed is revoked, not what their issued
   * certificates signed.
   */
  readonly certificatesByHash: boolean;
}

/**
 * The signature lists in a file, or made from it: its own, those of a signed update, its certificates (PEM or
 * DER), or the Authenticode hashes (SHA-256) of an EFI program: that of the file as it is, and that of the
 * file once it is signed.
 * @throws SealError `input` when it is nothing of that
 */
export function signatureListsOf(bytes: Uint8Array, subject: string, options: ListOptions): SignatureList[] {
  const { owner, certificatesByHash } = options;
  const { kind } = keyFileKind(bytes);
  if (kind === "program") {
    return [imageHashList(owner, listedImageHashes(parsePe([bytes], subject), "sha256"))];
  }
  if (kind === "pem" || kind === "der") {
    return readCertificateFile(bytes, subject).map((certificate) => {
      if (!certificatesByHash) return certificateList(owner, certificate.der);
      const hash = createHash("sha256").update(parseCertificate(certificate).tbs).digest();
      return certificateHashList(owner, concat([hash, new Uint8Array(REVOCATION_TIME_BYTES)]));
    });
  }
  try {
    return readSignatureLists(bytes, subject);
  } catch (error) {
    if (kind !== "unknown" || !(error instanceof SealError)) throw error;
    const reason = error.message.replace(`${subject}: is not a signature list: `, "");
    throw inputError(subject, `is not a signature list, signed update, certificate or EFI program: ${reason}`, error);
  }
}

/**
 * What to report about an EFI program for which {@link signatureListsOf} lists two hashes; null for all other files.
 * @throws SealError `input` when it is a program that can't be hashed
 */
export function twoHashesNote(bytes: Uint8Array, subject: string): string | null {
  if (keyFileKind(bytes).kind !== "program") return null;
  const [unpadded, padded] = listedImageHashes(parsePe([bytes], subject), "sha256").map(toHex);
  if (unpadded === undefined || padded === undefined) return null;
  return `${subject}: its length is not a multiple of 8, so both its hashes are listed: ${unpadded}, which firmware computes for the file as it is, and ${padded}, which it has once signed`;
}

/**
 * The lists of several sources, one after the other, with neighbouring lists of image hashes as one, and without
 * entries that came before. Those of a single source stay as they are, to the byte: firmware measures them.
 */
export function joinSignatureLists(sources: readonly (readonly SignatureList[])[]): SignatureList[] {
  const [first = [], ...others] = sources.filter((lists) => lists.length > 0);
  if (others.length === 0) return [...first];
  const joined: { type: Guid; signatures: ListedSignature[]; header?: Uint8Array }[] = [];
  const known = new Set<string>();
  for (const { type, signatures, header } of [first, ...others].flat()) {
    const fresh: ListedSignature[] = [];
    for (const signature of signatures) {
      const key = `${type} ${toHex(signature.data)}`;
      if (!known.has(key)) fresh.push(signature);
      known.add(key);
    }
    if (fresh.length === 0) continue;
    const last = joined.at(-1);
    const isPlain = header === undefined && last?.header === undefined;
    if (last === undefined || type !== SHA256_TYPE || last.type !== SHA256_TYPE || !isPlain)
      joined.push({ type, signatures: fresh, ...(header === undefined ? {} : { header }) });
    else for (const signature of fresh) last.signatures.push(signature);
  }
  return joined;
}
