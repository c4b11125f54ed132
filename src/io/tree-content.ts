/** Reads files of a tree that is a directory, step by step, so that nothing on the way can be a symlink. */
import { constants, readFileSync } from "node:fs";
import { join } from "node:path";
import { SealError } from "../errors.ts";
import { changedError, readError } from "./hash-file.ts";
import { closeFile, openAt } from "./libc.ts";

/**
 * The content of a regular file.
 * @param root absolute
 * @param components path of the file in it, one name each
 * @param size that the tree gives for it
 * @throws SealError `input` when it can't be read, or has another size
 */
export function readTreeContent(root: string, components: readonly Uint8Array[], size: bigint): Buffer<ArrayBuffer> {
  const full = Buffer.concat([Buffer.from(root), ...components.flatMap((name) => [Buffer.from("/"), name])]);
  const last = components.at(-1) ?? new Uint8Array(0);
  let descriptor: number | null = null;
  try {
    const { O_DIRECTORY, O_NOFOLLOW, O_NONBLOCK, O_RDONLY } = constants;
    descriptor = openAt(null, terminated(Buffer.from(join(root, "."))), O_RDONLY | O_DIRECTORY);
    for (const name of components.slice(0, -1)) {
      const next = openAt(descriptor, terminated(name), O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
      closeFile(descriptor);
      descriptor = next;
    }
    const opened = openAt(descriptor, terminated(last), O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
    closeFile(descriptor);
    descriptor = opened;
    const content = readFileSync(descriptor);
    if (BigInt(content.length) !== size) throw changedError(full);
    return content;
  } catch (error) {
    throw error instanceof SealError ? error : readError(full, error);
  } finally {
    // Node, which did not open it, would warn of it in a worker.
    if (descriptor !== null) closeFile(descriptor);
  }
}

function terminated(name: Uint8Array): Uint8Array {
  return Buffer.concat([name, Buffer.of(0)]);
}
