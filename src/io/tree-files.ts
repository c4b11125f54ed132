/** Writes files of a tree to a directory, as they go to a filesystem without owners and links. */
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { displayBytes, equalBytes, utf8 } from "../bytes.ts";
import { inputError } from "../errors.ts";
import type { Directory } from "../tree/node.ts";
import { PROGRAM_LIMIT, type Rootfs, readNode } from "../tree/rootfs.ts";

/** Names that FAT takes, and that lead nowhere else. */
const SAFE_NAME = /^[^/\\:*?"<>|\0]+$/;

/**
 * Writes all regular files below a directory of a tree.
 * @param path of that directory in the tree, one name each: `boot`
 * @param target an existing directory
 * @returns how many there were
 * @throws SealError `input` for a name that a FAT filesystem has not, or contents that can't be read
 */
export async function writeTreeFiles(
  rootfs: Rootfs,
  node: Directory,
  path: readonly Uint8Array[],
  target: string,
): Promise<number> {
  let count = 0;
  for (const entry of node.entries) {
    const name = Buffer.from(entry.name).toString("utf8");
    const place = [...path, entry.name];
    if (!SAFE_NAME.test(name) || !equalBytes(utf8(name), entry.name)) {
      throw inputError(
        rootfs.label,
        `${place.map(displayBytes).join("/")}: an EFI system partition takes no such name`,
      );
    }
    if (entry.node.kind === "directory") {
      await mkdir(join(target, name));
      count += await writeTreeFiles(rootfs, entry.node, place, join(target, name));
    } else if (entry.node.kind === "regular") {
      await writeFile(join(target, name), await readNode(rootfs, place, entry.node, PROGRAM_LIMIT));
      count++;
    }
  }
  return count;
}
