/** EFI programs of a few instructions, made of the headers that a test wants to look at. */
import { alignUp } from "../../src/bytes.ts";
import { concat } from "../../src/chunks.ts";

/** Returns EFI_ABORTED, so that firmware goes on to its next boot option: `mov rax, 8000000000000015h; ret`. */
export const ABORTING_CODE = Uint8Array.of(0x48, 0xb8, 0x15, 0, 0, 0, 0, 0, 0, 0x80, 0xc3);
/** Never returns: `jmp $`. */
export const WAITING_CODE = Uint8Array.of(0xeb, 0xfe);

export interface TinySection {
  readonly name: string;
  readonly data: Uint8Array;
  /** Default: behind the section before. */
  readonly address?: number;
}

export interface TinyProgram {
  /** Of `.text`, the first section. Default: {@link ABORTING_CODE}. */
  readonly code?: Uint8Array;
  /** In the order of table and file, behind `.text`. */
  readonly sections?: readonly TinySection[];
  readonly sectionAlignment?: number;
  /** False: the file ends where the data of the last section does. */
  readonly padded?: boolean;
  /** Behind the last section. */
  readonly tail?: Uint8Array;
}

const FILE_ALIGNMENT = 512;
const HEADERS = 1024;
const CODE = 0x60000020;
const DATA = 0x40000040;

/** A PE32+ image for x64. */
export function tinyEfi(program: TinyProgram = {}): Uint8Array {
  const { code = ABORTING_CODE, sectionAlignment = 4096, padded = true, tail = new Uint8Array() } = program;
  const sections = [{ name: ".text", data: code }, ...(program.sections ?? [])];
  const headers = new Uint8Array(HEADERS);
  const view = new DataView(headers.buffer);
  const set16 = (offset: number, ...values: number[]) => {
    for (const [index, value] of values.entries()) view.setUint16(offset + 2 * index, value, true);
  };
  const set32 = (offset: number, ...values: number[]) => {
    for (const [index, value] of values.entries()) view.setUint32(offset + 4 * index, value, true);
  };
  const bodies: Uint8Array[] = [];
  let [raw, address] = [HEADERS, 4096];
  for (const [index, { name, data, address: wanted }] of sections.entries()) {
    const isLast = index === sections.length - 1;
    const size = padded || !isLast ? alignUp(data.length, FILE_ALIGNMENT) : data.length;
    const header = 0x188 + 40 * index;
    headers.set(Buffer.from(name, "latin1"), header);
    set32(header + 8, data.length, wanted ?? address, size, raw);
    set32(header + 36, index === 0 ? CODE : DATA);
    bodies.push(data, new Uint8Array(size - data.length));
    raw += size;
    address = alignUp((wanted ?? address) + data.length, sectionAlignment);
  }
  headers.set(Buffer.from("MZ"));
  // The PE header lies at 0x80.
  set32(0x3c, 0x80);
  headers.set(Buffer.from("PE"), 0x80);
  // COFF header: x64, the sections, an optional header of 240 bytes; executable, large addresses, no line
  // numbers or debug symbols.
  set16(0x84, 0x8664, sections.length);
  set16(0x94, 240, 0x22e);
  // Optional header: PE32+, entry point, base of code.
  set16(0x98, 0x20b);
  set32(0xa8, 4096, 4096);
  set32(0xb8, sectionAlignment, FILE_ALIGNMENT);
  set32(0xd0, address, HEADERS);
  // EFI application; NX compatible.
  set16(0xdc, 10, 0x100);
  set32(0x104, 16);
  return concat([headers, ...bodies, tail]);
}
