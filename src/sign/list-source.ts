/** Everything that signature lists can be made of: lists, signed updates, certificates, and the hashes of EFI programs. */
import { createHash } from "node:crypto";
import { concat, toHex } from "../bytes.ts";
import { inputError } from "../errors.ts";
import { listedImageHashes } from "../pe/authentihash.ts";
import { parsePe } from "../pe/headers.ts";
import { isVariableUpdate } from "./authvar.ts";
import { parseCertificate } from "./certificate.ts";
import { readSignatureLists } from "./database.ts";
import type { Guid } from "./guid.ts";
import { readCertificateFile } from "./key-file.ts";
import { isPemOrDer } from "./pem.ts";
import {
  certificateHashList,
  certificateList,
  imageHashList,
  type ListedSignature,
  REVOCATION_TIME_BYTES,
  SHA256_TYPE,
  type SignatureList,
} from "./siglist.ts";

export interface ListOptions {
  /** Of the entries that are made here; lists keep the owners that they have. */
  readonly owner: Guid;
  /** Name certificates by their hash, as dbx may: what they signed is revoked, not what their issued certificates signed. */
  readonly certificatesByHash: boolean;
}

/**
 * The signature lists that a file stands for: its own, those of a signed update, its certificates (PEM or DER), or the
 * Authenticode hashes (SHA-256) of an EFI program: that of the file as it is, and that of the file once it is signed.
 * @throws SealError `input` when it is nothing of that
 */
export function signatureListsOf(bytes: Uint8Array, subject: string, options: ListOptions): SignatureList[] {
  const { owner, certificatesByHash } = options;
  if (bytes[0] === 0x4d && bytes[1] === 0x5a) {
    return [imageHashList(owner, listedImageHashes(parsePe([bytes], subject), "sha256"))];
  }
  if (isVariableUpdate(bytes)) return readSignatureLists(bytes, subject);
  if (isPemOrDer(bytes)) {
    return readCertificateFile(bytes, subject).map((certificate) => {
      if (!certificatesByHash) return certificateList(owner, certificate.der);
      const hash = createHash("sha256").update(parseCertificate(certificate).tbs).digest();
      return certificateHashList(owner, concat([hash, new Uint8Array(REVOCATION_TIME_BYTES)]));
    });
  }
  try {
    return readSignatureLists(bytes, subject);
  } catch (error) {
    throw inputError(subject, "is no signature list, signed update, certificate or EFI program", error);
  }
}

/** Lists one after the other, with neighbouring lists of image hashes as one, and without entries that came before. */
export function joinSignatureLists(lists: readonly SignatureList[]): SignatureList[] {
  const joined: { type: Guid; signatures: ListedSignature[] }[] = [];
  const known = new Set<string>();
  for (const { type, signatures } of lists) {
    const fresh: ListedSignature[] = [];
    for (const signature of signatures) {
      const key = `${type} ${toHex(signature.data)}`;
      if (!known.has(key)) fresh.push(signature);
      known.add(key);
    }
    if (fresh.length === 0) continue;
    const last = joined.at(-1);
    if (last === undefined || type !== SHA256_TYPE || last.type !== SHA256_TYPE)
      joined.push({ type, signatures: fresh });
    else for (const signature of fresh) last.signatures.push(signature);
  }
  return joined;
}
