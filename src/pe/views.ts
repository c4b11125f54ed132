/** Where the header views of pe-library look: they want an ArrayBuffer and a place in it. */

/**
 * The first two arguments of a view's `from` for a place in bytes. Nothing is copied: what is set through the view
 * is set in the bytes.
 * @param bytes not of a SharedArrayBuffer
 */
export function viewAt(bytes: Uint8Array, offset = 0): [buffer: ArrayBuffer, offset: number] {
  const { buffer, byteOffset } = bytes;
  if (!(buffer instanceof ArrayBuffer)) throw new TypeError("headers in shared memory");
  return [buffer, byteOffset + offset];
}
