/** The variable store of the virtual machine: which keys its firmware knows, and what became of it. */
import { inputError, SealError } from "../../errors.ts";
import { readInput, SMALL_FILE } from "../../io/read-input.ts";
import { type Firmware, findFirmware, type MachineArch } from "../../io/vm/machine-types.ts";
import type { ReadProgram } from "../../lint/boot-programs.ts";
import { programProblem } from "../../lint/signatures.ts";
import { namedVariable, SECURE_BOOT_VARIABLES, type SecureBootVariable } from "../../sign/authvar.ts";
import { listedCertificates } from "../../sign/database.ts";
import { type Enrolment, enroll } from "../../sign/enroll.ts";
import { parseVariableStore, type VariableStore, variableKey, writeVariableStore } from "../../sign/ovmf.ts";
import { readPolicy } from "../../sign/secure-boot-policy.ts";
import { type SignatureList, X509_TYPE } from "../../sign/siglist.ts";
import { type Context, userPath } from "../context.ts";
import { directoryFiles } from "../keys/enrolments.ts";
import { NO_OWNER, readKeyFiles, readVariableSource } from "../keys/trust-sources.ts";

/**
 * How the machine starts: keys enrolled and enforced; none, for systemd-boot to enrol them; none,
 * and none get enrolled.
 */
export const SECURE_BOOT_MODES = ["enforced", "setup", "off"] as const;
export type SecureBootMode = (typeof SECURE_BOOT_MODES)[number];

export interface KeyOptions {
  /** Directory with PK.auth, KEK.auth, db.auth and perhaps dbx.auth. */
  readonly enroll?: string | undefined;
  /** Certificates for db, and the first one for PK and KEK without `enroll`. */
  readonly cert: readonly string[];
  readonly dbx: readonly string[];
}

export interface FirmwareOptions {
  readonly arch: MachineArch;
  readonly firmwareCode?: string | undefined;
  readonly firmwareVars?: string | undefined;
}

/**
 * The variable store that a machine starts with.
 * @param vars path of an empty one
 */
export async function prepareVars(
  context: Context,
  vars: string,
  mode: SecureBootMode,
  keys: KeyOptions,
): Promise<Uint8Array> {
  const store = parseVariableStore(await readInput(vars, SMALL_FILE), vars);
  const hasPlatformKey = variableValue(store, namedVariable("PK")) !== null;
  if (mode === "enforced") return writeVariableStore(store, enroll(store, await readEnrolments(context, keys)));
  if (hasPlatformKey) {
    throw inputError(vars, "has a platform key, so this is not setup mode; give an empty one with --firmware-vars");
  }
  return store.file;
}

async function readEnrolments(
  context: Context,
  { enroll: directory, cert, dbx }: KeyOptions,
): Promise<Partial<Record<SecureBootVariable, Enrolment>>> {
  const updates = directory === undefined ? null : await directoryFiles(context, directory);
  const given: Readonly<Partial<Record<SecureBootVariable, readonly string[]>>> = { db: cert, dbx };
  const enrolments: Partial<Record<SecureBootVariable, Enrolment>> = {};
  for (const name of SECURE_BOOT_VARIABLES) {
    const files = [...(updates?.get(name) ?? []), ...(await readKeyFiles(context, given[name] ?? []))];
    if (files.length === 0) continue;
    const { lists, time } = readVariableSource(name, files, NO_OWNER);
    if (lists.length === 0 && name !== "dbx") {
      throw inputError(files.map(({ subject }) => subject).join(", "), `has no entries for ${name}`);
    }
    enrolments[name] = { lists, append: false, time };
  }
  if (updates !== null) return enrolments;
  // A machine that runs for a minute needs no separate platform key, but must have one.
  const lists = firstCertificate(enrolments.db?.lists ?? [], cert.join(", "));
  const own: Enrolment = { lists, append: false, time: null };
  return { ...enrolments, PK: own, KEK: own };
}

function firstCertificate(lists: readonly SignatureList[], subject: string): SignatureList[] {
  const certificates = lists.find(({ type }) => type === X509_TYPE);
  if (certificates === undefined) throw inputError(subject, "has no certificate; give one, or --enroll");
  return [{ ...certificates, signatures: certificates.signatures.slice(0, 1) }];
}

/** Whether the firmware that has this variable store enforces signatures from its next start on. */
export function enforcesSignatures(vars: Uint8Array): boolean {
  return readPolicy(parseVariableStore(vars, "variable store").variables, "variable store").enforced;
}

/**
 * What is wrong with the signatures of a boot loader that firmware did not start, one clause.
 * @param loader null: it is not known
 * @param vars the firmware's variable store
 * @returns null if that does not say
 */
export function loaderRefusal(loader: ReadProgram | null, vars: Uint8Array, now: Date): string | null {
  if (loader === null) return null;
  const store = "variable store";
  const { db } = readPolicy(parseVariableStore(vars, store).variables, store);
  const problem = programProblem(loader, { certificates: listedCertificates(db, "db"), now });
  // What other verifiers would mind is not a reason of firmware's.
  if (problem === null || problem.severity !== undefined) return null;
  return `bootc install takes it from ${loader.path}. ${problem.message.replace(/\.$/, "")}`;
}

function variableValue(store: VariableStore, id: Parameters<typeof variableKey>[0]): Uint8Array | null {
  return store.variables.find((variable) => variableKey(variable) === variableKey(id))?.value ?? null;
}

/** What EDK II with Secure Boot keeps in its variable store from its first start on, whatever else is in there. */
const AUTHENTICATED_ONLY = "certdb";

/**
 * Firmware that knows no Secure Boot would boot everything, and prove nothing.
 * @param vars its variable store after it has started
 * @throws SealError `external` when it knows none
 */
export function checkKnowsSecureBoot(vars: Uint8Array, firmwareCode: string): void {
  const { variables } = parseVariableStore(vars, "variable store");
  if (variables.some(({ name }) => name === AUTHENTICATED_ONLY)) return;
  throw new SealError(
    "external",
    `${firmwareCode}: this firmware does not support Secure Boot; give one that does (OVMF_CODE_4M.secboot.fd)`,
  );
}

/** The firmware that the user named, else what is installed; null where a part of it is not. */
export async function chooseFirmware(
  context: Context,
  { arch, firmwareCode, firmwareVars }: FirmwareOptions,
): Promise<Firmware | null> {
  const path = (given: string | undefined, found: string | undefined) =>
    given === undefined ? found : userPath(context, given);
  const installed = await findFirmware(arch);
  const [code, vars] = [path(firmwareCode, installed?.code), path(firmwareVars, installed?.vars)];
  return code === undefined || vars === undefined ? null : { code, vars };
}
