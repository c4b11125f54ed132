import { programArch } from "../../boot/efi-program.ts";
import type { EfiArch } from "../../pe/arch.ts";
import { isRead } from "../boot-programs.ts";
import { installedLoaderProblem, isUnsignedCopy, readInstalledLoader } from "../installed-loaders.ts";
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
      const loader = await readInstalledLoader(rootfs, arch);
      if (loader !== null) found++;
      problems.push(await installedLoaderProblem(context, arch));
      if (loader?.kind === "program" && isUnsignedCopy(loader.pe, await context.programs())) {
        problems.push({ ...OLD_IMAGE, path: loader.path });
      }
    }
    return found === 0 ? notApplicable("there is no systemd-boot for its UKIs in /usr") : checked(...problems);
  },
};

/** What to do about machines that run such an image; the other problem says what to do about the image. */
const OLD_IMAGE: Omit<Problem, "path"> = {
  severity: "info",
  message:
    "Only its copy in /boot is signed, as seal 0.1 left it: machines that bootc installed from such an image have the unsigned one, and start only with Secure Boot off. seal lint NEXT --after THIS says what the next image has to bring them.",
  fix: "",
};
