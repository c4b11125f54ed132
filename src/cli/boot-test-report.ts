/** What `boot-test` says: the JSON shape, one line for people, and what to do about a machine that did not come far. */
import { z } from "zod";
import { BOOT_STAGES, type BootStage, type BootState } from "../boot/boot-stages.ts";
import type { MachineEnd } from "../io/qemu.ts";
import { SECURE_BOOT_MODES } from "./boot-test-firmware.ts";
import { formatSeconds } from "./report.ts";

export const bootTestSchema = z.object({
  boot: z.string(),
  /** Whether it came as far as expected. */
  passed: z.boolean(),
  secureBoot: z.enum(SECURE_BOOT_MODES),
  expect: z.string().nullable(),
  /** The furthest that it came. */
  reached: z.enum(BOOT_STAGES),
  /** Why it ended: enough was seen, a program was refused or could not be started, the kernel gave up, setup mode ended without keys,
   * the machine turned itself off, or time was up. */
  end: z.enum(["reached", "refused", "failed", "panic", "not-enrolled", "off", "timeout"]),
  refused: z.object({ by: z.enum(["firmware", "boot-loader"]), file: z.string() }).nullable(),
  reason: z.string().nullable(),
  accelerator: z.enum(["kvm", "tcg"]),
  seconds: z.number(),
  /** The last lines of the serial console, without control characters. */
  log: z.array(z.string()).readonly(),
});
export type BootTestReport = z.infer<typeof bootTestSchema>;

type Outcome = Pick<BootTestReport, "passed" | "reached" | "end" | "refused" | "reason">;

/**
 * @param enrolled whether keys are enrolled now; only setup mode asks for that
 */
export function outcome(
  state: BootState,
  end: MachineEnd,
  expect: string | null,
  enrolled: boolean,
  mode: BootTestReport["secureBoot"],
): Outcome {
  const { stage, stop } = state;
  const base = { passed: false, reached: stage, refused: null, reason: null };
  if (reachedGoal(state, expect)) {
    if (mode === "setup" && !enrolled) return { ...base, end: "not-enrolled" };
    return { ...base, passed: true, end: "reached" };
  }
  if (stop === null) return { ...base, end: end === "timeout" ? "timeout" : "off" };
  if (stop.kind === "refused") return { ...base, end: "refused", refused: { by: stop.by, file: stop.file } };
  return { ...base, end: stop.kind, reason: stop.reason };
}

/** Whether nothing more needs to be seen. */
export function reachedGoal({ stage }: BootState, expect: string | null): boolean {
  return stage === "expected" || (expect === null && stage === "kernel");
}

const STAGE_NAMES: Readonly<Record<BootStage, string>> = {
  nothing: "nothing",
  firmware: "the firmware",
  "boot-loader": "the boot loader",
  kernel: "the kernel",
  expected: "the expected text",
};

/** What runs when a stage has been reached. */
export const STEP_NAMES: Readonly<Record<BootStage, string>> = {
  nothing: "start of the machine",
  firmware: "firmware",
  "boot-loader": "boot loader",
  kernel: "kernel",
  expected: "expected text",
};

/** The result in one line. */
export function summarize(report: BootTestReport): string {
  const { end, refused, reached, reason, seconds } = report;
  const after = `after ${formatSeconds(seconds)}`;
  const mode = { enforced: "Secure Boot on", setup: "its keys enrolled", off: "Secure Boot off" }[report.secureBoot];
  switch (end) {
    case "reached":
      return `boots: came to ${STAGE_NAMES[reached]} ${after}, ${mode}`;
    case "refused":
      return `refused: ${refused?.file ?? "a program"}, which the ${refused?.by === "firmware" ? "firmware" : "boot loader"} may not start: its signature is missing, wrong or not by a key in db`;
    case "not-enrolled":
      return "not enrolled: it boots, but the keys in loader/keys/auto were not enrolled";
    case "failed":
    case "panic":
      return `does not boot: ${reason ?? end}`;
    case "off":
      return `does not boot: turned itself off or reset ${after}; it came to ${STAGE_NAMES[reached]}`;
    case "timeout":
      return `does not boot: ${after} it had come to ${STAGE_NAMES[reached]} only`;
  }
}

/** What somebody may try next; null where the line says it all. */
export function advice({ end, reached, expect, accelerator }: BootTestReport): string | null {
  if (end === "timeout" && accelerator === "kvm" && reached === "nothing") return "try --accel tcg";
  if (end === "timeout") return "give more time with --timeout, or read the console with --keep-log";
  if (end === "off" && expect !== null)
    return `the text ${JSON.stringify(expect)} did not come; --keep-log has what did`;
  if (end === "not-enrolled") return "see secure-boot-enroll in loader/loader.conf";
  return null;
}
