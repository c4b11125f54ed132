/**
 * Textual encoding of keys and certificates (RFC 7468), with the encrypted keys of RFC 1421 headers
 * that OpenSSL once wrote.
 */
import { inputError } from "../errors.ts";

export interface PemBlock {
  /** `CERTIFICATE`, `PRIVATE KEY`, … */
  readonly type: string;
  /** The whole block with its BEGIN and END lines. */
  readonly text: string;
  /** Decoded contents; meaningless when `hasHeaders`. */
  readonly der: Uint8Array;
  /** Whether RFC 1421 headers say how it is encrypted. */
  readonly hasHeaders: boolean;
}

const DER_SEQUENCE = 0x30;

/** Whether bytes are in one of the two forms that keys and certificates have. */
export function isPemOrDer(bytes: Uint8Array): boolean {
  return bytes[0] === DER_SEQUENCE || isPem(bytes);
}

/** Whether bytes are text with PEM blocks. DER starts with a SEQUENCE, whose tag is the digit 0 in ASCII. */
export function isPem(bytes: Uint8Array): boolean {
  return (
    bytes[0] !== DER_SEQUENCE && Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).includes("-----BEGIN ")
  );
}

/**
 * All blocks of a file in order; text between them, as OpenSSL writes it into bundles, is skipped.
 * @throws SealError `input` for a block without end or with contents that are not base64
 */
export function parsePem(bytes: Uint8Array, subject: string): PemBlock[] {
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("latin1");
  const blocks: PemBlock[] = [];
  let offset = 0;
  for (;;) {
    const begin = text.indexOf("-----BEGIN ", offset);
    if (begin === -1) return blocks;
    const typeEnd = text.indexOf("-----", begin + 11);
    const type = typeEnd === -1 ? "" : text.slice(begin + 11, typeEnd);
    const endLine = `-----END ${type}-----`;
    const end = text.indexOf(endLine, begin);
    if (typeEnd === -1 || end === -1)
      throw inputError(subject, `truncated: the PEM block "${shorten(type)}" has no end`);
    const body = text.slice(typeEnd + 5, end);
    const hasHeaders = body.includes(":");
    const base64 = body.replace(/\s+/g, "");
    if (!hasHeaders && !/^[A-Za-z0-9+/]*={0,2}$/.test(base64)) {
      throw inputError(subject, `corrupt: the PEM block "${shorten(type)}" contains characters that are not base64`);
    }
    offset = end + endLine.length;
    blocks.push({ type, text: `${text.slice(begin, offset)}\n`, der: Buffer.from(base64, "base64"), hasHeaders });
  }
}

/** For messages; the type comes from the file. */
function shorten(type: string): string {
  return type.replace(/[^ -~]/g, "?").slice(0, 40);
}
