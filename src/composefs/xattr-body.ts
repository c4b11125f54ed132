/**
 * The xattr bodies of inodes (EROFS on-disk format, "Extended attributes"), and the xattrs that overlayfs reads: where
 * the content of a file outside of the image is, and what its fs-verity digest is.
 */
import { alignUp, compareBytes, toHex } from "../bytes.ts";
import type { ExternalContent } from "../tree/node.ts";
import { digestMemory, digestStart } from "../tree/pooled-content.ts";
import { type ErofsBuffer, filterBit, newErofsBuffer, XATTR, XATTR_BODY_HEADER_SIZE } from "./format.ts";
import type { ErofsVersion, VerityAlgorithm } from "./series.ts";
import { VERITY_HASHES } from "./verity.ts";
import { type StoredXattr, writeXattr, type XattrBody, type XattrList } from "./xattrs.ts";

/**
 * Size of an inode's xattr body; 0 without any.
 * @param overlay hash of the digest of a file outside of the image whose overlay xattrs are not in the list, because no
 *   other file has the same
 */
export function bodySize(list: XattrList, overlay: VerityAlgorithm | null): number {
  if (overlay === null) return list.entries.length === 0 ? 0 : XATTR_BODY_HEADER_SIZE + list.size;
  return XATTR_BODY_HEADER_SIZE + list.size + OVERLAY_STARTS[overlay].size;
}

/** Makes the xattr body of inodes. @param overlay see {@link bodySize} */
export function makeBody(
  list: XattrList,
  overlay: VerityAlgorithm | null,
  { erofs, sharedBase }: { readonly erofs: ErofsVersion; readonly sharedBase: number },
): XattrBody {
  const { shared, local } = list;
  const target = newErofsBuffer(bodySize(list, overlay));
  const { bytes, view } = target;
  if (bytes.length === 0) return { bytes, digestAt: -1, digestSize: 0, pathAt: -1 };
  view.setUint32(0, ~(overlay === null ? list.filter : list.filter | overlayFilter), true);
  bytes[4] = shared.length;
  let offset = XATTR_BODY_HEADER_SIZE;
  for (const xattr of shared) {
    view.setUint32(offset, (sharedBase + xattr.sharedOffset) / 4, true);
    offset += 4;
  }
  if (overlay === null) {
    writeXattrs(target, offset, local, 0, local.length);
    return { bytes, digestAt: -1, digestSize: 0, pathAt: -1 };
  }
  const { metacopy, redirect, digestSize } = OVERLAY_STARTS[overlay];
  // V0 and V1 sort by name, V2 has the overlay xattrs first.
  const first = erofs === "v2" ? 0 : countBefore(local, XATTR.metacopy);
  const second = erofs === "v2" ? 0 : countBefore(local, XATTR.redirect);
  offset = writeXattrs(target, offset, local, 0, first);
  bytes.set(metacopy, offset);
  const digestAt = offset + metacopy.length;
  offset += alignUp(metacopy.length + digestSize, 4);
  offset = writeXattrs(target, offset, local, first, second);
  bytes.set(redirect, offset);
  const pathAt = offset + redirect.length;
  offset += alignUp(redirect.length + pathSize(digestSize), 4);
  writeXattrs(target, offset, local, second, local.length);
  return { bytes, digestAt, digestSize, pathAt };
}

/** Writes the body of one inode. @param content null: it has no overlay xattrs of its own */
export function writeBody(
  { bytes, view }: ErofsBuffer,
  at: number,
  body: XattrBody,
  content: ExternalContent | null,
): void {
  bytes.set(body.bytes, at);
  const digests = content === null ? null : digestMemory(content);
  if (content === null || digests === null) return;
  const start = digestStart(content);
  const end = start + body.digestSize;
  // Four bytes at once, and their digits two by two: V8 does not call a function for the signed ones. A constant at the
  // top level is a call in the built program.
  const pairs = HEX_PAIRS;
  let digestAt = at + body.digestAt;
  let place = at + body.pathAt;
  for (let from = start; from < end; from += 4) {
    const first = digests[from] as number;
    const second = digests[from + 1] as number;
    const third = digests[from + 2] as number;
    const fourth = digests[from + 3] as number;
    view.setInt32(digestAt, first | (second << 8) | (third << 16) | (fourth << 24), true);
    digestAt += 4;
    if (from === start) {
      view.setInt16(place, pairs[first] as number, true);
      bytes[place + 2] = SLASH;
      view.setInt16(place + 3, pairs[second] as number, true);
      place += 5;
    } else {
      view.setInt32(place, (pairs[first] as number) | ((pairs[second] as number) << 16), true);
      place += 4;
    }
    view.setInt32(place, (pairs[third] as number) | ((pairs[fourth] as number) << 16), true);
    place += 4;
  }
}

/** How many of sorted xattrs come before a name. */
function countBefore(xattrs: readonly StoredXattr[], name: Uint8Array): number {
  let count = 0;
  for (const xattr of xattrs) {
    if (compareBytes(xattr.name, name) >= 0) break;
    count++;
  }
  return count;
}

/** Writes a part of a list; returns the offset after it. */
function writeXattrs(
  target: ErofsBuffer,
  start: number,
  xattrs: readonly StoredXattr[],
  from: number,
  to: number,
): number {
  let offset = start;
  for (let index = from; index < to; index++) offset = writeXattr(target, offset, xattrs[index] as StoredXattr);
  return offset;
}

const SLASH = 0x2f;
const TRUSTED_PREFIX = 4;
const METACOPY_HEADER_SIZE = 4;
const METACOPY_SUFFIX = XATTR.metacopy.subarray("trusted.".length);
const REDIRECT_SUFFIX = XATTR.redirect.subarray("trusted.".length);
const overlayFilter =
  (1 << filterBit(TRUSTED_PREFIX, METACOPY_SUFFIX)) | (1 << filterBit(TRUSTED_PREFIX, REDIRECT_SUFFIX));
/** The two hex digits of each byte, the first one in the low half. */
const HEX_PAIRS = Int16Array.from({ length: 256 }, (_, byte) => {
  const digits = byte.toString(16).padStart(2, "0");
  return digits.charCodeAt(0) | (digits.charCodeAt(1) << 8);
});

/** What the overlay xattrs of all files begin with, before what follows from the digest. */
interface OverlayStart {
  readonly metacopy: Uint8Array;
  /** The slash that the path begins with is the last byte. */
  readonly redirect: Uint8Array;
  readonly digestSize: number;
  /** Bytes that both xattrs take with a digest. */
  readonly size: number;
}

const OVERLAY_STARTS: Readonly<Record<VerityAlgorithm, OverlayStart>> = {
  sha256: makeOverlayStart(VERITY_HASHES.sha256),
  sha512: makeOverlayStart(VERITY_HASHES.sha512),
};

function makeOverlayStart({ id, length }: { readonly id: number; readonly length: number }): OverlayStart {
  const size = METACOPY_HEADER_SIZE + length;
  const metacopy = Buffer.concat([xattrHeader(METACOPY_SUFFIX, size), Uint8Array.of(0, size, 0, id)]);
  const redirect = Buffer.concat([xattrHeader(REDIRECT_SUFFIX, 1 + pathSize(length)), Uint8Array.of(SLASH)]);
  const both = alignUp(metacopy.length + length, 4) + alignUp(redirect.length + pathSize(length), 4);
  return { metacopy, redirect, digestSize: length, size: both };
}

function xattrHeader(suffix: Uint8Array, valueLength: number): Uint8Array {
  return Buffer.concat([Uint8Array.of(suffix.length, TRUSTED_PREFIX, valueLength & 0xff, valueLength >> 8), suffix]);
}

/** The hex digits and the slash among them. */
function pathSize(digestLength: number): number {
  return 1 + 2 * digestLength;
}

/** `struct ovl_metacopy` of the Linux overlay filesystem: version, length, flags, fs-verity algorithm, digest. */
export function metacopyValue(digest: Uint8Array): Uint8Array {
  const { metacopy } = digest.length === VERITY_HASHES.sha512.length ? OVERLAY_STARTS.sha512 : OVERLAY_STARTS.sha256;
  return Buffer.concat([metacopy.subarray(-METACOPY_HEADER_SIZE), digest]);
}

/** Absolute path of the object with that digest in the object store. */
export function redirectValue(digest: Uint8Array): Uint8Array {
  const hex = toHex(digest);
  return Buffer.from(`/${hex.slice(0, 2)}/${hex.slice(2)}`, "latin1");
}
