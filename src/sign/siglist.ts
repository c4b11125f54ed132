/**
 * EFI signature lists (UEFI specification 32.4.1, EFI_SIGNATURE_LIST): what the variables PK, KEK, db and dbx hold. A
 * file or variable is a row of lists; all signatures of a list have the same type and size.
 */
import { Cursor } from "../bytes.ts";
import { concat } from "../chunks.ts";
import { inputError } from "../errors.ts";
import type { AuthentihashAlgorithm } from "../pe/authentihash.ts";
import { decodeGuid, encodeGuid, GUID_BYTES, type Guid, knownGuid } from "./guid.ts";

/** EFI_CERT_X509_GUID: signatures are DER certificates. */
export const X509_TYPE = knownGuid("a5c059a1-94e4-4aa7-87b5-ab155c2bf072");
/** EFI_CERT_SHA256_GUID: signatures are SHA-256 hashes, of PE images their Authenticode hash. */
export const SHA256_TYPE = knownGuid("c1c41626-504c-4092-aca9-41f936934328");

/** EFI_CERT_X509_SHA256_GUID and its kin: the hash of a certificate's TBSCertificate, and an EFI_TIME. */
const X509_SHA256_TYPE = knownGuid("3bd2a492-96c0-4079-b420-fcf98ef103ed");
const X509_SHA384_TYPE = knownGuid("7076876e-80c2-4ee6-aad2-28b349a6865b");
const X509_SHA512_TYPE = knownGuid("446dbf63-2502-4cda-bcfa-2465d2b0fe9d");

/** What the signatures of a list are. */
export type SignatureKind =
  | { readonly kind: "certificate" }
  | { readonly kind: "image hash"; readonly algorithm: AuthentihashAlgorithm }
  | { readonly kind: "certificate hash"; readonly algorithm: AuthentihashAlgorithm }
  /**
   * Of a type that no firmware uses for images. `name` is its name in the specification, or its GUID where it has none.
   */
  | { readonly kind: "other"; readonly name: string; readonly isKnown: boolean };

/** The types by their GUID. */
const KINDS: Readonly<Record<Guid, SignatureKind>> = {
  [X509_TYPE]: { kind: "certificate" },
  [knownGuid("826ca512-cf10-4ac9-b187-be01496631bd")]: { kind: "image hash", algorithm: "sha1" },
  [SHA256_TYPE]: { kind: "image hash", algorithm: "sha256" },
  [knownGuid("ff3e5307-9fd0-48c9-85f1-8ad56c701e01")]: { kind: "image hash", algorithm: "sha384" },
  [knownGuid("093e0fae-a6c4-4f50-9f1b-d41e2b89c19a")]: { kind: "image hash", algorithm: "sha512" },
  [X509_SHA256_TYPE]: { kind: "certificate hash", algorithm: "sha256" },
  [X509_SHA384_TYPE]: { kind: "certificate hash", algorithm: "sha384" },
  [X509_SHA512_TYPE]: { kind: "certificate hash", algorithm: "sha512" },
  [knownGuid("0b6e5233-a65c-44c9-9407-d9ab83bfc8bd")]: { kind: "other", name: "SHA-224", isKnown: true },
  [knownGuid("3c5766e8-269c-4e34-aa14-ed776e85b3b6")]: { kind: "other", name: "RSA-2048", isKnown: true },
  [knownGuid("e2b36190-879b-4a3d-ad8d-f2e7bba32784")]: { kind: "other", name: "RSA-2048 with SHA-256", isKnown: true },
  [knownGuid("67f8444f-8743-48f1-a328-1eaab8736080")]: { kind: "other", name: "RSA-2048 with SHA-1", isKnown: true },
  [knownGuid("4aafd29d-68df-49ee-8aa9-347d375665a7")]: { kind: "other", name: "PKCS#7", isKnown: true },
};

const DIGEST_BYTES: Readonly<Record<AuthentihashAlgorithm, number>> = { sha1: 20, sha256: 32, sha384: 48, sha512: 64 };
/** EFI_TIME after the hash of a certificate: since when it is revoked; all zero: always. */
export const REVOCATION_TIME_BYTES = 16;

/** What a list's type says about its signatures. */
export function signatureKind(type: Guid): SignatureKind {
  return KINDS[type] ?? { kind: "other", name: type, isKnown: false };
}

/** How many bytes a signature of this kind has, without its owner; null when it varies. */
function dataBytesOf(kind: SignatureKind): number | null {
  switch (kind.kind) {
    case "image hash":
      return DIGEST_BYTES[kind.algorithm];
    case "certificate hash":
      return DIGEST_BYTES[kind.algorithm] + REVOCATION_TIME_BYTES;
    case "certificate":
    case "other":
      return null;
  }
}

/** EFI_SIGNATURE_DATA. */
export interface ListedSignature {
  /** Who put it there; only for people, nothing is checked by it. */
  readonly owner: Guid;
  /** What it is, is said by the type of the list. */
  readonly data: Uint8Array;
}

/** An EFI signature list (UEFI specification 32.4.1). */
export interface SignatureList {
  /** `X509_TYPE`, `SHA256_TYPE` or one of the specification's rarer types. */
  readonly type: Guid;
  /** Vendors ship lists without any. */
  readonly signatures: readonly ListedSignature[];
  /** SignatureHeader, if any: no type has one, and firmware skips it. */
  readonly header?: Uint8Array;
  /** SignatureSize of a list without signatures. */
  readonly signatureBytes?: number;
}

/** SignatureType, SignatureListSize, SignatureHeaderSize, SignatureSize. */
const LIST_HEADER_BYTES = GUID_BYTES + 3 * 4;

/** A list with Authenticode hashes (SHA-256) of images. */
export function imageHashList(owner: Guid, hashes: readonly Uint8Array[]): SignatureList {
  return { type: SHA256_TYPE, signatures: hashes.map((data) => ({ owner, data })) };
}

/** A list with one revoked certificate. @param data SHA-256 of its TBSCertificate, then an EFI_TIME */
export function certificateHashList(owner: Guid, data: Uint8Array): SignatureList {
  return { type: X509_SHA256_TYPE, signatures: [{ owner, data }] };
}

/** A list with one certificate. Certificates differ in size, so each gets its own list. */
export function certificateList(owner: Guid, der: Uint8Array): SignatureList {
  return { type: X509_TYPE, signatures: [{ owner, data: der }] };
}

/**
 * The bytes of a row of lists; none is an empty array.
 * @throws RangeError when the signatures of a list differ in size or are not what its type says
 */
export function encodeSignatureLists(lists: readonly SignatureList[]): Uint8Array {
  return concat(lists.flatMap(encodeList));
}

function encodeList(list: SignatureList): Uint8Array[] {
  const { type, signatures, header = new Uint8Array() } = list;
  const [first] = signatures;
  if (first === undefined) {
    if (list.signatureBytes === undefined) throw new RangeError("a list without signatures needs their size");
    return [...listHeader(type, 0, header, list.signatureBytes), header];
  }
  const dataBytes = first.data.length;
  if (dataBytes === 0) throw new RangeError("signatures have content");
  if (signatures.some(({ data }) => data.length !== dataBytes)) {
    throw new RangeError("signatures of different sizes need lists of their own");
  }
  const wanted = dataBytesOf(signatureKind(type));
  if (wanted !== null && dataBytes !== wanted) throw new RangeError(`${dataBytes} bytes, expected ${wanted}`);
  return [
    ...listHeader(type, signatures.length, header, GUID_BYTES + dataBytes),
    header,
    ...signatures.flatMap(({ owner, data }) => [encodeGuid(owner), data]),
  ];
}

function listHeader(type: Guid, count: number, header: Uint8Array, signatureBytes: number): Uint8Array[] {
  const sizes = new DataView(new ArrayBuffer(12));
  sizes.setUint32(0, LIST_HEADER_BYTES + header.length + count * signatureBytes, true);
  sizes.setUint32(4, header.length, true);
  sizes.setUint32(8, signatureBytes, true);
  return [encodeGuid(type), new Uint8Array(sizes.buffer)];
}

/**
 * Reads a row of lists as EDK II does (DxeImageVerificationLib): lists without signatures, of unknown types and
 * with a header are passed over or read like all others. The data are views of the input. The content of
 * certificates is not looked at.
 * @param subject names the input in errors
 * @throws SealError `input` when the sizes contradict each other or bytes are left over
 */
export function parseSignatureLists(bytes: Uint8Array, subject: string): SignatureList[] {
  const cursor = new Cursor(bytes, subject);
  const lists: SignatureList[] = [];
  for (let offset = 0; offset < bytes.length; ) {
    const what = `signature list ${lists.length + 1}`;
    const type = decodeGuid(cursor.slice(offset, GUID_BYTES, `the type of ${what}`));
    const listBytes = cursor.u32(offset + GUID_BYTES, `the size of ${what}`);
    const headerBytes = cursor.u32(offset + GUID_BYTES + 4, `the header size of ${what}`);
    const signatureBytes = cursor.u32(offset + GUID_BYTES + 8, `the signature size of ${what}`);
    const list = cursor.slice(offset, listBytes, what);
    checkSizes(subject, what, { type, listBytes, headerBytes, signatureBytes });
    const signatures: ListedSignature[] = [];
    for (let at = LIST_HEADER_BYTES + headerBytes; at < listBytes; at += signatureBytes) {
      signatures.push({
        owner: decodeGuid(list.subarray(at, at + GUID_BYTES)),
        data: list.subarray(at + GUID_BYTES, at + signatureBytes),
      });
    }
    lists.push({
      type,
      signatures,
      ...(headerBytes === 0 ? {} : { header: list.subarray(LIST_HEADER_BYTES, LIST_HEADER_BYTES + headerBytes) }),
      ...(signatures.length === 0 ? { signatureBytes } : {}),
    });
    offset += listBytes;
  }
  return lists;
}

interface ListSizes {
  readonly type: Guid;
  readonly listBytes: number;
  readonly headerBytes: number;
  readonly signatureBytes: number;
}

function checkSizes(subject: string, what: string, { type, listBytes, headerBytes, signatureBytes }: ListSizes): void {
  const rest = listBytes - LIST_HEADER_BYTES - headerBytes;
  if (rest < 0) {
    throw inputError(
      subject,
      `${what} of ${listBytes} bytes can't hold its header of ${LIST_HEADER_BYTES + headerBytes}`,
    );
  }
  // Firmware divides by it, also for a list without signatures.
  if (signatureBytes === 0) throw inputError(subject, `${what} has signatures of 0 bytes`);
  if (rest === 0) return;
  if (signatureBytes <= GUID_BYTES) throw inputError(subject, `${what} has signatures without content`);
  if (rest % signatureBytes !== 0) {
    throw inputError(subject, `${what} of ${listBytes} bytes can't hold signatures of ${signatureBytes} bytes`);
  }
  const kind = signatureKind(type);
  const wanted = dataBytesOf(kind);
  const dataBytes = signatureBytes - GUID_BYTES;
  if (wanted !== null && dataBytes !== wanted) {
    throw inputError(subject, `${what} has ${kind.kind} entries of ${dataBytes} bytes, expected ${wanted}`);
  }
}
