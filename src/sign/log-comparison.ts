/**
 * Whether an event log is that of a machine that booted certain files: each event that they account for (PCR 4, 7, 11
 * and 12) is held against the log in its order, the firmware's own events are skipped, and whatever is left is foreign.
 * A log proves nothing by itself: it is worth as much as a quote of the PCRs that it replays to.
 */
import { equalBytes, latin1 } from "../bytes.ts";
import { ukiCmdlines } from "../pe/boot-parameters.ts";
import { extendingEvents, type LoggedEvent } from "../pe/event-log.ts";
import { isHashOfData, loggedText } from "../pe/log-event.ts";
import {
  type BankValues,
  type EventType,
  inBanks,
  type PcrBank,
  type PcrEvent,
  replayEvents,
} from "../pe/pcr-events.ts";
import type { BootPath, BootReference } from "./boot-reference.ts";
import { type EventWords, type MismatchReason, wordsOf } from "./log-words.ts";
import { loggedVariable } from "./logged-variable.ts";
import type { SecureBootPolicy } from "./secure-boot-policy.ts";

/** A way to boot, computed in all banks of the log. */
export interface LoggableWay extends BootReference {
  readonly bootPath: BootPath;
}

/** The first event that is not what it should be. */
export interface LogMismatch {
  /** Which one, from 1, the one that says what form the log has included; null: one is missing at the end. */
  readonly event: number | null;
  readonly pcr: number;
  /** `EV_…`; of one that is missing the type that it should have. */
  readonly type: string;
  readonly reason: MismatchReason;
  /** One clause. */
  readonly text: string;
}

/** What of a log is not the image's, and why it may be there. */
export type PassedOver =
  /** PCR 0 to 3, 5 and 6: firmware, its configuration, partition tables. */
  | "firmware"
  /** Attempts to boot (PCR 4). */
  | "boot attempts"
  /** Linux' EFI stub notes command line and initramfs again (PCR 9). */
  | "linux"
  /** Boot loaders before systemd 257 hand over the UKI's own command line as if it came from outside (PCR 12). */
  | "own command line";

/** Whether an event log is that of a machine that booted the image. */
export interface LogVerdict<Way extends LoggableWay> {
  /** The way to boot that the log is of; where it is of none, the one that comes closest. */
  readonly way: Way;
  /** Null: the log is of this way. */
  readonly mismatch: LogMismatch | null;
  /** How many events were as computed. */
  readonly matched: number;
  readonly passedOver: ReadonlyMap<PassedOver, number>;
  /** How many of the skipped ones have an unknown type. */
  readonly unknownTypes: number;
}

/** The PCRs that are computed. */
export const COMPARED_PCRS = [4, 7, 11, 12] as const;
/** Those that firmware extends with what no image accounts for. */
const FIRMWARE_PCRS: readonly number[] = [0, 1, 2, 3, 5, 6];
const LINUX_PCR = 9;
/** What firmware notes when it tries to boot (the profile, 3.3.4.5). */
const ATTEMPTS = ["Calling EFI Application from Boot Option", "Returning from EFI Application from Boot Option"];
/** What replaces them if firmware is configured not to record them (10.4.1, EV_OMIT_BOOT_DEVICE_EVENTS). */
const OMITTED = ["BOOT ATTEMPTS OMITTED"];
/** Into PCR 5, when the operating system takes over (the profile, 3.3.4.6): the end of a log that is whole. */
const TAKEOVER = "Exit Boot Services Invocation";

/**
 * Compares a log with all ways to boot. Nothing is true by default: an event that nothing accounts for makes it
 * another's log, and so does its end before the kernel took over.
 * @param ways at least one
 * @param banks those that are compared, which the ways were computed in
 */
export function compareLog<Way extends LoggableWay>(
  log: readonly LoggedEvent[],
  ways: readonly [Way, ...Way[]],
  policy: SecureBootPolicy,
  banks: readonly PcrBank[],
): LogVerdict<Way> {
  const [first, ...others] = ways;
  let best = compareWay(log, first, policy, banks);
  for (const way of others) {
    const verdict = compareWay(log, way, policy, banks);
    if (reach(verdict) > reach(best)) best = verdict;
  }
  return best;
}

/** How far a log is that of a way. */
function reach({ mismatch, matched }: LogVerdict<LoggableWay>): number {
  return mismatch === null ? Number.POSITIVE_INFINITY : matched;
}

function compareWay<Way extends LoggableWay>(
  log: readonly LoggedEvent[],
  way: Way,
  policy: SecureBootPolicy,
  banks: readonly PcrBank[],
): LogVerdict<Way> {
  // Boot attempts are distinguished from other actions by their text; their number is up to the firmware.
  const pending = new Map<number, readonly PcrEvent[]>(
    way.pcrs.map(({ pcr, events }) => [pcr, events.filter(({ measured }) => measured.kind !== "action")]),
  );
  const passedOver = new Map<PassedOver, number>();
  let [matched, unknownTypes, isWhole] = [0, 0, false];
  const verdict = (mismatch: LogMismatch | null) => ({ way, mismatch, matched, passedOver, unknownTypes });
  for (const [index, event] of log.entries()) {
    if (event.type === "EV_NO_ACTION") continue;
    isWhole ||= event.pcr === 5 && says(event, "EV_EFI_ACTION", [TAKEOVER], banks);
    const passed = passedOverAs(event, way, banks);
    if (passed !== null) {
      passedOver.set(passed, (passedOver.get(passed) ?? 0) + 1);
      if (event.type.startsWith("0x")) unknownTypes++;
      continue;
    }
    const [expected, ...rest] = pending.get(event.pcr) ?? [];
    if (expected === undefined || !(isSame(expected, event, banks) || isOffToo(expected, event, policy, banks))) {
      const words = wordsOf(event, expected ?? null, { way, policy, banks });
      return verdict({ event: index + 2, pcr: event.pcr, type: event.type, ...words });
    }
    pending.set(event.pcr, rest);
    matched++;
  }
  for (const pcr of COMPARED_PCRS) {
    const [expected] = pending.get(pcr) ?? [];
    if (expected !== undefined)
      return verdict({ event: null, pcr, type: expected.type, ...missing(expected, isWhole) });
  }
  return verdict(isWhole ? null : { event: null, pcr: 5, type: "EV_EFI_ACTION", ...CUT });
}

const CUT: EventWords = {
  reason: "cut",
  text: `the log ends before the kernel took over from the firmware (no “${TAKEOVER}”): what followed is unknown`,
};

function missing({ measured, description }: PcrEvent, isWhole: boolean): EventWords {
  if (!isWhole) return { reason: "cut", text: `the log ends before ${description} was measured` };
  const what = measured.kind === "program" ? `${measured.role} ${description}` : description;
  return { reason: "missing", text: `${what} was not measured` };
}

function isSame({ type, digests }: PcrEvent, event: LoggedEvent, banks: readonly PcrBank[]): boolean {
  return type === event.type && banks.every((bank) => isSameDigest(digests, event.digests, bank));
}

/**
 * Whether the firmware says that Secure Boot is off by a variable without a value: some have none
 * until keys are enrolled.
 */
function isOffToo(
  { measured }: PcrEvent,
  event: LoggedEvent,
  { enforced }: SecureBootPolicy,
  banks: readonly PcrBank[],
): boolean {
  if (enforced || measured.kind !== "variable" || measured.name !== "SecureBoot") return false;
  const variable = event.type === "EV_EFI_VARIABLE_DRIVER_CONFIG" ? loggedVariable(event) : null;
  return variable?.name === measured.name && variable.value.length === 0 && isHashOfData(event, banks);
}

function isSameDigest(a: BankValues, b: BankValues, bank: PcrBank): boolean {
  const [one, other] = [a[bank], b[bank]];
  return one !== undefined && other !== undefined && equalBytes(one, other);
}

/** Whether one of these texts was measured. The log's name for the event proves nothing. */
function says(event: LoggedEvent, type: EventType, texts: readonly string[], banks: readonly PcrBank[]): boolean {
  return event.type === type && texts.includes(latin1(event.data)) && isHashOfData(event, banks);
}

/** Null: it has to be accounted for. */
function passedOverAs(event: LoggedEvent, way: LoggableWay, banks: readonly PcrBank[]): PassedOver | null {
  const { pcr } = event;
  if (FIRMWARE_PCRS.includes(pcr)) return "firmware";
  if (pcr === LINUX_PCR) return "linux";
  const isAttempt =
    says(event, "EV_EFI_ACTION", ATTEMPTS, banks) || says(event, "EV_OMIT_BOOT_DEVICE_EVENTS", OMITTED, banks);
  if (pcr === 4 && isAttempt) return "boot attempts";
  return pcr === 12 && way.unknown !== null && isOwnCmdline(event, way, banks) ? "own command line" : null;
}

/** Whether it is a command line that the UKI has anyway. */
function isOwnCmdline(event: LoggedEvent, { bootPath }: LoggableWay, banks: readonly PcrBank[]): boolean {
  const isText = event.type === "EV_IPL" && isHashOfData(event, banks);
  return isText && ukiCmdlines(bootPath.uki.pe).includes(loggedText(event).trim());
}

/** The values that a log makes of the PCRs that are compared, in the banks that all their events have. */
export function replayLog(
  log: readonly LoggedEvent[],
  banks: readonly PcrBank[],
): { pcr: number; values: BankValues }[] {
  return COMPARED_PCRS.map((pcr) => {
    const events = extendingEvents(log, pcr);
    const whole = banks.filter((bank) => events.every(({ digests }) => digests[bank] !== undefined));
    return { pcr, values: inBanks(whole, (bank) => replayEvents(events, bank)) };
  });
}
