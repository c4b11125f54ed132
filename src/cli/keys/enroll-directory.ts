/** The keys to enrol in a directory, the same for all verbs that take one. */
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { inputError } from "../../errors.ts";
import { reasonOf } from "../../io/files.ts";
import { readInput, SMALL_FILE } from "../../io/read-input.ts";
import { SECURE_BOOT_VARIABLES, type SecureBootVariable } from "../../sign/authvar.ts";
import { type EnrollKeys, enrollFileName, readEnrollKeys } from "../../sign/enroll-keys.ts";
import { type Context, userPath } from "../context.ts";

/**
 * Reads `PK.auth`, `KEK.auth`, `db.auth` and perhaps `dbx.auth`, and nothing else: private keys may be next to them.
 * Warns about what firmware accepts although it is hardly intended.
 * @throws SealError `input` when one is missing, can't be read, or is nothing that firmware enrols
 */
export async function readEnrollDirectory(context: Context, directory: string): Promise<EnrollKeys> {
  let names: string[];
  try {
    names = await readdir(userPath(context, directory));
  } catch (error) {
    throw inputError(directory, `can't be read: ${reasonOf(error)}`, error);
  }
  const files = new Map<SecureBootVariable, Uint8Array>();
  for (const variable of SECURE_BOOT_VARIABLES) {
    const name = enrollFileName(variable);
    if (names.includes(name))
      files.set(variable, await readInput(join(userPath(context, directory), name), SMALL_FILE));
  }
  const pathOf = (variable: SecureBootVariable) => join(directory, enrollFileName(variable));
  const keys = readEnrollKeys(files, pathOf);
  const findings = keys.problems.map(({ variable, severity, message, fix }) => {
    const text = `${message}; ${fix}`;
    return { severity, subject: pathOf(variable), text };
  });
  const error = findings.find(({ severity }) => severity === "error");
  if (error !== undefined) throw inputError(error.subject, error.text);
  for (const { subject, text } of findings) context.ui.warn(`${subject}: ${text}`);
  return keys;
}
