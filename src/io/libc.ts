/**
 * System calls that node has no function for: exact metadata and extended attributes of paths that are bytes, without
 * following symlinks, opening a file step by step, setting exact times, and how a thread is scheduled. Linux only.
 *
 * Paths are NUL-terminated buffers. Failures are thrown as node's own file system errors are: with
 * `code` and `syscall`.
 */
import koffi from "koffi";

// The C library that node itself is linked with, whatever its file is called here (glibc, musl).
const libc = koffi.load(null);

const statx: (dirfd: number, path: Uint8Array, flags: number, mask: number, out: number) => number = libc.func(
  "int statx(int dirfd, const uint8_t *path, int flags, unsigned int mask, uintptr_t out)",
);
const statAddresses: (dirfd: number, path: number, flags: number, mask: number, out: number) => number = libc.func(
  "int statx(int dirfd, uintptr_t path, int flags, unsigned int mask, uintptr_t out)",
);
const llistxattr: (path: Uint8Array, list: Uint8Array, size: number) => number = libc.func(
  "intptr_t llistxattr(const uint8_t *path, uint8_t *list, size_t size)",
);
const lgetxattr: (path: Uint8Array, name: Uint8Array, value: Uint8Array, size: number) => number = libc.func(
  "intptr_t lgetxattr(const uint8_t *path, const uint8_t *name, uint8_t *value, size_t size)",
);
const openat: (dirfd: number, path: Uint8Array, flags: number) => number = libc.func(
  "int openat(int dirfd, const uint8_t *path, int flags)",
);
const openAddress: (dirfd: number, path: number, flags: number) => number = libc.func(
  "int openat(int dirfd, uintptr_t path, int flags)",
);

const read: (descriptor: number, into: Uint8Array, size: number) => number = libc.func(
  "intptr_t read(int fd, uint8_t *buffer, size_t size)",
);
const pread: (descriptor: number, into: Uint8Array, size: number, offset: number) => number = libc.func(
  "intptr_t pread(int fd, uint8_t *buffer, size_t size, int64_t offset)",
);
const close: (descriptor: number) => number = libc.func("int close(int fd)");

const utimensat: (dirfd: number, path: Uint8Array, times: BigInt64Array, flags: number) => number = libc.func(
  "int utimensat(int dirfd, const uint8_t *path, const int64_t *times, int flags)",
);

const schedule: (thread: number, policy: number, priority: Int32Array) => number = libc.func(
  "int sched_setscheduler(int pid, int policy, const int32_t *priority)",
);

const AT_FDCWD = -100;
const AT_SYMLINK_NOFOLLOW = 0x100;
const AT_EMPTY_PATH = 0x1000;
/** No process that seal starts inherits the file. */
const O_CLOEXEC = 0o2000000;
const STATX_BASIC_STATS = 0x7ff;

/** XATTR_LIST_MAX and XATTR_SIZE_MAX of Linux: no list of names and no value is longer. */
const XATTR_MAX = 65536;
/** Long enough for nearly every list; the kernel clears as much memory as it is offered, so more would cost time. */
const XATTR_USUAL = 1024;

/** `struct statx` (linux/stat.h), the same on every architecture but for the byte order, which is the machine's. */
const STAT_SIZE = 256;
/** With zeros after it, which the kernel does not write to. */
const statBytes = new Uint8Array(STAT_SIZE + 8);
const stat16 = new Uint16Array(statBytes.buffer);
const stat32 = new Uint32Array(statBytes.buffer);
const statU64 = new BigUint64Array(statBytes.buffer);
const statS64 = new BigInt64Array(statBytes.buffer);
const statAddress = addressOf(statBytes);
/** A path of no bytes: the NUL that follows. */
const emptyPath = statAddress + STAT_SIZE;

/** What {@link lstat} fills in; an object that is used again and again, so that a walk allocates nothing. */
export interface Stat {
  /** Type and permission bits. */
  mode: number;
  /** How many names it has, as reported: some filesystems (fuse-overlayfs) are wrong. */
  links: number;
  uid: number;
  gid: number;
  /** A number where it is one exactly: maps find those faster. */
  ino: number | bigint;
  /** A file of 2^53 bytes or more, where this would be rounded, can not be read in a lifetime. */
  size: number;
  mtimeSec: bigint;
  mtimeNsec: number;
  /** Set by the kernel's clock, so that it is exact. */
  ctimeSec: number;
  ctimeNsec: number;
  devMajor: number;
  devMinor: number;
  rdevMajor: number;
  rdevMinor: number;
  readonly identity: FileIdentity;
}

/**
 * What a file was when its metadata was read: inode number, size, mtime, ctime and number of links, exact, as words of
 * `struct statx`. A file whose identity is another one after its content was read has changed in between.
 */
export type FileIdentity = Uint32Array;
export const IDENTITY_WORDS = 11;
/** Where the size, and what linking changes, are in an identity. */
export const IDENTITY = { size: 2, ctime: 7, links: 10 } as const;

export function emptyStat(): Stat {
  return {
    mode: 0,
    links: 0,
    uid: 0,
    gid: 0,
    ino: 0,
    size: 0,
    mtimeSec: 0n,
    mtimeNsec: 0,
    ctimeSec: 0,
    ctimeNsec: 0,
    devMajor: 0,
    devMinor: 0,
    rdevMajor: 0,
    rdevMinor: 0,
    identity: new Uint32Array(IDENTITY_WORDS),
  };
}

/** The mtime that was read last, as a number and exact. */
let mtimeSecond = 0;
let mtimeSec = 0n;

/** A number of 64 bits, signed; beyond 2^53 rounded. */
function joined(low: number, high: number): number {
  return (high | 0) * 2 ** 32 + low;
}

/** statx(2) of the path itself, with exact times. */
export function lstat(path: Uint8Array, into: Stat): void {
  if (statx(AT_FDCWD, path, AT_SYMLINK_NOFOLLOW, STATX_BASIC_STATS, statAddress) !== 0) throw lastError("statx");
  // A constant at the top level is a call in the built program.
  const words = stat32;
  into.links = words[4] as number;
  into.uid = words[5] as number;
  into.gid = words[6] as number;
  into.mode = stat16[14] as number;
  const inoHigh = words[9] as number;
  into.ino = inoHigh < 2 ** 21 ? joined(words[8] as number, inoHigh) : (statU64[4] as bigint);
  into.size = joined(words[10] as number, words[11] as number);
  into.ctimeSec = joined(words[24] as number, words[25] as number);
  into.ctimeNsec = words[26] as number;
  // Files that came together mostly have the same one, and equal ones share their memory.
  const second = joined(words[28] as number, words[29] as number);
  if (second !== mtimeSecond || !Number.isSafeInteger(second)) {
    mtimeSecond = second;
    mtimeSec = statS64[14] as bigint;
  }
  into.mtimeSec = mtimeSec;
  into.mtimeNsec = words[30] as number;
  into.rdevMajor = words[32] as number;
  into.rdevMinor = words[33] as number;
  into.devMajor = words[34] as number;
  into.devMinor = words[35] as number;
  readIdentity(words, into.identity);
}

/**
 * Compares an open file with what it was. One that got or lost a name has another ctime, too.
 * @param at where the identity begins in the words
 */
export function compareIdentity(descriptor: number, words: FileIdentity, at: number): "same" | "relinked" | "changed" {
  if (statAddresses(descriptor, emptyPath, AT_EMPTY_PATH, STATX_BASIC_STATS, statAddress) !== 0)
    throw lastError("statx");
  const now = stat32;
  const isContentSame =
    now[8] === words[at] &&
    now[9] === words[at + 1] &&
    now[10] === words[at + 2] &&
    now[11] === words[at + 3] &&
    now[28] === words[at + 4] &&
    now[29] === words[at + 5] &&
    now[30] === words[at + 6];
  if (!isContentSame) return "changed";
  if (now[4] !== words[at + IDENTITY.links]) return "relinked";
  const isTimeSame = now[24] === words[at + 7] && now[25] === words[at + 8] && now[26] === words[at + 9];
  return isTimeSame ? "same" : "changed";
}

/** The size in an identity. @param at where that begins in the words */
export function sizeIn(words: FileIdentity, at: number): number {
  return (words[at + IDENTITY.size] as number) + (words[at + IDENTITY.size + 1] as number) * 2 ** 32;
}

/** Without a loop, as above: this runs for every file, at first before V8 has compiled it. */
function readIdentity(words: Uint32Array, into: FileIdentity): void {
  into[0] = words[8] as number;
  into[1] = words[9] as number;
  into[2] = words[10] as number;
  into[3] = words[11] as number;
  into[4] = words[28] as number;
  into[5] = words[29] as number;
  into[6] = words[30] as number;
  into[7] = words[24] as number;
  into[8] = words[25] as number;
  into[9] = words[26] as number;
  into[10] = words[4] as number;
}

let listBuffer = new Uint8Array(XATTR_USUAL);
let valueBuffer = new Uint8Array(XATTR_USUAL);

/**
 * The names of the extended attributes of the path itself, each followed by a NUL; a view that the next call
 * overwrites. A filesystem without extended attributes has none.
 */
export function listXattrs(path: Uint8Array): Uint8Array {
  let length = llistxattr(path, listBuffer, listBuffer.length);
  if (length < 0 && koffi.errno() === koffi.os.errno["ERANGE"]) {
    listBuffer = new Uint8Array(XATTR_MAX);
    length = llistxattr(path, listBuffer, listBuffer.length);
  }
  if (length < 0) {
    if (koffi.errno() === koffi.os.errno["EOPNOTSUPP"]) return NO_NAMES;
    throw lastError("llistxattr");
  }
  // Most files have none, and a view costs as much as a tenth of the call.
  return length === 0 ? NO_NAMES : listBuffer.subarray(0, length);
}
const NO_NAMES = new Uint8Array(0);

/**
 * The value of one extended attribute of the path itself; a view that the next call overwrites.
 * @param name NUL-terminated
 */
export function getXattr(path: Uint8Array, name: Uint8Array): Uint8Array {
  let length = lgetxattr(path, name, valueBuffer, valueBuffer.length);
  if (length < 0 && koffi.errno() === koffi.os.errno["ERANGE"]) {
    valueBuffer = new Uint8Array(XATTR_MAX);
    length = lgetxattr(path, name, valueBuffer, valueBuffer.length);
  }
  if (length < 0) throw lastError("lgetxattr");
  return valueBuffer.subarray(0, length);
}

const SECOND = 1_000_000_000n;

/**
 * Sets the times of the path itself, in nanoseconds since 1970. Node's own function takes floating point seconds, too
 * coarse to put a time back.
 */
export function setTimes(path: Uint8Array, times: { readonly atimeNs: bigint; readonly mtimeNs: bigint }): void {
  // struct timespec[2] of 64-bit Linux
  const spec = [times.atimeNs, times.mtimeNs].flatMap((ns) => {
    const nanoseconds = ((ns % SECOND) + SECOND) % SECOND;
    return [(ns - nanoseconds) / SECOND, nanoseconds];
  });
  if (utimensat(AT_FDCWD, path, BigInt64Array.from(spec), AT_SYMLINK_NOFOLLOW) !== 0) throw lastError("utimensat");
}

/**
 * Opens a path below a directory.
 * @param directory descriptor of the directory; null: the working directory
 * @returns a descriptor that the caller closes
 */
export function openAt(directory: number | null, path: Uint8Array, flags: number): number {
  for (;;) {
    const descriptor = openat(directory ?? AT_FDCWD, path, flags | O_CLOEXEC);
    if (descriptor >= 0) return descriptor;
    if (!isInterrupted()) throw lastError("openat");
  }
}

/** {@link openAt} of an absolute path at an address, see {@link addressOf}. */
export function openPath(path: number, flags: number): number {
  for (;;) {
    const descriptor = openAddress(AT_FDCWD, path, flags | O_CLOEXEC);
    if (descriptor >= 0) return descriptor;
    if (!isInterrupted()) throw lastError("openat");
  }
}

/**
 * The address of bytes in memory. They stay there for as long as there is a view of them, if they are shared or more
 * than 64 (V8 keeps fewer on the heap of its own, and moves them).
 */
export function addressOf(bytes: Uint8Array): number {
  return Number(koffi.address(bytes));
}

/**
 * Reads what comes next in a file, up to the length of the array.
 * @returns how many bytes there were; 0: none are left
 */
export function readNext(descriptor: number, into: Uint8Array): number {
  for (;;) {
    const length = read(descriptor, into, into.length);
    if (length >= 0) return length;
    if (!isInterrupted()) throw lastError("read");
  }
}

/** Reads what a file has from an offset on, up to the length of the array. */
export function readAt(descriptor: number, into: Uint8Array, offset: number): number {
  for (;;) {
    const length = pread(descriptor, into, into.length, offset);
    if (length >= 0) return length;
    if (!isInterrupted()) throw lastError("pread");
  }
}

/** A signal came, which some filesystems (FUSE, NFS) answer before the data is there: to be asked again. */
function isInterrupted(): boolean {
  return koffi.errno() === koffi.os.errno["EINTR"];
}

/** Closes what {@link openAt} has opened for reading. */
export function closeFile(descriptor: number): void {
  close(descriptor);
}

/** The failure of the last call as an error like node's. */
function lastError(syscall: string): NodeJS.ErrnoException {
  const errno = koffi.errno();
  const code = Object.entries(koffi.os.errno).find(([, number]) => number === errno)?.[0] ?? `errno ${errno}`;
  return Object.assign(new Error(`${code}: ${syscall}`), { code, errno, syscall });
}

/**
 * Has this thread wait for its turn when it wakes up, rather than interrupt another one (SCHED_BATCH, sched(7)): for
 * work beside that of a thread that everything waits for. Its share of the processor stays what it is. Where the system
 * does not allow it, nothing changes.
 */
export function neverInterrupt(): void {
  schedule(0, SCHED_BATCH, Int32Array.of(0));
}
const SCHED_BATCH = 3;
