/** One header block of a tar archive: POSIX ustar and GNU, as the strict reader of composefs-rs takes them. */
import { inputError } from "../../errors.ts";

export const BLOCK = 512;

export interface TarHeader {
  /** Name with the ustar prefix. */
  readonly name: Uint8Array;
  readonly linkName: Uint8Array;
  readonly mode: number;
  readonly uid: bigint;
  readonly gid: bigint;
  readonly size: bigint;
  readonly mtime: bigint;
  /** As a character: `0` to `7`, `x`, `g`, `L`, `K`, or something unknown. */
  readonly type: string;
  /** null where the format has none. */
  readonly device: { readonly major: number; readonly minor: number } | null;
  /** Whether `x`, `L` and `K` mean extensions: old V7 archives have none. */
  readonly extensible: boolean;
}

/**
 * @param block 512 bytes, not all zero
 * @throws SealError `input` for a wrong checksum or a number that is none
 */
export function parseHeader(block: Uint8Array, subject: string): TarHeader {
  const text = (start: number, length: number) => untilNul(block.subarray(start, start + length));
  const number = (start: number, length: number, what: string) =>
    numeric(block.subarray(start, start + length), what, subject);
  if (number(148, 8, "checksum") !== BigInt(checksum(block))) {
    throw inputError(subject, "a tar header has a wrong checksum: the archive is corrupt, compressed or none");
  }
  const magic = Buffer.from(block.subarray(257, 265)).toString("latin1");
  const isUstar = magic === "ustar\x0000";
  const isGnu = magic === "ustar  \0";
  const prefix = isUstar ? text(345, 155) : new Uint8Array();
  const own = text(0, 100);
  return {
    name: prefix.length === 0 ? own : Buffer.concat([prefix, Buffer.from("/"), own]),
    linkName: text(157, 100),
    mode: Number(number(100, 8, "mode") & 0o7777n),
    uid: number(108, 8, "uid"),
    gid: number(116, 8, "gid"),
    size: number(124, 12, "size"),
    mtime: BigInt.asIntN(64, number(136, 12, "mtime")),
    type: block[156] === 0 ? "0" : String.fromCharCode(block[156] as number),
    device:
      isUstar || isGnu
        ? { major: Number(number(329, 8, "device number")), minor: Number(number(337, 8, "device number")) }
        : null,
    extensible: isUstar || isGnu,
  };
}

export function isZero(block: Uint8Array): boolean {
  return block.every((byte) => byte === 0);
}

/** What a ustar header holds; texts fit their fields. */
export interface HeaderFields extends Omit<TarHeader, "extensible"> {
  /** At most 100 bytes, without the prefix. */
  readonly name: Uint8Array;
  /** At most 155 bytes, without the slash between it and the name. */
  readonly prefix: Uint8Array;
  /** At most 100 bytes. */
  readonly linkName: Uint8Array;
}

/**
 * One header block in the ustar format (POSIX.1-2017 pax, "ustar Interchange Format"), without names of users and groups. Numbers
 * that are too large for their octal digits, or negative, are written in base 256, which every reader of today takes.
 */
export function formatHeader(fields: HeaderFields): Uint8Array {
  const block = Buffer.alloc(BLOCK);
  block.set(fields.name, 0);
  putNumber(block.subarray(100, 108), BigInt(fields.mode));
  putNumber(block.subarray(108, 116), fields.uid);
  putNumber(block.subarray(116, 124), fields.gid);
  putNumber(block.subarray(124, 136), fields.size);
  putNumber(block.subarray(136, 148), fields.mtime);
  block.write(fields.type, 156, "latin1");
  block.set(fields.linkName, 157);
  block.write("ustar\x0000", 257, "latin1");
  putNumber(block.subarray(329, 337), BigInt(fields.device?.major ?? 0));
  putNumber(block.subarray(337, 345), BigInt(fields.device?.minor ?? 0));
  block.set(fields.prefix, 345);
  block.write(`${checksum(block).toString(8).padStart(6, "0")}\0 `, 148);
  return block;
}

/** Whether a number fits a field as octal digits and the NUL behind them. */
export function fitsOctal(value: bigint, width: 8 | 12): boolean {
  return value >= 0n && value < 1n << BigInt(3 * (width - 1));
}

function putNumber(field: Buffer, value: bigint): void {
  if (fitsOctal(value, field.length === 8 ? 8 : 12)) {
    field.write(`${value.toString(8).padStart(field.length - 1, "0")}\0`);
    return;
  }
  field.fill(value < 0n ? 0xff : 0);
  field.writeBigInt64BE(BigInt.asIntN(64, value), field.length - 8);
  // In the 8 bytes of an owner the mark lies on the sign bit, which no owner has.
  field[0] = (field[0] as number) | 0x80;
}

function checksum(block: Uint8Array): number {
  let sum = 8 * 0x20;
  for (let i = 0; i < BLOCK; i++) if (i < 148 || i >= 156) sum += block[i] as number;
  return sum;
}

function untilNul(field: Uint8Array): Uint8Array {
  const nul = field.indexOf(0);
  return nul < 0 ? field : field.subarray(0, nul);
}

/** Octal digits between spaces and NULs, or base 256 (GNU) when the first bit is set. */
function numeric(field: Uint8Array, what: string, subject: string): bigint {
  if (((field[0] ?? 0) & 0x80) !== 0) {
    let value = BigInt((field[0] as number) & 0x7f);
    for (const byte of field.subarray(1)) value = (value << 8n) | BigInt(byte);
    return BigInt.asUintN(64, value);
  }
  let start = 0;
  let end = field.length;
  while (start < end && isBlank(field[start])) start++;
  while (end > start && isBlank(field[end - 1])) end--;
  // At most twelve digits: 36 bits.
  let value = 0;
  for (const byte of field.subarray(start, end)) {
    if (byte < 0x30 || byte > 0x37)
      throw inputError(`${subject}: ${what} of a tar header`, "is no number: the archive is corrupt");
    value = value * 8 + byte - 0x30;
  }
  return BigInt(value);
}

function isBlank(byte: number | undefined): boolean {
  return byte === 0 || byte === 0x20;
}
