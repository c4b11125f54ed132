import { checked, notApplicable, type Rule } from "../rule.ts";

export const notSealedRule: Rule = {
  id: "not-sealed",
  severity: "error",
  finds: "a tree that is not sealed but has to be: with --sealed, --cert, or the label containers.bootc=sealed",
  applies: "any",
  check: async ({ mustBeSealed, ukis }) => {
    if (!mustBeSealed) return notApplicable("nothing says that it has to be sealed (--sealed)");
    if ((await ukis()).length > 0) return checked();
    return checked({
      path: "boot/EFI/Linux",
      answer: { question: "starts", ok: false },
      message: "It is not sealed: there is no UKI, so nothing that is signed names this root filesystem.",
      fix: "seal it, or copy the boot files of the stage that sealed it; lint a base image before sealing with --no-sealed.",
    });
  },
};
