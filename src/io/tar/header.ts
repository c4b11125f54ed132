/** One header block of a tar archive: POSIX ustar and GNU, as the strict reader of composefs-rs takes them. */
import { latin1 } from "../../bytes.ts";
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
 * @throws SealError `input` for a wrong checksum or an invalid number
 */
export function parseHeader(block: Uint8Array, subject: string): TarHeader {
  const text = (start: number, length: number) => block.subarray(start, endOfText(block, start, length));
  const number = (start: number, length: number, what: string) => numeric(block, start, length, what, subject);
  if (number(148, 8, "checksum") !== checksum(block)) {
    throw inputError(
      subject,
      "a tar header has a wrong checksum: the archive is corrupt, compressed or not a tar archive",
    );
  }
  const magic = latin1(block.subarray(257, 265));
  const isUstar = magic === "ustar\x0000";
  const isGnu = magic === "ustar  \0";
  const prefix = isUstar && block[345] !== 0 ? text(345, 155) : NOTHING;
  const own = text(0, 100);
  const mode = number(100, 8, "mode");
  return {
    name: prefix.length === 0 ? own : Buffer.concat([prefix, Buffer.from("/"), own]),
    linkName: block[157] === 0 ? NOTHING : text(157, 100),
    mode: typeof mode === "number" ? mode & 0o7777 : Number(mode & 0o7777n),
    uid: BigInt(number(108, 8, "uid")),
    gid: BigInt(number(116, 8, "gid")),
    size: BigInt(number(124, 12, "size")),
    mtime: BigInt.asIntN(64, BigInt(number(136, 12, "mtime"))),
    type: block[156] === 0 ? "0" : String.fromCharCode(block[156] as number),
    device:
      isUstar || isGnu
        ? { major: Number(number(329, 8, "device number")), minor: Number(number(337, 8, "device number")) }
        : null,
    extensible: isUstar || isGnu,
  };
}

const NOTHING = new Uint8Array();

/** A copy: a view would keep the piece of the archive that it was read from, a hundred times its size. */
export function ownBytes(bytes: Uint8Array): Uint8Array {
  return Buffer.from(bytes);
}

export function isZero(block: Uint8Array): boolean {
  for (let i = 0; i < block.length; i++) if (block[i] !== 0) return false;
  return true;
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
 * One header block in the ustar format (POSIX.1-2017 pax, "ustar Interchange Format"), without names of users and
 * groups. Numbers that are too large for their octal digits, or negative, are written in base 256, which every
 * reader of today takes.
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

/** Whether a number fits a field as octal digits and a NUL. */
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
  // In the 8 bytes of an owner the mark is on the sign bit, which no owner has.
  field[0] = (field[0] as number) | 0x80;
}

/** The bytes of a header with its own field as blanks. */
function checksum(block: Uint8Array): number {
  let sum = 8 * 0x20;
  for (let i = 0; i < 148; i++) sum += block[i] as number;
  for (let i = 156; i < BLOCK; i++) sum += block[i] as number;
  return sum;
}

function endOfText(block: Uint8Array, start: number, length: number): number {
  let end = start;
  while (end < start + length && block[end] !== 0) end++;
  return end;
}

/** Octal digits between blanks and NULs, or base 256 (GNU) when the first bit is set, which need not fit a number. */
function numeric(block: Uint8Array, at: number, length: number, what: string, subject: string): number | bigint {
  let start = at;
  let end = at + length;
  if (((block[start] as number) & 0x80) !== 0) {
    let value = BigInt((block[start] as number) & 0x7f);
    for (start++; start < end; start++) value = (value << 8n) | BigInt(block[start] as number);
    return BigInt.asUintN(64, value);
  }
  while (start < end && isBlank(block[start])) start++;
  while (end > start && isBlank(block[end - 1])) end--;
  // At most twelve digits: 36 bits.
  let value = 0;
  for (; start < end; start++) {
    const digit = (block[start] as number) - 0x30;
    if (digit < 0 || digit > 7)
      throw inputError(`${subject}: ${what} of a tar header`, "is not a number: the archive is corrupt");
    value = value * 8 + digit;
  }
  return value;
}

function isBlank(byte: number | undefined): boolean {
  return byte === 0 || byte === 0x20;
}
