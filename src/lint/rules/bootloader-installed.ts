import { programArch } from "../../boot/efi-program.ts";
import type { EfiArch } from "../../pe/arch.ts";
import { isRead } from "../boot-programs.ts";
import { installedLoaderProblem, readInstalledLoader } from "../installed-loaders.ts";
import { checked, notApplicable, type Problem, type Rule } from "../rule.ts";

export const bootloaderInstalledRule: Rule = {
  id: "bootloader-installed",
  severity: "warning",
  finds: "a systemd-boot in /usr, which bootc puts onto the disk, that is not signed; an error with --cert",
  applies: "sealed",
  check: async (context) => {
    const { rootfs } = context;
    const arches = new Set<EfiArch>();
    for (const { pe } of (await context.ukis()).filter(isRead)) arches.add(programArch(pe));
    const problems: (Problem | null)[] = [];
    let found = 0;
    for (const arch of arches) {
      if ((await readInstalledLoader(rootfs, arch)) !== null) found++;
      problems.push(await installedLoaderProblem(context, arch));
    }
    return found === 0 ? notApplicable("there is no systemd-boot for its UKIs in /usr") : checked(...problems);
  },
};
