import { cmdlinesOf } from "../../boot/addons.ts";
import { findComposefsDigests } from "../../boot/cmdline.ts";
import { isRead } from "../boot-programs.ts";
import { checked, notApplicable, type Problem, type Rule } from "../rule.ts";

export const ukiDigestCountRule: Rule = {
  id: "uki-digest-count",
  severity: "warning",
  finds: "several digests where a supported runtime looks at the first only",
  applies: "sealed",
  check: async ({ ukis, hosts, profile }) => {
    const read = (await ukis()).filter(isRead);
    if (read.length === 0) return notApplicable("there is no UKI that can be read");
    const problems: Problem[] = [];
    for (const { path, pe } of read) {
      const counts = cmdlinesOf(pe).map(
        (cmdline) => new Set(findComposefsDigests(cmdline).digests.map(({ digest }) => digest)).size,
      );
      const count = Math.max(0, ...counts);
      if (count < 2) continue;
      const verdicts = (await hosts()).filter((one) => one.path === path).flatMap((one) => one.verdicts);
      const overlooked = verdicts.find(
        (one) => one.profile === profile && one.kind === "refuses" && one.reason === "order",
      );
      problems.push({ path, ...(overlooked === undefined ? several(count) : unread(profile.line, profile.reads)) });
    }
    return checked(...problems);
  },
};

function several(count: number): Omit<Problem, "path"> {
  return {
    message: `Its cmdline has ${count} composefs digests, and the disk of a host the image of one. bootc's initramfs goes by one word only: where that is another one, the machine does not start.`,
    fix: "give one digest, or make sure that the initramfs has composefs-setup-root, which tries all in order.",
  };
}

function unread(line: string, form: string): Omit<Problem, "path"> {
  return {
    message: `The digest that bootc ${line} computes is on its cmdline, but not where that release looks: it goes by the first ${form}= only, and refuses the image.`,
    fix: "build it with --bootc once for each release, which puts the digests where each finds its own.",
  };
}
