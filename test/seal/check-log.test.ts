/**
 * Logs of machines against what they booted, as values; the command is in test/cli/measure, a real machine in test/e2e.
 */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { toHex } from "../../src/bytes.ts";
import { SealError } from "../../src/errors.ts";
import { EVENT_TYPES } from "../../src/pe/pcr-events.ts";
import { bootReferences } from "../../src/seal/boot-reference.ts";
import type { LogCheck } from "../../src/seal/check-log.ts";
import { useCheckLab } from "../support/check-log.ts";
import type { EventToLog } from "../support/event-log.ts";
import { action, event, LOG_BANKS, text, utf16 } from "../support/machine-log.ts";

const lab = useCheckLab();

describe("the log of a machine that booted it", () => {
  it("is its own, in all banks that the log has", () => {
    const found = lab().check(lab().events());
    expect(found.mismatch).toBeNull();
    expect(found).toMatchObject({ banks: LOG_BANKS, matched: 22, unknownTypes: 0, refusals: [] });
    expect(Object.fromEntries(found.passedOver)).toEqual({ firmware: 11, "boot attempts": 1, linux: 1 });
  });
  it("replays to what is computed before", () => {
    const { references } = bootReferences(lab().chains, {
      ...{ policy: lab().policy, banks: LOG_BANKS, phases: [], kernelArguments: "", now: new Date() },
    });
    const hex = (list: LogCheck["pcrs"]) =>
      list.map(({ pcr, values }) => [pcr, ...LOG_BANKS.map((bank) => toHex(values[bank] ?? Buffer.of()))]);
    expect(hex(lab().check(lab().events()).pcrs)).toEqual(hex(references[0]?.pcrs ?? []));
  });
  it("may have more attempts to boot, or none that are told, and types that nobody knows where no image counts", () => {
    const [returning, calling] = ["Returning from", "Calling"].map((word) =>
      action(4, `${word} EFI Application from Boot Option`),
    );
    const isCalling = ({ pcr, type }: EventToLog) => pcr === 4 && type === EVENT_TYPES.EV_EFI_ACTION;
    if (returning === undefined || calling === undefined) throw new Error("unreachable");
    expect(lab().check(lab().replaced(isCalling, calling, returning, calling)).mismatch).toBeNull();
    expect(lab().check(lab().replaced(isCalling)).mismatch).toBeNull();
    const omitted = event(4, "EV_OMIT_BOOT_DEVICE_EVENTS", Buffer.from("BOOT ATTEMPTS OMITTED"));
    expect(lab().check(lab().replaced(isCalling, omitted)).mismatch).toBeNull();
    const odd = { ...event(2, "EV_IPL", Buffer.of(1)), type: 0xdeadbeef };
    expect(lab().check(lab().replaced(isCalling, calling, odd))).toMatchObject({ mismatch: null, unknownTypes: 1 });
    const silent = event(4, "EV_NO_ACTION", Buffer.of());
    expect(lab().check(lab().replaced(isCalling, calling, silent)).mismatch).toBeNull();
  });
  it("has the text of the machine where that is said", () => {
    expect(lab().check(lab().atEnd(text("quiet")), { kernelArguments: "quiet" }).mismatch).toBeNull();
  });
});

describe("nothing is true by default", () => {
  it("of a log that ends early, anywhere", () => {
    const events = lab().events();
    for (let length = 0; length < events.length - 1; length++) {
      if (length === 0) expect(() => lab().check([])).toThrow("log: has no events with digests that seal knows");
      else expect(lab().check(events.slice(0, length)).mismatch, `${length} events`).not.toBeNull();
    }
  });
  it("of a log without an event that is computed, or with it twice, or in another order", () => {
    const events = lab().events();
    for (const [index, one] of events.entries()) {
      if (![4, 7, 11, 12].includes(one.pcr) || one.type === EVENT_TYPES.EV_EFI_ACTION) continue;
      expect(lab().check(events.toSpliced(index, 1)).mismatch, `without ${index}`).not.toBeNull();
      expect(lab().check(events.toSpliced(index, 0, one)).mismatch, `twice ${index}`).not.toBeNull();
      const later = events.findIndex(({ pcr }, at) => at > index && pcr === one.pcr);
      if (later > 0 && one.pcr !== 11)
        expect(lab().check(events.toSpliced(index, 1).toSpliced(later, 0, one)).mismatch).not.toBeNull();
    }
  });
  it("of a log with changed digests or types", () => {
    const events = lab().events();
    const compared = events.flatMap(({ pcr, type }, index) =>
      [4, 7, 11].includes(pcr) && type !== EVENT_TYPES.EV_NO_ACTION ? [index] : [],
    );
    fc.assert(
      fc.property(fc.constantFrom(...compared), fc.constantFrom(...LOG_BANKS), fc.nat(19), (index, bank, byte) => {
        const one = events[index];
        const digest = Uint8Array.from(one?.digests[bank] ?? []);
        digest[byte] = (digest[byte] ?? 0) ^ 1;
        if (one === undefined) return;
        expect(
          lab().check(events.with(index, { ...one, digests: { ...one.digests, [bank]: digest } })).mismatch,
        ).not.toBeNull();
      }),
      { numRuns: 60 },
    );
  });
  it("of a log with SHA-1 only, unless that is asked for", () => {
    const given = { written: ["sha1"] as const };
    expect(() => lab().check(lab().events(), given)).toThrow(/^log: has SHA-1 digests only, .* give --banks sha1/);
    expect(lab().check(lab().events(), { ...given, banks: ["sha1"] })).toMatchObject({
      mismatch: null,
      banks: ["sha1"],
    });
  });
  it("of a log without a bank that is asked for", () => {
    const refused = () => lab().check(lab().events(), { banks: ["sha512"] });
    expect(refused).toThrow(SealError);
    expect(refused).toThrow("log: has no sha512 digests; it has sha1, sha256, sha384: give these with --banks");
  });
  it("of a log with digests of an algorithm that nobody knows", () => {
    const events = lab()
      .events()
      .map((one) => ({ ...one, digests: {} }));
    expect(() => lab().check(events)).toThrow("has no events with digests that seal knows");
  });
});

describe("several ways to boot", () => {
  it("are told apart, and the closest one where it is none", () => {
    const two = [...lab().chains, ...lab().chains.map((chain) => ({ ...chain, bootLoader: null }))];
    expect(lab().check(lab().events(), { chains: two }).way.bootPath.bootLoader).not.toBeNull();
    expect(lab().check(lab().events(), { chains: two.toReversed() }).way.bootPath.bootLoader).not.toBeNull();
    const { mismatch, way } = lab().check(lab().atEnd(text("x")), { chains: two.toReversed() });
    expect(mismatch?.reason).toBe("command-line");
    expect(way.bootPath.bootLoader).not.toBeNull();
  });
  it("of an old stub are compared but for PCR 12, where only its own command line may be", () => {
    const old = lab().chains.map((chain) => ({ ...chain, sidecars: ["x.cred"] }));
    const given = { chains: old };
    expect(lab().check(lab().events(), given)).toMatchObject({
      mismatch: null,
      way: { unknown: "x.cred is measured as part of an archive" },
    });
    expect(Object.fromEntries(lab().check(lab().atEnd(text("a=b")), given).passedOver)).toMatchObject({
      "own command line": 1,
    });
    expect(lab().check(lab().atEnd(text("a=b c")), given).mismatch).toMatchObject({ reason: "command-line" });
    const cred = event(12, "EV_IPL", utf16("Credentials initrd\0"), Buffer.of(1));
    expect(lab().check(lab().atEnd(cred), given).mismatch?.text).toMatch(
      /; it can't be computed: x\.cred is measured as part of an archive/,
    );
  });
});
