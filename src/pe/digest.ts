/** Hashes of files and sections that are chunk lists. */
import { createHash } from "node:crypto";
import { byteLength, type Chunks, forEachPiece, toHex } from "../bytes.ts";

/** SHA-256 of all chunks in order, lower-case hex. */
export function sha256Hex(chunks: Chunks): string {
  const hash = createHash("sha256");
  forEachPiece(chunks, 0, byteLength(chunks), (piece) => hash.update(piece));
  return toHex(hash.digest());
}
