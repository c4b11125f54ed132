/** Streams of bytes through node's compressors and decompressors. */
import type { Transform } from "node:stream";

/**
 * Writes all pieces to a transform and ends it; one is worked on while the next one is made. The end is signalled when
 * the last piece is done: node hands both to the compressor at once where it has heard of the end by then, and zstd
 * writes another frame in that case, so that the bytes would depend on how fast a source is. Where the transform ends
 * before its input does, the rest is read all the same.
 * @throws what `pieces` throws; the transform reports its own errors
 */
export async function feed(
  pieces: Iterable<Uint8Array> | AsyncIterable<Uint8Array>,
  transform: Transform,
): Promise<void> {
  const ended = new Promise<void>((done) => transform.once("end", done));
  let writing = Promise.resolve();
  for await (const piece of pieces) {
    await Promise.race([writing, ended]);
    if (transform.readableEnded) continue;
    writing = new Promise((done, fail) => {
      transform.write(piece, (error) => (error ? fail(error) : done()));
    });
    // It is thrown where it is waited for.
    writing.catch(() => {});
  }
  await Promise.race([writing, ended]);
  transform.end();
}
