/**
 * EFI signature lists (UEFI specification 32.4.1, EFI_SIGNATURE_LIST): what the variables PK, KEK, db and dbx hold. A
 * file or variable is a row of lists; all signatures of a list have the same type and size.
 */
import { Cursor, concat } from "../bytes.ts";
import { inputError } from "../errors.ts";
import { decodeGuid, encodeGuid, GUID_BYTES, type Guid, knownGuid } from "./guid.ts";

/** EFI_CERT_X509_GUID: signatures are DER certificates. */
export const X509_TYPE = knownGuid("a5c059a1-94e4-4aa7-87b5-ab155c2bf072");
/** EFI_CERT_SHA256_GUID: signatures are SHA-256 hashes, of PE images their Authenticode hash. */
export const SHA256_TYPE = knownGuid("c1c41626-504c-4092-aca9-41f936934328");

/** EFI_SIGNATURE_DATA. */
export interface ListedSignature {
  /** Who put it there; only for people, nothing is checked by it. */
  readonly owner: Guid;
  /** What it is, is said by the type of the list. */
  readonly data: Uint8Array;
}

export interface SignatureList {
  /** {@link X509_TYPE}, {@link SHA256_TYPE} or one of the specification's rarer types. */
  readonly type: Guid;
  readonly signatures: readonly ListedSignature[];
}

/** SignatureType, SignatureListSize, SignatureHeaderSize, SignatureSize. */
const LIST_HEADER_BYTES = GUID_BYTES + 3 * 4;
const SHA256_BYTES = 32;

/** A list with one certificate. Certificates differ in size, so each gets a list of its own. */
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

function encodeList({ type, signatures }: SignatureList): Uint8Array[] {
  const dataBytes = signatures[0]?.data.length ?? 0;
  if (dataBytes === 0) throw new RangeError("a list holds at least one signature");
  if (signatures.some(({ data }) => data.length !== dataBytes)) {
    throw new RangeError("signatures of different sizes need lists of their own");
  }
  if (type === SHA256_TYPE && dataBytes !== SHA256_BYTES) throw new RangeError(`a SHA-256 hash of ${dataBytes} bytes`);
  const signatureBytes = GUID_BYTES + dataBytes;
  const sizes = new DataView(new ArrayBuffer(12));
  sizes.setUint32(0, LIST_HEADER_BYTES + signatures.length * signatureBytes, true);
  // SignatureHeaderSize: no type has a header.
  sizes.setUint32(4, 0, true);
  sizes.setUint32(8, signatureBytes, true);
  return [
    encodeGuid(type),
    new Uint8Array(sizes.buffer),
    ...signatures.flatMap(({ owner, data }) => [encodeGuid(owner), data]),
  ];
}

/**
 * Reads a row of lists; the data are views of the input. The content of certificates is not looked at.
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
    for (let at = LIST_HEADER_BYTES; at < listBytes; at += signatureBytes) {
      signatures.push({
        owner: decodeGuid(list.subarray(at, at + GUID_BYTES)),
        data: list.subarray(at + GUID_BYTES, at + signatureBytes),
      });
    }
    lists.push({ type, signatures });
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
  if (headerBytes !== 0) throw inputError(subject, `${what} has a header of ${headerBytes} bytes, which no type has`);
  if (signatureBytes <= GUID_BYTES) throw inputError(subject, `${what} has signatures without content`);
  const rest = listBytes - LIST_HEADER_BYTES;
  if (rest <= 0 || rest % signatureBytes !== 0) {
    throw inputError(subject, `${what} of ${listBytes} bytes can't hold signatures of ${signatureBytes} bytes`);
  }
  if (type === SHA256_TYPE && signatureBytes !== GUID_BYTES + SHA256_BYTES) {
    throw inputError(subject, `${what} has SHA-256 hashes of ${signatureBytes - GUID_BYTES} bytes`);
  }
}
