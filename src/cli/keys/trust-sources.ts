/** Reading what verbs are given as keys of firmware: certificates, signature lists, signed updates, EFI programs. */
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { inputError } from "../../errors.ts";
import { reasonOf } from "../../io/files.ts";
import { readInput } from "../../io/read-input.ts";
import {
  isVariableUpdate,
  parseVariableUpdate,
  SECURE_BOOT_VARIABLES,
  type SecureBootVariable,
} from "../../sign/authvar.ts";
import { type Guid, knownGuid } from "../../sign/guid.ts";
import { joinSignatureLists, signatureListsOf } from "../../sign/list-source.ts";
import type { SignatureList } from "../../sign/siglist.ts";
import { identifyUpdate } from "../../sign/update-signature.ts";
import { type Context, userPath } from "../context.ts";

/** Firmware does not look at owners; other tools write this one too, unless told another. */
export const NO_OWNER = knownGuid("00000000-0000-0000-0000-000000000000");

/** What files say about a variable. */
export interface VariableSource {
  readonly lists: readonly SignatureList[];
  /** Whether one of them is a signed update that adds to the variable. */
  readonly append: boolean;
  /** Of the newest signed update; null without any. */
  readonly time: Date | null;
}

/**
 * Reads files for a variable. A signed update must be one of this variable, by its signature.
 * @throws SealError `input` when a file holds something else
 */
export async function readVariableSource(
  context: Context,
  variable: SecureBootVariable,
  files: readonly string[],
  owner: Guid,
): Promise<VariableSource> {
  const lists: SignatureList[][] = [];
  let append = false;
  let time: Date | null = null;
  for (const file of files) {
    const bytes = await readInput(userPath(context, file));
    if (isVariableUpdate(bytes)) {
      const update = parseVariableUpdate(bytes, file);
      const { purpose, problem } = identifyUpdate(update, file);
      if (purpose === null) throw inputError(file, `its signature is no good: ${problem}`);
      if (purpose.variable !== variable)
        throw inputError(file, `is an update of ${purpose.variable}, not of ${variable}`);
      append ||= purpose.write === "append";
      if (time === null || update.time > time) time = update.time;
    }
    lists.push(signatureListsOf(bytes, file, { owner, certificatesByHash: false }));
  }
  return { lists: joinSignatureLists(lists.flat()), append, time };
}

/**
 * The signed updates in a directory that `seal keys generate` made, or one like it.
 * @throws SealError `input` when PK, KEK or db is missing
 */
export async function keyUpdates(context: Context, directory: string): Promise<Map<SecureBootVariable, string>> {
  let names: string[];
  try {
    names = await readdir(userPath(context, directory));
  } catch (error) {
    throw inputError(directory, `can't be read: ${reasonOf(error)}`, error);
  }
  const files = new Map<SecureBootVariable, string>();
  for (const name of SECURE_BOOT_VARIABLES) {
    const file = join(directory, `${name}.auth`);
    if (names.includes(`${name}.auth`)) files.set(name, file);
    else if (name !== "dbx") throw inputError(file, "is missing; seal keys generate makes it");
  }
  return files;
}
