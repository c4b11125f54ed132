/**
 * The least that a digest of a directory takes: a walk with the metadata and the names of xattrs of each entry, and the
 * fs-verity digest of each file. Left out: the tree, sorting, values of xattrs, targets of symlinks, SELinux labels, the
 * EROFS image, errors, and all checks but the second statx(2) of each file.
 *
 * Other threads are up before the walk begins. All take files one by one from a list in memory that they share.
 */
import { readdirSync } from "node:fs";
import { availableParallelism } from "node:os";
import { isMainThread, Worker, workerData } from "node:worker_threads";
import { AT_FDCWD, addressOf, close, llistxattr, openat, pread, STATX_BASIC_STATS, statx } from "./calls.ts";
import { base, digestOfPieces, fileDigest, HASH, PIECE, PIECE_HASHES, pieceHashes } from "./verity.ts";

const O_NOFOLLOW = 0o400000;
const O_CLOEXEC = 0o2000000;
const AT_SYMLINK_NOFOLLOW = 0x100;
const AT_EMPTY_PATH = 0x1000;
const TYPE_MASK = 0o170000;
const [DIRECTORY, REGULAR] = [0o040000, 0o100000];

/** Numbers in the shared memory: of jobs that are there, taken, done, and of all when they are known. */
const [FOUND, TAKEN, DONE, ALL] = [0, 1, 2, 3];
/** Words of a job: where the path is, how many bytes to hash, from which byte on in PIECE, where hashes go. */
const JOB = 4;
const WHOLE = 0xffff_ffff;
const JOBS_MAX = 1 << 21;
const FOREVER = 2 ** 31 - 1;
/** Files of so many bytes or fewer become part of the metadata. */
const INLINE = 64;

const FILE = import.meta.filename;

interface Shared {
  readonly state: Int32Array;
  readonly jobs: Uint32Array;
  readonly paths: Uint8Array;
  readonly hashes: Uint8Array;
}

function makeShared(): Shared {
  return {
    state: new Int32Array(new SharedArrayBuffer(16)),
    jobs: new Uint32Array(new SharedArrayBuffer(JOBS_MAX * JOB * 4)),
    paths: new Uint8Array(new SharedArrayBuffer(1 << 29)),
    hashes: new Uint8Array(new SharedArrayBuffer(JOBS_MAX * HASH)),
  };
}

const stat = new Uint32Array(64);
const statAt = addressOf(new Uint8Array(stat.buffer));

/** Takes jobs until there are no more. */
function work({ state, jobs, paths, hashes }: Shared): void {
  const pathsAt = addressOf(paths);
  for (;;) {
    const number = Atomics.add(state, TAKEN, 1);
    for (let found = Atomics.load(state, FOUND); number >= found; found = Atomics.load(state, FOUND)) {
      Atomics.wait(state, FOUND, found);
    }
    if (number >= Atomics.load(state, ALL)) return;
    const at = number * JOB;
    const piece = jobs[at + 2] as number;
    const size = jobs[at + 1] as number;
    const file = openat(AT_FDCWD, pathsAt + (jobs[at] as number), O_NOFOLLOW | O_CLOEXEC);
    pread(file, base, PIECE, piece === WHOLE ? 0 : piece * PIECE);
    const place = (jobs[at + 3] as number) * HASH;
    if (piece !== WHOLE) hashes.set(pieceHashes(size), place);
    else if (size > INLINE) hashes.set(fileDigest(size), place);
    statx(file, pathsAt, AT_EMPTY_PATH, STATX_BASIC_STATS, statAt);
    close(file);
    if (Atomics.add(state, DONE, 1) + 1 === Atomics.load(state, ALL)) Atomics.notify(state, DONE);
  }
}

/** A file of several pieces. */
interface Large {
  readonly size: number;
  /** Where the hashes of its pieces are, and its digest in the end. */
  readonly at: number;
}

/** Puts all files into the list. @returns also those that are hashed in pieces */
function walk(root: string, { state, jobs, paths }: Shared): { readonly large: Large[]; readonly hashCount: number } {
  const large: Large[] = [];
  const links = new Set<number>();
  const pathsAt = addressOf(paths);
  const list = new Uint8Array(1024);
  const listAt = addressOf(list);
  let [found, used, hashesUsed] = [0, 1, 0];
  const add = (size: number, piece: number, hashes: number) => {
    jobs.set([used, size, piece, hashesUsed], JOB * found++);
    hashesUsed += hashes;
  };
  const pending = [`${root}/`];
  for (let directory = pending.pop(); directory !== undefined; directory = pending.pop()) {
    const prefix = Buffer.from(directory, "latin1");
    for (const name of readdirSync(prefix, { encoding: "latin1" })) {
      paths.set(prefix, used);
      let end = used + prefix.length;
      for (let at = 0; at < name.length; at++) paths[end++] = name.charCodeAt(at);
      paths[end++] = 0;
      statx(AT_FDCWD, pathsAt + used, AT_SYMLINK_NOFOLLOW, STATX_BASIC_STATS, statAt);
      llistxattr(pathsAt + used, listAt, list.length);
      const type = (stat[7] as number) & TYPE_MASK;
      if (type === DIRECTORY) pending.push(`${directory}${name}/`);
      if (type !== REGULAR) continue;
      const inode = (stat[8] as number) + (stat[9] as number) * 2 ** 32;
      if ((stat[4] as number) > 1 && links.has(inode)) continue;
      links.add(inode);
      const size = (stat[10] as number) + (stat[11] as number) * 2 ** 32;
      if (size <= PIECE) add(size, WHOLE, 1);
      else {
        large.push({ size, at: hashesUsed });
        for (let at = 0; at < size; at += PIECE) add(Math.min(PIECE, size - at), at / PIECE, PIECE_HASHES);
      }
      used = end;
    }
    Atomics.store(state, FOUND, found);
    Atomics.notify(state, FOUND);
  }
  Atomics.store(state, ALL, found);
  // Beyond the last one, so that nobody waits for more.
  Atomics.store(state, FOUND, FOREVER);
  Atomics.notify(state, FOUND);
  return { large, hashCount: hashesUsed };
}

/** Reads and hashes all below a directory, on all cores. @returns all hashes, those of a file in pieces among them */
export function digestTree(root: string): Uint8Array {
  const shared = makeShared();
  const { state, hashes } = shared;
  Atomics.store(state, ALL, FOREVER);
  for (let thread = 1; thread < availableParallelism(); thread++) new Worker(FILE, { workerData: shared });
  const { large, hashCount } = walk(root, shared);
  work(shared);
  const all = Atomics.load(state, ALL);
  for (let done = 0; done < all; done = Atomics.load(state, DONE)) Atomics.wait(state, DONE, done);
  for (const { size, at } of large) {
    const pieces = hashes.subarray(at * HASH, (at + Math.ceil(size / (PIECE / PIECE_HASHES))) * HASH);
    pieces.set(digestOfPieces(pieces, size));
  }
  return hashes.subarray(0, hashCount * HASH);
}

// In a bundle this is the whole program, which has to look for itself whether it is a worker.
if (!isMainThread) work(workerData as Shared);
