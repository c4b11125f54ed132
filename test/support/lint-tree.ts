/** Trees for lint rules on disk. */
import { lutimesSync, mkdirSync, symlinkSync, utimesSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import type { MemoryFiles } from "./tree.ts";

/** Writes a tree to a directory, with whole seconds everywhere. */
export function writeTree(root: string, files: MemoryFiles): string {
  const paths = new Set([root]);
  for (const [path, file] of Object.entries(files)) {
    const full = join(root, path);
    for (let parent = dirname(full); parent.startsWith(root); parent = dirname(parent)) paths.add(parent);
    mkdirSync(file === null ? full : dirname(full), { recursive: true });
    if (file === null) paths.add(full);
    else if (typeof file === "string" || file instanceof Uint8Array) writeFileSync(full, file);
    else if ("link" in file) symlinkSync(file.link, full);
    else throw new Error("plain files only");
    if (file !== null) lutimesSync(full, 1_700_000_000, 1_700_000_000);
  }
  for (const path of paths) utimesSync(path, 1_700_000_000, 1_700_000_000);
  return root;
}
