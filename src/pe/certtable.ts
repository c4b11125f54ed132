/**
 * The attribute certificate table of a PE file ("PE Format", section "The Attribute Certificate Table"): a list of
 * WIN_CERTIFICATE at the end of the file. Read as strictly as firmware reads it (EDK II, DxeImageVerificationLib): the
 * entries must fill the table exactly, and nothing may follow it, or different readers would see different signatures.
 */
import { alignUp, Cursor } from "../bytes.ts";
import { concat, readRange } from "../chunks.ts";
import { inputError } from "../errors.ts";
import type { PeImage } from "./headers.ts";

/** One WIN_CERTIFICATE without its header. */
export interface WinCertificate {
  /** wCertificateType; see {@link WIN_CERTIFICATE_TYPE}. */
  readonly type: number;
  /** bCertificate: dwLength - 8 bytes, which may include padding after the signature. */
  readonly data: Uint8Array;
}

export const WIN_CERTIFICATE_TYPE = { pkcsSignedData: 0x0002 } as const;

/** Table and entries start at multiples of this. */
export const CERTIFICATE_ALIGNMENT = 8;

const HEADER_SIZE = 8;
/** WIN_CERT_REVISION_2_0; the only one that UEFI knows. */
const REVISION = 0x0200;
/** Signatures have a few KiB each. Beyond these limits a table is made to waste memory or time. */
const MAX_TABLE_BYTES = 1 << 24;
const MAX_CERTIFICATES = 64;

/**
 * Where the image itself ends: at the certificate table, or at the end of a file without one.
 * @throws SealError `input` when the table does not start at a multiple of 8 or is not the end of the file
 */
export function imageEnd(pe: PeImage): number {
  const { certificateTable: table, subject } = pe;
  if (table === null) return pe.length;
  if (table.offset % CERTIFICATE_ALIGNMENT !== 0) {
    throw inputError(
      subject,
      `corrupt PE file: its certificate table starts at ${table.offset}, which is not a multiple of 8`,
    );
  }
  const end = table.offset + table.size;
  if (end !== pe.length) {
    throw inputError(
      subject,
      `corrupt PE file: its certificate table ends at ${end}, the file at ${pe.length}. Sign the original file again`,
    );
  }
  return table.offset;
}

/**
 * The signatures of an image, in order; none when it has no table.
 * @throws SealError `input` when the table's lengths contradict each other, its padding is not zero, or
 *   a revision is unknown
 */
export function readCertificateTable(pe: PeImage): WinCertificate[] {
  const start = imageEnd(pe);
  const { certificateTable: table, subject } = pe;
  if (table === null) return [];
  if (table.size > MAX_TABLE_BYTES) throw lies(subject, `it has ${table.size} bytes`);
  const cursor = new Cursor(concat([...readRange(pe.file, start, pe.length)]), subject);
  const certificates: WinCertificate[] = [];
  for (let offset = 0; offset < cursor.length; ) {
    if (certificates.length === MAX_CERTIFICATES) throw lies(subject, `more than ${MAX_CERTIFICATES} entries`);
    const what = `entry ${certificates.length + 1} of the certificate table`;
    const length = cursor.u32(offset, what);
    const revision = cursor.u16(offset + 4, what);
    const type = cursor.u16(offset + 6, what);
    const next = offset + alignUp(length, CERTIFICATE_ALIGNMENT);
    if (length <= HEADER_SIZE || next > cursor.length) {
      throw lies(subject, `an entry at ${start + offset} claims ${length} bytes, ${cursor.length - offset} are left`);
    }
    if (revision !== REVISION) {
      throw lies(subject, `an entry at ${start + offset} has the unknown revision 0x${revision.toString(16)}`);
    }
    const padding = cursor.slice(offset + length, next - offset - length, what);
    if (padding.some((byte) => byte !== 0))
      throw lies(subject, `data in the padding after the entry at ${start + offset}`);
    certificates.push({ type, data: cursor.slice(offset + HEADER_SIZE, length - HEADER_SIZE, what) });
    offset = next;
  }
  return certificates;
}

/** The table's bytes: each entry with its header, padded with zeros to a multiple of 8 that dwLength does not count. */
export function encodeCertificateTable(certificates: readonly WinCertificate[]): Uint8Array {
  return concat(
    certificates.map(({ type, data }) => {
      const length = HEADER_SIZE + data.length;
      const entry = new Uint8Array(alignUp(length, CERTIFICATE_ALIGNMENT));
      const view = new DataView(entry.buffer);
      view.setUint32(0, length, true);
      view.setUint16(4, REVISION, true);
      view.setUint16(6, type, true);
      entry.set(data, HEADER_SIZE);
      return entry;
    }),
  );
}

function lies(subject: string, reason: string): Error {
  return inputError(subject, `its certificate table is corrupt (${reason}). Sign the original file again`);
}
