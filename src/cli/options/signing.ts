/** The options that name a signing key, the same in all verbs that sign. */
import { z } from "zod";
import { SealError } from "../../errors.ts";
import { readInput } from "../../io/files.ts";
import { sourceDate } from "../../io/host.ts";
import type { Signing } from "../../seal.ts";
import { openKeyFile, readCertificateFile } from "../../sign/key-file.ts";
import { createSignerFrom } from "../../sign/rsa-signer.ts";
import type { Certificate, Signer } from "../../sign/signer.ts";
import type { OptionSpec } from "../command.ts";
import { type Context, userPath } from "../context.ts";
import { passphraseOptions, passphraseShape, readPassphrase } from "./passphrase.ts";

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
  ...passphraseOptions.map((option) => ({ ...option, group: GROUP })),
];

/** The fields of {@link SIGNING_OPTIONS} in a verb's schema. */
export const signingShape = {
  key: z.string().min(1, "give a file").optional(),
  cert: z.string().min(1, "give a file").optional(),
  chain: z.array(z.string().min(1, "give a file")).default([]),
  ...passphraseShape,
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
 * How EFI programs are signed, for verbs that also work without signing; null without a key.
 * @param kernel whether the kernel in a UKI is signed, see {@link Signing}
 * @throws SealError as {@link loadSigner}; `usage` for a certificate without a key
 */
export async function loadSigning(
  context: Context,
  options: SigningOptions,
  kernel: boolean | null,
): Promise<Signing | null> {
  if (options.key === undefined) {
    if (options.cert !== undefined) throw new SealError("usage", "--cert: give its key too, with --key");
    return null;
  }
  const signer = await loadSigner(context, options);
  return { signer, time: sourceDate(context.host.env), now: context.host.now(), kernel };
}

/**
 * Reads a certificate file.
 * @throws SealError `input` when it can't be read or holds no certificate
 */
export async function readCertificates(context: Context, file: string): Promise<Certificate[]> {
  return readCertificateFile(await readInput(userPath(context, file)), file);
}

async function readSource(context: Context, file: string): Promise<Uint8Array> {
  return file === "-" ? context.host.stdin() : readInput(userPath(context, file));
}
