import { checked, notApplicable, type Rule } from "../rule.ts";
import { programProblem } from "../signatures.ts";

export const bootloaderSignatureRule: Rule = {
  id: "bootloader-signature",
  severity: "error",
  finds: "the same as uki-signature for every other EFI program in /boot",
  applies: "sealed",
  check: async (context) => {
    const others = (await context.programs()).filter(({ role }) => role !== "uki");
    if (others.length === 0) return notApplicable("there is no EFI program other than UKIs");
    return checked(...others.map((program) => programProblem(program, context)));
  },
};
