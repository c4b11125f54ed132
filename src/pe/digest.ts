/** Hashes of files and sections that are held as chunks. */
import { createHash } from "node:crypto";
import { type Chunks, toHex } from "../bytes.ts";

/** SHA-256 of all chunks in order, lower-case hex. */
export function sha256Hex(chunks: Chunks): string {
  const hash = createHash("sha256");
  for (const chunk of chunks) hash.update(chunk);
  return toHex(hash.digest());
}
