/**
 * Event logs of TPM 2.0, as Linux shows them in /sys/kernel/security/tpm0/binary_bios_measurements: the crypto-agile
 * form (TCG PC Client Platform Firmware Profile 1.05, 10.2):
 *
 *     TCG_PCClientPCREvent   PCR, type, SHA-1 digest, size, event: TCG_EfiSpecIDEvent, which says how long digests are
 *     TCG_PCR_EVENT2 …       PCR, type, count and digests (algorithm, digest), size, event
 *
 * A log proves nothing by itself: it is worth as much as the PCR values that it replays to, and those as a
 * TPM's quote of them.
 */
import { Cursor, equalBytes, toHex } from "../bytes.ts";
import { inputError } from "../errors.ts";
import { type BankValues, EVENT_TYPES, type PcrBank, type PcrEvent } from "./pcr-events.ts";

/** An event of a log. */
export interface LoggedEvent {
  readonly pcr: number;
  /** `EV_…`; the number in hex for a type that is not known. */
  readonly type: string;
  /** Of the banks that are known. */
  readonly digests: BankValues;
  readonly data: Uint8Array;
}

const SIGNATURE = "Spec ID Event03\0";
/** PCR, type, SHA-1 digest, size. */
const FIRST_HEADER = 4 + 4 + 20 + 4;
/** Of the PC Client profile, and 8 more. */
const MAX_PCR = 31;
/** TPM_ALG_ID (TCG Algorithm Registry) of the banks, and the size of their digests. */
const BANKS: Readonly<Record<number, readonly [PcrBank, number]>> = {
  4: ["sha1", 20],
  11: ["sha256", 32],
  12: ["sha384", 48],
  13: ["sha512", 64],
};
/** TPMs have a handful of banks; a log with more is made to waste time. */
const MAX_ALGORITHMS = 16;

/** Machines log some hundred. An event without digests and data has 16 bytes, and in memory many times that. */
const MAX_EVENTS = 1 << 16;

/**
 * Reads a log; data and digests are views of it.
 * @throws SealError `input` when it is not in the crypto-agile format, or is truncated or corrupt
 */
export function parseEventLog(bytes: Uint8Array, subject: string): LoggedEvent[] {
  const cursor = new Cursor(bytes, subject);
  const first = cursor.u32(FIRST_HEADER - 4, "the size of the first event");
  const sizes = digestSizes(new Cursor(cursor.slice(FIRST_HEADER, first, "the first event"), subject));
  const events: LoggedEvent[] = [];
  for (let offset = FIRST_HEADER + first; offset < bytes.length; ) {
    const what = `event ${events.length + 2}`;
    if (events.length === MAX_EVENTS) throw inputError(subject, `corrupt: it has more than ${MAX_EVENTS} events`);
    const pcr = cursor.u32(offset, what);
    const type = cursor.u32(offset + 4, what);
    const count = cursor.u32(offset + 8, what);
    if (pcr > MAX_PCR) throw inputError(subject, `corrupt: ${what} is for PCR ${pcr}`);
    if (count > sizes.size) throw inputError(subject, `corrupt: ${what} has ${count} digests`);
    offset += 12;
    const digests: Partial<Record<PcrBank, Uint8Array>> = {};
    for (let index = 0; index < count; index++) {
      const algorithm = cursor.u16(offset, what);
      const size = sizes.get(algorithm);
      if (size === undefined) throw inputError(subject, `corrupt: ${what} has a digest of algorithm ${algorithm}`);
      const bank = BANKS[algorithm]?.[0];
      const digest = cursor.slice(offset + 2, size, what);
      if (bank !== undefined) digests[bank] = digest;
      offset += 2 + size;
    }
    const length = cursor.u32(offset, what);
    events.push({ pcr, type: typeName(type), digests, data: cursor.slice(offset + 4, length, what) });
    offset += 4 + length;
  }
  return events;
}

/**
 * Reads TCG_EfiSpecIDEvent: signature, platform, version, size of UINTN, then algorithms with the
 * size of their digests.
 */
function digestSizes(event: Cursor): ReadonlyMap<number, number> {
  const { subject } = event;
  const signature = Buffer.from(event.bytes.subarray(0, SIGNATURE.length)).toString("latin1");
  if (signature !== SIGNATURE) {
    throw inputError(
      subject,
      "is not an event log of TPM 2.0 (its first event is not Spec ID Event03); logs of TPM 1.2, which have SHA-1 digests only, are not supported",
    );
  }
  const count = event.u32(24, "the number of algorithms");
  if (count === 0 || count > MAX_ALGORITHMS) throw inputError(subject, `corrupt: it has ${count} algorithms`);
  const sizes = new Map<number, number>();
  for (let index = 0; index < count; index++) {
    const algorithm = event.u16(28 + 4 * index, "an algorithm");
    const size = event.u16(30 + 4 * index, "the size of digests");
    const known = BANKS[algorithm]?.[1];
    if (sizes.has(algorithm) || (known !== undefined && size !== known)) {
      throw inputError(subject, `corrupt: algorithm ${algorithm} with digests of ${size} bytes`);
    }
    sizes.set(algorithm, size);
  }
  return sizes;
}

const TYPE_NAMES: ReadonlyMap<number, string> = new Map(
  Object.entries(EVENT_TYPES).map(([name, type]) => [type, name]),
);

function typeName(type: number): string {
  return TYPE_NAMES.get(type) ?? `0x${type.toString(16)}`;
}

/** The events that extended a PCR. Those without action did not. */
export function extendingEvents(log: readonly LoggedEvent[], pcr: number): LoggedEvent[] {
  return log.filter((event) => event.pcr === pcr && event.type !== "EV_NO_ACTION");
}

/**
 * Where the events of a PCR are not those that were computed.
 * @param logged of that PCR, in order
 * @returns null when all are the same
 */
export function findLogDifference(
  computed: readonly PcrEvent[],
  logged: readonly LoggedEvent[],
  banks: readonly PcrBank[],
): string | null {
  for (const [index, { type, digests, description }] of computed.entries()) {
    const wanted = `event ${index + 1} should be ${type} (${description})`;
    const event = logged[index];
    if (event === undefined) return `${wanted}, the log ends before`;
    if (event.type !== type) return `${wanted}, the log has ${event.type}`;
    for (const bank of banks) {
      const [own, other] = [digests[bank], event.digests[bank]];
      if (other === undefined) return `the log has no ${bank} digests`;
      if (own === undefined || !equalBytes(own, other))
        return `${wanted}, the log has another digest (${toHex(other)})`;
    }
  }
  const further = logged[computed.length];
  return further === undefined ? null : `the log has an additional event ${computed.length + 1}: ${further.type}`;
}
