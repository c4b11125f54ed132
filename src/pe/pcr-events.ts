/**
 * Events that firmware and boot programs measure: each extends a PCR by a digest and is noted in the event log (TCG PC
 * Client Platform Firmware Profile 1.05, "the profile" below, 10.2 and 10.4.1).
 */
import { utf8 } from "../bytes.ts";
import { type Chunks, concat } from "../chunks.ts";
import { digestOf } from "./digest.ts";

/** Banks of a TPM, one for each hash, in the order in which they are reported. */
export const PCR_BANKS = ["sha1", "sha256", "sha384", "sha512"] as const;
/** The name of a hash algorithm of TPM PCRs. */
export type PcrBank = (typeof PCR_BANKS)[number];

/** The one of several banks whose digests people are shown. */
export function shownBank(banks: readonly PcrBank[]): PcrBank {
  return banks.includes("sha256") ? "sha256" : (banks[0] ?? "sha256");
}

/** The event types of the profile, 10.4.1, that matter for what boots. */
export const EVENT_TYPES = {
  EV_NO_ACTION: 0x03,
  EV_SEPARATOR: 0x04,
  EV_EVENT_TAG: 0x06,
  EV_S_CRTM_VERSION: 0x08,
  EV_PLATFORM_CONFIG_FLAGS: 0x0a,
  EV_IPL: 0x0d,
  EV_OMIT_BOOT_DEVICE_EVENTS: 0x12,
  EV_EFI_VARIABLE_DRIVER_CONFIG: 0x80000001,
  EV_EFI_VARIABLE_BOOT: 0x80000002,
  EV_EFI_BOOT_SERVICES_APPLICATION: 0x80000003,
  EV_EFI_BOOT_SERVICES_DRIVER: 0x80000004,
  EV_EFI_RUNTIME_SERVICES_DRIVER: 0x80000005,
  EV_EFI_GPT_EVENT: 0x80000006,
  EV_EFI_ACTION: 0x80000007,
  EV_EFI_PLATFORM_FIRMWARE_BLOB: 0x80000008,
  EV_EFI_VARIABLE_AUTHORITY: 0x800000e0,
} as const;
/** The name of an event type in a TCG event log. */
export type EventType = keyof typeof EVENT_TYPES;

/** Digests by bank. */
export type BankValues = Readonly<Partial<Record<PcrBank, Uint8Array>>>;

/** What is measured, for reports of differences. */
export type Measured =
  | { readonly kind: "action" | "separator" | "authority" | "profile" }
  | { readonly kind: "program"; readonly role: "boot loader" | "UKI" | "addon" | "kernel" }
  /** Of the firmware, by name. */
  | { readonly kind: "variable"; readonly name: string }
  /** Of a UKI; first its presence is measured, then its contents. */
  | { readonly kind: "section"; readonly name: string }
  /** What is added to that of the UKI. */
  | { readonly kind: "command line"; readonly from: "addons" | "machine"; readonly text: string }
  /** What an addon brings besides. */
  | { readonly kind: "addon section"; readonly name: string };

/** What extends a PCR. */
export interface PcrEvent {
  readonly type: EventType;
  /** In each bank that was asked for. */
  readonly digests: BankValues;
  /** What it is, for people. */
  readonly description: string;
  readonly measured: Measured;
}

/** An event whose digest is the hash of some bytes. */
export function dataEvent(
  type: EventType,
  data: Chunks,
  banks: readonly PcrBank[],
  what: Pick<PcrEvent, "description" | "measured">,
): PcrEvent {
  return { type, digests: inBanks(banks, (bank) => digestOf(bank, data)), ...what };
}

/** The end of what firmware measures by itself: four zero bytes (the profile, 10.4.1, EV_SEPARATOR). */
export function separatorEvent(banks: readonly PcrBank[]): PcrEvent {
  const what = { description: "00000000", measured: { kind: "separator" } } as const;
  return dataEvent("EV_SEPARATOR", [new Uint8Array(4)], banks, what);
}

/** An action of the firmware, measured as its text without NUL (the profile, 10.4.4). */
export function actionEvent(text: string, banks: readonly PcrBank[]): PcrEvent {
  return dataEvent("EV_EFI_ACTION", [utf8(text)], banks, { description: text, measured: { kind: "action" } });
}

/**
 * The value of a PCR that starts as zeros (TPM2_PCR_Extend; TPM 2.0 library, part 3: the hash of the old
 * value and a digest).
 */
export function replayEvents(events: readonly Pick<PcrEvent, "digests">[], bank: PcrBank): Uint8Array {
  let value: Uint8Array = new Uint8Array(digestOf(bank, []).length);
  for (const { digests } of events) {
    const digest = digests[bank];
    if (digest === undefined) throw new RangeError(`an event without a digest in bank ${bank}`);
    value = digestOf(bank, [concat([value, digest])]);
  }
  return value;
}

/** What is computed for each bank, in the given order. */
export function inBanks(banks: readonly PcrBank[], value: (bank: PcrBank) => Uint8Array): BankValues {
  return Object.fromEntries(banks.map((bank) => [bank, value(bank)]));
}
