import { digestsOf } from "../../boot/cmdline.ts";
import type { HostVerdict, ReasonId } from "../../boot/hosts.ts";
import { optionFor } from "../../boot/hosts-text.ts";
import type { InstalledMachine, LintContext } from "../context.ts";
import { afterRule, type MachineReleases, machineReleases, readUkis, ukiWords } from "../machine.ts";
import { checked, notApplicable, type Problem } from "../rule.ts";

export const afterReleaseRule = afterRule(
  {
    id: "after-release",
    severity: "error",
    finds: "an image that the bootc of --after refuses, or that does not boot once that has installed it",
  },
  async (context, machine) => {
    const [uki] = await readUkis(context);
    if (uki === undefined) return notApplicable("there is no UKI that can be read");
    const releases = await machineReleases(machine);
    if (releases.kind === "unknown") {
      return checked({
        path: uki.path,
        severity: "warning",
        answer: { question: "starts", ok: null },
        message: `Whether the machines accept it is unknown: ${releases.why}.`,
        fix: "give the release that they run with --bootc.",
      });
    }
    const verdicts = (await context.hosts()).flatMap(({ path, verdicts: all }) =>
      all.filter(({ series }) => releases.seriesList.includes(series)).map((verdict) => ({ path, verdict })),
    );
    return checked(
      ...verdicts.map(({ path, verdict }) => verdictProblem(path, verdict, releases.name, machine)),
      await markProblem(uki.path, releases, context, machine),
    );
  },
);

function verdictProblem(
  path: string,
  verdict: HostVerdict,
  name: string,
  { subject }: InstalledMachine,
): Problem | null {
  const { kind, refusal, accepts, boots } = verdict;
  if (refusal !== null) {
    const option = optionFor(verdict);
    return {
      path,
      answer: { question: "starts", ok: false },
      message: `Machines that run ${subject} pull it with ${name}, which refuses it: ${refusal.text}.`,
      fix: option === null ? (FIXES[refusal.id] ?? OTHER_FIX) : `seal it with ${option}.`,
    };
  }
  const doubts = kind === "unknown" ? accepts.reasons : boots.ok === null ? boots.reasons : [];
  if (doubts.length === 0) return null;
  const reasons = doubts.map(({ text }) => text).join("; ");
  const what =
    kind === "unknown"
      ? `Whether ${name} of the machines accepts it is unknown`
      : `${name} of the machines installs it, and it boots under a condition`;
  return {
    path,
    severity: "warning",
    answer: { question: "starts", ok: null },
    message: `${what}: ${reasons}.`,
    fix: "try it on one machine.",
  };
}

/**
 * Whether machines require fs-verity depends on the UKI that they run (bootc 1.16.9, update.rs,
 * `allow_missing_fsverity`).
 */
async function markProblem(
  path: string,
  { seriesList, name }: Extract<MachineReleases, { kind: "known" }>,
  context: LintContext,
  { subject, runs }: InstalledMachine,
): Promise<Problem | null> {
  const [ours, theirs] = [digestsOf(await ukiWords(context)), digestsOf(await ukiWords(runs))];
  if (ours.length === 0 || theirs.length === 0) return null;
  const [next, now] = [ours, theirs].map((words) => words.some(({ insecure }) => insecure));
  if (next === now) return null;
  if (now) {
    return {
      path,
      severity: "warning",
      answer: { question: "starts", ok: null },
      message: `Machines that run ${subject} were installed with ? on the digest, so their disk may lack fs-verity, which this image requires: it may not boot there.`,
      fix: "make sure that the filesystem of their /sysroot has fs-verity, and the files on it too; otherwise reinstall them.",
    };
  }
  if (seriesList.every(({ mark }) => mark !== "binding")) return null;
  return {
    path,
    answer: { question: "starts", ok: false },
    message: `It has ? on its digest, and machines that run ${subject} require fs-verity: ${name} refuses it.`,
    fix: "seal it without --allow-missing-verity.",
  };
}

const FIXES: Partial<Readonly<Record<ReasonId, string>>> = {
  layers: "seal it with --recompress, which recompresses such layers, and copy it without zstd:chunked.",
  "media-type": "seal it with seal image, which writes correct media types.",
  aboot: "remove the payload from /boot.",
  osrel: "build the UKI with an os-release that has a name.",
  "boot-entry": "remove the entry from /boot/loader/entries.",
  "mixed-marks": "put ? on all digests or on none.",
  "no-mount": "build the UKI with an initramfs that mounts a composefs root.",
};
const OTHER_FIX = "update the machines to a newer bootc first, with an intermediate image that they accept.";
