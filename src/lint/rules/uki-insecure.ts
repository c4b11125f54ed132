import { cmdlinesOf } from "../../boot/addons.ts";
import { findComposefsDigests } from "../../boot/cmdline.ts";
import { isRead } from "../boot-programs.ts";
import { checked, notApplicable, type Rule } from "../rule.ts";

export const ukiInsecureRule: Rule = {
  id: "uki-insecure",
  severity: "error",
  finds: "composefs=? in a signed UKI",
  applies: "sealed",
  check: async (context) => {
    const signed = (await context.ukis()).filter(isRead).filter(({ pe }) => pe.certificateTable !== null);
    if (signed.length === 0) return notApplicable("there is no signed UKI");
    return checked(
      ...signed
        .filter(({ pe }) =>
          cmdlinesOf(pe).some((cmdline) => findComposefsDigests(cmdline).digests.some((digest) => digest.insecure)),
        )
        .map(({ path }) => ({
          path,
          message:
            "Its cmdline says composefs=?, so fs-verity is not required: on a disk without it, changed files are read and the signature protects nothing.",
          fix: "build it again without --allow-missing-verity.",
        })),
    );
  },
};
