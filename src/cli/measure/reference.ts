/** `measure --reference`: what a verifier compares a machine's quote and event log with, as JSON. */
import { z } from "zod";
import { toHex } from "../../bytes.ts";
import { extendingEvents, findLogDifference, type LoggedEvent } from "../../pe/event-log.ts";
import type { BankValues, PcrBank } from "../../pe/pcr-events.ts";
import { describeWay, type WayReference } from "../../sign/boot-reference.ts";

/** Hex by bank. */
const valuesSchema = z.record(z.string(), z.string());

/** A way to boot, as reports about measured boot name it. */
export const wayFields = {
  uki: z.string(),
  /** Null: firmware starts the UKI itself. */
  bootLoader: z.string().nullable(),
  addons: z.array(z.string()),
  /** 0: the base. */
  profile: z.int(),
  profileId: z.string().nullable(),
  devicetree: z.int().nullable(),
};

/** Its shape is stable within a major version. */
export const referenceReportSchema = z.object({
  /** Whether Secure Boot enforces signatures. */
  secureBoot: z.boolean(),
  /** One for each UKI, profile and device tree that the stub may pick. */
  boots: z.array(
    z.object({
      ...wayFields,
      pcrs: z.array(
        z.object({
          pcr: z.union([z.literal(4), z.literal(7), z.literal(11), z.literal(12)]),
          /** When the kernel starts. */
          values: valuesSchema,
          /** What extends it until then, in order. */
          events: z.array(z.object({ type: z.string(), description: z.string(), digests: valuesSchema })),
          /** What the booting system makes of it; only of PCR 11. */
          phases: z.array(z.object({ phase: z.string(), values: valuesSchema })).optional(),
          /** What must be so for that to hold. */
          assumes: z.array(z.string()).readonly(),
          /** Where the event log that was given differs; null: nowhere. */
          difference: z.string().nullable().optional(),
        }),
      ),
      /** What can't be computed of this way to boot, and why. */
      notComputed: z.array(z.object({ pcr: z.literal(12), reason: z.string() })),
    }),
  ),
});
export type ReferenceReport = z.infer<typeof referenceReportSchema>;

/** @param log null: none to compare with */
export function referenceReport(
  references: readonly WayReference[],
  secureBoot: boolean,
  banks: readonly PcrBank[],
  log: readonly LoggedEvent[] | null,
): ReferenceReport {
  return referenceReportSchema.parse({
    secureBoot,
    boots: references.map(({ pcrs, unknown, ...way }) => ({
      ...describeWay(way),
      pcrs: pcrs.map(({ pcr, values, events, phases, assumes }) => ({
        pcr,
        values: hexValues(values),
        events: events.map(({ type, description, digests }) => ({ type, description, digests: hexValues(digests) })),
        ...(pcr === 11 ? { phases: phases.map((one) => ({ phase: one.phase, values: hexValues(one.values) })) } : {}),
        assumes,
        ...(log === null ? {} : { difference: findLogDifference(events, extendingEvents(log, pcr), banks) }),
      })),
      notComputed: unknown === null ? [] : [{ pcr: 12 as const, reason: unknown }],
    })),
  } satisfies ReferenceReport);
}

function hexValues(values: BankValues): Record<string, string> {
  return Object.fromEntries(Object.entries(values).map(([bank, value]) => [bank, toHex(value)]));
}
