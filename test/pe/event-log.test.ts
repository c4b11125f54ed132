import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { toHex } from "../../src/bytes.ts";
import { SealError } from "../../src/errors.ts";
import { extendingEvents, findLogDifference, parseEventLog } from "../../src/pe/event-log.ts";
import {
  actionEvent,
  EVENT_TYPES,
  PCR_BANKS,
  type PcrEvent,
  replayEvents,
  separatorEvent,
} from "../../src/pe/pcr-events.ts";
import { encodeEventLog, logOf } from "../support/event-log.ts";
import { vector } from "../support/vectors.ts";

/**
 * Of OVMF 2025.02, systemd-boot and systemd-stub 257, Linux 6.12, Secure Boot on, and what swtpm said of its PCRs then.
 */
const REAL = vector("event-log/ovmf-systemd.bin.gz");
const PCRS = {
  4: {
    sha1: "546f004ddcaffed4d0def2e17e1abcf000766142",
    sha256: "8a044c3d343110e5a760f4a3f558966142271517d8e540850b2c975c9ecdfa02",
    sha384: "a9b34456158e4edb3e8be0a2907664360145d2c411fa3974ab046622d929439d7a10ac0c33233cffbcc48a1e3b325914",
    sha512:
      "c1947a937720449c42b20e22fd947e2d1f380d117d1b5ea3615e9b7ddbb9c0b66c2482f4f2f88e892f5eb9f976146d67cee2db8060af020b76a93d2243972958",
  },
  7: {
    sha1: "1f329a7be56c3ddd5ae88b66814bd890b5e012fa",
    sha256: "0fd429c32a240460df347e3c83fa64a042920da9923b3025d3fa137688aa1acf",
    sha384: "5ec0d5854bfe6fc8a4dd1d22771a9c2fcdf92ff4c11e6d39c01d77bc25b5c8763fcf66b42c66913e448122f39b001a05",
    sha512:
      "724ee505403e0974a8b7e122dd2ecde05a831ef5c3437f658be1836c79b40f0acd8fbeba23aa0237ffe6fcff1056a09bf700210b088c08d84b397c104ebf8e26",
  },
  11: {
    sha1: "c79b6925f105bad5d962bb5bba90ece670907656",
    sha256: "900ce576aa3db16f2503ef3bb2c428958f0ec3b18f13ce49c830b5abcee3c2ef",
    sha384: "e630a00adf8b592c6a9ba7359e914258bd4b47a14b744ab0b9147e03d0347733e4f36f425c21380315757a27ec25c2f4",
    sha512:
      "0f7b55e247752fadb3ef3e6433d77e67e5893e9563801c0a5f263d6890d7851e187b80280851e1de6240b5c98d90d3a576c56a989ed0218b655a79b45c96a494",
  },
} as const;
/** Offset of the second event. */
const SECOND = 32 + REAL.readUInt32LE(28);

const parse = (bytes: Uint8Array) => parseEventLog(bytes, "log");
function patched(offset: number, ...bytes: number[]): Uint8Array {
  const copy = Uint8Array.from(REAL);
  copy.set(bytes, offset);
  return copy;
}

describe("a real log", () => {
  const log = parse(REAL);
  it.each([4, 7, 11] as const)("replays to the TPM's PCR %i in all banks", (pcr) => {
    const events = extendingEvents(log, pcr);
    for (const bank of PCR_BANKS) expect(toHex(replayEvents(events, bank))).toBe(PCRS[pcr][bank]);
  });
  it("has events by their names, unknown types by number", () => {
    expect(log.filter(({ pcr }) => pcr === 4).map(({ type }) => type)).toEqual([
      "EV_EFI_ACTION",
      "EV_SEPARATOR",
      "EV_EFI_BOOT_SERVICES_APPLICATION",
      "EV_EFI_BOOT_SERVICES_APPLICATION",
    ]);
    expect(parse(patched(SECOND + 4, 0xef, 0xbe, 0xad, 0xde))[0]?.type).toBe("0xdeadbeef");
    expect(Buffer.from(log.find(({ pcr }) => pcr === 4)?.data ?? []).toString()).toBe(
      "Calling EFI Application from Boot Option",
    );
  });
});

describe("event logs", () => {
  const bytes = (length: number) => fc.uint8Array({ minLength: length, maxLength: length });
  const event = fc.record({
    pcr: fc.nat(31),
    type: fc.constantFrom(...Object.values(EVENT_TYPES)),
    digests: fc.record({ sha1: bytes(20), sha384: bytes(48) }, { requiredKeys: [] }),
    data: fc.uint8Array({ maxLength: 40 }),
  });

  it("come back from their bytes", () => {
    const names = new Map<number, string>(Object.entries(EVENT_TYPES).map(([name, type]) => [type, name]));
    fc.assert(
      fc.property(fc.array(event, { maxLength: 6 }), (events) => {
        const expected = events.map((one) => ({ ...one, type: names.get(one.type) }));
        expect(parse(Uint8Array.from(encodeEventLog(["sha1", "sha384"], events)))).toEqual(expected);
      }),
    );
  });

  it.each([
    ["nothing", new Uint8Array(), /truncated/],
    ["text", Buffer.from("x".repeat(100)), /truncated/],
    ["another first event", patched(32, 0x54), /not an event log of TPM 2.0/],
    ["an empty first event", patched(28, 0, 0, 0, 0), /not an event log of TPM 2.0/],
    ["no algorithms", patched(32 + 24, 0), /0 algorithms/],
    ["very many algorithms", patched(32 + 24, 0xff, 0xff), /65535 algorithms/],
    ["an algorithm twice", patched(32 + 32, 0x04, 0), /algorithm 4 with digests/],
    ["digests of another size", patched(32 + 30, 19), /algorithm 4 with digests of 19 bytes/],
    ["a PCR that no TPM has", patched(SECOND, 32), /event 2 is for PCR 32/],
    ["more digests than algorithms", patched(SECOND + 8, 5), /event 2 has 5 digests/],
    ["a digest of an algorithm that was not named", patched(SECOND + 12, 0x12), /digest of algorithm 18/],
    [
      "events without end",
      Buffer.concat([REAL.subarray(0, SECOND), Buffer.alloc(16 * 65_537)]),
      /more than 65536 events/,
    ],
    ["an event longer than the log", patched(28, 0xff, 0xff, 0xff, 0x7f), /truncated/],
  ])("%s: refused", (_, file, message) => {
    expect(() => parse(file)).toThrow(SealError);
    expect(() => parse(file)).toThrow(message);
  });

  it("cut anywhere but behind an event are refused", () => {
    const ends = new Set([REAL.length]);
    for (let length = SECOND; length < REAL.length; length++) {
      try {
        parse(REAL.subarray(0, length));
        ends.add(length);
      } catch (error) {
        expect(error).toBeInstanceOf(SealError);
      }
    }
    // The end of each event, and that of the first one.
    expect(ends.size).toBe(parse(REAL).length + 1);
  });

  it("with changed bytes are read or refused, never anything else", () => {
    const edits = fc.array(fc.tuple(fc.nat(REAL.length - 4), fc.uint8Array({ minLength: 1, maxLength: 4 })), {
      minLength: 1,
      maxLength: 8,
    });
    fc.assert(
      fc.property(edits, (list) => {
        const file = Uint8Array.from(REAL);
        for (const [offset, changed] of list) file.set(changed, offset);
        try {
          for (const { pcr, data } of parse(file)) expect([pcr < 32, data.length <= file.length]).toEqual([true, true]);
        } catch (error) {
          expect(error).toBeInstanceOf(SealError);
        }
      }),
      { numRuns: 500 },
    );
  });
});

describe("comparing with a log", () => {
  const banks = ["sha256"] as const;
  const computed: readonly PcrEvent[] = [actionEvent("a", banks), separatorEvent(banks)];
  const difference = (events: readonly PcrEvent[]) =>
    findLogDifference(computed, extendingEvents(parse(logOf(banks, new Map([[4, events]]))), 4), banks);

  it("finds nothing in the same events, and passes over those without action", () => {
    expect(difference(computed)).toBeNull();
    const [first, second] = computed;
    if (first === undefined || second === undefined) throw new Error("unreachable");
    expect(difference([first, { ...separatorEvent(banks), type: "EV_NO_ACTION" }, second])).toBeNull();
  });
  it.each([
    ["an event too few", computed.slice(0, 1), /^event 2 should be EV_SEPARATOR \(00000000\), the log ends before$/],
    ["an event too many", [...computed, separatorEvent(banks)], /^the log has an additional event 3: EV_SEPARATOR$/],
    ["another order", computed.toReversed(), /^event 1 should be EV_EFI_ACTION \(a\), the log has EV_SEPARATOR$/],
    ["another digest", [actionEvent("b", banks), ...computed.slice(1)], /another digest \(3e23e8160039594a/],
  ])("finds %s", (_, events, message) => {
    expect(difference(events)).toMatch(message);
  });
  it("finds that the bank is not there", () => {
    const log = parse(logOf(["sha1"], new Map([[4, computed.map((one) => ({ ...one, digests: {} }))]])));
    expect(findLogDifference(computed, extendingEvents(log, 4), banks)).toBe("the log has no sha256 digests");
  });
});
