/** Writes the blobs of an image layout: under a temporary name first, under their digest when that is known. */
import { constants } from "node:fs";
import { copyFile, type FileHandle, link, mkdir, open, realpath, rename, rm, stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import { inputError } from "../../errors.ts";
import type { BlobAlgorithm, BlobDigest } from "../../oci/digest.ts";
import type { Blob } from "../../oci/edit.ts";
import { isSystemError, type OutputChunks, reasonOf, writeAll } from "../files.ts";
import { type PieceHash, pieceHash } from "./piece-hash.ts";
import type { StoredFile } from "./stored-file.ts";

/** Path of a blob in a layout (OCI image specification, "Image Layout"). */
export function blobPath({ algorithm, hex }: BlobDigest): string {
  return join("blobs", algorithm, hex);
}

/**
 * Files that a layout may share with others, as hardlinks: `any` in one that is only there for a while and read; in one
 * that stays the blobs of the layout at that path, being the one that it becomes a part of; null: none.
 */
export type LinkSource = "any" | { readonly layout: string } | null;

/** How blobs get into a layout. */
export interface BlobPlacing {
  /** Which files may become blobs by another name. */
  readonly links: LinkSource;
  /** Whether they are to outlast a power failure. */
  readonly isFlushed: boolean;
}

export class BlobWriter {
  readonly #layout: string;
  readonly #subject: string;
  readonly #placing: BlobPlacing;
  readonly #flushing: Promise<void>[] = [];
  #count = 0;

  /**
   * @param layout absolute path of an existing directory that nothing else writes to
   * @param subject what messages call it
   */
  constructor(layout: string, subject: string, placing: BlobPlacing) {
    this.#layout = layout;
    this.#subject = subject;
    this.#placing = placing;
  }

  /**
   * Writes a blob.
   * @param chunks each has been written when the next one is asked for
   * @param digest of its algorithm; or the digest itself, which is not checked
   * @throws SealError `input` when it can't be written, as all of these do
   */
  async add(chunks: OutputChunks, digest: BlobAlgorithm | BlobDigest = "sha256"): Promise<Blob> {
    const blob = await this.#open(digest);
    try {
      for await (const chunk of chunks) await blob.write(chunk);
      return await blob.finish();
    } catch (error) {
      await blob.abandon();
      throw error;
    } finally {
      blob.free();
    }
  }

  async #open(digest: BlobAlgorithm | BlobDigest): Promise<OpenBlob> {
    const temporary = join(this.#layout, `blobs/.${this.#count++}.partial`);
    return explained(this.#subject, async () => {
      await mkdir(dirname(temporary), { recursive: true });
      const handle = await open(temporary, "wx", 0o644);
      return new OpenBlob(this.#layout, this.#subject, temporary, handle, digest, () => this.#flush(handle));
    });
  }

  /** Gets a blob to the disk while others are written, if it is to be flushed, and closes it. */
  #flush(handle: FileHandle): void {
    const flushing = explained(this.#subject, async () => {
      try {
        if (this.#placing.isFlushed) await handle.sync();
      } finally {
        await handle.close();
      }
    });
    // Thrown when it is waited for.
    flushing.catch(() => {});
    this.#flushing.push(flushing);
  }

  /** Waits until all blobs so far are on the disk. */
  async settle(): Promise<void> {
    await Promise.all(this.#flushing.splice(0));
  }

  /**
   * Takes over a blob that is a file: by a hardlink, as a copy that shares its place on disk, or as one that the kernel
   * makes. It is not checked.
   * @returns false when it has to be written
   */
  async takeOver(file: StoredFile, digest: BlobDigest): Promise<boolean> {
    const target = join(this.#layout, blobPath(digest));
    await mkdir(dirname(target), { recursive: true });
    const isWhole = file.start === 0 && (await sizeOf(file.path)) === file.size;
    const { links } = this.#placing;
    const source = links === "any" && isWhole ? file.path : null;
    const own = links === null || links === "any" ? null : join(links.layout, blobPath(digest));
    const linked = source ?? (own !== null && (await sizeOf(own)) === file.size ? own : null);
    // A link to a symlink would be another symlink.
    if (linked !== null && (await succeeds(realpath(linked).then((path) => link(path, target))))) return true;
    if (!isWhole) return false;
    const { COPYFILE_EXCL, COPYFILE_FICLONE } = constants;
    if (!(await succeeds(copyFile(file.path, target, COPYFILE_EXCL | COPYFILE_FICLONE)))) return false;
    await explained(this.#subject, async () => {
      const handle = await open(target, "r+");
      await handle.chmod(0o644);
      this.#flush(handle);
    });
    return true;
  }
}

/** A blob that comes piece by piece. It ends with `finish` or `abandon`, then `free`. */
class OpenBlob {
  readonly #layout: string;
  readonly #subject: string;
  readonly #temporary: string;
  readonly #handle: FileHandle;
  readonly #onWritten: () => void;
  /** What gives the digest; or the digest. */
  readonly #digest: { readonly algorithm: BlobAlgorithm; readonly hash: PieceHash } | BlobDigest;
  #size = 0;

  constructor(
    layout: string,
    subject: string,
    temporary: string,
    handle: FileHandle,
    digest: BlobAlgorithm | BlobDigest,
    onWritten: () => void,
  ) {
    this.#onWritten = onWritten;
    this.#layout = layout;
    this.#subject = subject;
    this.#temporary = temporary;
    this.#handle = handle;
    this.#digest = typeof digest === "string" ? { algorithm: digest, hash: pieceHash(digest) } : digest;
  }

  async write(chunk: Uint8Array): Promise<void> {
    const hashing = "hash" in this.#digest ? this.#digest.hash.update(chunk) : null;
    const writing = explained(this.#subject, () => writeAll(this.#handle, chunk));
    // Other threads read the chunk until both have ended.
    await Promise.allSettled([hashing, writing]);
    await hashing;
    await writing;
    this.#size += chunk.length;
  }

  /** Gives the blob its name. It is on the disk when {@link BlobWriter.settle} has ended. */
  async finish(): Promise<Blob> {
    const known = this.#digest;
    const digest = "hash" in known ? { algorithm: known.algorithm, hex: known.hash.digest() } : known;
    await explained(this.#subject, async () => {
      const target = join(this.#layout, blobPath(digest));
      await mkdir(dirname(target), { recursive: true });
      await rename(this.#temporary, target);
    });
    this.#onWritten();
    return { digest, size: this.#size };
  }

  /** Ends it without a result; it may have failed before. */
  async abandon(): Promise<void> {
    await this.#handle.close().catch(() => {});
    await rm(this.#temporary, { force: true });
  }

  free(): void {
    if ("hash" in this.#digest) this.#digest.hash.free();
  }
}

async function explained<Result>(subject: string, work: () => Promise<Result>): Promise<Result> {
  try {
    return await work();
  } catch (error) {
    throw isSystemError(error) ? inputError(subject, `can't be written: ${reasonOf(error)}`, error) : error;
  }
}

async function sizeOf(path: string): Promise<number | null> {
  const stats = await stat(path).catch(() => null);
  return stats?.isFile() ? stats.size : null;
}

async function succeeds(work: Promise<void>): Promise<boolean> {
  return work.then(
    () => true,
    () => false,
  );
}
