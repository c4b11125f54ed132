import { cmdlinesOf } from "../../boot/addons.ts";
import { findComposefsDigests } from "../../boot/cmdline.ts";
import { isRead } from "../boot-programs.ts";
import { checked, notApplicable, type Rule } from "../rule.ts";

export const ukiDigestCountRule: Rule = {
  id: "uki-digest-count",
  severity: "warning",
  finds: "several digests where a supported runtime looks at the first only",
  applies: "sealed",
  check: async (context) => {
    const ukis = (await context.ukis()).filter(isRead);
    if (ukis.length === 0) return notApplicable("there is no UKI that can be read");
    return checked(
      ...ukis.flatMap(({ path, pe }) =>
        cmdlinesOf(pe)
          .map((cmdline) => findComposefsDigests(cmdline).digests.length)
          .filter((count) => count > 1)
          .map((count) => ({
            path,
            message: `Its cmdline has ${count} composefs digests. bootc's initramfs tries one only: where that root is not on the disk, the machine does not start.`,
            fix: "give one digest, or make sure that the initramfs has composefs-setup-root, which tries all in order.",
          })),
      ),
    );
  },
};
