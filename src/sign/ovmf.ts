/**
 * The variable store of EDK II firmware in virtual machines, `OVMF_VARS.fd` and `AAVMF_VARS.fd`: a firmware volume
 * (UEFI PI specification, volume 3, 3.2.1) whose first part is a store of authenticated variables (EDK II,
 * MdeModulePkg/Include/Guid/VariableFormat.h), in sequence, then erased flash (0xFF):
 *
 *     EFI_FIRMWARE_VOLUME_HEADER   72 bytes in OVMF, with a block map
 *     VARIABLE_STORE_HEADER        28 bytes
 *       AUTHENTICATED_VARIABLE_HEADER, name in UTF-16 with NUL, value, up to 3 bytes of padding
 *       …
 *     what the fault tolerant write driver needs; left as it is
 */
import { alignUp, Cursor, equalBytes } from "../bytes.ts";
import { concat } from "../chunks.ts";
import { inputError } from "../errors.ts";
import { decodeGuid, encodeGuid, GUID_BYTES, type Guid, knownGuid } from "./guid.ts";

/** A variable that counts: deleted ones are not kept. */
export interface StoredVariable {
  /** Without the final NUL. */
  readonly name: string;
  readonly vendor: Guid;
  /** EFI_VARIABLE_… bits. */
  readonly attributes: number;
  /** EFI_TIME, 16 bytes: zero unless the variable is time-based authenticated. */
  readonly time: Uint8Array;
  /** Of the old count-based authentication, as they are: zero in variables made today. */
  readonly monotonicCount: bigint;
  readonly publicKeyIndex: number;
  readonly value: Uint8Array;
}

/** A variable store of OVMF. */
export interface VariableStore {
  /** The whole file. */
  readonly file: Uint8Array;
  readonly subject: string;
  /** Where variables start and where their space ends. */
  readonly start: number;
  readonly end: number;
  /** In the order of the file; no two have the same name and vendor. */
  readonly variables: readonly StoredVariable[];
}

/** EFI_SYSTEM_NV_DATA_FV_GUID */
const VOLUME_TYPE = knownGuid("fff12b8d-7696-4c8b-a985-2747075b4f50");
/** EFI_AUTHENTICATED_VARIABLE_GUID */
const STORE_TYPE = knownGuid("aaf32c78-947b-439a-a180-2e144ec37792");
/** EFI_VARIABLE_GUID, the store of firmware that knows no Secure Boot. */
const PLAIN_STORE_TYPE = knownGuid("ddcf3616-3275-4164-98b6-fe85707ffe7d");
/** `_FVH` */
const VOLUME_SIGNATURE = 0x4856465f;
const MIN_VOLUME_HEADER = 56;
const STORE_HEADER = 28;
const FORMATTED = 0x5a;
const HEALTHY = 0xfe;

const VARIABLE_HEADER = 60;
const VARIABLE_START = 0x55aa;
const ALIGNMENT = 4;
const ERASED = 0xff;
/** The states of a variable; each step clears a bit, as flash can. */
const HEADER_VALID = 0x7f;
const ADDED = 0x3f;
/** To be replaced; counts until the new one is complete. */
const IN_TRANSITION = 0x3e;
const DELETED_BIT = 0x02;

/** Flash is written in blocks of at least this size. */
const MIN_BLANK_BYTES = 4096;

/** Flash that nothing was written to yet: zeros, as templates for AAVMF are, or erased. */
function isBlank(bytes: Uint8Array): boolean {
  const [first] = bytes;
  if (bytes.length < MIN_BLANK_BYTES || (first !== 0 && first !== ERASED)) return false;
  return equalBytes(bytes.subarray(1), bytes.subarray(0, -1));
}

/** Whether bytes begin like a variable store, or are flash that one can be written to. */
export function isVariableStore(bytes: Uint8Array): boolean {
  if (isBlank(bytes)) return true;
  return bytes.length >= MIN_VOLUME_HEADER && equalBytes(bytes.subarray(16, 32), encodeGuid(VOLUME_TYPE));
}

/**
 * Reads a variable store; values are views of the file.
 * @throws SealError `input` when it is not one, or one that firmware would repair or erase
 */
export function parseVariableStore(file: Uint8Array, subject: string): VariableStore {
  if (Buffer.from(file.subarray(0, 4)).toString("latin1") === "QFI\xfb") {
    throw inputError(subject, "this is a qcow2 image; convert it: qemu-img convert -O raw");
  }
  if (isBlank(file)) {
    throw inputError(
      subject,
      "is a blank variable store, which its firmware formats at the first start: start a machine with it once, or use the firmware's own OVMF_VARS.fd",
    );
  }
  if (!isVariableStore(file)) throw inputError(subject, "this is not a variable store of EDK II (OVMF_VARS.fd)");
  const cursor = new Cursor(file, subject);
  const storeOffset = readVolumeHeader(cursor);
  const type = decodeGuid(cursor.slice(storeOffset, GUID_BYTES, "the store's type"));
  if (type === PLAIN_STORE_TYPE)
    throw inputError(subject, "its firmware does not support Secure Boot: its variables have no signatures");
  if (type !== STORE_TYPE) throw inputError(subject, `unknown type of variable store ${type}`);
  const size = cursor.u32(storeOffset + 16, "the store's size");
  const format = cursor.u8(storeOffset + 20, "the store's format");
  const state = cursor.u8(storeOffset + 21, "the store's state");
  if (format !== FORMATTED || state !== HEALTHY) throw inputError(subject, "the variable store is not formatted");
  if (size < STORE_HEADER) throw inputError(subject, `the variable store has the impossible size ${size}`);
  const end = storeOffset + size;
  if (end > volumeLength(cursor)) throw inputError(subject, "the variable store is longer than its firmware volume");
  cursor.slice(storeOffset, size, "the variable store");
  const start = alignUp(storeOffset + STORE_HEADER, ALIGNMENT);
  return { file, subject, start, end, variables: readVariables(cursor, start, end) };
}

/** @returns where the volume's content starts */
function readVolumeHeader(cursor: Cursor): number {
  const { subject } = cursor;
  const length = volumeLength(cursor);
  if (cursor.u32(40, "the volume's signature") !== VOLUME_SIGNATURE)
    throw inputError(subject, "this is not a firmware volume");
  const headerLength = cursor.u16(48, "the volume's header");
  const header = cursor.slice(0, headerLength, "the volume's header");
  if (headerLength < MIN_VOLUME_HEADER || headerLength % 2 !== 0 || headerLength > length) {
    throw inputError(subject, `the firmware volume's header has the impossible size ${headerLength}`);
  }
  let sum = 0;
  for (let offset = 0; offset < header.length; offset += 2) sum += cursor.u16(offset, "the volume's header");
  if ((sum & 0xffff) !== 0) throw inputError(subject, "the checksum of the firmware volume's header is wrong");
  return headerLength;
}

function volumeLength(cursor: Cursor): number {
  const length = cursor.u64(32, "the volume's length");
  if (length > BigInt(cursor.length)) {
    throw inputError(cursor.subject, `truncated: the firmware volume has ${length} bytes, the file ${cursor.length}`);
  }
  return Number(length);
}

function readVariables(cursor: Cursor, start: number, end: number): StoredVariable[] {
  const { subject } = cursor;
  const added = new Map<string, StoredVariable>();
  const inTransition = new Map<string, StoredVariable>();
  let offset = start;
  while (end - offset >= VARIABLE_HEADER && cursor.u16(offset, "a variable") === VARIABLE_START) {
    const what = `the variable at ${offset}`;
    const state = cursor.u8(offset + 2, what);
    const nameSize = cursor.u32(offset + 36, what);
    const dataSize = cursor.u32(offset + 40, what);
    const next = offset + alignUp(VARIABLE_HEADER + nameSize + dataSize, ALIGNMENT);
    if (next > end) throw inputError(subject, `corrupt: ${what} is longer than the store`);
    const target = stateOf(state);
    if (target === "unknown") {
      throw inputError(subject, `${what} was not written completely; start its firmware once, which repairs it`);
    }
    if (target !== "gone") {
      const variable = readVariable(cursor, offset, nameSize, dataSize);
      const key = variableKey(variable);
      const map = target === "added" ? added : inTransition;
      if (map.has(key))
        throw inputError(subject, `corrupt: it has the variable ${JSON.stringify(variable.name)} twice`);
      map.set(key, variable);
    }
    offset = next;
  }
  // Firmware takes anything here for the end, but would append after it.
  if (cursor.slice(offset, end - offset, "free space").some((byte) => byte !== ERASED)) {
    throw inputError(subject, `corrupt: there is neither a variable nor erased flash at ${offset}`);
  }
  for (const [key, variable] of inTransition) if (!added.has(key)) added.set(key, variable);
  return [...added.values()];
}

function stateOf(state: number): "added" | "in transition" | "gone" | "unknown" {
  if (state === ADDED) return "added";
  if (state === IN_TRANSITION) return "in transition";
  return state === HEADER_VALID || (state & DELETED_BIT) === 0 ? "gone" : "unknown";
}

function readVariable(cursor: Cursor, offset: number, nameSize: number, dataSize: number): StoredVariable {
  const what = `the variable at ${offset}`;
  const name = cursor.slice(offset + VARIABLE_HEADER, nameSize, what);
  const text = Buffer.from(name.subarray(0, -2)).toString("utf16le");
  const terminated = nameSize >= 4 && nameSize % 2 === 0 && name.at(-1) === 0 && name.at(-2) === 0;
  if (!terminated || text.includes("\0")) throw inputError(cursor.subject, `corrupt: ${what} has an invalid name`);
  return {
    name: text,
    vendor: decodeGuid(cursor.slice(offset + 44, GUID_BYTES, what)),
    attributes: cursor.u32(offset + 4, what),
    monotonicCount: cursor.u64(offset + 8, what),
    time: cursor.slice(offset + 16, 16, what),
    publicKeyIndex: cursor.u32(offset + 32, what),
    value: cursor.slice(offset + VARIABLE_HEADER + nameSize, dataSize, what),
  };
}

/** What makes a variable the same one. */
export function variableKey({ name, vendor }: Pick<StoredVariable, "name" | "vendor">): string {
  return `${vendor} ${name}`;
}

/**
 * The file of a store with these variables in place of its own. The rest is unchanged.
 * @throws SealError `input` when they do not fit
 */
export function writeVariableStore(
  { file, subject, start, end }: VariableStore,
  variables: readonly StoredVariable[],
): Uint8Array {
  const encoded = concat(variables.map(encodeVariable));
  if (encoded.length > end - start) {
    throw inputError(subject, `too small: the variables need ${encoded.length} bytes, there are ${end - start}`);
  }
  const result = Uint8Array.from(file);
  result.fill(ERASED, start, end);
  result.set(encoded, start);
  return result;
}

function encodeVariable(variable: StoredVariable): Uint8Array {
  const name = Buffer.from(`${variable.name}\0`, "utf16le");
  const length = VARIABLE_HEADER + name.length + variable.value.length;
  const bytes = new Uint8Array(alignUp(length, ALIGNMENT)).fill(ERASED, length);
  const view = new DataView(bytes.buffer);
  view.setUint16(0, VARIABLE_START, true);
  view.setUint8(2, ADDED);
  view.setUint32(4, variable.attributes, true);
  view.setBigUint64(8, variable.monotonicCount, true);
  bytes.set(variable.time, 16);
  view.setUint32(32, variable.publicKeyIndex, true);
  view.setUint32(36, name.length, true);
  view.setUint32(40, variable.value.length, true);
  bytes.set(encodeGuid(variable.vendor), 44);
  bytes.set(name, VARIABLE_HEADER);
  bytes.set(variable.value, VARIABLE_HEADER + name.length);
  return bytes;
}
