import { isRead } from "../boot-programs.ts";
import { checked, notApplicable, type Rule } from "../rule.ts";
import { sbatProblems } from "../sbat.ts";

export const ukiSbatRule: Rule = {
  id: "uki-sbat",
  severity: "warning",
  finds: "a UKI without .sbat or without its stub's lines, or with a generation below that given by --sbat-level",
  applies: "sealed",
  check: async (context) => {
    const ukis = (await context.ukis()).filter(isRead);
    if (ukis.length === 0) return notApplicable("there is no UKI that can be read");
    return checked(...ukis.flatMap((uki) => sbatProblems(uki, context.sbatLevel, "a systemd-stub")));
  },
};
