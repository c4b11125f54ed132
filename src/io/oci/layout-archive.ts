/** An image layout as a tar archive: the same layout gives the same bytes. */
import { readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { utf8 } from "../../bytes.ts";
import type { Metadata } from "../../tree/node.ts";
import { TAR_END, tarEntry, tarPadding } from "../tar/write.ts";
import { type StoredFile, storedPieces, wholeFile } from "./stored-file.ts";

const DIRECTORY: Metadata = { mode: 0o755, uid: 0, gid: 0, mtimeSec: 0n, mtimeNsec: 0, xattrs: [] };
const FILE: Metadata = { ...DIRECTORY, mode: 0o644 };

/** The archive of a layout directory in pieces: what says what it is first, then the blobs by name. */
export async function* layoutArchive(layout: string): AsyncGenerator<Uint8Array> {
  const names = (await readdir(join(layout, "blobs"), { recursive: true })).sort();
  for (const name of ["oci-layout", "index.json", "blobs", ...names.map((one) => `blobs/${one}`)]) {
    const path = join(layout, name);
    if ((await stat(path)).isDirectory()) {
      yield tarEntry({ path: utf8(name), metadata: DIRECTORY, item: { kind: "directory" } }, layout);
      continue;
    }
    const file: StoredFile = await wholeFile(path, path);
    yield tarEntry({ path: utf8(name), metadata: FILE, item: { kind: "regular", content: BigInt(file.size) } }, layout);
    yield* storedPieces(file);
    yield tarPadding(file.size);
  }
  yield TAR_END;
}

/** Bytes of all files of a layout: its archive has little more. */
export async function layoutSize(layout: string): Promise<number> {
  const entries = await readdir(layout, { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile()).map((entry) => stat(join(entry.parentPath, entry.name)));
  return (await Promise.all(files)).reduce((sum, { size }) => sum + size, 0);
}
