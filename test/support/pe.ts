/**
 * Makes small PE32+ images for tests: any sections, at any addresses, with a COFF symbol table where one is asked for.
 */
import { alignUp } from "../../src/bytes.ts";

const PE_OFFSET = 0x40;
const OPTIONAL_HEADER_SIZE = 240;
const FILE_ALIGNMENT = 0x200;
const CODE = 0x6000_0020;

export interface PeFields {
  /** In the order of the table. */
  readonly sections: readonly {
    readonly name: string;
    readonly content: Uint8Array | string;
    readonly address: number;
    readonly characteristics?: number;
  }[];
  readonly sectionAlignment?: number;
  readonly machine?: number;
  readonly subsystem?: number;
  /** Texts of the string table behind a symbol table with one symbol, both at the end of the file. Default: neither. */
  readonly strings?: readonly string[];
}

export function makePe(fields: PeFields): Buffer {
  const { sections, sectionAlignment = 0x1000, machine = 0x8664, subsystem = 10, strings } = fields;
  const table = PE_OFFSET + 24 + OPTIONAL_HEADER_SIZE;
  // Room for a dozen headers more.
  const sizeOfHeaders = alignUp(table + 40 * (sections.length + 12), FILE_ALIGNMENT);
  const headers = Buffer.alloc(sizeOfHeaders);
  const body: Buffer[] = [];
  let end = sizeOfHeaders;
  for (const [index, { name, content, address, characteristics = CODE }] of sections.entries()) {
    const bytes = Buffer.from(content);
    const padded = Buffer.concat([bytes, Buffer.alloc(alignUp(bytes.length, FILE_ALIGNMENT) - bytes.length)]);
    const at = table + 40 * index;
    headers.write(name, at, "latin1");
    for (const [word, value] of [bytes.length, address, padded.length, end].entries()) {
      headers.writeUInt32LE(value, at + 8 + 4 * word);
    }
    headers.writeUInt32LE(characteristics, at + 36);
    body.push(padded);
    end += padded.length;
  }
  headers.write("MZ");
  headers.writeUInt32LE(PE_OFFSET, 0x3c);
  headers.write("PE\0\0", PE_OFFSET);
  headers.writeUInt16LE(machine, PE_OFFSET + 4);
  headers.writeUInt16LE(sections.length, PE_OFFSET + 6);
  headers.writeUInt32LE(strings === undefined ? 0 : end, PE_OFFSET + 12);
  headers.writeUInt32LE(strings === undefined ? 0 : 1, PE_OFFSET + 16);
  headers.writeUInt16LE(OPTIONAL_HEADER_SIZE, PE_OFFSET + 20);
  headers.writeUInt16LE(0x0206, PE_OFFSET + 22);
  const optional = PE_OFFSET + 24;
  headers.writeUInt16LE(0x20b, optional);
  headers.writeUInt32LE(sectionAlignment, optional + 32);
  headers.writeUInt32LE(FILE_ALIGNMENT, optional + 36);
  const last = Math.max(...sections.map(({ address, content }) => address + content.length));
  headers.writeUInt32LE(alignUp(last, sectionAlignment), optional + 56);
  headers.writeUInt32LE(sizeOfHeaders, optional + 60);
  headers.writeUInt16LE(subsystem, optional + 68);
  headers.writeUInt32LE(16, optional + 108);
  return Buffer.concat([headers, ...body, ...(strings === undefined ? [] : [symbolTable(strings)])]);
}

/** One symbol, and the string table with its size before it. */
function symbolTable(strings: readonly string[]): Buffer {
  const texts = Buffer.from(strings.map((text) => `${text}\0`).join(""), "latin1");
  const size = Buffer.alloc(4);
  size.writeUInt32LE(4 + texts.length);
  return Buffer.concat([Buffer.from("_start\0\0".padEnd(18, "\0"), "latin1"), size, texts]);
}
