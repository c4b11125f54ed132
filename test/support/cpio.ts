/** Writes archives in the cpio format "newc", as an initramfs has it (Linux Documentation/driver-api/early-userspace/buffer-format.rst). */
export interface CpioFile {
  readonly name: string;
  /** With type bits. */
  readonly mode: number;
  readonly content: Uint8Array;
}

export const cpioDirectory = (name: string): CpioFile => ({ name, mode: 0o040_755, content: Buffer.alloc(0) });
/** An executable file. */
export const cpioProgram = (name: string, content: Uint8Array): CpioFile => ({ name, mode: 0o100_755, content });

export function cpioArchive(files: readonly CpioFile[]): Buffer {
  const end: CpioFile = { name: "TRAILER!!!", mode: 0, content: Buffer.alloc(0) };
  return Buffer.concat([...files, end].flatMap((file, index) => entry(index + 1, file)));
}

function entry(inode: number, { name, mode, content }: CpioFile): Uint8Array[] {
  const path = Buffer.from(`${name}\0`);
  const fields = [inode, mode, 0, 0, 1, 0, content.length, 0, 0, 0, 0, path.length, 0];
  const header = Buffer.from(`070701${fields.map((field) => field.toString(16).padStart(8, "0")).join("")}`);
  return [header, path, padding(header.length + path.length), content, padding(content.length)];
}

function padding(length: number): Uint8Array {
  return Buffer.alloc(-length & 3);
}
