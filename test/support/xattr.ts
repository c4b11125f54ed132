/** Sets extended attributes, which node has no function for. */
import koffi from "koffi";

const lsetxattr: (path: Uint8Array, name: Uint8Array, value: Uint8Array, size: number, flags: number) => number = koffi
  .load(null)
  .func("int lsetxattr(const uint8_t *path, const uint8_t *name, const uint8_t *value, size_t size, int flags)");

/** Sets an xattr of the path itself. */
export function setXattr(path: string, name: string, value: Uint8Array): void {
  const bytes = (text: string) => Buffer.from(`${text}\0`);
  // An empty buffer would be passed as no pointer at all; the size says how much of it counts.
  const result = lsetxattr(bytes(path), bytes(name), Buffer.concat([value, Buffer.of(0)]), value.length, 0);
  if (result !== 0) throw new Error(`${path}: setting ${name} failed with errno ${koffi.errno()}`);
}
