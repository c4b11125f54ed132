/**
 * What the single executable starts (scripts/release/executable.ts makes it): the program and all that it needs are
 * assets in it, and node runs this script in place of one that a command line names.
 *
 * Native code alone can't be loaded from memory. It goes into a file that has no name when something is in it, so
 * nobody else can write there, nothing stays behind, and as many processes as one likes can start at a time.
 */
import type { WorkerOptions } from "node:worker_threads";
import { type Code, codeName, decodeCode, type Load, loader, runProgram } from "../loader.ts";
import { asset, chunkText, ELSEWHERE, NATIVE, outside, stop, THREAD, type ThreadData, temporary } from "./assets.ts";

/** The SHA-256 of that code, in hex; scripts/release/executable.ts defines it. */
declare const NATIVE_SHA256: string;

let native: number | null = null;

/** @returns the descriptor of a file without a name that holds koffi's native code */
function nativeFile(): number {
  native ??= unpack(asset(NATIVE), temporary());
  return native;
}

function unpack(bytes: Buffer, directory: string): number {
  if (!isNative(bytes)) stop(`${process.execPath}: is damaged; get it again`);
  const { openSync, readSync, unlinkSync, writeSync } = process.getBuiltinModule("node:fs");
  const { randomUUID } = process.getBuiltinModule("node:crypto");
  const path = `${directory}/seal-${randomUUID()}`;
  const written = Buffer.alloc(bytes.length);
  let file: number;
  try {
    file = openSync(path, "wx+", 0o500);
    unlinkSync(path);
    for (let at = 0; at < bytes.length; ) at += writeSync(file, bytes, at);
    for (let at = 0, got = 1; got > 0; at += got) got = readSync(file, written, at, bytes.length - at, at);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    stop(`${directory}: can't be written to, and seal unpacks a part of itself there: ${reason}; ${ELSEWHERE}`);
  }
  if (!isNative(written)) stop(`${directory}: has other bytes than seal wrote there; ${ELSEWHERE}`);
  return file;
}

function isNative(bytes: Uint8Array): boolean {
  return process.getBuiltinModule("node:crypto").hash("sha256", bytes, "hex") === NATIVE_SHA256;
}

/** node's module of threads, with one change: the files that the program starts threads from are assets here. */
function threads(): object {
  const module = process.getBuiltinModule("node:worker_threads");
  class Thread extends module.Worker {
    constructor(file: URL, options: WorkerOptions) {
      const chunk = file.pathname.slice(file.pathname.lastIndexOf("/") + 1);
      const workerData: ThreadData = { chunk, native: nativeFile() };
      // Threads heed what the process does not: it could have them run other code.
      const { NODE_OPTIONS: _, ...env } = process.env;
      super(asset(THREAD).toString(), { ...options, env, eval: true, workerData });
    }
  }
  return { ...module, Worker: Thread };
}

/** The code of chunks; an executable for another machine than the one that made it has none. */
function codeAsset(): Code {
  let whole: Buffer | null = null;
  return decodeCode((at, length) => {
    whole ??= asset(codeName());
    return whole.subarray(at, at + length);
  });
}

let ownThreads: object | null = null;
const others: Load = (name) => {
  if (name !== "node:worker_threads") return undefined;
  ownThreads ??= threads();
  return ownThreads;
};
const source = {
  directory: process.execPath,
  read: (name: string) => chunkText(name.slice("./".length)),
  outside: outside(others, nativeFile),
};
runProgram(loader(source, codeAsset()));
