/** The options that name a signing key, the same in all verbs that sign. */
import { z } from "zod";
import { inputError, SealError } from "../../errors.ts";
import { readInput } from "../../io/files.ts";
import { openKeyFile, readCertificateFile } from "../../sign/key-file.ts";
import { createSignerFrom } from "../../sign/rsa-signer.ts";
import type { Certificate, Signer } from "../../sign/signer.ts";
import type { OptionSpec } from "../command.ts";
import { type Context, userPath } from "../context.ts";

const GROUP = "Signing";

export const SIGNING_OPTIONS: readonly OptionSpec[] = [
  {
    flags: "--key <file>",
    description: "private key: PEM, DER or PKCS#12; - reads it from standard input",
    group: GROUP,
    aliases: ["--secureboot-private-key"],
    complete: "file",
  },
  {
    flags: "--cert <file>",
    description: "its certificate, PEM or DER; further ones in the file go into the signature",
    group: GROUP,
    default: "the one in the key file",
    aliases: ["--secureboot-certificate"],
    complete: "file",
  },
  {
    flags: "--chain <file...>",
    description: "certificates of issuers that go into the signature; repeatable",
    group: GROUP,
    complete: "file",
  },
  {
    flags: "--passphrase-file <file>",
    description: "file with the key's passphrase in its first line; - is standard input",
    group: GROUP,
    complete: "file",
  },
  {
    flags: "--passphrase-env <name>",
    description: "environment variable with the key's passphrase",
    group: GROUP,
  },
];

/** The fields of {@link SIGNING_OPTIONS} in a verb's schema. */
export const signingShape = {
  key: z.string().min(1, "give a file").optional(),
  cert: z.string().min(1, "give a file").optional(),
  chain: z.array(z.string().min(1, "give a file")).default([]),
  passphraseFile: z.string().min(1, "give a file").optional(),
  passphraseEnv: z.string().min(1, "give a name").optional(),
};

const schema = z.object(signingShape);
export type SigningOptions = z.infer<typeof schema>;

/**
 * Opens the key and certificates that the options name. Messages name the files, never what is in them.
 * @throws SealError `usage` when the options are incomplete, `input` when a file can't be read or opened, does not
 *   hold what it should, or key and certificate do not belong together
 */
export async function loadSigner(context: Context, options: SigningOptions): Promise<Signer> {
  const { key, cert, chain } = options;
  if (key === undefined) throw new SealError("usage", "--key: give the private key to sign with, a file");
  if (key === "-" && options.passphraseFile === "-") {
    throw new SealError("usage", "--key and --passphrase-file can't both be read from standard input");
  }
  const passphrase = await readPassphrase(context, options);
  const label = key === "-" ? "the key on standard input" : key;
  const opened = await openKeyFile(await readSource(context, key), label, passphrase);
  const given = cert === undefined ? [] : await readCertificates(context, cert);
  const [first, ...others] = cert === undefined ? opened.certificates : given;
  if (first === undefined) {
    throw new SealError("usage", `--cert: give the certificate of ${label}, which holds none itself`);
  }
  const issuers = await Promise.all(chain.map((file) => readCertificates(context, file)));
  return createSignerFrom(opened.privateKey, [first, ...others], issuers.flat());
}

/**
 * Reads a certificate file.
 * @throws SealError `input` when it can't be read or holds no certificate
 */
export async function readCertificates(context: Context, file: string): Promise<Certificate[]> {
  return readCertificateFile(await readInput(userPath(context, file)), file);
}

async function readPassphrase(context: Context, options: SigningOptions): Promise<Uint8Array | null> {
  const { passphraseEnv: name, passphraseFile: file } = options;
  if (name !== undefined && file !== undefined) {
    throw new SealError("usage", "--passphrase-env and --passphrase-file exclude each other");
  }
  if (name !== undefined) {
    const value = context.host.env[name];
    if (value === undefined) throw new SealError("usage", `--passphrase-env: the variable ${name} is not set`);
    return checkLength(Buffer.from(value), `the passphrase in ${name}`);
  }
  if (file === undefined) return null;
  const bytes = await readSource(context, file);
  const end = bytes.indexOf(0x0a);
  const line = end === -1 ? bytes : bytes.subarray(0, bytes[end - 1] === 0x0d ? end - 1 : end);
  return checkLength(line, file);
}

/** What OpenSSL takes. */
const MAX_PASSPHRASE_BYTES = 1024;

function checkLength(passphrase: Uint8Array, label: string): Uint8Array {
  if (passphrase.length <= MAX_PASSPHRASE_BYTES) return passphrase;
  throw inputError(label, `is no passphrase: its first line has more than ${MAX_PASSPHRASE_BYTES} bytes`);
}

async function readSource(context: Context, file: string): Promise<Uint8Array> {
  return file === "-" ? context.host.stdin() : readInput(userPath(context, file));
}
