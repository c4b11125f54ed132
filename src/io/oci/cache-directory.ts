/** A directory with what runs of seal leave to later ones. Only this user may be able to write there. */
import { closeSync, constants, fstatSync, openSync, readSync, type Stats, utimesSync } from "node:fs";
import { open, readdir, rename, rm, stat, utimes, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { inputError, SealError } from "../../errors.ts";
import { hasZstd } from "../../unpack/zlib.ts";
import { inPlaceOf, isSystemError, reasonOf, writeAll } from "../files.ts";
import { isPrivate, openPrivateDirectory } from "../private-directory.ts";

/** Where a cache is and what is warned of. */
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
const ENTRY_NAME = /^[0-9a-f]{64}\.(?:layer|labels|stack)$/;
const PARTIAL_NAME = /^\.[0-9a-f]{64}\.(?:layer|labels|stack)\.[0-9a-f]+\.partial$/;
/** Its time says when entries were last removed. */
const CLEANED = "cleaned";

/** Bytes from a place of an open file. @throws SealError `input` where it ends before */
export function readExactly(descriptor: number, start: number, size: number, subject: string): Uint8Array {
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

/** The files of a cache. */
export class CacheDirectory {
  readonly #options: LayerCacheOptions;
  #opened: Promise<string | null> | null = null;
  #isWritable = true;
  #hasWritten = false;

  constructor(options: LayerCacheOptions) {
    this.#options = options;
  }

  /** Whether nothing has been written in vain yet. */
  get isWritable(): boolean {
    return this.#isWritable;
  }

  /** The path of an entry; null: the directory won't do, which has been said. */
  async pathOf(name: string): Promise<string | null> {
    this.#opened ??= this.#open();
    const directory = await this.#opened;
    return directory === null ? null : join(directory, name);
  }

  /**
   * Reads an entry, which counts as used then. An image has many small ones: each way to another thread and back would
   * take longer than all that is done here.
   * @param report the line for a reason, which says what is done instead
   * @returns null: there is no such entry, or it is damaged, which is reported
   */
  read<Result>(
    path: string,
    report: (reason: string) => string,
    read: (descriptor: number, stats: Stats, subject: string) => Result,
  ): Result | null {
    let descriptor: number | null = null;
    try {
      descriptor = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
      const stats = fstatSync(descriptor);
      if (!stats.isFile() || !isPrivate(stats)) throw inputError(path, "is not a file that only you can write");
      const result = read(descriptor, stats, path);
      if (this.isUnused(stats)) setTimes(path, this.#options.now());
      return result;
    } catch (error) {
      if (isSystemError(error) && error.code === "ENOENT") return null;
      if (!isSystemError(error) && !(error instanceof SealError)) throw error;
      const reason = error instanceof SealError ? error.message : `${path}: can't be read: ${reasonOf(error)}`;
      this.#warn(report(reason));
      return null;
    } finally {
      if (descriptor !== null) closeSync(descriptor);
    }
  }

  /** Whether an entry was not used today, as far as its times show: they are not changed each time, for that is a write. */
  isUnused({ mtimeMs }: Stats): boolean {
    return this.#options.now().getTime() - mtimeMs > DAY;
  }

  /** Has an entry count as used, if it is there. */
  noteUse(path: string): void {
    setTimes(path, this.#options.now());
  }

  /** Writes an entry, whole or not at all. */
  async write(path: string, file: Uint8Array): Promise<void> {
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
    const directory = await this.pathOf("");
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

  async #open(): Promise<string | null> {
    const opened = hasZstd() ? await openPrivateDirectory(this.#options.path) : { problem: needsZstd() };
    if ("path" in opened) return opened.path;
    this.#warn(`${opened.problem}. It is not used`);
    return null;
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
