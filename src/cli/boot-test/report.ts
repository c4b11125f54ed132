/** What `boot-test` says to people: the stages, and one line. What it means is in advice.ts. */
import { composefsDigestOf, enforcesVerity, type GuestRoot } from "../../boot/console/guest-units.ts";
import type { BootStage } from "../../boot/console/lines.ts";
import type { BootState } from "../../boot/console/stages.ts";
import type { MachineEnd, StillToSee } from "../../io/vm/qemu.ts";
import { shortDigest } from "../../text.ts";
import { formatSeconds, type ReportRow } from "../terminal/report.ts";
import { areAsComputed, type BootTestReport, type PcrsReport } from "./schema.ts";

/** What must be seen. */
export interface BootGoal {
  readonly expect: string | null;
  /** What is enough without a text. */
  readonly stage: "kernel" | "system";
  /** Whether the running system must say that its root filesystem enforces fs-verity. */
  readonly enforced: boolean;
}

type Outcome = Pick<
  BootTestReport,
  "passed" | "reached" | "end" | "refused" | "problem" | "reason" | "root" | "corrupted"
>;

/**
 * @param enrolled whether keys are enrolled now; only setup mode asks for that
 */
export function outcome(
  state: BootState,
  end: MachineEnd,
  goal: BootGoal,
  enrolled: boolean,
  mode: BootTestReport["secureBoot"],
): Outcome {
  const { stage, stop, corrupted } = state;
  const root = state.root === null ? null : rootReport(state.root);
  const base = { passed: false, reached: stage, refused: null, problem: null, reason: null, root, corrupted };
  if (cameFarEnough(state, goal)) {
    if (mode === "setup" && !enrolled) return { ...base, end: "not-enrolled" };
    if (corrupted !== null) return { ...base, end: "corrupted", reason: corrupted };
    if (goal.enforced && root?.enforced !== true) return { ...base, end: "not-enforced" };
    return { ...base, passed: true, end: "reached" };
  }
  if (stop === null && corrupted !== null) return { ...base, end: "corrupted", reason: corrupted };
  if (stop === null) return { ...base, end: end === "timeout" ? "timeout" : "off" };
  if (stop.kind === "refused") return { ...base, end: "refused", refused: { by: stop.by, file: stop.file } };
  return { ...base, end: stop.kind, reason: stop.reason, problem: stop.kind === "no-root" ? stop.problem : null };
}

function rootReport(root: GuestRoot): BootTestReport["root"] {
  return { ...root, digest: composefsDigestOf(root), enforced: enforcesVerity(root) };
}

function cameFarEnough({ seen }: BootState, { expect, stage }: BootGoal): boolean {
  return seen.includes(expect === null ? stage : "expected");
}

/**
 * What more needs to be seen. systemd says on the console that it has come up before the last unit reports the root
 * filesystem, and an earlier report of it may have been lost there; a system that can't report it says nothing more.
 */
export function stillToSee(state: BootState, goal: BootGoal): StillToSee {
  if (!cameFarEnough(state, goal)) return "more";
  if (!goal.enforced || state.root !== null || state.answered) return "nothing";
  return state.seen.includes("system") ? "last words" : "more";
}

const STAGE_NAMES: Readonly<Record<BootStage, string>> = {
  nothing: "nothing",
  firmware: "the firmware",
  "boot-loader": "the boot loader",
  kernel: "the kernel",
  image: "the composefs image",
  root: "the root filesystem",
  system: "the default target",
  expected: "the expected text",
};

/** What runs when a stage has been reached. */
export const STEP_NAMES: Readonly<Record<BootStage, string>> = {
  nothing: "start of the machine",
  firmware: "firmware",
  "boot-loader": "boot loader",
  kernel: "kernel",
  image: "initramfs",
  root: "systemd",
  system: "system",
  expected: "expected text",
};

/** What a stage that was reached proves. */
const STAGE_TEXTS: Readonly<Record<Exclude<BootStage, "nothing">, readonly [label: string, text: string]>> = {
  firmware: ["firmware", "found the boot loader"],
  "boot-loader": ["boot loader", "accepted by the firmware"],
  kernel: ["UKI", "accepted by the boot loader; kernel started"],
  image: ["initramfs", "mounted the image that the command line names"],
  root: ["root filesystem", "the system runs from it"],
  system: ["systemd", "reached the default target"],
  expected: ["expected text", "seen on the console"],
};

/** Why it did not come to a stage. What is not here came as far as it should. */
const STOP_TEXTS: Readonly<Partial<Record<BootTestReport["end"], string>>> = {
  refused: "refused: unsigned, invalid signature, signer not in db, or revoked by dbx",
  failed: "could not be started",
  "no-root": "refused the root filesystem",
  panic: "the kernel gave up",
  emergency: "systemd entered emergency mode",
  off: "the machine powered off or reset first",
  timeout: "timed out",
};

/** The stages as rows for people, at the end the one that it did not come to. */
export function stageRows(report: BootTestReport): ReportRow[] {
  const { stages, root, end, reached, refused } = report;
  const rows = stages.flatMap(({ stage, seconds }): ReportRow[] => {
    if (stage === "nothing") return [];
    const [label, usual] = STAGE_TEXTS[stage];
    const isEnrolled = stage === "boot-loader" && refused?.by === "firmware";
    const text = isEnrolled ? "enrolled the keys and reset the machine" : usual;
    const row: ReportRow = { mark: "done", label, text: [text], seconds };
    if (stage !== "root" || root === null) return [row];
    const verity: ReportRow = root.enforced
      ? {
          mark: "done",
          label: "fs-verity",
          text: ["verity=require: the kernel refuses data that differs from the digest"],
        }
      : { mark: "warning", label: "fs-verity", text: ["mounted, not enforced"] };
    return [
      { ...row, text: [root.digest === null ? `${root.source} (${root.type})` : shortDigest(root.digest)] },
      verity,
    ];
  });
  const text = end === "failed" && reached === "nothing" ? "found nothing to start" : STOP_TEXTS[end];
  return text === undefined
    ? rows
    : [...rows, { mark: "failed", label: STAGE_TEXTS[missedStage(report)][0], text: [text] }];
}

/** The stage that it did not come to. */
function missedStage({ reached, refused, end, expect }: BootTestReport): keyof typeof STAGE_TEXTS {
  if (refused !== null) return refused.by === "firmware" ? "boot-loader" : "kernel";
  if (end === "no-root") return "image";
  switch (reached) {
    case "nothing":
      return "firmware";
    case "firmware":
      return "boot-loader";
    case "boot-loader":
      return "kernel";
    case "kernel":
      return "image";
    case "image":
      return "root";
    case "root":
      return expect === null ? "system" : "expected";
    default:
      return "expected";
  }
}

/** The result in one line. */
export function summarize(report: BootTestReport): string {
  const { end, refused, reached, reason, seconds, root } = report;
  const after = `after ${formatSeconds(seconds)}`;
  const mode = { enforced: "Secure Boot on", setup: "its keys enrolled", off: "Secure Boot off" }[report.secureBoot];
  switch (end) {
    case "reached": {
      const verity = root === null ? "" : root.enforced ? ", fs-verity enforced" : "; mounted, not enforced";
      return `boots: reached ${STAGE_NAMES[reached]} ${after}, ${mode}${verity}${pcrsText(report.pcrs)}`;
    }
    case "refused":
      return `refused: ${refused?.file ?? "a program"}, which the ${refused?.by === "firmware" ? "firmware" : "boot loader"} does not start: ${reason ?? "unsigned, invalid signature, signer not in db, or revoked by dbx"}`;
    case "no-root":
      return `refused: the initramfs does not mount the root filesystem: ${reason ?? "it does not say why"}`;
    case "corrupted":
      return `refused: a file differs from its digest: ${reason ?? "it does not say which"}`;
    case "not-enforced":
      return root === null
        ? `not proved: it reached ${STAGE_NAMES[reached]}, but the running system did not say that its root enforces fs-verity`
        : `mounted, not enforced: it reached ${STAGE_NAMES[reached]}, but its root is ${root.type} without verity=require`;
    case "pcr-mismatch":
      return `unexpected measurements${pcrsText(report.pcrs)}`;
    case "not-enrolled":
      return "not enrolled: it boots, but the keys in loader/keys/auto were not enrolled";
    case "failed":
    case "panic":
    case "emergency":
      return `does not boot: ${reason ?? end}`;
    case "off":
      return `does not boot: powered off or reset ${after}; it reached ${STAGE_NAMES[reached]}`;
    case "timeout":
      return `does not boot: ${after} it had only reached ${STAGE_NAMES[reached]}`;
  }
}

/** For a line about the result: `; PCR 4, 7, 11 as computed`. Empty when there is nothing to compare. */
function pcrsText(pcrs: PcrsReport | null): string {
  const compared = pcrs?.filter(({ matches }) => matches !== null) ?? [];
  if (compared.length === 0) return "";
  if (areAsComputed(compared)) return `; PCR ${compared.map(({ pcr }) => pcr).join(", ")} as computed`;
  const wrong = compared.filter(({ matches }) => matches === false);
  return `: ${wrong.map(({ pcr, value, expected }) => `PCR ${pcr} is ${value}, expected ${expected}`).join("; ")}`;
}
