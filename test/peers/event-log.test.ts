/**
 * Other readers of event logs beside ours, on logs that no machine need be started for; those of
 * machines are in test/e2e.
 */
import { expect, it } from "vitest";
import { toHex } from "../../src/bytes.ts";
import { parseEventLog } from "../../src/pe/event-log.ts";
import { replayLog } from "../../src/sign/log-comparison.ts";
import { useCheckLab } from "../support/check-log.ts";
import { EVENT_LOG_PEERS, goAttestation, type ReplayedPcrs, tpm2Eventlog } from "../support/event-log-peers.ts";
import { LOG_BANKS, logBytes, text } from "../support/machine-log.ts";
import { describeWith } from "../support/peers.ts";
import { vector } from "../support/vectors.ts";

describeWith(EVENT_LOG_PEERS, "other readers of event logs", () => {
  const lab = useCheckLab();
  const BANKS = ["sha1", "sha256", "sha384", "sha512"] as const;

  const replayed = (log: Uint8Array, banks: readonly (typeof BANKS)[number][]): ReplayedPcrs =>
    Object.fromEntries(
      banks.map((bank) => [
        bank,
        Object.fromEntries(
          replayLog(parseEventLog(log, "log"), [bank]).map(({ pcr, values }) => [
            pcr,
            toHex(values[bank] ?? Buffer.of()),
          ]),
        ),
      ]),
    );

  it.each([
    ["a real machine", BANKS, () => Uint8Array.from(vector("event-log/ovmf-systemd.bin.gz"))],
    ["the machine of our tests", LOG_BANKS, () => logBytes(lab().atEnd(text("quiet")))],
  ] as const)("replay the log of %s to the same PCRs", (_, banks, log) => {
    const own = replayed(log(), banks);
    const theirs = tpm2Eventlog(log());
    for (const bank of banks) expect(theirs[bank]).toMatchObject(own[bank] ?? {});
    const sha256 = own["sha256"] ?? {};
    expect(goAttestation(log(), sha256)?.secureBoot).toBe(true);
    expect(goAttestation(log(), { ...sha256, 4: "00".repeat(32) })).toBeNull();
  });
});
