/**
 * The least that reading gzip layers takes: SHA-256 of each as it is stored, inflate, SHA-256 of its archive, and SHA-512
 * of each 4096 bytes of that, which stands for the fs-verity digests of the files. Left out: the archive's entries, the
 * blocks that files don't fill, errors, and the comparison of digests.
 *
 * Of several layers each thread reads whole ones, the largest first; one layer is spread over the threads that node has
 * for files.
 */
import { closeSync, openSync, readdirSync, readSync, statSync } from "node:fs";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { isMainThread, Worker, workerData } from "node:worker_threads";
import { unpackBeside, unpackHere } from "./unpack.ts";

/** What threads take layers from. */
interface Shared {
  readonly paths: readonly string[];
  /** How many layers are taken. */
  readonly taken: Int32Array;
}

function unpackFree({ paths, taken }: Shared): void {
  for (let path = paths[Atomics.add(taken, 0, 1)]; path !== undefined; path = paths[Atomics.add(taken, 0, 1)]) {
    unpackHere(path);
  }
}

/** Reads all gzip layers of a layout, on all cores. @returns how many */
export async function unpackLayers(layout: string): Promise<number> {
  const paths = gzipLayers(layout);
  const [only] = paths;
  if (paths.length === 1 && only !== undefined) {
    await unpackBeside(only);
    return 1;
  }
  const shared = { paths, taken: new Int32Array(new SharedArrayBuffer(4)) };
  for (let thread = 1; thread < availableParallelism(); thread++) new Worker(FILE, { workerData: shared });
  // The process ends with the last of them.
  unpackFree(shared);
  return paths.length;
}

/** The gzip layers of a layout, the largest first. */
export function gzipLayers(layout: string): string[] {
  const blobs = join(layout, "blobs/sha256");
  const layers = readdirSync(blobs)
    .map((name) => join(blobs, name))
    .filter(isGzip)
    .map((path) => ({ path, size: statSync(path).size }));
  return layers.sort((a, b) => b.size - a.size).map(({ path }) => path);
}

function isGzip(path: string): boolean {
  const file = openSync(path, "r");
  const magic = new Uint8Array(2);
  readSync(file, magic);
  closeSync(file);
  return magic[0] === 0x1f && magic[1] === 0x8b;
}

const FILE = import.meta.filename;
// In a bundle this is the whole program, which has to look for itself whether it is a worker.
if (!isMainThread) unpackFree(workerData as Shared);
