/**
 * The floor of the digest of an image whose layers are in the cache: SHA-256 of each as it is stored, on all cores, and
 * the tables of the cache, unpacked. Left out: what the tables say, the tree, SELinux labels, the EROFS image, the layer
 * that is new, checksums and all other checks.
 */
import { readdirSync, readFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { addressOf, find } from "./calls.ts";
import { hashStored } from "./unpack.ts";
import { gzipLayers } from "./unpack-layers.ts";

/** Where a file of the cache has its table; see src/io/oci/cache-entry.ts. */
const TABLE = 48;

const decompress: (to: number, room: number, from: number, length: number) => number = find(
  "size_t ZSTD_decompress(uintptr_t to, size_t room, uintptr_t from, size_t length)",
);

/** @returns bytes of the table */
function unpackTable(path: string): number {
  const file = readFileSync(path);
  const table = new Uint8Array(Math.max(file.readUInt32LE(12), 65));
  return decompress(addressOf(table), table.length, addressOf(file) + TABLE, file.readUInt32LE(8));
}

async function hashFree(paths: Iterator<string>): Promise<void> {
  for (let next = paths.next(); next.done !== true; next = paths.next()) await hashStored(next.value);
}

const [layout = "", cache = ""] = process.argv.slice(2);
const paths = gzipLayers(layout).values();
const hashing = Array.from({ length: availableParallelism() }, () => hashFree(paths));
let size = 0;
for (const name of readdirSync(cache)) if (name.endsWith(".layer")) size += unpackTable(join(cache, name));
void Promise.all(hashing).then(() => process.stdout.write(`${size}\n`));
