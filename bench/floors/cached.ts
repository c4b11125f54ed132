/**
 * The floor of the digest of an image whose layers are in the cache: SHA-256 of each as it is stored, on all cores, and
 * the tree that they make and the labels of the cache, read. Left out: what these say, the layer that is new, the EROFS
 * image, checksums and all other checks.
 */
import { readdirSync, readFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { hashStored } from "./unpack.ts";
import { gzipLayers } from "./unpack-layers.ts";

async function hashFree(paths: Iterator<string>): Promise<void> {
  for (let next = paths.next(); next.done !== true; next = paths.next()) await hashStored(next.value);
}

const [layout = "", cache = ""] = process.argv.slice(2);
const paths = gzipLayers(layout).values();
const hashing = Array.from({ length: availableParallelism() }, () => hashFree(paths));
let size = 0;
for (const name of readdirSync(cache)) {
  if (/\.(?:stack|labels)$/.test(name)) size += readFileSync(join(cache, name)).length;
}
void Promise.all(hashing).then(() => process.stdout.write(`${size}\n`));
