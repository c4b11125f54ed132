/** Writes tar archives field by field, also ones that no tool would write. */

export interface HeaderFields {
  readonly name: string;
  readonly type?: string;
  readonly size?: number;
  readonly link?: string;
  readonly mode?: number;
  readonly uid?: number;
  readonly gid?: number;
  readonly mtime?: number;
  readonly device?: readonly [number, number];
}

const BLOCK = 512;
/** Two zero blocks. */
export const TAR_END = Buffer.alloc(2 * BLOCK);

/** One ustar header; texts are latin1. */
export function tarHeader(fields: HeaderFields): Buffer {
  const { name, type = "0", size = 0, link = "", mode = 0o644, uid = 0, gid = 0, mtime = 0, device = [0, 0] } = fields;
  const block = Buffer.alloc(BLOCK);
  const put = (text: string, offset: number) => block.write(text, offset, "latin1");
  const octal = (value: number, width: number) => value.toString(8).padStart(width, "0");
  put(name, 0);
  put(octal(mode, 7), 100);
  put(octal(uid, 7), 108);
  put(octal(gid, 7), 116);
  put(octal(size, 11), 124);
  put(octal(mtime, 11), 136);
  put(type, 156);
  put(link, 157);
  put("ustar\x0000", 257);
  put(octal(device[0], 7), 329);
  put(octal(device[1], 7), 337);
  block.fill(0x20, 148, 156);
  put(
    `${octal(
      block.reduce((total, byte) => total + byte, 0),
      6,
    )}\0 `,
    148,
  );
  return block;
}

export function tarPadded(data: Uint8Array): Buffer {
  return Buffer.concat([data, Buffer.alloc((BLOCK - (data.length % BLOCK)) % BLOCK)]);
}

/** A PAX header of latin1 texts; of type `g` it counts for all that follow. */
export function tarPax(values: Readonly<Record<string, string>>, type = "x"): Buffer {
  const records = Object.entries(values).map(([key, value]) => {
    const rest = Buffer.from(` ${key}=${value}\n`, "latin1");
    let length = rest.length;
    while (String(length).length + rest.length !== length) length = String(length).length + rest.length;
    return Buffer.concat([Buffer.from(String(length)), rest]);
  });
  const data = Buffer.concat(records);
  return Buffer.concat([tarHeader({ name: "pax", type, size: data.length }), tarPadded(data)]);
}

/** A GNU header for a long name (`L`) or link target (`K`). */
export function tarLong(type: "L" | "K", text: string): Buffer {
  const data = Buffer.from(`${text}\0`, "latin1");
  return Buffer.concat([tarHeader({ name: "././@LongLink", type, size: data.length }), tarPadded(data)]);
}

/** A regular file with its content. */
export function tarFile(name: string, content: Uint8Array, fields: Partial<HeaderFields> = {}): Buffer {
  return Buffer.concat([tarHeader({ ...fields, name, size: content.length }), tarPadded(content)]);
}

export function tarDirectory(name: string, fields: Partial<HeaderFields> = {}): Buffer {
  return tarHeader({ mode: 0o755, ...fields, name, type: "5" });
}

/** Whom the files belong to that a test writes: not root, where root does not run it. */
export const OWN = { uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0 };

export function tarArchive(...parts: readonly Uint8Array[]): Buffer {
  return Buffer.concat([...parts, TAR_END]);
}
