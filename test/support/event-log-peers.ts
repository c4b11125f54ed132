/** What other tools read in an event log: tpm2_eventlog of tpm2-tools, and go-attestation. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { runPeer } from "./peers.ts";
import { tempDir } from "./temp.ts";

export const EVENT_LOG_PEERS = ["tpm2_eventlog", "verify-event-log"] as const;

/** Values by bank, then by PCR, hex; PCRs without events are not there. */
export type ReplayedPcrs = Readonly<Record<string, Readonly<Record<string, string>>>>;

/** The PCRs as tpm2_eventlog replays them. */
export function tpm2Eventlog(log: Uint8Array): ReplayedPcrs {
  const path = join(tempDir(), "log");
  writeFileSync(path, log);
  const { status, stdout, stderr } = runPeer("tpm2_eventlog", [path]);
  if (status !== 0) throw new Error(stderr);
  const [, text = ""] = stdout.toString().split(/^pcrs:\n/m);
  const banks = [...text.matchAll(/^ {2}(\w+):\n((?: {4}.*\n)+)/gm)];
  const values = (lines: string) =>
    Object.fromEntries([...lines.matchAll(/(\d+) *: 0x([0-9a-f]+)/g)].map(([, pcr, value]) => [pcr, value]));
  return Object.fromEntries(banks.map(([, bank, lines = ""]) => [bank, values(lines)]));
}

/**
 * What go-attestation makes of a log.
 * @param pcrs of the SHA-256 bank, hex
 * @returns null when the log does not replay to these
 */
export function goAttestation(
  log: Uint8Array,
  pcrs: Readonly<Record<string, string>>,
): { readonly secureBoot: boolean; readonly events: readonly string[] } | null {
  const path = join(tempDir(), "log");
  writeFileSync(path, log);
  const values = Object.entries(pcrs).map(([pcr, value]) => `${pcr}=${value}`);
  const { status, stdout, stderr } = runPeer("verify-event-log", [path, ...values]);
  if (status !== 0 && stderr.includes("failed to replay")) return null;
  if (status !== 0) throw new Error(stderr);
  const [state, ...events] = stdout.toString().trimEnd().split("\n");
  return { secureBoot: state === "SecureBoot true", events };
}
