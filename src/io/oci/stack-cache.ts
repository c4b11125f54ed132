/**
 * Trees that the lowest layers of images make, in files of the cache, see `keyed-entry.ts`: whether headers differ (u8),
 * three zeros, files and directories of all layers and how many layers there are (u32 each, little endian), and of each
 * its compression (u8: 0 none, 1 gzip, 2 Zstandard) and whether it is one part (u8); then the tree, see
 * `tree/tree-codec.ts`. That all layers have their digests is for the one to find out who uses it.
 */
import { existsSync } from "node:fs";
import { Cursor, toHex, utf8 } from "../../bytes.ts";
import { concat } from "../../chunks.ts";
import { inputError } from "../../errors.ts";
import { type BlobDigest, formatBlobDigest } from "../../oci/digest.ts";
import type { StoredForm } from "../../oci/layer-form.ts";
import { decodeTree, encodeTree } from "../../tree/tree-codec.ts";
import { type CacheDirectory, readExactly } from "./cache-directory.ts";
import { type CacheKey, keyText } from "./cache-entry.ts";
import { decodeKeyedEntry, encodeKeyedEntry, partsKey } from "./keyed-entry.ts";
import type { LayerStack } from "./layer-stack.ts";

/**
 * Which tree layers make. One more whenever the same entries make another tree than before: then none of the older files
 * is used any more. `test/io/oci/stack-cache.test.ts` pins what this number means.
 */
export const TREE_VERSION = 1;

const MAGIC = utf8("SEALSTK\x01");
const COMPRESSIONS = ["none", "gzip", "zstd"] as const;
const HEAD = 16;
const WHAT = "an entry of the cache";
/** Larger trees are not kept: half a million files have so much. */
const SIZE_LIMIT = 128 << 20;
const report = (reason: string) => `${reason}. The layers are put together again`;

/**
 * What is known of layers by how they are read, and what the configuration says that their archives are.
 * @returns a key for each number of them: of the lowest, of the two lowest and so on
 */
export function stackKeys(layers: readonly { readonly key: CacheKey; readonly diffId: BlobDigest }[]): Uint8Array[] {
  const keys: Uint8Array[] = [];
  let below: Uint8Array = utf8(`tree ${TREE_VERSION}`);
  for (const { key, diffId } of layers) {
    below = partsKey([below, utf8(keyText(key)), utf8(formatBlobDigest(diffId))]);
    keys.push(below);
  }
  return keys;
}

/** Trees of layers in a directory. */
export class StackCache {
  readonly #directory: CacheDirectory;

  constructor(directory: CacheDirectory) {
    this.#directory = directory;
  }

  /**
   * The tree of as many layers as possible; null: none is known.
   * @param keys see {@link stackKeys}
   * @param onFirstUse called when it was not used today before: what else is of these layers is in use, too
   */
  async find(keys: readonly Uint8Array[], onFirstUse: (layers: number) => void): Promise<LayerStack | null> {
    for (const [index, key] of [...keys.entries()].reverse()) {
      const path = await this.#pathOf(key);
      // Most of them are not there, and an error costs more than this.
      if (path === null || !existsSync(path)) continue;
      const stack = this.#directory.read(path, report, (descriptor, stats, subject) => {
        const file = readExactly(descriptor, 0, stats.size, subject);
        const decoded = decodeStack(decodeKeyedEntry(MAGIC, file, key, subject), subject);
        if (decoded.forms.length !== index + 1) throw inputError(subject, "is damaged: it is for other layers");
        if (this.#directory.isUnused(stats)) onFirstUse(index + 1);
        return decoded;
      });
      if (stack !== null) return stack;
    }
    return null;
  }

  /** Keeps a tree. @param key of its layers, which have their digests */
  async keep(key: Uint8Array, stack: LayerStack): Promise<void> {
    const path = await this.#pathOf(key);
    if (path === null || !this.#directory.isWritable) return;
    const contents = encodeStack(stack);
    if (contents.length <= SIZE_LIMIT) await this.#directory.write(path, encodeKeyedEntry(MAGIC, key, contents));
  }

  #pathOf(key: Uint8Array): Promise<string | null> {
    return this.#directory.pathOf(`${toHex(key)}.stack`);
  }
}

/** The contents of a file. @throws RangeError as {@link encodeTree} */
export function encodeStack({ root, forms, headersDiffer, files, directories, placeOf }: LayerStack): Uint8Array {
  if (root === null) throw new RangeError("there is no tree of no layers");
  const head = new Uint8Array(HEAD + forms.length * 2);
  const view = new DataView(head.buffer);
  head[0] = Number(headersDiffer);
  for (const [index, number] of [files, directories, forms.length].entries()) {
    view.setUint32(4 + index * 4, number, true);
  }
  for (const [index, { compression, isOnePart }] of forms.entries()) {
    head[HEAD + index * 2] = COMPRESSIONS.indexOf(compression);
    head[HEAD + index * 2 + 1] = Number(isOnePart);
  }
  return concat([head, encodeTree({ root, placeOf })]);
}

/**
 * What {@link encodeStack} wrote.
 * @throws SealError `input` for what it does not write
 */
export function decodeStack(contents: Uint8Array, subject: string): LayerStack {
  const cursor = new Cursor(contents, subject);
  const headersDiffer = cursor.u8(0, WHAT) === 1;
  const [files, directories, layers] = [4, 8, 12].map((at) => cursor.u32(at, WHAT)) as [number, number, number];
  const rows = cursor.slice(HEAD, layers * 2, WHAT);
  const forms = Array.from({ length: layers }, (_, index): StoredForm => {
    const compression = COMPRESSIONS[rows[index * 2] ?? 0];
    if (compression === undefined) throw inputError(subject, "is damaged: the form of a layer can't be");
    return { compression, isOnePart: rows[index * 2 + 1] === 1 };
  });
  const tree = decodeTree(contents.subarray(HEAD + rows.length), subject);
  return { ...tree, forms, headersDiffer, files, directories, kept: new Map() };
}
