/** The options that name a signing key, the same in all verbs that sign. */
import { z } from "zod";
import { SealError } from "../../errors.ts";
import { displayCommand, runShellCommand } from "../../io/exec.ts";
import type { Pkcs11Key } from "../../io/pkcs11/session.ts";
import { sourceDate } from "../../io/process-port.ts";
import { readInput, SMALL_FILE } from "../../io/read-input.ts";
import type { Signing } from "../../seal/tree.ts";
import { type ParsedCertificate, parseCertificate, publicKeyOf, validityWarning } from "../../sign/certificate.ts";
import { ecdsaSignature } from "../../sign/ecdsa.ts";
import { createExternalSigner, type RawSigner } from "../../sign/external-signer.ts";
import { openKeyFile, readCertificateFile } from "../../sign/key-file.ts";
import { isPkcs11Uri, type Pkcs11Uri, parsePkcs11Uri } from "../../sign/pkcs11-uri.ts";
import { createSignerFrom, type LabelledKey } from "../../sign/rsa-signer.ts";
import type { Signer } from "../../sign/signer.ts";
import { type Context, userPath } from "../context.ts";
import { type GroupValues, optionGroup } from "./group.ts";
import { choice, path, value } from "./option.ts";
import { passphraseOptions, readPassphrase } from "./passphrase.ts";

const GROUP = "Signing";
/** Long enough for a person who has to find the token and touch it. */
const SIGNER_TIMEOUT_SECONDS = 300;

export const signingOptions = optionGroup(GROUP, {
  key: path({
    env: true,
    aliases: ["--secureboot-private-key"],
    help: "private key: PEM, DER or PKCS#12 file, - for standard input, or pkcs11:URI for a token",
    excludes: ["signer"],
  }),
  cert: path({
    env: true,
    aliases: ["--secureboot-certificate"],
    help: "its certificate, PEM or DER; additional ones in the file are included in the signature",
    shownDefault: "the one stored with the key",
  }),
  chain: path({ many: true, help: "issuer certificates to include in the signature; repeatable" }),
  signer: value(() => z.string().trim().min(1, "give a command"), {
    placeholder: "command",
    env: true,
    risk: "names a program to run",
    help: "shell command that signs in place of --key: SHA-256 digest on stdin, raw RSA signature on stdout",
  }),
  signerInput: choice(["digest", "data"], {
    placeholder: "what",
    default: "digest",
    problem: "give digest or data",
    help: "what the command reads on stdin: the digest (32 bytes), or the data to hash and sign",
    requires: { anyOf: ["signer"], problem: "requires --signer" },
  }),
}).and(passphraseOptions.each({ heading: GROUP, excludes: { signer: "the --signer command asks for its own" } }));

export type SigningOptions = GroupValues<typeof signingOptions>;

/**
 * Opens what the options name: key and certificates in files, or the command that signs. Messages name the files, never
 * what is in them.
 * @throws SealError `usage` when the options are incomplete or contradict each other, `input` when a file can't be read
 *   or opened, does not hold what it should, or key and certificate do not belong together
 */
export async function loadSigner(context: Context, options: SigningOptions): Promise<Signer> {
  const signer = await openSigner(context, options);
  warnOfValidity(context, signer);
  return signer;
}

/** The signer's certificate, and what goes along with it. */
export function warnOfValidity(
  { process, ui }: Context,
  { certificate, chain }: Pick<Signer, "certificate" | "chain">,
): void {
  for (const one of [certificate, ...chain]) {
    const warning = validityWarning(one, process.now());
    if (warning !== null) ui.warn(warning);
  }
}

async function openSigner(context: Context, options: SigningOptions): Promise<Signer> {
  const { key, signer } = options;
  if (signer !== undefined) return commandSigner(context, signer, options);
  if (key !== undefined && isPkcs11Uri(key)) return tokenSigner(context, parsePkcs11Uri(key), options);
  if (key === undefined) throw new SealError("usage", "--key: give the private key to sign with, a file");
  return keyFileSigner(context, key, options);
}

async function keyFileSigner(context: Context, key: string, options: SigningOptions): Promise<Signer> {
  const { cert } = options;
  if (key === "-" && options.passphraseFile === "-") {
    throw new SealError("usage", "--key and --passphrase-file can't both be read from standard input");
  }
  const passphrase = await readPassphrase(context, options);
  const subject = key === "-" ? "the key on standard input" : key;
  const opened = await openKeyFile(await readSource(context, key), subject, passphrase);
  const [first, ...others] =
    cert === undefined ? opened.certificates.map(parseCertificate) : await readCertificates(context, cert);
  if (first === undefined) {
    throw new SealError("usage", `--cert: give the certificate of ${subject}, which contains none`);
  }
  return createSignerFrom(opened.privateKey, [first, ...others], await readChain(context, options));
}

async function commandSigner(context: Context, command: string, options: SigningOptions): Promise<Signer> {
  const { certificate, chain } = await readSignerCertificates(context, options, "--signer");
  const advice = "Give the certificate of the key that the command signs with, or fix the command";
  return createExternalSigner(commandSignature(context, command, options.signerInput, advice), certificate, chain);
}

/** A shell command that signs. Protocol: docs/external-signing.md. Third-party signers depend on it. */
export function commandSignature(
  context: Context,
  command: string,
  input: RawSigner["input"],
  advice: string,
): RawSigner {
  return {
    subject: displayCommand(command),
    fault: "external",
    advice,
    input,
    sign: (bytes) =>
      runShellCommand({
        command,
        input: bytes,
        env: { ...context.process.env, SEAL_SIGNER_INPUT: input },
        cwd: context.process.cwd,
        timeoutSeconds: SIGNER_TIMEOUT_SECONDS,
        onStderr: (text) => context.process.stderr.write(text),
      }),
  };
}

/** Where p11-kit, which knows the modules that a system has, can be found. */
const SYSTEM_MODULES = ["p11-kit-proxy.so", "libp11-kit.so.0"];

async function tokenSigner(context: Context, uri: Pkcs11Uri, options: SigningOptions): Promise<Signer> {
  // Loaded where it is used: koffi takes its time.
  const { signWithToken, tokenCertificates } = await import("../../io/pkcs11/token.ts");
  const key = tokenKey(context, uri, await readPin(context, uri, options));
  const raw: RawSigner = {
    subject: uri.subject,
    fault: "external",
    advice: "Give the certificate of this key with --cert",
    input: "data",
    sign: async (data) => signWithToken(key, data),
  };
  if (options.cert !== undefined) {
    const { certificate, chain } = await readSignerCertificates(context, options, "--key");
    return createExternalSigner(raw, certificate, chain);
  }
  const [der] = tokenCertificates(key);
  if (der === undefined) {
    throw new SealError("usage", `--cert: give the certificate of ${uri.subject}; the token has none with its id`);
  }
  const certificate = parseCertificate({ der, label: `the certificate of ${uri.subject}` });
  return createExternalSigner(raw, certificate, await readChain(context, options));
}

function tokenKey(context: Context, uri: Pkcs11Uri, pin: Uint8Array | null): Pkcs11Key {
  const module = uri.modulePath ?? context.process.env["PKCS11_MODULE_PATH"];
  return { ...uri, modules: module === undefined || module === "" ? SYSTEM_MODULES : [module], pin };
}

/**
 * A key in a token that signs attestations, RSA or EC, and the public key of its certificate there; null:
 * the token holds none.
 * @param text pkcs11:URI
 * @throws SealError `input` when there is no such token
 */
export async function tokenSignature(
  context: Context,
  text: string,
  passphrase: Uint8Array | null,
  advice: string,
): Promise<{ readonly raw: RawSigner; readonly certificate: LabelledKey | null }> {
  const { attestWithToken, tokenCertificates } = await import("../../io/pkcs11/token.ts");
  const uri = parsePkcs11Uri(text);
  const key = tokenKey(context, uri, await pinOf(context, uri, passphrase, "--attest-passphrase"));
  const [der] = tokenCertificates(key, "any");
  const subject = `the certificate of ${uri.subject}`;
  return {
    raw: {
      subject: uri.subject,
      fault: "external",
      advice,
      input: "data",
      sign: async (data) => {
        const { kind, signature } = attestWithToken(key, data);
        return kind === "ecdsa" ? ecdsaSignature(signature) : signature;
      },
    },
    certificate:
      der === undefined ? null : { key: publicKeyOf(parseCertificate({ der, label: subject })), label: subject },
  };
}

/** The PIN from the options or the URI; null without any. */
async function readPin(context: Context, uri: Pkcs11Uri, options: SigningOptions): Promise<Uint8Array | null> {
  return pinOf(context, uri, await readPassphrase(context, options), "--passphrase");
}

/** @param option what the passphrase is given with, without `-env` and `-file` */
async function pinOf(
  context: Context,
  { pin, subject }: Pkcs11Uri,
  passphrase: Uint8Array | null,
  option: string,
): Promise<Uint8Array | null> {
  if (pin === null) return passphrase;
  if (passphrase !== null) {
    throw new SealError("usage", `${subject}: give the PIN there or with ${option}-env or ${option}-file, not both`);
  }
  if (pin.kind === "file") return readPassphrase(context, { passphraseFile: pin.path });
  context.ui.warn(`${subject}: other users can see a pin-value in the process list; use pin-source or ${option}-file`);
  return pin.bytes;
}

interface CertificateOptions {
  readonly cert?: string | undefined;
  readonly chain: readonly string[];
}

/**
 * The signer's certificate, the first in the file of `--cert`, and all others that go into a signature.
 * @param option what needs them, for the message
 * @throws SealError `usage` without `--cert`, `input` as {@link readCertificates}
 */
export async function readSignerCertificates(
  context: Context,
  options: CertificateOptions,
  option: string,
): Promise<{ readonly certificate: ParsedCertificate; readonly chain: readonly ParsedCertificate[] }> {
  const { cert } = options;
  const [certificate, ...others] = cert === undefined ? [] : await readCertificates(context, cert);
  if (certificate === undefined) throw new SealError("usage", `--cert: ${option} needs the signer's certificate`);
  return { certificate, chain: [...others, ...(await readChain(context, options))] };
}

async function readChain(context: Context, { chain }: CertificateOptions): Promise<ParsedCertificate[]> {
  const issuers = await Promise.all(chain.map((file) => readCertificates(context, file)));
  return issuers.flat();
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
  if (options.key === undefined && options.signer === undefined) {
    if (options.cert !== undefined) throw new SealError("usage", "--cert: give its key too, with --key or --signer");
    return null;
  }
  const signer = await loadSigner(context, options);
  return { signer, time: sourceDate(context.process.env), now: context.process.now(), kernel };
}

/**
 * Reads a certificate file.
 * @throws SealError `input` when it can't be read or holds no certificate
 */
export async function readCertificates(context: Context, file: string): Promise<ParsedCertificate[]> {
  return readCertificateFile(await readInput(userPath(context, file), SMALL_FILE), file);
}

async function readSource(context: Context, file: string): Promise<Uint8Array> {
  return file === "-" ? context.process.stdin() : readInput(userPath(context, file), SMALL_FILE);
}
