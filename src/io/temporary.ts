/** Files that are needed only while something runs. */
import { rmSync } from "node:fs";
import { mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { inputError } from "../errors.ts";
import { reasonOf } from "./files.ts";
import { orUndo } from "./undo.ts";

/**
 * A new directory that only its owner can look into.
 * @param parent directory to make it in
 * @throws SealError `input` when it can't be made
 */
export async function makeTemporaryDirectory(parent: string): Promise<string> {
  try {
    return await mkdtemp(join(parent, "seal-"));
  } catch (error) {
    throw inputError(parent, `can't be written: ${reasonOf(error)}`, error);
  }
}

/**
 * Gives work a new directory that only its owner can look into. It goes away with the work: done, failed
 * or ended by a signal.
 */
export async function inTemporaryDirectory<Result>(work: (directory: string) => Promise<Result>): Promise<Result> {
  const directory = await makeTemporaryDirectory(tmpdir());
  const remove = () => rmSync(directory, { recursive: true, force: true });
  const result = await orUndo(remove, () => work(directory));
  remove();
  return result;
}
