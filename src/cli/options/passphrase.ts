/** `--passphrase-env`, `--passphrase-file`: the passphrase of a private key, never on the command line where all can read it. */
import { z } from "zod";
import { inputError, SealError } from "../../errors.ts";
import { readInput } from "../../io/files.ts";
import type { OptionSpec } from "../command.ts";
import { type Context, userPath } from "../context.ts";

export const passphraseOptions: readonly OptionSpec[] = [
  { flags: "--passphrase-env <name>", description: "environment variable that holds the passphrase of the key" },
  {
    flags: "--passphrase-file <file>",
    description: "file that holds it; a newline at its end does not count",
    complete: "file",
  },
];

export const passphraseShape = { passphraseEnv: z.string().optional(), passphraseFile: z.string().optional() };

export interface PassphraseOptions {
  readonly passphraseEnv?: string | undefined;
  readonly passphraseFile?: string | undefined;
}

const NEWLINE = 0x0a;

/**
 * The passphrase that the options name, as bytes; null without either.
 * @throws SealError `usage` when both are given or the variable is not set, `input` when the file can't be read; an empty
 *   passphrase is refused
 */
export async function readPassphrase(context: Context, options: PassphraseOptions): Promise<Buffer | null> {
  const { passphraseEnv: name, passphraseFile: file } = options;
  if (name !== undefined && file !== undefined) {
    throw new SealError("usage", "--passphrase-env and --passphrase-file: give one of them");
  }
  if (name !== undefined) {
    const text = context.host.env[name];
    if (text === undefined) throw new SealError("usage", `--passphrase-env: the variable ${name} is not set`);
    if (text === "") throw new SealError("usage", `--passphrase-env: the variable ${name} is empty`);
    return Buffer.from(text);
  }
  if (file === undefined) return null;
  const bytes = Buffer.from(await readInput(userPath(context, file)));
  const passphrase = bytes.at(-1) === NEWLINE ? bytes.subarray(0, -1) : bytes;
  if (passphrase.length === 0) throw inputError(file, "the passphrase in it is empty");
  return passphrase;
}
