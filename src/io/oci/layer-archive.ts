/** The tar archive of a planned layer, with the contents of its files streamed from a directory. */
import { closeSync, constants, fstatSync, openSync, readSync } from "node:fs";
import { join } from "node:path";
import { concat } from "../../chunks.ts";
import { contentSize, type RegularFile } from "../../tree/node.ts";
import { changedError, readError } from "../hash-file.ts";
import { TAR_END, tarEntry, tarPadding } from "../tar/write.ts";
import type { PlannedLayer } from "./layer-plan.ts";

/**
 * The content of a regular file in pieces, each good until the next one is asked for.
 * @param buffer what pieces may be read into: no two archives share one
 */
export type ReadContent = (path: Uint8Array, file: RegularFile, buffer: Buffer) => Iterable<Uint8Array>;

/** Archives come in pieces of this size, files are read in such: fewer calls for thousands of small files. */
const CHUNK_SIZE = 1 << 20;

/**
 * @param subject the layer in messages
 * @throws SealError `input` for what {@link tarEntry} refuses and what can't be read
 */
export function layerArchive(layer: PlannedLayer, readContent: ReadContent, subject: string): Generator<Uint8Array> {
  return inChunks(archiveParts(layer, readContent, subject));
}

function* archiveParts(layer: PlannedLayer, readContent: ReadContent, subject: string): Generator<Uint8Array> {
  const buffer = Buffer.allocUnsafeSlow(CHUNK_SIZE);
  for (const { entry, file } of layer) {
    yield tarEntry(entry, subject);
    if (file === null) continue;
    if (file.content.kind === "inline") yield file.content.bytes;
    else yield* readContent(entry.path, file, buffer);
    if (entry.item.kind === "regular") yield tarPadding(entry.item.content);
  }
  yield TAR_END;
}

/** Copies the parts into pieces of one size. */
function* inChunks(parts: Iterable<Uint8Array>): Generator<Uint8Array> {
  let chunk = Buffer.allocUnsafeSlow(CHUNK_SIZE);
  let length = 0;
  for (const part of parts) {
    for (let offset = 0; offset < part.length; ) {
      const piece = part.subarray(offset, offset + CHUNK_SIZE - length);
      chunk.set(piece, length);
      offset += piece.length;
      length += piece.length;
      if (length < CHUNK_SIZE) continue;
      yield chunk;
      chunk = Buffer.allocUnsafeSlow(CHUNK_SIZE);
      length = 0;
    }
  }
  if (length > 0) yield chunk.subarray(0, length);
}

/** Never a symlink, and without waiting for a writer should a FIFO have taken the place of the file. */
const OPEN_FLAGS = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;

/**
 * Reads files of a directory that was scanned. The sizes and the whole seconds of the times must be what they were
 * then, and a file must not change while it is read. One that gets another name meanwhile has another ctime; whether
 * its content is that of the scan shows when the written image is read back.
 * @param directory absolute path
 */
export function readFrom(directory: string): ReadContent {
  const prefix = Buffer.from(join(directory, "/"));
  return function* (path, file, buffer) {
    const full = Buffer.from(concat([prefix, path]));
    const descriptor = openFile(full);
    try {
      const before = fstatSync(descriptor, { bigint: true });
      const size = contentSize(file);
      const seconds = (before.mtimeNs - (((before.mtimeNs % SECOND) + SECOND) % SECOND)) / SECOND;
      if (!before.isFile() || before.size !== size || seconds !== file.mtimeSec) throw changedError(full);
      let done = 0n;
      for (let length = read(descriptor, buffer, full); length > 0; length = read(descriptor, buffer, full)) {
        done += BigInt(length);
        // More would run into the next header.
        if (done > size) throw changedError(full);
        yield buffer.subarray(0, length);
      }
      const after = fstatSync(descriptor, { bigint: true });
      const isTouched = after.ctimeNs !== before.ctimeNs && after.nlink === before.nlink;
      if (done < size || after.mtimeNs !== before.mtimeNs || isTouched) throw changedError(full);
    } finally {
      closeSync(descriptor);
    }
  };
}

const SECOND = 1_000_000_000n;

function openFile(path: Buffer): number {
  try {
    return openSync(path, OPEN_FLAGS);
  } catch (error) {
    throw readError(path, error);
  }
}

function read(descriptor: number, buffer: Buffer, path: Buffer): number {
  try {
    return readSync(descriptor, buffer, 0, buffer.length, null);
  } catch (error) {
    throw readError(path, error);
  }
}
