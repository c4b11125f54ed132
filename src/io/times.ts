/** Times of files to the nanosecond. Node's own `utimes` takes floating point seconds, which are too coarse to put a time back. */
import koffi from "koffi";

const AT_FDCWD = -100;
const AT_SYMLINK_NOFOLLOW = 0x100;
const SECOND = 1_000_000_000n;

type Utimensat = (directory: number, path: string, times: BigInt64Array, flags: number) => number;
let utimensat: Utimensat | null = null;

/**
 * Sets the times of a path itself, not of what a symlink points to.
 * @param times nanoseconds since 1970, as in node's BigInt `Stats`
 * @throws an error as node's own file functions throw them
 */
export function setTimes(path: string, times: { readonly atimeNs: bigint; readonly mtimeNs: bigint }): void {
  // struct timespec[2] of 64-bit Linux
  utimensat ??= koffi
    .load(null)
    .func("int utimensat(int directory, const char *path, const int64_t *times, int flags)") as Utimensat;
  const spec = [times.atimeNs, times.mtimeNs].flatMap((ns) => {
    const nanoseconds = ((ns % SECOND) + SECOND) % SECOND;
    return [(ns - nanoseconds) / SECOND, nanoseconds];
  });
  if (utimensat(AT_FDCWD, path, BigInt64Array.from(spec), AT_SYMLINK_NOFOLLOW) === 0) return;
  const errno = koffi.errno();
  const code = Object.entries(koffi.os.errno).find(([, number]) => number === errno)?.[0] ?? `errno ${errno}`;
  throw Object.assign(new Error(`${code}: utimensat ${path}`), { code, errno, syscall: "utimensat" });
}
