import { cmdlinesOf } from "../../boot/addons.ts";
import { findComposefsDigests, findComposefsWords, isMalformed } from "../../boot/cmdline.ts";
import { readDigest } from "../../boot/digest-words.ts";
import type { HostVerdict, ReasonId, RootMount } from "../../boot/hosts.ts";
import { joinSeries } from "../../boot/hosts-text.ts";
import type { DigestReader, Series } from "../../composefs/series.ts";
import { shortDigest } from "../../text.ts";
import { isRead } from "../boot-programs.ts";
import { rootMount } from "../root-mount.ts";
import { checked, notApplicable, type Problem, type Rule } from "../rule.ts";

export const ukiDigestCountRule: Rule = {
  id: "uki-digest-count",
  severity: "warning",
  finds: "several digests where a supported bootc or initramfs reads only the first, or refuses them",
  applies: "sealed",
  check: async ({ ukis, hosts, seriesList, bootWays, bootc }) => {
    const read = (await ukis()).filter(isRead);
    if (read.length === 0) return notApplicable("there is no UKI that can be read");
    const problems: Problem[] = [];
    for (const uki of read) {
      const cmdlines = cmdlinesOf(uki.pe).filter((cmdline) => countDigests(cmdline) > 1);
      if (cmdlines.length === 0) continue;
      const { path } = uki;
      const verdicts = (await hosts()).filter((one) => one.path === path).flatMap((one) => one.verdicts);
      const refused = seriesList.flatMap((series) => refusals(series, verdicts));
      problems.push(...refused.map((problem) => ({ path, ...problem })));
      if (refused.length > 0) continue;
      const ways = await bootWays(uki);
      const inside = await bootc();
      const found = cmdlines.map((cmdline) => several(cmdline, rootMount(ways, cmdline, inside), verdicts));
      problems.push(...new Map(found.map((problem) => [problem.message, { path, ...problem }])).values());
    }
    return checked(...problems);
  },
};

function countDigests(cmdline: string): number {
  return new Set(findComposefsDigests(cmdline).digests.map(({ digest }) => digest)).size;
}

function seriesThat(reason: ReasonId, verdicts: readonly HostVerdict[]): readonly Series[] {
  return verdicts.flatMap(({ refusal, series }) => (refusal?.id === reason ? [series] : []));
}

function several(cmdline: string, mount: RootMount, verdicts: readonly HostVerdict[]): Omit<Problem, "path"> {
  const what = `Its cmdline has ${countDigests(cmdline)} composefs digests, and the disk of a host may have the image of only one.`;
  const reads = mount.kind === "mounts" ? mount.reads : null;
  if (mount.kind === "mounts" && reads === "all") {
    const message = `${what} ${mount.name} in its initramfs tries them in order and uses the one that is there.`;
    return { severity: "info", message, fix: "" };
  }
  const fix =
    "give one digest, or use an initramfs that tries all in order, with bootc 1.17 or newer or composefs-setup-root.";
  if (mount.kind !== "mounts" || reads === null) {
    return {
      message: `${what} The initramfs of bootc 1.16 reads only one of them: with it, and the image of another on the disk, the machine does not start.`,
      fix,
    };
  }
  const stopped = seriesThat("initramfs", verdicts);
  const consequence =
    stopped.length > 0
      ? `bootc ${joinSeries(stopped)} installs the image under another one, and the machine does not start`
      : "with the image of another on the disk, the machine does not start";
  return {
    message: `${what} ${mount.name} in its initramfs reads only ${wordOf(cmdline, reads)}: ${consequence}.`,
    fix,
  };
}

function wordOf(cmdline: string, reader: DigestReader): string {
  const word = readDigest(findComposefsWords(cmdline), reader);
  return word === null || isMalformed(word) ? `the first ${reader}=` : `${word.form}= (${shortDigest(word.digest, 8)})`;
}

/** Why a requested release rejects the arguments although its digest is among them. */
function refusals({ name, reads }: Series, verdicts: readonly HostVerdict[]): readonly Omit<Problem, "path">[] {
  const refusal = verdicts.find(({ series }) => series.name === name)?.refusal ?? null;
  switch (refusal?.id) {
    // That release does not see the digest.
    case "order":
      return [
        {
          severity: "error",
          message: `The digest that bootc ${name} computes is on its cmdline, but not where that release looks: it reads only the first ${reads}=, and refuses the image.`,
          fix: "build it with a --bootc for each release, which puts the digests where each finds its own.",
        },
      ];
    case "duplicate":
    case "unfound":
    case "mixed-marks":
      return [
        {
          severity: "error",
          message: `bootc ${name} refuses the image: ${refusal.text}.`,
          fix: "give one digest, or those that --karg-style both writes.",
        },
      ];
    default:
      return [];
  }
}
