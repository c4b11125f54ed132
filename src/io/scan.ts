/** Reads a directory into a tree: metadata and xattrs as the kernel has them, contents as fs-verity digests. */
import { readdirSync, readlinkSync } from "node:fs";
import { availableParallelism } from "node:os";
import { displayBytes, equalBytes, latin1 } from "../bytes.ts";
import { type ImageHasher, type NewImageHasher, newVerityHasher } from "../composefs/digest.ts";
import type { VerityAlgorithm } from "../composefs/series.ts";
import { inputError } from "../errors.ts";
import { Names } from "../tree/names.ts";
import {
  type Directory,
  type Entry,
  INLINE_LIMIT,
  type Leaf,
  type Metadata,
  type Node,
  type NodeKind,
  type RegularFile,
  TYPE_BITS,
} from "../tree/node.ts";
import { rebuild, withEntries } from "../tree/rebuild.ts";
import { checkRoot } from "./check-root.ts";
import { changedError, readError, readSmallFile } from "./hash-file.ts";
import { HashPool } from "./hash-pool.ts";
import { InodeTable } from "./inode-table.ts";
import { emptyStat, lstat } from "./libc.ts";
import { type Time, TouchedDirectories } from "./touched.ts";
import { type XattrFilter, XattrReader } from "./xattrs.ts";

/** How a directory is read. */
export interface ScanOptions {
  /** Null: contents are not hashed, and external ones have no digest. */
  readonly algorithm: VerityAlgorithm | null;
  /** Which xattrs are read. What the transforms drop anyway need not be. */
  readonly xattrs: XattrFilter;
  /** How many threads hash; default: as many as there are cores. */
  readonly jobs?: number | undefined;
  /** Called now and then with what has been read so far, see {@link ProgressListener}. */
  readonly onProgress?: ProgressListener | undefined;
}

/**
 * Gets how much has been read.
 * @param share of the work that is done, from 0 to 1; null while the total is unknown
 */
export type ProgressListener = (stats: ScanStats, share: number | null) => void;

/** What was read of a directory or an image. */
export interface ScanStats {
  /** Regular files, each hardlinked one once. */
  files: number;
  directories: number;
  /** Content of regular files that went through the hash. */
  bytesHashed: number;
}

/** What a walk finds. */
export interface Scanned {
  readonly root: Directory;
  /**
   * Readable paths of the directories that were changed later than anything that is in them, and
   * after the tree came here.
   */
  readonly touched: readonly string[];
}

/** The walk lets the hash pool take its turn after so many entries: some milliseconds. */
const ENTRIES_PER_TURN = 256;
/** Longest path that Linux takes, without its NUL. */
const PATH_MAX = 4095;
/** A file that gets or loses a name every time that it is read is looked at so often; then something is wrong there. */
const ATTEMPTS = 8;
const TYPE_MASK = 0o170000;
const KINDS: ReadonlyMap<number, NodeKind> = new Map(
  (Object.keys(TYPE_BITS) as NodeKind[]).map((kind) => [TYPE_BITS[kind], kind]),
);

/** Work on a tree that is done while it is read. */
export interface ScanWork<Prepared, Finished> {
  /** What needs no digests of files: it is done while the workers still hash, and gets digests that are still zeros. */
  readonly prepare: (scanned: Scanned) => Promise<Prepared>;
  /** What needs them, and maybe the digest of an image, which the workers compute while it is made. */
  readonly finish: (prepared: Prepared, newHasher: NewImageHasher) => Promise<Finished>;
}

/**
 * Reads the tree below a directory. Mount points are crossed; non-directories with the same device and inode number are
 * one node.
 * @param path of the directory; a symlink to one is followed
 * @throws SealError `input` for `/` by whatever name, what can't be read, what changes while it is read, and what
 *   composefs can't represent
 */
export async function scanAndFinish<Prepared, Finished>(
  path: string,
  options: ScanOptions,
  { prepare, finish }: ScanWork<Prepared, Finished>,
): Promise<{ readonly root: Directory; readonly stats: Readonly<ScanStats>; readonly finished: Finished }> {
  checkRoot(path);
  const scan = new Scan(options);
  try {
    const scanned = await scan.walk(path);
    const prepared = await prepare(scanned);
    const stats = await scan.finish();
    const finished = await finish(prepared, (algorithm) => scan.hasher(algorithm));
    // The threads have nothing left to do. They end while the caller goes on, which takes them longer than hashing a
    // thousand small files.
    void scan.close();
    return { root: scanned.root, finished, stats };
  } catch (error) {
    await scan.close();
    throw error;
  }
}

/**
 * A directory whose entries are still to be read. Paths are strings of latin1, one character a byte: node
 * can't lose bytes then.
 */
interface OpenDirectory {
  /** With a slash at its end. */
  readonly path: string;
  readonly entries: Entry[];
  readonly mtime: Time;
}

/** When a directory was last changed before its entries were read. */
interface DirectoryTime {
  readonly path: string;
  readonly ctimeSec: number;
  readonly ctimeNsec: number;
}

class Scan {
  readonly #stats: ScanStats = { files: 0, directories: 0, bytesHashed: 0 };
  readonly #onProgress: ProgressListener;
  /** Content that goes through the hash, as far as it has been found. */
  #bytesFound = 0;
  #isWalked = false;
  readonly #pool: HashPool | null;
  readonly #xattrs: XattrReader;
  readonly #stat = emptyStat();
  readonly #names = new Names();
  readonly #inodes = new InodeTable();
  /** What was hashed for names of inodes that had been hashed before. */
  #bytesRepeated = 0;
  readonly #pending: OpenDirectory[] = [];
  readonly #times: DirectoryTime[] = [];
  readonly #touched = new TouchedDirectories();
  /** The path that system calls get, NUL-terminated. */
  readonly #path = Buffer.alloc(PATH_MAX + 1);
  #pathLength = 0;
  /** How long the path of the directory is whose entries are read, its slash included. */
  #prefixLength = 0;

  constructor(options: ScanOptions) {
    this.#onProgress = options.onProgress ?? (() => {});
    const { algorithm, jobs = availableParallelism() } = options;
    this.#pool = algorithm === null ? null : new HashPool(algorithm, jobs, (bytes) => this.#hashed(bytes));
    this.#xattrs = new XattrReader(options.xattrs);
  }

  #hashed(bytes: number): void {
    this.#stats.bytesHashed += bytes;
    this.#onProgress(this.#stats, this.#isWalked ? this.#stats.bytesHashed / this.#bytesFound : null);
  }

  async close(): Promise<void> {
    await this.#pool?.close();
  }

  /** See {@link ScanWork.finish}. */
  hasher(algorithm: VerityAlgorithm): ImageHasher {
    return this.#pool === null ? newVerityHasher(algorithm) : this.#pool.hasher(algorithm);
  }

  /** The tree; its digests are there when {@link finish} has ended. */
  async walk(path: string): Promise<Scanned> {
    // With the slash, a symlink to the directory is the directory.
    const prefix = `${Buffer.from(path).toString("latin1").replace(/\/+$/, "")}/`;
    this.#setPath(prefix);
    const root = this.#read();
    if (root.kind !== "directory") throw changedError(Buffer.from(path));
    let sinceTurn = 0;
    for (let open = this.#pending.pop(); open !== undefined; open = this.#pending.pop()) {
      const names = this.#list(open.path);
      this.#setPath(open.path);
      this.#prefixLength = this.#pathLength;
      for (const name of names) {
        this.#setName(name);
        open.entries.push({ name: this.#names.bytes(name), node: this.#read() });
        this.#touched.note(this.#stat);
        if (++sinceTurn < ENTRIES_PER_TURN) continue;
        sinceTurn = 0;
        this.#onProgress(this.#stats, null);
        await this.#pool?.turn();
      }
      this.#touched.end(open);
      // Those that are not read yet are taken to have as much in them as the others.
      this.#pool?.expect(1 - this.#pending.length / this.#stats.directories);
    }
    this.#isWalked = true;
    this.#pool?.flush();
    return { root: this.#joinDuplicates(root), touched: this.#touched.below(prefix) };
  }

  async finish(): Promise<ScanStats> {
    await this.#pool?.finish();
    await this.#confirmRelinked();
    for (const directory of this.#times) this.#checkUnchanged(directory);
    this.#stats.bytesHashed -= this.#bytesRepeated;
    return this.#stats;
  }

  /**
   * Reads the files again that got or lost a name while they were hashed: metadata and content must be what they were.
   */
  async #confirmRelinked(): Promise<void> {
    const pool = this.#pool;
    if (pool === null) return;
    for (let attempt = 1; ; attempt++) {
      const files = pool.takeRelinked();
      const [first] = files;
      if (first === undefined) return;
      if (attempt === ATTEMPTS) throw changedError(first.path);
      const again = files.map(({ path }) => this.#addAgain(pool, path));
      await pool.finish();
      for (const [index, { path, digest }] of files.entries()) {
        const other = again[index];
        if (other === undefined || !equalBytes(digest, other)) throw changedError(path);
      }
    }
  }

  /**
   * @returns the digest of what a file is now, when the pool has it
   * @throws SealError `input` when its metadata is not what was read before
   */
  #addAgain(pool: HashPool, path: Uint8Array): Uint8Array {
    this.#setPath(latin1(path));
    const kind = this.#look();
    const known = this.#inodes.find(this.#stat);
    if (kind !== "regular" || known === undefined || !isSame(known, this.#metadata())) {
      throw changedError(this.#currentPath());
    }
    const { size, identity } = this.#stat;
    this.#bytesFound += size;
    return pool.add(path, identity, size).digest;
  }

  /** Names in a directory, sorted by bytes. */
  #list(path: string): string[] {
    try {
      return readdirSync(Buffer.from(path, "latin1"), { encoding: "latin1" }).sort();
    } catch (error) {
      throw readError(Buffer.from(path, "latin1"), error);
    }
  }

  /** Reads what is at the current path, and queues a directory for its entries and a file for its content. */
  #read(): Node {
    const kind = this.#look();
    if (kind === "directory") return this.#readDirectory();
    const known = this.#inodes.get(this.#stat);
    if (known !== undefined) return known;
    const leaf = this.#readLeaf(kind);
    this.#inodes.add(this.#stat, leaf);
    return leaf;
  }

  /** Has names of the same inode have one node, where a wrong number of links has hidden that. */
  #joinDuplicates(root: Directory): Directory {
    const duplicates = this.#inodes.duplicates();
    if (duplicates.size === 0) return root;
    for (const leaf of duplicates.keys()) {
      if (leaf.kind !== "regular") continue;
      this.#stats.files--;
      if (leaf.content.kind === "external" && this.#pool !== null) this.#bytesRepeated += Number(leaf.content.size);
    }
    const enter = (metadata: Directory) => ({ metadata, context: null });
    return rebuild(root, { enter, leaf: (leaf) => duplicates.get(leaf) ?? leaf }, null);
  }

  #setPath(path: string): void {
    if (path.length > PATH_MAX) throw inputError(displayBytes(Buffer.from(path, "latin1")), "this path is too long");
    this.#pathLength = this.#path.write(path, "latin1");
    this.#path[this.#pathLength] = 0;
  }

  /** Goes to an entry of the directory. It is written here: for a few bytes node's own function costs more. */
  #setName(name: string): void {
    const start = this.#prefixLength;
    const end = start + name.length;
    if (end > PATH_MAX) {
      const path = Buffer.concat([this.#path.subarray(0, start), Buffer.from(name, "latin1")]);
      throw inputError(displayBytes(path), "this path is too long");
    }
    for (let at = start; at < end; at++) this.#path[at] = name.charCodeAt(at - start);
    this.#path[end] = 0;
    this.#pathLength = end;
  }

  /** Reads the metadata of what is at the current path. */
  #look(): NodeKind {
    try {
      lstat(this.#path, this.#stat);
    } catch (error) {
      throw readError(this.#currentPath(), error);
    }
    const kind = KINDS.get(this.#stat.mode & TYPE_MASK);
    if (kind === undefined) throw inputError(displayBytes(this.#currentPath()), "has an unknown file type");
    return kind;
  }

  #currentPath(): Buffer {
    return this.#path.subarray(0, this.#pathLength);
  }

  #readDirectory(): Directory {
    const path = latin1(this.#currentPath());
    const entries: Entry[] = [];
    const { ctimeSec, ctimeNsec } = this.#stat;
    const mtime = { sec: Number(this.#stat.mtimeSec), nsec: this.#stat.mtimeNsec };
    this.#pending.push({ path: path.endsWith("/") ? path : `${path}/`, entries, mtime });
    this.#times.push({ path, ctimeSec, ctimeNsec });
    this.#stats.directories++;
    return withEntries(this.#metadata(), entries);
  }

  #readLeaf(kind: Exclude<NodeKind, "directory">): Leaf {
    switch (kind) {
      case "regular":
        this.#stats.files++;
        return this.#readFile();
      case "symlink":
        return { kind, ...this.#metadata(), target: this.#target() };
      case "char":
      case "block":
        return { kind, ...this.#metadata(), rdev: this.#rdev() };
      case "fifo":
      case "socket":
        return { kind, ...this.#metadata() };
    }
  }

  #metadata(): Metadata {
    const { mode, uid, gid, mtimeSec, mtimeNsec } = this.#stat;
    const xattrs = this.#xattrs.read(this.#path, this.#pathLength);
    return { mode: mode & 0o7777, uid, gid, mtimeSec, mtimeNsec, xattrs };
  }

  #readFile(): RegularFile {
    for (let attempt = 1; ; attempt++) {
      const { mode, uid, gid, mtimeSec, mtimeNsec, xattrs } = this.#metadata();
      const content = this.#content();
      if (content !== null) return { kind: "regular", mode, uid, gid, mtimeSec, mtimeNsec, xattrs, content };
      const kind = this.#look();
      if (kind !== "regular" || attempt === ATTEMPTS) throw changedError(this.#currentPath());
    }
  }

  /** Null: a small file got or lost a name while it was read. */
  #content(): RegularFile["content"] | null {
    const { size, identity } = this.#stat;
    if (size <= INLINE_LIMIT) {
      const bytes = readSmallFile(this.#currentPath(), identity, size);
      return bytes === null ? null : { kind: "inline", bytes };
    }
    if (this.#pool === null) return { kind: "external", size: BigInt(size), digest: null, payload: null };
    this.#bytesFound += size;
    return this.#pool.add(this.#path, identity, size, this.#pathLength);
  }

  #target(): Uint8Array {
    try {
      return readlinkSync(this.#currentPath(), { encoding: "buffer" });
    } catch (error) {
      throw readError(this.#currentPath(), error);
    }
  }

  /** The device number as the kernel encodes it in 32 bits (`new_encode_dev`): 12 bits of major, 20 of minor number. */
  #rdev(): number {
    const { rdevMajor: major, rdevMinor: minor } = this.#stat;
    if (major >= 2 ** 12 || minor >= 2 ** 20) {
      throw inputError(displayBytes(this.#currentPath()), `device number ${major}:${minor} does not fit into 32 bits`);
    }
    return ((minor & 0xff) | (major << 8) | ((minor & ~0xff) << 12)) >>> 0;
  }

  #checkUnchanged(directory: DirectoryTime): void {
    this.#setPath(directory.path);
    const kind = this.#look();
    const { ctimeSec, ctimeNsec } = this.#stat;
    const same = kind === "directory" && ctimeSec === directory.ctimeSec && ctimeNsec === directory.ctimeNsec;
    if (!same) throw changedError(this.#currentPath());
  }
}

/** Xattrs are kept once for equal ones, so that identity is equality. */
function isSame(a: Metadata, b: Metadata): boolean {
  return (
    a.mode === b.mode &&
    a.uid === b.uid &&
    a.gid === b.gid &&
    a.mtimeSec === b.mtimeSec &&
    a.mtimeNsec === b.mtimeNsec &&
    a.xattrs === b.xattrs
  );
}
