/**
 * What floors call of the C library and of the libraries in node, with addresses. Nothing that these return is checked.
 */
import koffi from "koffi";

const node = koffi.load(null);

/** The function of a prototype in C, among those that node itself has. */
export const find: typeof node.func = node.func.bind(node);

export const statx: (directory: number, path: number, flags: number, mask: number, out: number) => number = node.func(
  "int statx(int dirfd, uintptr_t path, int flags, unsigned int mask, uintptr_t out)",
);
export const llistxattr: (path: number, list: number, size: number) => number = node.func(
  "intptr_t llistxattr(uintptr_t path, uintptr_t list, size_t size)",
);
export const openat: (directory: number, path: number, flags: number) => number = node.func(
  "int openat(int dirfd, uintptr_t path, int flags)",
);
export const pread: (file: number, into: number, size: number, offset: number) => number = node.func(
  "intptr_t pread(int fd, uintptr_t buffer, size_t size, int64_t offset)",
);
export const close: (file: number) => number = node.func("int close(int fd)");

export const AT_FDCWD = -100;
export const STATX_BASIC_STATS = 0x7ff;

const init: (context: number) => number = node.func("int SHA512_Init(uintptr_t context)");
const update: (context: number, from: number, length: number) => number = node.func(
  "int SHA512_Update(uintptr_t context, uintptr_t from, size_t length)",
);
const final: (to: number, context: number) => number = node.func("int SHA512_Final(uintptr_t to, uintptr_t context)");

/** SHA-512 of bytes at an address. @param context address of 216 bytes */
export function sha512(context: number, from: number, length: number, to: number): void {
  init(context);
  update(context, from, length);
  final(to, context);
}

/** The address of bytes, more than 64 or shared: those stay where they are. */
export function addressOf(bytes: Uint8Array): number {
  return Number(koffi.address(bytes));
}
