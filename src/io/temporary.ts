/** Files that are needed only while something runs. */
import { rmSync } from "node:fs";
import { mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { inputError } from "../errors.ts";
import { reasonOf } from "./files.ts";
import { orUndo } from "./undo.ts";

/** Gives work a new directory that only its owner can look into. It goes away with the work: done, failed or ended by a signal. */
export async function inTemporaryDirectory<Result>(work: (directory: string) => Promise<Result>): Promise<Result> {
  let directory: string;
  try {
    directory = await mkdtemp(join(tmpdir(), "seal-"));
  } catch (error) {
    throw inputError(tmpdir(), `can't be written: ${reasonOf(error)}`, error);
  }
  const remove = () => rmSync(directory, { recursive: true, force: true });
  const result = await orUndo(remove, () => work(directory));
  remove();
  return result;
}
