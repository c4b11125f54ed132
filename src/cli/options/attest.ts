/** The options that name the key of attestations, which is not that of Secure Boot. */
import { createPublicKey, type KeyObject } from "node:crypto";
import { z } from "zod";
import { type AttestSigner, checkAttestKey, externalSigner, keySigner } from "../../attest/signer.ts";
import { inputError, SealError } from "../../errors.ts";
import { readInput, SMALL_FILE } from "../../io/read-input.ts";
import { publicKeyOf } from "../../sign/certificate.ts";
import { openKeyFile, readCertificateFile } from "../../sign/key-file.ts";
import { isPkcs11Uri } from "../../sign/pkcs11-uri.ts";
import type { LabelledKey } from "../../sign/rsa-signer.ts";
import { isSameKey } from "../../sign/same-key.ts";
import { type Context, userPath } from "../context.ts";
import { type GroupValues, optionGroup } from "./group.ts";
import { choice, path, text, value } from "./option.ts";
import { readPassphrase } from "./passphrase.ts";
import { commandSignature, tokenSignature } from "./signing.ts";

const GROUP = "Attestation";

export const attestKeyOptions = optionGroup(GROUP, {
  attestKey: path({
    help: "private key, EC or RSA: PEM, DER or PKCS#12 file, or pkcs11:URI for a token; not the Secure Boot key",
    excludes: ["attestSigner"],
  }),
  attestCert: path({
    help: "its certificate or public key, PEM or DER",
    shownDefault: "the one stored with the key; required with --attest-signer and with a token that has none",
  }),
  attestSigner: value(() => z.string().trim().min(1, "give a command"), {
    placeholder: "command",
    risk: "names a program to run",
    help: "shell command that signs instead: SHA-256 digest on stdin, signature on stdout (ECDSA in DER)",
    requires: "attestCert",
  }),
  attestSignerInput: choice(["digest", "data"], {
    placeholder: "what",
    default: "digest",
    help: "what the command reads on stdin: the digest (32 bytes), or the data to hash and sign",
    requires: { anyOf: ["attestSigner"], problem: "requires --attest-signer" },
  }),
  attestPassphraseEnv: text({
    placeholder: "name",
    help: "environment variable with the passphrase or PIN of the key",
    excludes: ["attestPassphraseFile"],
  }),
  attestPassphraseFile: path({ help: "file with the passphrase in its first line; - for standard input" }),
});
export type AttestKeyOptions = GroupValues<typeof attestKeyOptions>;

/**
 * Who signs attestations; null where no option says it.
 * @throws SealError `usage` when the options are incomplete, `input` for a key that can't be read or that
 *   verifiers would not take
 */
export async function loadAttestSigner(context: Context, options: AttestKeyOptions): Promise<AttestSigner | null> {
  const { attestKey, attestCert, attestSigner } = options;
  if (attestSigner !== undefined) {
    if (attestCert === undefined) throw new SealError("usage", "--attest-cert: --attest-signer needs the public key");
    const input = options.attestSignerInput;
    return externalSigner(
      commandSignature(context, attestSigner, input, ADVICE),
      await readAttestKey(context, attestCert),
    );
  }
  if (attestKey === undefined) return null;
  const passphrase = await readPassphrase(context, {
    passphraseEnv: options.attestPassphraseEnv,
    passphraseFile: options.attestPassphraseFile,
  }).catch(inOwnWords);
  if (isPkcs11Uri(attestKey)) return tokenSigner(context, attestKey, passphrase, attestCert);
  const { privateKey } = await openKeyFile(
    await readInput(userPath(context, attestKey), SMALL_FILE),
    attestKey,
    passphrase,
  ).catch(inOwnWords);
  const signer = keySigner(privateKey);
  if (attestCert !== undefined) {
    const given = await readAttestKey(context, attestCert);
    if (!isSameKey(signer.publicKey, given.key)) {
      throw inputError(attestCert, `does not belong to ${attestKey} (public keys differ)`);
    }
  }
  return signer;
}

const ADVICE = "Give the certificate or public key of the key that signs with --attest-cert";

async function tokenSigner(
  context: Context,
  uri: string,
  passphrase: Uint8Array | null,
  cert: string | undefined,
): Promise<AttestSigner> {
  const { raw, certificate } = await tokenSignature(context, uri, passphrase, ADVICE);
  const key = cert === undefined ? certificate : await readAttestKey(context, cert);
  if (key === null)
    throw new SealError(
      "usage",
      `--attest-cert: give the public key of ${raw.subject}; the token has no certificate for it`,
    );
  return externalSigner(raw, key);
}

/** The passphrase of this key has its own options. */
function inOwnWords(error: unknown): never {
  if (!(error instanceof SealError)) throw error;
  throw new SealError(error.code, error.message.replaceAll("--passphrase-", "--attest-passphrase-"), { cause: error });
}

/**
 * Reads a public key: a certificate, of which the first in the file counts, or the key itself.
 * @throws SealError `input` when it is neither, or a key that signs no attestations
 */
export async function readAttestKey(context: Context, file: string): Promise<LabelledKey> {
  const bytes = await readInput(userPath(context, file), SMALL_FILE);
  const key = publicKeyIn(bytes) ?? certificateKey(bytes, file);
  checkAttestKey(key, file);
  return { key, label: file };
}

/** Null for anything but a public key by itself. */
function publicKeyIn(bytes: Uint8Array): KeyObject | null {
  const buffer = Buffer.from(bytes);
  const isPem = /-----BEGIN (?:RSA )?PUBLIC KEY-----/.test(buffer.toString("latin1"));
  try {
    return isPem ? createPublicKey(buffer) : createPublicKey({ key: buffer, format: "der", type: "spki" });
  } catch {
    return null;
  }
}

function certificateKey(bytes: Uint8Array, file: string): KeyObject {
  try {
    const [first] = readCertificateFile(bytes, file);
    if (first !== undefined) return publicKeyOf(first);
  } catch (error) {
    if (!(error instanceof SealError)) throw error;
  }
  const isPrivate = /-----BEGIN [A-Z ]*PRIVATE KEY-----/.test(Buffer.from(bytes).toString("latin1"));
  throw inputError(
    file,
    isPrivate
      ? "is a private key; give the public one: openssl pkey -in FILE -pubout, or the .pub that cosign wrote next to it"
      : "is neither a certificate nor a public key in PEM or DER",
  );
}
