/** `seal keys generate`: PK, KEK and db keys with everything that signing and enrolling needs. */
import { generateKeyPair, type KeyObject, randomBytes, randomUUID } from "node:crypto";
import { join } from "node:path";
import { promisify } from "node:util";
import { z } from "zod";
import { SealError } from "../../errors.ts";
import { type NewFile, refuseOccupied, writeNewDirectory } from "../../io/new-directory.ts";
import { sourceDate } from "../../io/process-port.ts";
import { keyName } from "../../sign/certificate.ts";
import { knownGuid } from "../../sign/guid.ts";
import {
  createKeySet,
  KEY_ROLES,
  type KeyMaterial,
  type KeyRole,
  type KeySet,
  MAX_COMMON_NAME,
  publicKeyFiles,
} from "../../sign/keys.ts";
import { defineCommand } from "../command.ts";
import { type Context, printJson, printLine, userPath } from "../context.ts";
import { optionGroup } from "../options/group.ts";
import { guid } from "../options/guid.ts";
import { choice, count, flag, path, value } from "../options/option.ts";
import { passphraseOptions, readPassphrase } from "../options/passphrase.ts";
import { writes } from "../options/risk.ts";
import { renderTable } from "../terminal/report.ts";

const KEY_TYPES = ["rsa2048", "rsa3072", "rsa4096"] as const;
const MODULUS_LENGTHS = { rsa2048: 2048, rsa3072: 3072, rsa4096: 4096 } as const;

/** 128 random bits are more than CAs need; RFC 5280 allows 20 bytes. */
const SERIAL_BYTES = 16;
/** The last second that X.509 and EFI times can say. */
const LAST_TIME = Date.UTC(9999, 11, 31, 23, 59, 59);
const DAY_MS = 86_400_000;

const commonName = () =>
  z
    .string()
    .min(1, "is empty")
    .refine((name) => [...name].length <= MAX_COMMON_NAME, `is longer than ${MAX_COMMON_NAME} characters`)
    .regex(/^\P{Cc}*$/u, "has control characters");

const pcrKeyName = () =>
  z
    .string()
    .regex(/^[A-Za-z0-9_-]{1,64}$/, 'give a name of letters, digits, "_" and "-"')
    .refine((name) => !/^(?:PK|KEK|dbx?|noPK|GUID)$/i.test(name), "is the name of another key");

/** What `--json` prints. */
export const keysGenerateReportSchema = z.strictObject({
  directory: z.string(),
  owner: z.string(),
  keys: z.array(
    z.strictObject({
      role: z.enum(KEY_ROLES),
      subject: z.string(),
      type: z.string(),
      sha256: z.string().regex(/^[0-9a-f]{64}$/),
      notBefore: z.iso.datetime(),
      notAfter: z.iso.datetime(),
      files: z.strictObject({
        key: z.string(),
        certificate: z.string(),
        der: z.string(),
        esl: z.string(),
        auth: z.string(),
      }),
    }),
  ),
  removePk: z.string(),
  guid: z.string(),
  /** Keys that sign PCR policies; only there when some were asked for. */
  pcrKeys: z.array(z.strictObject({ name: z.string(), key: z.string(), publicKey: z.string() })).optional(),
});

export const keysGenerateCommand = defineCommand({
  examples: [
    ["--output keys", "keys valid for ten years, in the new directory keys"],
    ['--output keys --common-name "Example Inc. 2026" --type rsa4096', "with a name, and longer keys"],
    ["--output keys --pcr-key pcr-initrd --pcr-key pcr-system", "also two key pairs for PCR policies (measured boot)"],
    ["--output keys --passphrase-env KEYS_PASSPHRASE", "with encrypted private keys"],
  ],
  arguments: {},
  options: optionGroup(null, {
    output: path({
      risk: writes,
      short: "o",
      complete: "directory",
      required: "give a directory for the keys",
      problem: "is empty",
      help: "directory for the keys; must be new or empty, nothing is overwritten",
    }),
    commonName: value(commonName, {
      placeholder: "name",
      default: "Secure Boot",
      help: "name of the certificates, followed by PK, KEK or db",
    }),
    days: count({
      min: 1,
      max: 36_500,
      of: "days",
      placeholder: "days",
      default: 3650,
      help: "validity of the certificates (firmware does not check it)",
    }),
    type: choice(KEY_TYPES, {
      placeholder: "type",
      default: "rsa2048",
      help: "rsa2048 (supported by all firmware), rsa3072 or rsa4096",
    }),
    owner: value(guid, { placeholder: "guid", help: "owner GUID in the signature lists", shownDefault: "random" }),
    pcrKey: value(pcrKeyName, {
      many: true,
      placeholder: "name",
      help: "also generate NAME.key and NAME.pub for signing PCR policies; repeatable",
    }),
  })
    .and(passphraseOptions)
    .and(optionGroup(null, { json: flag({ help: "print what was created as JSON" }) })),
  run: async (context, options) => {
    const directory = userPath(context, options.output);
    const { pcrKey: pcrNames } = options;
    if (new Set(pcrNames.map((name) => name.toLowerCase())).size < pcrNames.length) {
      throw new SealError("usage", "--pcr-key: give each name once");
    }
    const passphrase = await readPassphrase(context, options);
    const time = startTime(context, options.days);
    // Long keys take a while: find out first whether there is a place for them.
    await refuseOccupied(directory);
    const step = context.ui.step(`generating ${3 + pcrNames.length} keys (${options.type})`);
    const keys = await generateKeys(MODULUS_LENGTHS[options.type]);
    const pcrFiles = await generatePcrKeys(pcrNames, MODULUS_LENGTHS[options.type], passphrase);
    step.done();
    const owner = options.owner ?? knownGuid(randomUUID());
    const { commonName, days } = options;
    const set = await createKeySet({ commonName, days, time, owner, keys });
    await writeNewDirectory(directory, [...privateKeyFiles(keys, passphrase), ...publicFiles(set), ...pcrFiles], 0o700);
    if (passphrase === null) context.ui.note("The private keys are not encrypted; only the owner can read the files.");
    if (options.json) printJson(context, keysGenerateReportSchema.parse(jsonReport(set, directory, pcrNames)));
    else printLine(context, textReport(set, options.output, pcrNames, context.process.stdout.columns));
    return 0;
  },
});

/** SOURCE_DATE_EPOCH or the clock, in whole seconds. */
function startTime(context: Context, days: number): Date {
  const now = sourceDate(context.process.env) ?? context.process.now();
  const time = new Date(Math.floor(now.getTime() / 1000) * 1000);
  if (time.getTime() + days * DAY_MS > LAST_TIME) {
    throw new SealError("usage", "--days: the certificates would be valid beyond the year 9999");
  }
  return time;
}

async function generateKeys(modulusLength: number): Promise<Record<KeyRole, KeyMaterial>> {
  const [PK, KEK, db] = await Promise.all([
    generateKey(modulusLength),
    generateKey(modulusLength),
    generateKey(modulusLength),
  ]);
  return { PK, KEK, db };
}

async function generateKey(modulusLength: number): Promise<KeyMaterial> {
  const { privateKey } = await promisify(generateKeyPair)("rsa", { modulusLength });
  return { privateKey, serialNumber: randomSerial() };
}

/**
 * What `ukify genkey --pcr-private-key … --pcr-public-key …` makes: a key pair each, the public half as ukify
 * and systemd take it.
 */
async function generatePcrKeys(
  names: readonly string[],
  modulusLength: number,
  passphrase: Buffer | null,
): Promise<NewFile[]> {
  const files: NewFile[] = [];
  for (const name of names) {
    const { privateKey, publicKey } = await promisify(generateKeyPair)("rsa", { modulusLength });
    files.push({ name: `${name}.key`, bytes: Buffer.from(exportKey(privateKey, passphrase)), mode: 0o600 });
    const pem = publicKey.export({ type: "spki", format: "pem" }).toString();
    files.push({ name: `${name}.pub`, bytes: Buffer.from(pem), mode: 0o644 });
  }
  return files;
}

/** Never zero and of full length: the top bit is cleared, so that it stays positive, and the next one set. */
function randomSerial(): Uint8Array {
  const serial = randomBytes(SERIAL_BYTES);
  serial[0] = ((serial[0] ?? 0) & 0x3f) | 0x40;
  return serial;
}

function privateKeyFiles(keys: Readonly<Record<KeyRole, KeyMaterial>>, passphrase: Buffer | null): NewFile[] {
  return KEY_ROLES.map((role) => ({
    name: `${role}.key`,
    bytes: Buffer.from(exportKey(keys[role].privateKey, passphrase)),
    mode: 0o600,
  }));
}

function exportKey(key: KeyObject, passphrase: Buffer | null): string {
  const encryption = passphrase === null ? {} : { cipher: "aes-256-cbc", passphrase };
  return key.export({ type: "pkcs8", format: "pem", ...encryption }).toString();
}

function publicFiles(set: KeySet): NewFile[] {
  return publicKeyFiles(set).map((file) => ({ ...file, mode: 0o644 }));
}

function jsonReport({ owner, keys }: KeySet, directory: string, pcrNames: readonly string[]) {
  const pcrKeys = pcrNames.map((name) => ({
    name,
    key: join(directory, `${name}.key`),
    publicKey: join(directory, `${name}.pub`),
  }));
  return {
    directory,
    owner,
    keys: keys.map(({ role, certificate }) => ({
      role,
      subject: certificate.subjectText,
      type: keyName(certificate),
      sha256: fingerprint(certificate.x509.fingerprint256),
      notBefore: certificate.notBefore.toISOString(),
      notAfter: certificate.notAfter.toISOString(),
      files: {
        key: join(directory, `${role}.key`),
        certificate: join(directory, `${role}.crt`),
        der: join(directory, `${role}.cer`),
        esl: join(directory, `${role}.esl`),
        auth: join(directory, `${role}.auth`),
      },
    })),
    removePk: join(directory, "noPK.auth"),
    guid: join(directory, "GUID.txt"),
    ...(pcrKeys.length === 0 ? {} : { pcrKeys }),
  };
}

function textReport(
  { owner, keys }: KeySet,
  directory: string,
  pcrNames: readonly string[],
  columns: number | null,
): string {
  const at = (name: string) => join(directory, name);
  const day = (date: Date) => date.toISOString().slice(0, 10);
  const certificates = keys.map(({ role, certificate }) => [
    role,
    certificate.subjectText,
    keyName(certificate),
    `${day(certificate.notBefore)} to ${day(certificate.notAfter)}`,
    fingerprint(certificate.x509.fingerprint256),
  ]);
  const files = [
    [at("db.{key,crt}"), "sign the boot loader and UKIs"],
    [at("{PK,KEK,db}.auth"), "for systemd-boot to enrol: loader/keys/auto on the ESP"],
    [at("{PK,KEK,db}.cer"), "for the firmware's setup menu"],
    [at("{PK,KEK,db}.{crt,esl}"), "for virt-fw-vars, efi-updatevar and other tools"],
    [at("{PK,KEK}.key"), "change the enrolled keys: keep them offline"],
    [at("noPK.auth"), "removes the PK: back to setup mode"],
    [at("GUID.txt"), `owner in the signature lists, ${owner}`],
    ...pcrNames.map((name) => [at(`${name}.{key,pub}`), "sign PCR policies: --pcr-private-key, --pcr-public-key"]),
  ];
  return [
    renderTable([["key", "certificate", "type", "valid", "SHA-256 of the certificate"], ...certificates], columns),
    renderTable(files, columns),
    `Next: seal rootfs /target --key ${at("db.key")} --cert ${at("db.crt")} --output out`,
  ].join("\n\n");
}

/** `AB:CD:…` as lower-case hex. */
function fingerprint(text: string): string {
  return text.replaceAll(":", "").toLowerCase();
}
