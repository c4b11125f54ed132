/**
 * Appends to files what a filesystem stores for fs-verity after their end, before they are copied to that filesystem.
 */
import { open } from "node:fs/promises";
import type { VerityAlgorithm } from "../../composefs/series.ts";
import { VerityLayout } from "../../composefs/verity-metadata.ts";
import { inputError } from "../../errors.ts";
import { reasonOf } from "../files.ts";

const CHUNK_SIZE = 1 << 20;

/**
 * Appends the Merkle tree and the descriptor to a file. On the target filesystem its true size and its
 * fs-verity flag must be set.
 * @throws SealError `input` when it can't be read and written
 */
export async function appendVerity(path: string, algorithm: VerityAlgorithm): Promise<void> {
  try {
    // Objects may be read-only for their owner, who isn't always root.
    const reading = await open(path, "r");
    let mode: number;
    const layout = new VerityLayout(algorithm);
    try {
      mode = (await reading.stat()).mode & 0o7777;
      const chunk = Buffer.allocUnsafe(CHUNK_SIZE);
      for (;;) {
        const { bytesRead } = await reading.read(chunk, 0, chunk.length);
        if (bytesRead === 0) break;
        layout.update(chunk.subarray(0, bytesRead));
      }
      if ((mode & 0o200) === 0) await reading.chmod(mode | 0o200);
    } finally {
      await reading.close();
    }
    const { offset, bytes } = layout.finish();
    const writing = await open(path, "r+");
    try {
      await writing.write(bytes, 0, bytes.length, offset);
      await writing.chmod(mode);
    } finally {
      await writing.close();
    }
  } catch (error) {
    throw inputError(path, `fs-verity can't be enabled on it: ${reasonOf(error)}`, error);
  }
}
