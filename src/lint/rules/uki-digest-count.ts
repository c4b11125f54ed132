import { cmdlinesOf } from "../../boot/addons.ts";
import { findComposefsDigests, findComposefsWords, isMalformed } from "../../boot/cmdline.ts";
import { type HostVerdict, type Initramfs, joinLines, readDigest } from "../../boot/hosts.ts";
import type { DigestReader, Profile } from "../../composefs/profile.ts";
import { shortDigest } from "../../text.ts";
import { isRead } from "../boot-programs.ts";
import { readerOf } from "../hosts.ts";
import { checked, notApplicable, type Problem, type Rule } from "../rule.ts";

export const ukiDigestCountRule: Rule = {
  id: "uki-digest-count",
  severity: "warning",
  finds: "several digests where a supported runtime looks at the first only",
  applies: "sealed",
  check: async ({ ukis, hosts, profiles, bootWays }) => {
    const read = (await ukis()).filter(isRead);
    if (read.length === 0) return notApplicable("there is no UKI that can be read");
    const problems: Problem[] = [];
    for (const uki of read) {
      const cmdlines = cmdlinesOf(uki.pe).filter((cmdline) => countDigests(cmdline) > 1);
      if (cmdlines.length === 0) continue;
      const { path } = uki;
      const verdicts = (await hosts()).filter((one) => one.path === path).flatMap((one) => one.verdicts);
      const overlooking = profiles.filter((profile) => linesThat("order", verdicts).includes(profile));
      problems.push(...overlooking.map((profile) => ({ path, ...unread(profile) })));
      if (overlooking.length > 0) continue;
      const ways = await bootWays(uki);
      const found = cmdlines.map((cmdline) => several(cmdline, readerOf(ways, cmdline), verdicts));
      problems.push(...new Map(found.map((problem) => [problem.message, { path, ...problem }])).values());
    }
    return checked(...problems);
  },
};

function countDigests(cmdline: string): number {
  return new Set(findComposefsDigests(cmdline).digests.map(({ digest }) => digest)).size;
}

function linesThat(reason: "order" | "initramfs", verdicts: readonly HostVerdict[]): readonly Profile[] {
  return verdicts.flatMap((one) => (one.kind === "refuses" && one.reason === reason ? [one.profile] : []));
}

/** @param initramfs null: it can't be told what mounts the root */
function several(
  cmdline: string,
  initramfs: Initramfs | null,
  verdicts: readonly HostVerdict[],
): Omit<Problem, "path"> {
  const what = `Its cmdline has ${countDigests(cmdline)} composefs digests, and the disk of a host the image of one.`;
  if (initramfs === "all") {
    const message = `${what} composefs-setup-root in its initramfs tries them in order and takes the one that is there.`;
    return { severity: "info", message, fix: "" };
  }
  const fix = "give one digest, or an initramfs with composefs-setup-root, which tries all in order.";
  if (initramfs === null) {
    return {
      message: `${what} bootc's initramfs goes by one word only: if it has that and another one is there, the machine does not start.`,
      fix,
    };
  }
  const stopped = linesThat("initramfs", verdicts);
  const consequence =
    stopped.length > 0
      ? `bootc ${joinLines(stopped)} installs the image by another one, and the machine does not start`
      : "with the image of another one the machine does not start";
  return {
    message: `${what} bootc's initramfs-setup in its initramfs goes by ${wordOf(cmdline, initramfs)} only: ${consequence}.`,
    fix,
  };
}

function wordOf(cmdline: string, reader: DigestReader): string {
  const word = readDigest(findComposefsWords(cmdline), reader);
  return word === null || isMalformed(word) ? `the first ${reader}=` : `${word.form}= (${shortDigest(word.digest, 8)})`;
}

/** To the release that was asked for it is as if the digest was not there. */
function unread({ line, reads }: Profile): Omit<Problem, "path"> {
  return {
    severity: "error",
    message: `The digest that bootc ${line} computes is on its cmdline, but not where that release looks: it goes by the first ${reads}= only, and refuses the image.`,
    fix: "build it with --bootc once for each release, which puts the digests where each finds its own.",
  };
}
