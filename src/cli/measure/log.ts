/** `measure --event-log`: whether a log is that of a machine which booted what is there, for scripts and for people. */
import { z } from "zod";
import { toHex } from "../../bytes.ts";
import { PCR_BANKS, shownBank } from "../../pe/pcr-events.ts";
import type { LogCheck } from "../../seal/check-log.ts";
import { describeWay } from "../../sign/boot-reference.ts";
import { COMPARED_PCRS, type PassedOver } from "../../sign/log-comparison.ts";
import { MISMATCH_REASONS } from "../../sign/log-words.ts";
import type { Context } from "../context.ts";
import { wayFields } from "./reference.ts";

const PASSED_OVER = ["firmware", "boot attempts", "linux", "own command line"] as const satisfies PassedOver[];

/** Its shape is stable within a major version. */
export const eventLogReportSchema = z.strictObject({
  eventLog: z.string(),
  /** What it was compared with: the image, the `/boot` or the UKI. */
  booted: z.string(),
  /** Whether the log is that of a machine which booted it. */
  matches: z.boolean(),
  /** The way to boot that the log is of, or comes closest to. */
  boot: z.strictObject({
    ...wayFields,
    secureBoot: z.boolean(),
  }),
  /** The first event that is not what it should be; null: there is none. */
  mismatch: z
    .strictObject({
      /** Which one of the log, from 1; null: it is missing. */
      event: z.int().nullable(),
      pcr: z.int(),
      type: z.string(),
      reason: z.enum(MISMATCH_REASONS),
      /** In words. */
      text: z.string(),
    })
    .nullable(),
  banks: z.array(z.enum(PCR_BANKS)),
  /** How many events were as computed. */
  matched: z.int(),
  /** Events that no image accounts for, until the one that is not what it should be. */
  passedOver: z.array(z.strictObject({ what: z.enum(PASSED_OVER), events: z.int() })),
  /** How many of these have a type that seal does not know. */
  unknownTypes: z.int(),
  /** What the log makes of the PCRs, by bank, hex: a quote must say the same. */
  pcrs: z.array(z.strictObject({ pcr: z.int(), values: z.record(z.string(), z.string()) })),
  /** What can't be computed of this way to boot, and why: nothing was measured there, or nothing that counts. */
  notComputed: z.array(z.strictObject({ pcr: z.int(), reason: z.string() })),
});
export type EventLogReport = z.infer<typeof eventLogReportSchema>;

export function logReport(
  { way, mismatch, banks, matched, passedOver, unknownTypes, pcrs }: LogCheck,
  { secureBoot, ...names }: { readonly eventLog: string; readonly booted: string; readonly secureBoot: boolean },
): EventLogReport {
  const { unknown } = way;
  return eventLogReportSchema.parse({
    ...names,
    matches: mismatch === null,
    boot: { ...describeWay(way), secureBoot },
    mismatch,
    banks: [...banks],
    matched,
    passedOver: PASSED_OVER.map((what) => ({ what, events: passedOver.get(what) ?? 0 })),
    unknownTypes,
    pcrs: pcrs.map(({ pcr, values }) => ({
      pcr,
      values: Object.fromEntries(Object.entries(values).map(([bank, value]) => [bank, toHex(value)])),
    })),
    notComputed: unknown === null ? [] : [{ pcr: 12, reason: unknown }],
  } satisfies EventLogReport);
}

const PASSED_WORDS: Readonly<Record<PassedOver, string>> = {
  firmware: "the firmware's (PCR 0–3, 5, 6)",
  "boot attempts": "attempts to boot (PCR 4)",
  linux: "Linux' (PCR 9)",
  "own command line": "the UKI's own command line (PCR 12)",
};

/** A verdict in one line, and what it is based on. */
export function logText({ ui: { out } }: Context, report: EventLogReport): string {
  const { eventLog, booted, mismatch, banks, passedOver, unknownTypes } = report;
  const passed = passedOver
    .filter(({ events }) => events > 0)
    .map(({ what, events }) => `${events} ${PASSED_WORDS[what]}`);
  const unknown = unknownTypes === 0 ? [] : [`${unknownTypes} of them of types unknown to seal`];
  const counts = `${report.matched} events as computed (PCR ${COMPARED_PCRS.join(", ")}; ${banks.join(", ")}); skipped: ${[...passed, ...unknown].join(", ") || "none"}`;
  const reasons = report.notComputed.map(({ pcr, reason }) => `  PCR ${pcr} is not computed: ${reason}`);
  if (mismatch !== null) {
    const { event, pcr, text } = mismatch;
    const where = event === null ? `PCR ${pcr}` : `event ${event}, PCR ${pcr}`;
    return [
      `${out.red("✗")} ${eventLog}: not from a machine that booted ${booted} (${where}): ${text}`,
      `  before it ${counts}`,
      ...reasons,
    ].join("\n");
  }
  const bank = shownBank(banks);
  return [
    `${out.green("✓")} ${eventLog}: from a machine that booted ${booted}: ${bootText(report.boot)}`,
    `  ${counts}`,
    ...reasons,
    "  a log alone proves nothing; a TPM quote must contain these PCR values:",
    ...report.pcrs.map(({ pcr, values }) => `${pcr}:${bank}=${values[bank] ?? ""}`),
  ].join("\n");
}

function bootText({
  uki,
  bootLoader,
  addons,
  profile,
  profileId,
  devicetree,
  secureBoot,
}: EventLogReport["boot"]): string {
  return [
    uki,
    ...(bootLoader === null ? [] : [`by ${bootLoader}`]),
    ...(addons.length === 0 ? [] : [`addons ${addons.join(", ")}`]),
    ...(profile === 0 ? [] : [`profile ${profile} (${profileId ?? "no ID"})`]),
    ...(devicetree === null ? [] : [`device tree ${devicetree}`]),
    `Secure Boot ${secureBoot ? "on" : "off"}`,
  ].join(", ");
}
