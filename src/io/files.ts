/** Writing outputs, which appear whole or not at all, and words for why the system refused. */
import { randomBytes } from "node:crypto";
import { rmdirSync, rmSync, type Stats } from "node:fs";
import { type FileHandle, mkdir, open, realpath, rename, stat } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { type Patch, piecesOf, StoredBytes } from "../chunks.ts";
import { inputError } from "../errors.ts";
import { isBootedFrom } from "./booted-from.ts";
import { orUndo } from "./undo.ts";

/**
 * Writes a file from chunks: to a temporary name next to it, flushed, then renamed. On failure, and when a signal ends
 * the process, nothing is left behind and an older file of that name is untouched. Missing parent directories are
 * created; in one that had to be, the file is what a build makes and can make again, so it is flushed only where
 * machines boot from, see {@link isBootedFrom}. Of a symlink the target is replaced; a device or pipe (`/dev/stdout`)
 * is written to as it is.
 * @param mode permission bits of the new file, before the umask; keys are 0o600
 */
export async function writeOutput(path: string, chunks: OutputParts, mode = 0o644): Promise<void> {
  const old = await stat(path).catch(() => null);
  if (old === null || old.isDirectory()) {
    await writeWhole(path, path, chunks, (temporary) => open(temporary, "wx", mode));
  } else if (old.isFile()) {
    await writeWhole(path, await realpath(path), chunks, (temporary) => open(temporary, "wx", mode));
  } else {
    await writeThrough(path, chunks);
  }
}

/**
 * Checks that {@link writeOutput} could write a file, for outputs at the end of much work. It leaves nothing behind.
 * @throws SealError `input` when it could not
 */
export async function checkOutput(path: string): Promise<void> {
  try {
    const old = await stat(path).catch(() => null);
    if (old?.isDirectory()) throw inputError(path, `can't be written: ${REASONS["EISDIR"]}`);
    if (old !== null && !old.isFile()) return;
    let place = dirname(old === null ? path : await realpath(path));
    while (!(await exists(place))) place = dirname(place);
    await inPlaceOf(join(place, basename(path)), async (temporary) => {
      await (await open(temporary, "wx")).close();
      rmSync(temporary);
    });
  } catch (error) {
    throw writeError(path, error);
  }
}

async function writeThrough(path: string, chunks: OutputParts): Promise<void> {
  let handle: FileHandle | null = null;
  try {
    handle = await open(path, "w");
    for (const chunk of await patched(chunks)) await writeAll(handle, chunk);
  } catch (error) {
    throw writeError(path, error);
  } finally {
    await handle?.close();
  }
}

/** The contents with their patches, which can't be made to what a pipe or a device has got already. */
async function patched(chunks: OutputParts): Promise<readonly Uint8Array[]> {
  if (Array.isArray(chunks)) return chunks;
  const parts: Uint8Array[] = [];
  const patches: Patch[] = [];
  for await (const chunk of chunks) {
    if (isPatch(chunk)) patches.push(chunk);
    else parts.push(Buffer.from(chunk));
  }
  const whole = Buffer.concat(parts);
  for (const { at, bytes } of patches) whole.set(bytes, at);
  return [whole];
}

/** Contents of a file in order. */
export type OutputChunks = Iterable<Uint8Array> | AsyncIterable<Uint8Array>;

/** {@link OutputChunks} with patches of those before them. Each is good until the next but one is asked for. */
export type OutputParts = Iterable<Uint8Array | Patch> | AsyncIterable<Uint8Array | Patch>;

/**
 * Replaces a file that is there by {@link writeOutput}'s rules, and keeps its permissions and, where the system lets
 * it, its owner. Of a symlink the target is replaced.
 */
export async function replaceFile(path: string, chunks: OutputParts): Promise<void> {
  let target: string;
  let old: Stats;
  try {
    target = await realpath(path);
    old = await stat(target);
  } catch (error) {
    throw inputError(path, `can't be replaced: ${reasonOf(error)}`, error);
  }
  await writeWhole(path, target, chunks, async (temporary) => {
    const handle = await open(temporary, "wx", 0o600);
    // Only root can give files away; everyone else owns what they may replace, or gets to own it.
    await handle.chown(old.uid, old.gid).catch(() => {});
    await handle.chmod(old.mode & 0o7777);
    return handle;
  });
}

/** @param path what the user knows `target` by */
async function writeWhole(
  path: string,
  target: string,
  chunks: OutputParts,
  create: (temporary: string) => Promise<FileHandle>,
): Promise<void> {
  try {
    await inPlaceOf(target, async (temporary, isDirectoryNew) => {
      const isFlushed = !isDirectoryNew || (await isBootedFrom(target));
      const handle = await create(temporary);
      try {
        await writeChunks(handle, chunks, isFlushed);
        if (isFlushed) await handle.sync();
      } finally {
        await handle.close();
      }
      await rename(temporary, target);
    });
  } catch (error) {
    throw writeError(path, error);
  }
}

/**
 * Writes contents to a file; each while the next one is made, and, if they will be flushed, while the disk gets those
 * before it, so that little is left for the end.
 */
async function writeChunks(handle: FileHandle, chunks: OutputParts, isFlushed: boolean): Promise<void> {
  let writing = Promise.resolve();
  let flushing: Promise<void> | null = null;
  let unflushed = 0;
  try {
    for await (const chunk of inPieces(chunks)) {
      await writing;
      if (isFlushed && unflushed >= FLUSH_SIZE && flushing === null) {
        unflushed = 0;
        flushing = handle.datasync().then(() => {
          flushing = null;
        });
        // It is waited for at the end.
        flushing.catch(() => {});
      }
      unflushed += isPatch(chunk) ? 0 : chunk.length;
      writing = isPatch(chunk) ? writeAll(handle, chunk.bytes, chunk.at) : writeAll(handle, chunk);
      // It is waited for in its turn.
      writing.catch(() => {});
    }
  } finally {
    await Promise.all([writing, flushing]);
  }
}
/** Each flush has the disk empty its cache; of large parts that is a small share. */
const FLUSH_SIZE = 16 << 20;

/** What is not in memory is read piece by piece, and what is there is written so that it can be flushed in between. */
function inPieces(chunks: OutputParts): OutputParts {
  if (chunks instanceof StoredBytes) return piecesOf(chunks, 0, chunks.size);
  return Symbol.iterator in chunks ? inParts(chunks) : chunks;
}

function* inParts(chunks: Iterable<Uint8Array | Patch>): Generator<Uint8Array | Patch, void> {
  for (const chunk of chunks) {
    if (isPatch(chunk)) yield chunk;
    else for (let at = 0; at < chunk.length; at += PART_SIZE) yield chunk.subarray(at, at + PART_SIZE);
  }
}
const PART_SIZE = FLUSH_SIZE / 4;

function isPatch(chunk: Uint8Array | Patch): chunk is Patch {
  return !(chunk instanceof Uint8Array);
}

/**
 * Gives work a temporary name next to a path, to create a file or directory there and rename it to that path. If it
 * fails or a signal ends the process, that and the parent directories that had to be created are removed.
 * @param work also gets whether the parent directory had to be created
 */
export async function inPlaceOf<Result>(
  path: string,
  work: (temporary: string, isDirectoryNew: boolean) => Promise<Result>,
): Promise<Result> {
  const parent = dirname(path);
  const temporary = join(parent, `.${basename(path)}.${randomBytes(6).toString("hex")}.partial`);
  const made: string[] = [];
  const undo = () => {
    rmSync(temporary, { recursive: true, force: true });
    for (const directory of made.toReversed()) rmdirSync(directory);
  };
  return orUndo(undo, async () => {
    await makeDirectories(parent, made);
    return work(temporary, made.length > 0);
  });
}

/**
 * Makes a directory and its parents where they are missing. Node's own way (`recursive`) gives ENOENT as the reason on
 * a read-only filesystem.
 * @param made gets those that were made, each as soon as it is there
 */
export async function makeDirectories(path: string, made: string[]): Promise<void> {
  const missing: string[] = [];
  for (let place = path; !(await exists(place)); place = dirname(place)) missing.push(place);
  for (const place of missing.toReversed()) {
    // Another process may have created it in the meantime.
    await mkdir(place).then(
      () => made.push(place),
      async (error: unknown) => {
        if (!(await exists(place))) throw error;
      },
    );
  }
}

async function exists(path: string): Promise<boolean> {
  try {
    await stat(path);
    return true;
  } catch (error) {
    if (isSystemError(error) && error.code === "ENOENT") return false;
    throw error;
  }
}

function writeError(path: string, error: unknown): unknown {
  return isSystemError(error) ? inputError(path, `can't be written: ${reasonOf(error)}`, error) : error;
}

/** Writes all of a chunk at the current position, or at an offset. */
export async function writeAll(handle: FileHandle, chunk: Uint8Array, at: number | null = null): Promise<void> {
  for (let offset = 0; offset < chunk.length; ) {
    const position = at === null ? null : at + offset;
    const { bytesWritten } = await handle.write(chunk, offset, chunk.length - offset, position);
    offset += bytesWritten;
  }
}

/** Words for the system errors that people meet; the code itself for the rest. */
const REASONS: Readonly<Record<string, string>> = {
  ENOENT: "no such file or directory",
  EACCES: "permission denied",
  EPERM: "operation not permitted",
  EISDIR: "is a directory",
  EEXIST: "something else is there",
  ENOTDIR: "part of the path is not a directory",
  ENOSPC: "no space left on the device",
  EROFS: "the filesystem is read-only",
  ELOOP: "too many symlinks",
  EDQUOT: "the disk quota is used up",
  ENAMETOOLONG: "the name is too long",
  EBUSY: "it is in use, perhaps as a mount point",
};

export function isSystemError(error: unknown): error is NodeJS.ErrnoException {
  return error instanceof Error && "code" in error && "syscall" in error;
}

/** Why a system call failed, in words. */
export function reasonOf(error: unknown): string {
  if (!isSystemError(error)) return error instanceof Error ? error.message : String(error);
  return REASONS[error.code ?? ""] ?? `${error.code ?? error.message}`;
}
