/**
 * `--passphrase-env`, `--passphrase-file`: the passphrase of a private key, never on the command line
 * where all can read it.
 */
import { inputError, SealError } from "../../errors.ts";
import { readInput, SMALL_FILE } from "../../io/read-input.ts";
import { type Context, userPath } from "../context.ts";
import { optionGroup } from "./group.ts";
import { path, text } from "./option.ts";

export const passphraseOptions = optionGroup(null, {
  passphraseEnv: text({
    placeholder: "name",
    help: "environment variable with the passphrase of the private key",
    excludes: ["passphraseFile"],
  }),
  passphraseFile: path({
    env: true,
    help: "file with the passphrase in its first line; - for standard input",
  }),
});

export interface PassphraseOptions {
  readonly passphraseEnv?: string | undefined;
  readonly passphraseFile?: string | undefined;
}

const NEWLINE = 0x0a;
const CARRIAGE_RETURN = 0x0d;
/** What OpenSSL takes. */
const MAX_BYTES = 1024;

/**
 * The passphrase that the options name, as bytes; null without either.
 * @throws SealError `usage` when the variable is not set, `input` when the file can't be read; empty
 *   passphrases and those that OpenSSL would not take are refused
 */
export async function readPassphrase(context: Context, options: PassphraseOptions): Promise<Buffer | null> {
  const { passphraseEnv: name, passphraseFile: file } = options;
  if (name !== undefined) {
    const text = context.process.env[name];
    if (text === undefined) throw new SealError("usage", `--passphrase-env: the variable ${name} is not set`);
    if (text === "") throw new SealError("usage", `--passphrase-env: the variable ${name} is empty`);
    const bytes = Buffer.from(text);
    if (bytes.length > MAX_BYTES) {
      throw new SealError("usage", `--passphrase-env: the passphrase in ${name} is over ${MAX_BYTES} bytes long`);
    }
    return bytes;
  }
  if (file === undefined) return null;
  const bytes = file === "-" ? await context.process.stdin() : await readInput(userPath(context, file), SMALL_FILE);
  const end = bytes.indexOf(NEWLINE);
  const passphrase = end === -1 ? bytes : bytes.subarray(0, bytes[end - 1] === CARRIAGE_RETURN ? end - 1 : end);
  if (passphrase.length === 0) throw inputError(file, "the passphrase in it is empty");
  if (passphrase.length > MAX_BYTES)
    throw inputError(file, `is not a passphrase: its first line is over ${MAX_BYTES} bytes`);
  return Buffer.from(passphrase);
}
