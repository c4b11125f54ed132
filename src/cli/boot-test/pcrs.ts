/** What the TPM of a machine held, with what was computed for it. */
import { BOOT_STAGES } from "../../boot/console/lines.ts";
import { equalBytes, toHex } from "../../bytes.ts";
import { SealError } from "../../errors.ts";
import { BOOT_PHASES } from "../../pe/measure.ts";
import { treeBootPaths } from "../../seal/boot-path.ts";
import { bootReferences } from "../../seal/boot-reference.ts";
import type { PcrReference, ReferenceOptions, WayReference } from "../../sign/boot-reference.ts";
import { parseVariableStore } from "../../sign/ovmf.ts";
import { readPolicy } from "../../sign/secure-boot-policy.ts";
import type { Context } from "../context.ts";
import type { WatchedRun } from "./machine.ts";
import type { PcrsReport } from "./schema.ts";

const BANK = "sha256";

/**
 * All phases that a system may have entered when it is stopped; without systemd in its initramfs, those of the
 * initramfs are missing.
 */
const PHASE_PATHS = [BOOT_PHASES, BOOT_PHASES.slice(BOOT_PHASES.indexOf("sysinit"))].flatMap((phases) =>
  phases.map((_, index) => phases.slice(0, index + 1).join(":")),
);

/**
 * Compares with the references of what was booted, when it came to the kernel: before, the firmware's own
 * programs may have run.
 * @param boot the `/boot` that was booted; null when it can't be read, and there is no comparison
 * @returns null without a TPM
 */
export async function comparePcrs(context: Context, run: WatchedRun, boot: string | null): Promise<PcrsReport | null> {
  const { pcrs, state } = run;
  if (pcrs === null) return null;
  const started = BOOT_STAGES.indexOf(state.stage) >= BOOT_STAGES.indexOf("kernel");
  const references = started && boot !== null ? await readReferences(context, run, boot) : [];
  const reports = references.map((reference) => compare(pcrs, reference.pcrs));
  const count = (report: PcrsReport) => report.filter(({ matches }) => matches).length;
  return reports.toSorted((a, b) => count(b) - count(a))[0] ?? compare(pcrs, []);
}

async function readReferences(
  context: Context,
  { vars, kernelArguments }: WatchedRun,
  boot: string,
): Promise<readonly WayReference[]> {
  const store = "variable store";
  const options: ReferenceOptions = {
    policy: readPolicy(parseVariableStore(vars, store).variables, store),
    banks: [BANK],
    phases: PHASE_PATHS,
    kernelArguments,
    now: context.process.now(),
  };
  try {
    return bootReferences(await treeBootPaths(boot, context.process), options).references;
  } catch (error) {
    if (!(error instanceof SealError) || error.code !== "check") throw error;
    // The machine started what by seal's rules firmware refuses: worth telling, but no reason to lose the report.
    context.ui.warn(`the measurements are not compared: ${error.message}`);
    return [];
  }
}

function compare(pcrs: ReadonlyMap<number, Uint8Array>, references: readonly PcrReference[]): PcrsReport {
  return [...pcrs].map(([pcr, value]) => {
    const reference = references.find((one) => one.pcr === pcr);
    const expected = reference?.values[BANK];
    const unknown = { pcr, value: toHex(value), phase: null };
    if (reference === undefined || expected === undefined) return { ...unknown, expected: null, matches: null };
    if (equalBytes(expected, value)) return { ...unknown, expected: toHex(expected), matches: true };
    const entered = reference.phases.find(({ values }) => toHex(values[BANK] ?? expected) === toHex(value));
    if (entered === undefined) return { ...unknown, expected: toHex(expected), matches: false };
    return { ...unknown, expected: toHex(value), matches: true, phase: entered.phase };
  });
}
