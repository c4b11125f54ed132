/**
 * The 32-bit xxHash (xxHash specification, "XXH32 algorithm description"): EROFS uses it for its xattr name
 * filter, LZ4 for checksums.
 */

const PRIME1 = 0x9e3779b1;
const PRIME2 = 0x85ebca77;
const PRIME3 = 0xc2b2ae3d;
const PRIME4 = 0x27d4eb2f;
const PRIME5 = 0x165667b1;

function rotate(value: number, bits: number): number {
  return (value << bits) | (value >>> (32 - bits));
}

function round(accumulator: number, lane: number): number {
  return Math.imul(rotate((accumulator + Math.imul(lane, PRIME2)) | 0, 13), PRIME1);
}

/** @returns an unsigned 32-bit number */
export function xxh32(bytes: Uint8Array, seed: number): number {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let offset = 0;
  let hash = (seed + PRIME5) | 0;
  if (bytes.length >= 16) {
    let a = (seed + PRIME1 + PRIME2) | 0;
    let b = (seed + PRIME2) | 0;
    let c = seed | 0;
    let d = (seed - PRIME1) | 0;
    for (; offset + 16 <= bytes.length; offset += 16) {
      a = round(a, view.getUint32(offset, true));
      b = round(b, view.getUint32(offset + 4, true));
      c = round(c, view.getUint32(offset + 8, true));
      d = round(d, view.getUint32(offset + 12, true));
    }
    hash = (rotate(a, 1) + rotate(b, 7) + rotate(c, 12) + rotate(d, 18)) | 0;
  }
  hash = (hash + bytes.length) | 0;
  for (; offset + 4 <= bytes.length; offset += 4) {
    hash = (hash + Math.imul(view.getUint32(offset, true), PRIME3)) | 0;
    hash = Math.imul(rotate(hash, 17), PRIME4);
  }
  for (; offset < bytes.length; offset++) {
    hash = (hash + Math.imul(bytes[offset] as number, PRIME5)) | 0;
    hash = Math.imul(rotate(hash, 11), PRIME1);
  }
  hash = Math.imul(hash ^ (hash >>> 15), PRIME2);
  hash = Math.imul(hash ^ (hash >>> 13), PRIME3);
  return (hash ^ (hash >>> 16)) >>> 0;
}
