/**
 * Puts Secure Boot keys into a variable store: the variables that a machine in user mode has, as EDK II writes them.
 */
import { inputError } from "../errors.ts";
import { namedVariable, SECURE_BOOT_ATTRIBUTES, SECURE_BOOT_VARIABLES, type SecureBootVariable } from "./authvar.ts";
import { listedCertificates } from "./database.ts";
import { type EfiTime, encodeTime } from "./efi-time.ts";
import { knownGuid } from "./guid.ts";
import { joinSignatureLists } from "./list-source.ts";
import { type StoredVariable, type VariableStore, variableKey } from "./ovmf.ts";
import { encodeSignatureLists, parseSignatureLists, type SignatureList } from "./siglist.ts";

/** What is to become of one variable. */
export interface Enrolment {
  readonly lists: readonly SignatureList[];
  /** Keep what the variable holds. */
  readonly append: boolean;
  /** When it changes; null: when the newest certificate in it became valid. Later updates must be newer. */
  readonly time: Date | EfiTime | null;
}

/** What is to be enrolled, by variable. */
export type Enrolments = Readonly<Partial<Record<SecureBootVariable, Enrolment>>>;

/** NON_VOLATILE and BOOTSERVICE_ACCESS. */
const SWITCH_ATTRIBUTES = 0x03;
/** gEfiSecureBootEnableDisableGuid and gEfiCustomModeEnableGuid of EDK II. */
export const SECURE_BOOT_ENABLE = {
  name: "SecureBootEnable",
  vendor: knownGuid("f0a30bc7-af08-4556-99c4-001009c93a44"),
};
const CUSTOM_MODE = { name: "CustomMode", vendor: knownGuid("c076ec0c-7028-4399-a072-71ee5c448b9f") };

/** Before all certificates in use; the time of variables that hold none. */
const EARLY = new Date("2010-01-01T00:00:00Z");

/**
 * The variables of a store after enrolment, with Secure Boot on and custom mode, which would let programs change keys
 * without signatures, off.
 * @throws SealError `input` when there is no platform key then, or several, or no db: nothing would boot or be checked
 */
export function enroll(store: Pick<VariableStore, "variables" | "subject">, enrolments: Enrolments): StoredVariable[] {
  const variables = new Map(store.variables.map((variable) => [variableKey(variable), variable]));
  for (const name of SECURE_BOOT_VARIABLES) {
    const enrolment = enrolments[name];
    if (enrolment === undefined) continue;
    const key = variableKey(namedVariable(name));
    const old = variables.get(key);
    variables.set(key, enrolVariable(name, enrolment, old, store.subject));
  }
  checkResult(variables, store.subject);
  for (const [id, value] of [
    [SECURE_BOOT_ENABLE, 1],
    [CUSTOM_MODE, 0],
  ] as const) {
    const plain = { time: new Uint8Array(16), monotonicCount: 0n, publicKeyIndex: 0 };
    variables.set(variableKey(id), { ...id, ...plain, attributes: SWITCH_ATTRIBUTES, value: Uint8Array.of(value) });
  }
  return [...variables.values()];
}

function enrolVariable(
  name: SecureBootVariable,
  { lists, append, time }: Enrolment,
  old: StoredVariable | undefined,
  subject: string,
): StoredVariable {
  const kept = append && old !== undefined ? parseSignatureLists(old.value, `${subject}: ${name}`) : [];
  const joined = joinSignatureLists([kept, lists]);
  return {
    ...namedVariable(name),
    attributes: SECURE_BOOT_ATTRIBUTES,
    time: encodeTime(time ?? newestStart(joined)),
    monotonicCount: 0n,
    publicKeyIndex: 0,
    value: encodeSignatureLists(joined),
  };
}

function newestStart(lists: readonly SignatureList[]): Date {
  const times = listedCertificates(lists, "certificate").map(({ notBefore }) => notBefore.getTime());
  return new Date(times.reduce((newest, time) => Math.max(newest, time), EARLY.getTime()));
}

function checkResult(variables: ReadonlyMap<string, StoredVariable>, subject: string): void {
  const listsOf = (name: SecureBootVariable) =>
    parseSignatureLists(
      variables.get(variableKey(namedVariable(name)))?.value ?? new Uint8Array(),
      `${subject}: ${name}`,
    );
  const pk = listsOf("PK");
  if (pk.length === 0)
    throw inputError(subject, "has no platform key, without which Secure Boot stays off; give one with --pk");
  if (listedCertificates(pk, "PK").length !== 1 || pk.flatMap(({ signatures }) => signatures).length !== 1) {
    throw inputError(subject, "the platform key must be one certificate");
  }
  if (listsOf("db").length === 0)
    throw inputError(subject, "has no db, and nothing would boot; give a certificate with --db");
}
