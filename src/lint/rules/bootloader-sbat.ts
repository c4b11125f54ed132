import { isRead } from "../boot-programs.ts";
import { checked, notApplicable, type Rule } from "../rule.ts";
import { sbatProblems } from "../sbat.ts";

export const bootloaderSbatRule: Rule = {
  id: "bootloader-sbat",
  severity: "warning",
  finds: "the same as uki-sbat for boot loaders",
  applies: "sealed",
  check: async (context) => {
    const loaders = (await context.programs()).filter(({ role }) => role === "loader").filter(isRead);
    if (loaders.length === 0) return notApplicable("there is no boot loader that can be read");
    return checked(...loaders.flatMap((loader) => sbatProblems(loader, context.sbatLevel, "a systemd-boot")));
  },
};
