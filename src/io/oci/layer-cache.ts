/**
 * A directory with what layers hold, so that a layer that was read before need not be unpacked again. Whoever uses an
 * entry has hashed the layer first: it is found by that digest. That it says what reading the layer would say is taken
 * on trust, so that only this user may be able to write there.
 */
import { createHash } from "node:crypto";
import { stat } from "node:fs/promises";
import type { VerityAlgorithm } from "../../composefs/series.ts";
import { verityDigest } from "../../composefs/verity.ts";
import { inputError } from "../../errors.ts";
import type { BlobDigest } from "../../oci/digest.ts";
import type { LayerContents } from "../../tree/layer-contents.ts";
import type { ExternalContent } from "../../tree/node.ts";
import type { LabelStore } from "../../tree/rootfs.ts";
import { CacheDirectory, type LayerCacheOptions, readExactly } from "./cache-directory.ts";
import {
  CACHE_HEAD_SIZE,
  type CachedLayer,
  type CacheKey,
  decodeCacheEntry,
  encodeCacheEntry,
  keyText,
  packedTableSize,
  SMALL_CONTENT,
  type StoredContent,
  type StoredFrame,
  unpackContents,
} from "./cache-entry.ts";
import { labelCache } from "./label-cache.ts";
import { StackCache } from "./stack-cache.ts";

const report = (reason: string) => `${reason}. The layer is read again`;

/** What an entry holds is not taken on trust where it can be checked. */
function isIntact(bytes: Uint8Array, { digest }: ExternalContent, algorithm: VerityAlgorithm): boolean {
  return digest !== null && Buffer.compare(verityDigest(bytes, algorithm), digest) === 0;
}

/** A cache on disk of what layers hold. */
export class LayerCache {
  /** Labels that SELinux policies gave to the files of images. */
  readonly labels: LabelStore;
  /** Trees that layers make together. @internal */
  readonly stacks: StackCache;
  readonly #directory: CacheDirectory;
  /** Frames of small contents, of which others may be asked for, too. */
  readonly #unpacked = new WeakMap<StoredFrame, Uint8Array>();

  constructor(options: LayerCacheOptions) {
    this.#directory = new CacheDirectory(options);
    this.labels = labelCache(this.#directory);
    this.stacks = new StackCache(this.#directory);
  }

  /** What is known of a layer; null: nothing. Damaged entries are reported and skipped. */
  async get(key: CacheKey): Promise<CachedLayer | null> {
    const path = await this.#pathOf(key);
    if (path === null) return null;
    return this.#directory.read(path, report, (descriptor, { size }, subject) => {
      const head = readExactly(descriptor, 0, CACHE_HEAD_SIZE, subject);
      const table = packedTableSize(head, subject);
      if (CACHE_HEAD_SIZE + table > size) throw inputError(subject, "is damaged: it is cut off");
      const bytes = readExactly(descriptor, 0, CACHE_HEAD_SIZE + table, subject);
      return decodeCacheEntry(bytes, size, key, subject);
    });
  }

  /** Has what is known of a layer count as used. */
  async noteUse(key: CacheKey): Promise<void> {
    const path = await this.#pathOf(key);
    if (path !== null) this.#directory.noteUse(path);
  }

  /** Whether there is something about a layer, be it damaged. */
  async has(key: CacheKey): Promise<boolean> {
    const path = await this.#pathOf(key);
    return path !== null && (await stat(path).catch(() => null)) !== null;
  }

  /**
   * Contents of a layer that {@link get} gave, by the number of their entry.
   * @param entries their numbers
   * @returns without those that are not there; up to the first that is damaged, which is reported
   */
  async contents(
    key: CacheKey,
    layer: CachedLayer,
    entries: readonly number[],
  ): Promise<ReadonlyMap<number, Uint8Array>> {
    const intact = new Map<number, Uint8Array>();
    const wanted = entries.flatMap((entry): [number, StoredContent][] => {
      const stored = layer.contents.get(entry);
      return stored === undefined ? [] : [[entry, stored]];
    });
    const path = wanted.length === 0 ? null : await this.#pathOf(key);
    if (path === null) return intact;
    this.#directory.read(path, report, (descriptor, _, subject) => {
      for (const [entry, { frame, offset, content }] of wanted) {
        const unpacked = this.#unpack(frame, content, () => readExactly(descriptor, frame.start, frame.size, subject));
        const bytes = unpacked?.subarray(offset, offset + Number(content.size)) ?? null;
        if (bytes === null || (frame.checksum === null && !isIntact(bytes, content, key.algorithm))) {
          throw inputError(subject, "is damaged: a content in it");
        }
        intact.set(entry, bytes);
      }
    });
    return intact;
  }

  /**
   * Remembers what a layer holds.
   * @param diffId the digest that its archive was found to have
   */
  async put(key: CacheKey, diffId: BlobDigest, held: LayerContents): Promise<void> {
    const path = await this.#pathOf(key);
    if (path === null || !this.#directory.isWritable) return;
    // What is unpacked in the layer is as quickly read there.
    const contents =
      held.compression === "none"
        ? new Map([...held.contents].filter(([, bytes]) => bytes.length <= SMALL_CONTENT))
        : held.contents;
    const file = await encodeCacheEntry(key, diffId, { ...held, contents });
    await this.#directory.write(path, file);
  }

  /** Removes what has not been used for long, once a day at most, when something was written. */
  clean(): Promise<void> {
    return this.#directory.clean();
  }

  #unpack(frame: StoredFrame, { size }: ExternalContent, read: () => Uint8Array): Uint8Array | null {
    const known = this.#unpacked.get(frame);
    if (known !== undefined) return known;
    const unpacked = unpackContents(read(), frame);
    if (unpacked !== null && size <= SMALL_CONTENT) this.#unpacked.set(frame, unpacked);
    return unpacked;
  }

  #pathOf(key: CacheKey): Promise<string | null> {
    return this.#directory.pathOf(`${createHash("sha256").update(keyText(key)).digest("hex")}.layer`);
  }
}
