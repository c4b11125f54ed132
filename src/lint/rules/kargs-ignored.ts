import { cmdlinesOf } from "../../boot/addons.ts";
import { argumentKey, parseCmdline } from "../../boot/cmdline.ts";
import { kargsFor, readKargs } from "../../boot/kargs.ts";
import { efiArchOfMachine } from "../../pe/arch.ts";
import { someOf } from "../../text.ts";
import { isRead } from "../boot-programs.ts";
import { quote } from "../files.ts";
import { checked, notApplicable, type Problem, type Rule } from "../rule.ts";

export const kargsIgnoredRule: Rule = {
  id: "kargs-ignored",
  severity: "warning",
  finds: "kargs.d entries that are not on the UKI's cmdline",
  applies: "sealed",
  check: async (context) => {
    const files = await readKargs(context.rootfs);
    const ukis = (await context.ukis()).filter(isRead);
    if (files.length === 0 || ukis.length === 0)
      return notApplicable("there is no kargs.d, or no UKI that can be read");
    const problems: Problem[] = [];
    for (const { path, pe } of ukis) {
      const arch = efiArchOfMachine(pe.machine);
      const present = new Set(cmdlinesOf(pe).flatMap(parseCmdline).map(argumentKey));
      for (const file of files) {
        const own = arch === null ? [] : kargsFor([file], arch);
        const missing = own.flatMap(parseCmdline).filter((argument) => !present.has(argumentKey(argument)));
        if (missing.length === 0) continue;
        problems.push({
          path: file.path,
          message: `${someOf(missing.map(({ text }) => quote(text)))} ${missing.length === 1 ? "is" : "are"} not on the cmdline of ${path}; a signed cmdline is fixed, so this has no effect.`,
          fix: "build the UKI again with --rootfs, which takes kargs.d, or remove the entry.",
        });
      }
    }
    return checked(...problems);
  },
};
