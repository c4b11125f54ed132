/** What `seal keys show` says about a file: recognised by its content, as data and as text. */
import { createHash, createPublicKey, type KeyObject } from "node:crypto";
import { z } from "zod";
import { toHex } from "../../bytes.ts";
import { inputError, SealError } from "../../errors.ts";
import {
  parseVariableUpdate,
  SECURE_BOOT_VARIABLES,
  type SecureBootVariable,
  VARIABLE_VENDORS,
} from "../../sign/authvar.ts";
import { parseCertificate } from "../../sign/certificate.ts";
import { calendarNote, timeText } from "../../sign/efi-time.ts";
import { keyFileKind } from "../../sign/file-kind.ts";
import { isDerKey, openKeyFile, readCertificateFile } from "../../sign/key-file.ts";
import { parseVariableStore, type StoredVariable } from "../../sign/ovmf.ts";
import { parsePem } from "../../sign/pem.ts";
import { parseSignatureLists } from "../../sign/siglist.ts";
import { identifyUpdate } from "../../sign/update-signature.ts";
import { narrower, renderIndented } from "../terminal/report.ts";
import {
  certificateCells,
  certificateReportSchema,
  describeCertificate,
  describeLists,
  drawEntries,
  entryReportSchema,
} from "./signature-lists.ts";

const variableSchema = z.strictObject({
  name: z.string(),
  guid: z.string(),
  /** EFI_VARIABLE_… bits. */
  attributes: z.int(),
  /** Null for variables without signatures. */
  time: z.string().nullable(),
  size: z.int(),
  /** Of PK, KEK, db and dbx; null for others. */
  entries: z.array(entryReportSchema).nullable(),
  /** Hex, of variables up to 16 bytes that hold no entries; else null. */
  value: z.string().nullable(),
});

/** One document for each file. */
export const keysShowReportSchema = z.discriminatedUnion("type", [
  z.strictObject({ file: z.string(), type: z.literal("signature-lists"), entries: z.array(entryReportSchema) }),
  z.strictObject({
    file: z.string(),
    type: z.literal("variable-update"),
    time: z.string(),
    /** What is unusual about the time; null when nothing is. */
    note: z.string().nullable(),
    /** Found by the signature; null when it signs no update of PK, KEK, db or dbx. */
    variable: z.enum(SECURE_BOOT_VARIABLES).nullable(),
    write: z.enum(["replace", "append"]).nullable(),
    signer: certificateReportSchema.nullable(),
    /**
     * Why the signature is invalid; null when it is valid. Whether the signer is trusted is the firmware's decision.
     */
    problem: z.string().nullable(),
    /** Null when the value is not a sequence of signature lists. */
    entries: z.array(entryReportSchema).nullable(),
    size: z.int(),
  }),
  z.strictObject({ file: z.string(), type: z.literal("certificates"), certificates: z.array(certificateReportSchema) }),
  z.strictObject({
    file: z.string(),
    type: z.literal("private-key"),
    key: z.string(),
    /** SHA-256 of the public key's SubjectPublicKeyInfo: the same as in the certificates that were issued for it. */
    publicKeySha256: z.string(),
    certificates: z.array(certificateReportSchema),
  }),
  z.strictObject({
    file: z.string(),
    type: z.literal("variable-store"),
    /** Whether firmware that starts with it enforces Secure Boot. */
    secureBoot: z.boolean(),
    /** Whether no platform key is enrolled. */
    setupMode: z.boolean(),
    variables: z.array(variableSchema),
  }),
]);
export type KeysShowReport = z.infer<typeof keysShowReportSchema>;

/**
 * @param passphrase for encrypted private keys
 * @throws SealError `input` when the file is nothing that has keys of firmware in it, or a malformed one
 */
export async function describeKeys(
  bytes: Uint8Array,
  file: string,
  passphrase: Uint8Array | null,
): Promise<KeysShowReport> {
  const content = keyFileKind(bytes);
  switch (content.kind) {
    case "program":
      throw inputError(file, "is an EFI program; see seal inspect");
    case "empty":
      throw inputError(file, "is empty");
    case "store":
      return describeStore(bytes, file);
    case "update":
      return describeUpdate(content.bytes, file);
    case "lists":
      return { file, type: "signature-lists", entries: describeLists(parseSignatureLists(content.bytes, file), file) };
    case "pem": {
      const isKey = parsePem(bytes, file).some(({ type }) => type.endsWith("PRIVATE KEY"));
      return isKey ? describeKey(bytes, file, passphrase) : describeCertificates(bytes, file);
    }
    case "der":
      return describeDer(bytes, file, passphrase);
    case "unknown":
      throw inputError(
        file,
        `is not a signature list, signed update, certificate, key or variable store: ${content.reason}`,
      );
  }
}

/**
 * DER of certificates and of keys begin alike; only reading them to the end decides, and if it is neither,
 * what is wrong with both.
 */
async function describeDer(bytes: Uint8Array, file: string, passphrase: Uint8Array | null): Promise<KeysShowReport> {
  try {
    return describeCertificates(bytes, file);
  } catch (error) {
    if (!(error instanceof SealError)) throw error;
    if (!isDerKey(bytes))
      throw inputError(file, `is not a certificate or key in DER: ${error.message.replace(`${file}: `, "")}`);
    return describeKey(bytes, file, passphrase);
  }
}

function describeUpdate(bytes: Uint8Array, file: string): KeysShowReport {
  const update = parseVariableUpdate(bytes, file);
  const { signer, purpose, problem } = identifyUpdate(update, file);
  // Of another variable, the value may be anything.
  const lists = purpose === null ? null : parseSignatureLists(update.value, file);
  return {
    file,
    type: "variable-update",
    time: timeText(update.time),
    note: calendarNote(update.time),
    variable: purpose?.variable ?? null,
    write: purpose?.write ?? null,
    signer: signer === null ? null : describeCertificate(signer),
    problem,
    entries: lists === null ? null : describeLists(lists, file),
    size: update.value.length,
  };
}

function describeCertificates(bytes: Uint8Array, file: string): KeysShowReport {
  const certificates = readCertificateFile(bytes, file).map(describeCertificate);
  return { file, type: "certificates", certificates };
}

async function describeKey(bytes: Uint8Array, file: string, passphrase: Uint8Array | null): Promise<KeysShowReport> {
  const { privateKey, certificates } = await openKeyFile(bytes, file, passphrase);
  return {
    file,
    type: "private-key",
    key: nameOf(privateKey.key),
    publicKeySha256: spkiHash(privateKey.key),
    certificates: certificates.map((one) => describeCertificate(parseCertificate(one))),
  };
}

function nameOf({ asymmetricKeyType, asymmetricKeyDetails }: KeyObject): string {
  const size = asymmetricKeyDetails?.modulusLength ?? asymmetricKeyDetails?.namedCurve;
  const kind = (asymmetricKeyType ?? "unknown").toUpperCase();
  return size === undefined ? kind : `${kind}-${size}`;
}

function spkiHash(key: KeyObject): string {
  return createHash("sha256")
    .update(createPublicKey(key).export({ type: "spki", format: "der" }))
    .digest("hex");
}

function describeStore(bytes: Uint8Array, file: string): KeysShowReport {
  const { variables } = parseVariableStore(bytes, file);
  const value = (name: string) => variables.find((variable) => variable.name === name)?.value;
  const setupMode = (value("PK")?.length ?? 0) === 0;
  return {
    file,
    type: "variable-store",
    // Without the switch, EDK II turns Secure Boot on once there is a platform key.
    secureBoot: !setupMode && (value("SecureBootEnable")?.[0] ?? 1) === 1,
    setupMode,
    variables: variables.map((variable) => describeVariable(variable, file)),
  };
}

function describeVariable({ name, vendor, attributes, time, value }: StoredVariable, file: string) {
  const known = SECURE_BOOT_VARIABLES.find((one) => one === name && VARIABLE_VENDORS[one] === vendor);
  return {
    name,
    guid: vendor,
    attributes,
    time: efiTimeText(time),
    size: value.length,
    entries: known === undefined ? null : describeLists(parseSignatureLists(value, `${file}: ${name}`), file),
    value: known === undefined && value.length <= 16 ? toHex(value) : null,
  };
}

/** ISO 8601 of the parts that are there; null for zero. Firmware wrote it, so odd ones are shown as they are. */
function efiTimeText(time: Uint8Array): string | null {
  if (time.every((byte) => byte === 0)) return null;
  const [low = 0, high = 0, ...parts] = time;
  const [month, day, hour, minute, second] = parts.map((part) => String(part).padStart(2, "0"));
  return `${String(low + 256 * high).padStart(4, "0")}-${month}-${day}T${hour}:${minute}:${second}Z`;
}

/** @param columns width of the terminal; null: there is none */
export function drawKeys(report: KeysShowReport, columns: number | null): string {
  return [`${report.file}  ${headline(report)}`, ...body(report, columns)].filter((line) => line !== "").join("\n");
}

function headline(report: KeysShowReport): string {
  switch (report.type) {
    case "signature-lists":
      return `signature lists, ${count(report.entries.length, "entry", "entries")}`;
    case "variable-update":
      return `signed update, ${updateText(report.variable, report.write, report.size)}, dated ${report.time}`;
    case "certificates":
      return count(report.certificates.length, "certificate", "certificates");
    case "private-key":
      return `private key ${report.key}, SHA-256 of the public key ${report.publicKeySha256}`;
    case "variable-store":
      return `variable store, Secure Boot ${report.secureBoot ? "on" : "off"}${report.setupMode ? " (setup mode)" : ""}`;
  }
}

function body(report: KeysShowReport, columns: number | null): string[] {
  switch (report.type) {
    case "signature-lists":
      return [drawEntries(report.entries, columns)];
    case "variable-update":
      return [
        report.signer === null ? "" : `  signed by ${report.signer.subject} (${report.signer.key})`,
        report.problem === null ? "" : `  bad signature: ${report.problem}`,
        report.note === null ? "" : `  ${report.note}`,
        drawEntries(report.entries ?? [], columns),
      ];
    case "certificates":
    case "private-key":
      return [renderIndented(report.certificates.map(certificateCells), columns)];
    case "variable-store": {
      const keys = SECURE_BOOT_VARIABLES.flatMap((name) =>
        report.variables.filter((variable) => variable.entries !== null && variable.name === name),
      );
      const others = report.variables.filter(({ entries }) => entries === null);
      return [
        ...keys.flatMap(({ name, time, entries }) => [
          `  ${name}${time === null ? "" : `  dated ${time}`}`,
          drawEntries(entries ?? [], narrower(columns, 2)).replace(/^/gm, "  "),
        ]),
        renderIndented(
          others.map(({ name, value, size }) => [printable(name), value ?? `${size} bytes`]),
          columns,
        ),
      ];
    }
  }
}

function updateText(variable: SecureBootVariable | null, write: "replace" | "append" | null, size: number): string {
  if (variable === null) return `of an unknown variable (${size} bytes)`;
  if (write === "append") return `adds to ${variable}`;
  return size === 0 ? `deletes ${variable}` : `replaces ${variable}`;
}

function count(n: number, one: string, many: string): string {
  return `${n} ${n === 1 ? one : many}`;
}

/** Names come from a file and must not write to a terminal. */
function printable(name: string): string {
  return name.replace(/\p{C}/gu, "?");
}
