/** Event logs of TPM 2.0 in the crypto-agile form, written by the words of the specification. */
import { EVENT_TYPES, type PcrEvent } from "../../src/pe/pcr-events.ts";

export const TPM_ALGORITHMS = { sha1: 0x04, sha256: 0x0b, sha384: 0x0c, sha512: 0x0d } as const;
const SIZES = { sha1: 20, sha256: 32, sha384: 48, sha512: 64 } as const;
export type LogBank = keyof typeof TPM_ALGORITHMS;

export interface EventToLog {
  readonly pcr: number;
  readonly type: number;
  readonly digests: Readonly<Partial<Record<LogBank, Uint8Array>>>;
  readonly data: Uint8Array;
}

const u16 = (value: number) => Uint8Array.of(value & 0xff, value >> 8);
function u32(value: number): Uint8Array {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
}

export function encodeEventLog(banks: readonly LogBank[], events: readonly EventToLog[]): Uint8Array {
  const header = Buffer.concat([
    Buffer.from("Spec ID Event03\0"),
    u32(0),
    Uint8Array.of(0, 2, 0, 2),
    u32(banks.length),
    ...banks.flatMap((bank) => [u16(TPM_ALGORITHMS[bank]), u16(SIZES[bank])]),
    Uint8Array.of(0),
  ]);
  return Buffer.concat([
    ...[u32(0), u32(EVENT_TYPES.EV_NO_ACTION), Buffer.alloc(20), u32(header.length), header],
    ...events.flatMap(({ pcr, type, digests, data }) => {
      const present = banks.filter((bank) => digests[bank] !== undefined);
      const list = present.flatMap((bank) => [u16(TPM_ALGORITHMS[bank]), digests[bank] ?? new Uint8Array()]);
      return [u32(pcr), u32(type), u32(present.length), ...list, u32(data.length), data];
    }),
  ]);
}

/** A log with the events of some PCRs. */
export function logOf(
  banks: readonly LogBank[],
  pcrs: ReadonlyMap<number, readonly Pick<PcrEvent, "type" | "digests">[]>,
): Uint8Array {
  const events = [...pcrs].flatMap(([pcr, list]) =>
    list.map(({ type, digests }) => ({ pcr, type: EVENT_TYPES[type], digests, data: new Uint8Array() })),
  );
  return encodeEventLog(banks, events);
}
