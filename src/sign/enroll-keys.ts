/**
 * The keys that systemd-boot enrols in setup mode: `PK.auth`, `KEK.auth`, `db.auth` and perhaps `dbx.auth`, files that
 * firmware gets as they are (systemd-boot(7), `secure-boot-enroll`). What it refuses is an error, what it takes
 * although it is hardly meant is a warning. In setup mode EDK II checks the signature of the PK only, and of the others
 * just the form (AuthService.c, ProcessVarWithPk and ProcessVarWithKek); other firmware may be stricter, and so is the
 * same one when the update is written again later.
 */
import { inputError, SealError } from "../errors.ts";
import { parseVariableUpdate, SECURE_BOOT_VARIABLES, type SecureBootVariable, type VariableUpdate } from "./authvar.ts";
import { keyName } from "./certificate.ts";
import { databaseOf, type SignatureDatabase } from "./database.ts";
import { keyFileKind } from "./file-kind.ts";
import { parseSignatureLists, type SignatureList } from "./siglist.ts";
import type { SignedMessage } from "./signed-data.ts";
import { findTrustPath } from "./trust.ts";
import { identifyUpdate, readUpdateSignature } from "./update-signature.ts";

/** Something about one of the files. */
export interface EnrollProblem {
  readonly variable: SecureBootVariable;
  /** `error`: it can't be enrolled, or means something else; `warning`: it is taken in setup mode. */
  readonly severity: "error" | "warning";
  /** What is wrong and what comes of it, without subject and final dot: `is empty: firmware refuses it`. */
  readonly message: string;
  readonly fix: string;
}

/** A file that firmware can read. */
export interface EnrollUpdate {
  readonly lists: readonly SignatureList[];
  readonly database: SignatureDatabase;
  readonly message: SignedMessage | null;
}

/** The signed updates that systemd-boot enrols in setup mode. */
export interface EnrollKeys {
  /** The bytes of each file that is there. */
  readonly files: ReadonlyMap<SecureBootVariable, Uint8Array>;
  /** Those that could be read. */
  readonly updates: ReadonlyMap<SecureBootVariable, EnrollUpdate>;
  readonly problems: readonly EnrollProblem[];
}

/** What the file of a variable is called. */
export function enrollFileName(variable: SecureBootVariable): string {
  return `${variable}.auth`;
}

/** The files by their names. */
export function enrollFiles({ files }: EnrollKeys): Map<string, Uint8Array> {
  return new Map([...files].map(([variable, bytes]) => [enrollFileName(variable), bytes]));
}

/** Whose key signs a variable: the PK those of PK and KEK, a KEK those of db and dbx (UEFI specification 32.3). */
const SIGNED_BY: Readonly<Record<SecureBootVariable, SecureBootVariable>> = {
  PK: "PK",
  KEK: "PK",
  db: "KEK",
  dbx: "KEK",
};

/** What a keys directory is made again with. */
const GENERATE = "create it again with seal keys generate";

/**
 * Reads the files of one directory and checks each in itself, and all together.
 * @param files those that are there
 * @param subjectOf what the user knows the file of a variable by
 */
export function readEnrollKeys(
  files: EnrollKeys["files"],
  subjectOf: (variable: SecureBootVariable) => string,
): EnrollKeys {
  const updates = new Map<SecureBootVariable, EnrollUpdate>();
  const problems: EnrollProblem[] = [];
  for (const variable of SECURE_BOOT_VARIABLES) {
    const bytes = files.get(variable);
    if (bytes === undefined) {
      if (variable === "dbx") continue;
      const message = "is missing; PK, KEK and db are enrolled together";
      problems.push({ variable, severity: "error", message, fix: "create all three with seal keys generate" });
      continue;
    }
    const update = readUpdate(variable, bytes, subjectOf(variable), problems);
    if (update !== null) updates.set(variable, update);
  }
  for (const [variable, { message }] of updates) {
    const problem = message === null ? null : signerProblem(variable, message, updates);
    if (problem !== null) problems.push(problem);
  }
  return { files, updates, problems };
}

/** Null, with a problem, when nothing in it can be read. */
function readUpdate(
  variable: SecureBootVariable,
  bytes: Uint8Array,
  subject: string,
  problems: EnrollProblem[],
): EnrollUpdate | null {
  const note = (severity: EnrollProblem["severity"], message: string, fix: string) => {
    problems.push({ variable, severity, message, fix });
    return null;
  };
  const update = reading(() => parseVariableUpdate(bytes, subject), subject);
  if (typeof update === "string") {
    const { message, fix } = whatElse(bytes, variable) ?? {
      message: `is not a signed variable update (${update})`,
      fix: `get the file again, or ${GENERATE}`,
    };
    return note("error", `${message}: firmware refuses it`, fix);
  }
  const content = reading(() => contentOf(update, subject), subject);
  if (typeof content === "string") {
    return note(
      "error",
      `would set ${variable} to a value that is not signature lists (${content}): firmware refuses it`,
      GENERATE,
    );
  }
  const problem = contentProblem(variable, content.database, content.lists);
  if (problem !== null) note(problem.severity, problem.message, GENERATE);
  const message = checkSignature(variable, update, subject, note);
  return { ...content, message };
}

/** The signature of an update in itself; null when there is none to go on with. */
function checkSignature(
  variable: SecureBootVariable,
  update: VariableUpdate,
  subject: string,
  note: (severity: EnrollProblem["severity"], message: string, fix: string) => null,
): SignedMessage | null {
  const severity = variable === "PK" ? "error" : "warning";
  const taken =
    variable === "PK" ? "firmware refuses it" : "only firmware that skips the check in setup mode accepts it";
  const message = reading(() => readUpdateSignature(update, subject), subject);
  if (typeof message === "string")
    return note(severity, `has a signature that can't be read (${message}); ${taken}`, GENERATE);
  const { purpose, problem } = identifyUpdate(update, subject);
  if (purpose === null) return note(severity, `has a signature that is invalid (${problem}); ${taken}`, GENERATE);
  if (purpose.variable !== variable) {
    return note(
      "error",
      `is an update of ${purpose.variable}, not of ${variable}`,
      `give each file its own name, this one ${enrollFileName(purpose.variable)}`,
    );
  }
  if (purpose.write === "append") {
    note(
      severity,
      `is signed for appending, but would be written as the whole value of ${variable}; ${taken}`,
      `sign it without --append: seal keys auth ${variable}`,
    );
  }
  return message;
}

/** What bytes are that are not an update; null when that can't be said. */
function whatElse(bytes: Uint8Array, variable: SecureBootVariable): Pick<EnrollProblem, "message" | "fix"> | null {
  const signer = SIGNED_BY[variable];
  const sign = `seal keys auth ${variable} FILE --key ${signer}.key --cert ${signer}.crt`;
  const file = keyFileKind(bytes);
  switch (file.kind) {
    case "empty":
      return { message: "is empty", fix: `get the file again, or ${GENERATE}` };
    case "update":
      if (file.attributes === null) return null;
      return {
        message: "starts with the 4 bytes of attributes that files in efivarfs have",
        fix: "strip them: tail -c +5",
      };
    case "lists":
      return file.attributes === null
        ? { message: "is a bare signature list, not a signed update", fix: `sign it: ${sign}` }
        : { message: "is the value of a variable as efivarfs shows it, not a signed update", fix: `sign it: ${sign}` };
    case "pem":
    case "der":
      return { message: "is a certificate or key, not a signed update", fix: `sign the certificate: ${sign}` };
    case "program":
    case "store":
    case "unknown":
      return null;
  }
}

function contentOf({ value }: VariableUpdate, subject: string): Pick<EnrollUpdate, "lists" | "database"> {
  const lists = parseSignatureLists(value, subject);
  const database = databaseOf(lists, subject);
  // Firmware skips such an entry in an existing variable, but refuses to write one (AuthService.c,
  // CheckSignatureListFormat).
  const [problem] = database.unreadable;
  if (problem !== undefined) throw inputError(subject, `an entry is ${problem}`);
  return { lists, database };
}

function contentProblem(
  variable: SecureBootVariable,
  { certificates, imageHashes }: SignatureDatabase,
  lists: readonly SignatureList[],
): Pick<EnrollProblem, "severity" | "message"> | null {
  const count = lists.reduce((sum, { signatures }) => sum + signatures.length, 0);
  if (count === 0)
    return {
      severity: "error",
      message: `would delete ${variable} instead of setting it: in setup mode firmware has none to delete`,
    };
  if (variable === "PK" && (count !== 1 || certificates.length !== 1)) {
    return {
      severity: "error",
      message: "is not exactly one certificate, as a platform key must be: firmware refuses it",
    };
  }
  const odd = certificates.find(({ x509 }) => x509.publicKey.asymmetricKeyType !== "rsa");
  if (odd !== undefined) {
    return {
      severity: "error",
      message: `contains a certificate with a key (${keyName(odd)}) that firmware refuses; it accepts RSA only`,
    };
  }
  if (variable === "KEK" && certificates.length === 0) {
    return { severity: "warning", message: "contains no certificate: db and dbx could never be changed" };
  }
  if (variable === "db" && certificates.length === 0 && imageHashes.length === 0) {
    return { severity: "warning", message: "contains no certificate and no hash of a program: nothing would start" };
  }
  return null;
}

/** Whether an update is signed by whoever may change the variable, as far as that is at hand. */
function signerProblem(
  variable: SecureBootVariable,
  { signerCertificate, certificates }: SignedMessage,
  updates: EnrollKeys["updates"],
): EnrollProblem | null {
  const owner = SIGNED_BY[variable];
  const trusted = updates.get(owner)?.database.certificates ?? [];
  if (trusted.length === 0 || signerCertificate === null) return null;
  if (findTrustPath(signerCertificate, certificates, trusted) !== null) return null;
  const whose = owner === variable ? "the key in it" : `a key of ${enrollFileName(owner)}`;
  const fix = "take all files from one run of seal keys generate";
  const message = `is not signed by ${whose}, but by ${signerCertificate.subjectText}`;
  return variable === "PK"
    ? { variable, severity: "error", message: `${message}: firmware refuses it`, fix }
    : {
        variable,
        severity: "warning",
        message: `${message}: firmware that checks this refuses it, and the machine is left half enrolled`,
        fix,
      };
}

/** The result, or the reason without subject of the error about a file. */
function reading<Result extends object>(read: () => Result, subject: string): Result | string {
  try {
    return read();
  } catch (error) {
    if (!(error instanceof SealError)) throw error;
    return error.message.replace(`${subject}: `, "");
  }
}
