/** Labels that policies gave, in files of the cache, see `keyed-entry.ts` and `tree/selinux/label-table.ts`. */
import { toHex, utf8 } from "../../bytes.ts";
import type { LabelStore } from "../../tree/rootfs.ts";
import { type CacheDirectory, readExactly } from "./cache-directory.ts";
import { decodeKeyedEntry, encodeKeyedEntry, partsKey } from "./keyed-entry.ts";

const MAGIC = utf8("SEALLBL\x01");
const report = (reason: string) => `${reason}. The labels are found again`;

/** Labels in a directory. */
export function labelCache(directory: CacheDirectory): LabelStore {
  const pathOf = (key: Uint8Array) => directory.pathOf(`${toHex(key)}.labels`);
  return {
    find: async (policy) => {
      const key = partsKey(policy);
      const path = await pathOf(key);
      if (path === null) return null;
      return directory.read(path, report, (descriptor, { size }, subject) =>
        decodeKeyedEntry(MAGIC, readExactly(descriptor, 0, size, subject), key, subject),
      );
    },
    keep: async (policy, table) => {
      const key = partsKey(policy);
      const path = await pathOf(key);
      if (path !== null && directory.isWritable) await directory.write(path, encodeKeyedEntry(MAGIC, key, table));
    },
  };
}
