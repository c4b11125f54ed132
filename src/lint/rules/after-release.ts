import type { ReasonId } from "../../boot/hosts.ts";
import { optionFor } from "../../boot/hosts-text.ts";
import { afterRule, machineReleases, readUkis } from "../machine.ts";
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
        message: `It is not known whether the machines take it: ${releases.why}.`,
        fix: "name the release that they run, with --bootc.",
      });
    }
    const problems: Problem[] = [];
    for (const profile of releases.profiles) {
      for (const { path, verdicts } of await context.hosts()) {
        const verdict = verdicts.find((one) => one.profile === profile);
        const why = verdict?.refusal ?? null;
        if (verdict === undefined || (why === null && verdict.kind !== "unknown")) continue;
        if (why === null) {
          const text = verdict.accepts.reasons.map((reason) => reason.text).join("; ");
          const message = `It is not known whether ${releases.name} of the machines accepts it: ${text}.`;
          const answer = { question: "starts", ok: null } as const;
          problems.push({ path, severity: "warning", answer, message, fix: "try it on one machine." });
          continue;
        }
        const option = optionFor(verdict);
        problems.push({
          path,
          answer: { question: "starts", ok: false },
          message: `Machines that run ${machine.label} pull it with ${releases.name}, which refuses it: ${why.text}.`,
          fix: option === null ? (FIXES[why.id] ?? OTHER_FIX) : `seal it with ${option}.`,
        });
      }
    }
    return checked(...problems);
  },
);

const FIXES: Partial<Readonly<Record<ReasonId, string>>> = {
  layers: "seal it with --recompress, which packs such layers anew, and copy it without zstd:chunked.",
  "media-type": "seal it with seal image, which writes right media types.",
  aboot: "remove the payload from /boot.",
  osrel: "build the UKI with an os-release that has a name.",
  "boot-entry": "remove the entry from /boot/loader/entries.",
  "mixed-marks": "put ? on all digests or on none.",
  "no-mount": "build the UKI with an initramfs that mounts a composefs root.",
};
const OTHER_FIX = "bring the machines to a newer bootc first, by an image between that they accept.";
