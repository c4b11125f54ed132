/**
 * A directory with what layers hold, so that a layer that was read before need not be unpacked again. Whoever uses an
 * entry has hashed the layer first: it is found by that digest. That it says what reading the layer would say is taken
 * on trust, so that only this user may be able to write there.
 */
import { createHash } from "node:crypto";
import { closeSync, constants, fstatSync, openSync, readSync, type Stats, utimesSync } from "node:fs";
import { open, readdir, rename, rm, stat, utimes, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { VerityAlgorithm } from "../../composefs/series.ts";
import { verityDigest } from "../../composefs/verity.ts";
import { inputError, SealError } from "../../errors.ts";
import type { BlobDigest } from "../../oci/digest.ts";
import type { LayerContents } from "../../tree/layer-contents.ts";
import type { ExternalContent } from "../../tree/node.ts";
import { hasZstd } from "../../unpack/zlib.ts";
import { inPlaceOf, isSystemError, reasonOf, writeAll } from "../files.ts";
import { isPrivate, openPrivateDirectory } from "../private-directory.ts";
import {
  CACHE_HEAD_SIZE,
  type CachedLayer,
  type CacheKey,
  decodeCacheEntry,
  encodeCacheEntry,
  keyText,
  packedTableSize,
  SMALL_CONTENT,
  type StoredContent,
  type StoredFrame,
  unpackContents,
} from "./cache-entry.ts";

/** Where the cache of layers is and what is warned of. */
export interface LayerCacheOptions {
  /** Absolute path; the directory is made where it is missing. */
  readonly path: string;
  /** As messages call it: `--cache DIR`. */
  readonly subject: string;
  /** Gets one line for what is damaged or can't be written. */
  readonly warn: (line: string) => void;
  /** The wall clock: which entries have not been used for long. */
  readonly now: () => Date;
}

const DAY = 24 * 60 * 60 * 1000;
/** Entries that have not been used for so long are removed. */
const KEPT_DAYS = 30;
const ENTRY_NAME = /^[0-9a-f]{64}\.layer$/;
const PARTIAL_NAME = /^\.[0-9a-f]{64}\.layer\.[0-9a-f]+\.partial$/;
/** Its time says when entries were last removed. */
const CLEANED = "cleaned";

/** Bytes from a place of an open file. @throws SealError `input` where it ends before */
function readExactly(descriptor: number, start: number, size: number, subject: string): Uint8Array {
  const bytes = new Uint8Array(size);
  for (let done = 0; done < size; ) {
    const bytesRead = readSync(descriptor, bytes, done, size - done, start + done);
    if (bytesRead === 0) throw inputError(subject, "is damaged: it is cut off");
    done += bytesRead;
  }
  return bytes;
}

/** What can't be changed is removed sooner, and read again then. */
function setTimes(path: string, time: Date): void {
  try {
    utimesSync(path, time, time);
  } catch (error) {
    if (!isSystemError(error)) throw error;
  }
}

function needsZstd(): string {
  return `needs Zstandard, which Node ${process.versions.node} does not have; use Node 22.15, 23.8 or later`;
}

/** What an entry holds is not taken on trust where it can be checked. */
function isIntact(bytes: Uint8Array, { digest }: ExternalContent, algorithm: VerityAlgorithm): boolean {
  return digest !== null && Buffer.compare(verityDigest(bytes, algorithm), digest) === 0;
}

/** A cache on disk of what layers hold. */
export class LayerCache {
  readonly #options: LayerCacheOptions;
  #opened: Promise<string | null> | null = null;
  /** Frames of small contents, of which others may be asked for, too. */
  readonly #unpacked = new WeakMap<StoredFrame, Uint8Array>();
  #isWritable = true;
  #hasWritten = false;

  constructor(options: LayerCacheOptions) {
    this.#options = options;
  }

  /** What is known of a layer; null: nothing. Damaged entries are reported and skipped. */
  async get(key: CacheKey): Promise<CachedLayer | null> {
    const path = await this.#pathOf(key);
    if (path === null) return null;
    return this.#reading(path, (descriptor, { size, mtimeMs }, subject) => {
      const head = readExactly(descriptor, 0, CACHE_HEAD_SIZE, subject);
      const table = packedTableSize(head, subject);
      if (CACHE_HEAD_SIZE + table > size) throw inputError(subject, "is damaged: it is cut off");
      const bytes = readExactly(descriptor, 0, CACHE_HEAD_SIZE + table, subject);
      const layer = decodeCacheEntry(bytes, size, key, subject);
      const now = this.#options.now();
      // Not every time: it is a write.
      if (now.getTime() - mtimeMs > DAY) setTimes(path, now);
      return layer;
    });
  }

  /** Whether there is something about a layer, be it damaged. */
  async has(key: CacheKey): Promise<boolean> {
    const path = await this.#pathOf(key);
    return path !== null && (await stat(path).catch(() => null)) !== null;
  }

  /**
   * Contents of a layer that {@link get} gave, by the number of their entry.
   * @param entries their numbers
   * @returns without those that are not there; up to the first that is damaged, which is reported
   */
  async contents(
    key: CacheKey,
    layer: CachedLayer,
    entries: readonly number[],
  ): Promise<ReadonlyMap<number, Uint8Array>> {
    const intact = new Map<number, Uint8Array>();
    const wanted = entries.flatMap((entry): [number, StoredContent][] => {
      const stored = layer.contents.get(entry);
      return stored === undefined ? [] : [[entry, stored]];
    });
    const path = wanted.length === 0 ? null : await this.#pathOf(key);
    if (path === null) return intact;
    this.#reading(path, (descriptor, _, subject) => {
      for (const [entry, { frame, offset, content }] of wanted) {
        const unpacked = this.#unpack(frame, content, () => readExactly(descriptor, frame.start, frame.size, subject));
        const bytes = unpacked?.subarray(offset, offset + Number(content.size)) ?? null;
        if (bytes === null || !isIntact(bytes, content, key.algorithm)) {
          throw inputError(subject, "is damaged: a content in it");
        }
        intact.set(entry, bytes);
      }
    });
    return intact;
  }

  /**
   * Remembers what a layer holds.
   * @param diffId the digest that its archive was found to have
   */
  async put(key: CacheKey, diffId: BlobDigest, held: LayerContents): Promise<void> {
    const path = await this.#pathOf(key);
    if (path === null || !this.#isWritable) return;
    // What is unpacked in the layer is as quickly read there.
    const contents =
      held.compression === "none"
        ? new Map([...held.contents].filter(([, bytes]) => bytes.length <= SMALL_CONTENT))
        : held.contents;
    const file = await encodeCacheEntry(key, diffId, { ...held, contents });
    await this.#writing(async () => {
      await inPlaceOf(path, async (temporary) => {
        const handle = await open(temporary, "wx", 0o600);
        try {
          await writeAll(handle, file);
        } finally {
          await handle.close();
        }
        await rename(temporary, path);
      });
      this.#hasWritten = true;
    });
  }

  /** Removes what has not been used for long, once a day at most, when something was written. */
  async clean(): Promise<void> {
    const directory = await this.#directory();
    if (directory === null || !this.#hasWritten) return;
    await this.#writing(async () => {
      const now = this.#options.now().getTime();
      const stamp = join(directory, CLEANED);
      const last = await stat(stamp).catch(() => null);
      if (last !== null && now - last.mtimeMs < DAY) return;
      await writeFile(stamp, "", { mode: 0o600 });
      await utimes(stamp, now / 1000, now / 1000);
      for (const name of await readdir(directory)) {
        const days = ENTRY_NAME.test(name) ? KEPT_DAYS : PARTIAL_NAME.test(name) ? 1 : null;
        if (days === null) continue;
        const stats = await stat(join(directory, name)).catch(() => null);
        if (stats !== null && now - stats.mtimeMs > days * DAY) await rm(join(directory, name), { force: true });
      }
    });
  }

  #unpack(frame: StoredFrame, { size }: ExternalContent, read: () => Uint8Array): Uint8Array | null {
    const known = this.#unpacked.get(frame);
    if (known !== undefined) return known;
    const unpacked = unpackContents(read(), frame);
    if (unpacked !== null && size <= SMALL_CONTENT) this.#unpacked.set(frame, unpacked);
    return unpacked;
  }

  async #pathOf(key: CacheKey): Promise<string | null> {
    const directory = await this.#directory();
    return directory === null
      ? null
      : join(directory, `${createHash("sha256").update(keyText(key)).digest("hex")}.layer`);
  }

  /** Null: it won't do, which has been said. */
  #directory(): Promise<string | null> {
    this.#opened ??= this.#open();
    return this.#opened;
  }

  async #open(): Promise<string | null> {
    const opened = hasZstd() ? await openPrivateDirectory(this.#options.path) : { problem: needsZstd() };
    if ("path" in opened) return opened.path;
    this.#warn(`${opened.problem}. It is not used`);
    return null;
  }

  /**
   * Null: there is no such entry, or it is damaged, which is reported. An image has many small ones: each way to
   * another thread and back would take longer than all that is done here.
   */
  #reading<Result>(path: string, read: (descriptor: number, stats: Stats, subject: string) => Result): Result | null {
    let descriptor: number | null = null;
    try {
      descriptor = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
      const stats = fstatSync(descriptor);
      if (!stats.isFile() || !isPrivate(stats)) throw inputError(path, "is not a file that only you can write");
      return read(descriptor, stats, path);
    } catch (error) {
      if (isSystemError(error) && error.code === "ENOENT") return null;
      if (!isSystemError(error) && !(error instanceof SealError)) throw error;
      const reason = error instanceof SealError ? error.message : `${path}: can't be read: ${reasonOf(error)}`;
      this.#warn(`${reason}. The layer is read again`);
      return null;
    } finally {
      if (descriptor !== null) closeSync(descriptor);
    }
  }

  /** What can't be written is said once. */
  async #writing(write: () => Promise<void>): Promise<void> {
    try {
      await write();
    } catch (error) {
      if (!isSystemError(error)) throw error;
      if (this.#isWritable) this.#warn(`can't be written: ${reasonOf(error)}. The next run reads these layers again`);
      this.#isWritable = false;
    }
  }

  #warn(text: string): void {
    this.#options.warn(`${this.#options.subject}: ${text}`);
  }
}
