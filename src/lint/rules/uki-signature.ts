import { checked, notApplicable, type Rule } from "../rule.ts";
import { programProblem } from "../signatures.ts";

export const ukiSignatureRule: Rule = {
  id: "uki-signature",
  severity: "error",
  finds:
    "a UKI that is unsigned, not signed by --cert, or signed with SHA-1 or ECDSA; an expired certificate is a warning",
  applies: "sealed",
  check: async (context) => {
    const ukis = (await context.ukis()).filter(({ kind }) => kind !== "symlink");
    if (ukis.length === 0) return notApplicable("there is no UKI");
    return checked(...ukis.map((uki) => programProblem(uki, context)));
  },
};
