import { sbatOf } from "../../pe/sbat.ts";
import { isRead, type ReadProgram } from "../boot-programs.ts";
import { quote } from "../files.ts";
import { checked, notApplicable, type Problem, type Rule } from "../rule.ts";
import { parseSbat, type RevocationLevel } from "../sbat-level.ts";

export const ukiSbatRule: Rule = {
  id: "uki-sbat",
  severity: "warning",
  finds: "a UKI without .sbat, or with a generation below the revocation level given by --sbat-level",
  applies: "sealed",
  check: async (context) => {
    const ukis = (await context.ukis()).filter(isRead);
    if (ukis.length === 0) return notApplicable("there is no UKI that can be read");
    return checked(...ukis.flatMap((uki) => problemsOf(uki, context.sbatLevel)));
  },
};

function problemsOf({ path, pe }: ReadProgram, level: RevocationLevel | null): Problem[] {
  const entries = sbatOf(pe).flatMap(({ text }) => parseSbat(text));
  if (entries.length === 0) {
    return [
      {
        path,
        message: "It has no .sbat section, so shim refuses it, and it can't be revoked but by its hash.",
        fix: "build it from a systemd-stub with SBAT data (systemd 250 or later).",
      },
    ];
  }
  return entries.flatMap(({ component, generation }) => {
    const wanted = level?.get(component);
    if (wanted === undefined || generation >= wanted) return [];
    return [
      {
        path,
        message: `Its ${quote(component)} has SBAT generation ${generation}; below ${wanted} it is revoked, and shim refuses it.`,
        fix: `build it with a newer ${quote(component)}.`,
      },
    ];
  });
}
