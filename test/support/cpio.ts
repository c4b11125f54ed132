/** Writes cpio archives of the format "newc" (Linux Documentation/driver-api/early-userspace/buffer-format.rst). */

const REGULAR = 0o100_755;
const DIRECTORY = 0o040_755;
export const SYMLINK = 0o120_777;

export interface CpioFile {
  readonly name: string;
  /** With type bits; default: of an executable file. */
  readonly mode?: number;
  readonly content?: Uint8Array;
  readonly inode?: number;
  readonly links?: number;
  /** With the checksum of the content, or what stands in its place. */
  readonly sum?: number;
}

export const cpioDirectory = (name: string): CpioFile => ({ name, mode: DIRECTORY });
/** An executable file. */
export const cpioProgram = (name: string, content: Uint8Array): CpioFile => ({ name, content });

/** An archive with its end marker. */
export function cpioArchive(entries: readonly CpioFile[]): Buffer {
  return Buffer.concat(
    [...entries, { name: "TRAILER!!!", mode: 0 }].map((fields, index) => cpioEntry(fields, index + 1)),
  );
}

/** Files with text or bytes; null: a directory. */
export function cpioOf(files: Readonly<Record<string, string | Uint8Array | null>>): Buffer {
  return cpioArchive(
    Object.entries(files).map(([name, content]) =>
      content === null ? cpioDirectory(name) : cpioProgram(name, Buffer.from(content)),
    ),
  );
}

export function cpioEntry(fields: CpioFile, index = 1): Buffer {
  const { name, mode = REGULAR, content = new Uint8Array(), inode = index, links = 1, sum } = fields;
  const path = Buffer.from(`${name}\0`, "latin1");
  const values = [inode, mode, 0, 0, links, 0, content.length, 0, 0, 0, 0, path.length, sum ?? 0];
  const magic = sum === undefined ? "070701" : "070702";
  const header = Buffer.from(`${magic}${values.map((value) => value.toString(16).padStart(8, "0")).join("")}`);
  return Buffer.concat([header, path, padding(header.length + path.length), content, padding(content.length)]);
}

function padding(length: number): Uint8Array {
  return Buffer.alloc(-length & 3);
}
