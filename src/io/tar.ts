/** Reads tar archives as streams: container layers, and root filesystems as archives. */
import { Readable } from "node:stream";
import { extract } from "tar-stream";
import { inputError, SealError } from "../errors.ts";
import type { LayerEntry } from "../tree/build.ts";
import { plainArchive } from "./tar/plain.ts";

/** An entry as the archive has it: the content of a regular file is its size in bytes. */
export type TarEntry = LayerEntry<bigint>;

export interface TarOptions {
  /** Names the archive in messages. */
  readonly subject: string;
  /** Whether times before 1970 are taken. Container tools refuse them in layers. */
  readonly negativeTimes: boolean;
  /** Whether mtime, uid and gid in PAX headers count; default: they do. */
  readonly paxOwners?: "count" | "ignored";
}

/**
 * The entries of an archive in order. Names, link targets and xattrs are the archive's bytes. The content must be read, or left, before
 * the next entry is asked for.
 * @param source the uncompressed archive
 * @throws SealError `input` when it is cut off, corrupt, or has what layers can't have: sparse files, unknown types
 */
export async function* readTar(
  source: AsyncIterable<Uint8Array>,
  options: TarOptions,
): AsyncGenerator<{ readonly entry: TarEntry; readonly content: AsyncIterable<Uint8Array> }> {
  const entries: TarEntry[] = [];
  const archive = extract();
  const input = Readable.from(
    plainArchive(source, { paxOwners: "count", ...options, onEntry: (entry) => entries.push(entry) }),
  );
  input.on("error", (error) => archive.destroy(error));
  input.pipe(archive);
  try {
    for await (const content of archive) {
      const entry = entries.shift();
      if (entry === undefined) throw new Error("an entry of the archive has no metadata");
      yield { entry, content: content as AsyncIterable<Uint8Array> };
      content.resume();
    }
  } catch (error) {
    throw error instanceof SealError || !(error instanceof Error)
      ? error
      : inputError(options.subject, error.message, error);
  } finally {
    input.destroy();
  }
}
