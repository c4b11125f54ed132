/**
 * What firmware measures into PCR 7, the policy of Secure Boot (TCG PC Client Platform Firmware Profile 1.05, 3.3.4.8):
 * the variables, a separator, then each entry of db that let an image start, once.
 */
import { equalBytes } from "../bytes.ts";
import { concat } from "../chunks.ts";
import { dataEvent, type Measured, type PcrBank, type PcrEvent, separatorEvent } from "../pe/pcr-events.ts";
import type { Authority } from "./authority.ts";
import { namedVariable, type OtherVariable, SECURE_BOOT_VARIABLES, VARIABLE_VENDORS } from "./authvar.ts";
import { SECURE_BOOT_ENABLE } from "./enroll.ts";
import { encodeGuid } from "./guid.ts";
import { type StoredVariable, variableKey } from "./ovmf.ts";
import { parseSignatureLists, type SignatureList } from "./siglist.ts";

/** What the variables of a firmware say. */
export interface SecureBootPolicy {
  /** Whether signatures are enforced: the variable SecureBoot. */
  readonly enforced: boolean;
  /** Whether there is no platform key, so that nothing is enforced and anyone may enrol keys. */
  readonly setupMode: boolean;
  /**
   * PK, KEK, db and dbx, and dbt where there is one, in the order in which they are measured; empty
   * where there is none.
   */
  readonly variables: readonly { readonly id: OtherVariable; readonly value: Uint8Array }[];
  readonly db: readonly SignatureList[];
  readonly dbx: readonly SignatureList[];
}

/** Certificates of time stamps (UEFI specification 32.6.1). EDK II measures it only where it exists. */
export const TIME_STAMPS = { name: "dbt", vendor: VARIABLE_VENDORS.db };
export const SECURE_BOOT = { name: "SecureBoot", vendor: VARIABLE_VENDORS.PK };

/**
 * The policy of a firmware from its next start on: enforced if there is a platform key and it is not switched off. A
 * running system does not see that switch, but what the firmware has made of it.
 * @param stored what its variable store holds, or what a running system sees of it
 * @param subject the store, for messages
 * @throws SealError `input` when db or dbx is corrupt
 */
export function readPolicy(
  stored: readonly Pick<StoredVariable, "name" | "vendor" | "value">[],
  subject: string,
): SecureBootPolicy {
  const find = (id: OtherVariable) => stored.find((variable) => variableKey(variable) === variableKey(id))?.value;
  const value = (id: OtherVariable) => find(id) ?? new Uint8Array();
  const lists = (name: "db" | "dbx") => parseSignatureLists(value(namedVariable(name)), `${subject}: ${name}`);
  const ids = [...SECURE_BOOT_VARIABLES.map(namedVariable), ...(find(TIME_STAMPS) === undefined ? [] : [TIME_STAMPS])];
  const isOn = (find(SECURE_BOOT_ENABLE) ?? find(SECURE_BOOT))?.[0] !== 0;
  const setupMode = find(namedVariable("PK")) === undefined;
  return {
    enforced: isOn && !setupMode,
    setupMode,
    variables: ids.map((id) => ({ id, value: value(id) })),
    db: lists("db"),
    dbx: lists("dbx"),
  };
}

/**
 * The events of PCR 7.
 * @param authorities entries of db that let images start, in the order of the images
 */
export function policyEvents(
  { enforced, variables }: SecureBootPolicy,
  authorities: readonly Authority[],
  banks: readonly PcrBank[],
): PcrEvent[] {
  const state = Uint8Array.of(enforced ? 1 : 0);
  const used: { readonly value: Uint8Array; readonly subject: string }[] = [];
  for (const { entry, subject } of authorities) {
    const value = concat([encodeGuid(entry.owner), entry.data]);
    if (!used.some((known) => equalBytes(known.value, value))) used.push({ value, subject });
  }
  return [
    variableEvent("EV_EFI_VARIABLE_DRIVER_CONFIG", SECURE_BOOT, state, banks, `SecureBoot = ${state[0]}`),
    ...variables.map(({ id, value }) =>
      variableEvent(
        "EV_EFI_VARIABLE_DRIVER_CONFIG",
        id,
        value,
        banks,
        value.length === 0 ? `${id.name}, which does not exist` : `${id.name}, ${value.length} bytes`,
      ),
    ),
    separatorEvent(banks),
    ...used.map(({ value, subject }) =>
      variableEvent("EV_EFI_VARIABLE_AUTHORITY", namedVariable("db"), value, banks, `entry of db: ${subject}`),
    ),
  ];
}

/** UEFI_VARIABLE_DATA (the profile, 10.2.6): vendor, lengths of name and value, name in UTF-16 without NUL, value. */
function variableEvent(
  type: "EV_EFI_VARIABLE_DRIVER_CONFIG" | "EV_EFI_VARIABLE_AUTHORITY",
  { name, vendor }: OtherVariable,
  value: Uint8Array,
  banks: readonly PcrBank[],
  description: string,
): PcrEvent {
  const lengths = new DataView(new ArrayBuffer(16));
  lengths.setBigUint64(0, BigInt(name.length), true);
  lengths.setBigUint64(8, BigInt(value.length), true);
  const data = [encodeGuid(vendor), new Uint8Array(lengths.buffer), Buffer.from(name, "utf16le"), value];
  const measured: Measured = type === "EV_EFI_VARIABLE_AUTHORITY" ? { kind: "authority" } : { kind: "variable", name };
  return dataEvent(type, data, banks, { description, measured });
}
