/** Writes a tree as a .tar.gz whose bytes follow from the tree and a time alone. */
import { createReadStream, createWriteStream, statSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { pipeline } from "node:stream/promises";
import { createGzip } from "node:zlib";
import { type Pack, pack } from "tar-stream";
import { filesBelow } from "./tree.ts";

/**
 * @param tree its files are in the archive, in a folder of the tree's name
 * @param mtime of everything in it
 */
export async function writeArchive(tree: string, mtime: Date, output: string): Promise<void> {
  const archive = pack();
  const adding = addTree(archive, tree, mtime);
  await Promise.all([adding, pipeline(archive, createGzip(), createWriteStream(output))]);
}

async function addTree(archive: Pack, tree: string, mtime: Date): Promise<void> {
  const files = filesBelow(tree);
  const prefix = basename(tree);
  const owner = { mtime, uid: 0, gid: 0, uname: "root", gname: "root" };
  for (const directory of directoriesOf(files)) {
    archive.entry({ ...owner, name: join(prefix, directory), type: "directory", mode: 0o755 });
  }
  for (const name of files) {
    const path = join(tree, name);
    const { size, mode } = statSync(path);
    const entry = archive.entry({ ...owner, name: join(prefix, name), size, mode: mode & 0o111 ? 0o755 : 0o644 });
    await pipeline(createReadStream(path), entry);
  }
  archive.finalize();
}

/** Every directory that files lie in, and those above, in order. */
function directoriesOf(files: readonly string[]): string[] {
  const found = new Set<string>();
  for (const file of files) {
    for (let place = dirname(file); ; place = dirname(place)) {
      found.add(place);
      if (place === ".") break;
    }
  }
  return [...found].sort();
}
