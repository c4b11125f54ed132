import { SealError } from "../../errors.ts";
import { efiArchOfMachine } from "../../pe/arch.ts";
import { type PeImage, parsePe } from "../../pe/headers.ts";
import { loaderInfo } from "../../pe/loader-info.ts";
import { PROGRAM_LIMIT, readTreeFile } from "../../tree/rootfs.ts";
import { isRead } from "../boot-programs.ts";
import type { LintContext } from "../context.ts";
import { checked, notApplicable, type Problem, type Rule } from "../rule.ts";
import { isSameProgram } from "../same-program.ts";

export const bootloaderDiffersRule: Rule = {
  id: "bootloader-differs",
  severity: "warning",
  finds: "copies of the boot loader that differ from each other, or from the tree's own systemd-boot",
  applies: "sealed",
  check: async (context) => {
    const loaders = (await context.programs()).filter(({ role }) => role === "loader").filter(isRead);
    const [first, ...others] = loaders;
    if (first === undefined) return notApplicable("there is no boot loader that can be read");
    const problems: Problem[] = [];
    for (const other of others) {
      if (other.pe.machine !== first.pe.machine || isSameProgram(first.pe, other.pe)) continue;
      problems.push({
        path: other.path,
        message: `It is not the same program as ${first.path} (${versionOf(other.pe)}, ${versionOf(first.pe)}): which one starts depends on the firmware.`,
        fix: "write both from one file, with seal boot-layout.",
      });
    }
    const own = await treeLoader(context, first.pe);
    if (own !== null && versionOf(own) !== versionOf(first.pe)) {
      problems.push({
        path: first.path,
        message: `It is ${versionOf(first.pe)}, but the tree has ${versionOf(own)} (${own.subject}): bootctl in the running system will report it as outdated, or replace it.`,
        fix: "take the boot loader from this tree, with seal boot-layout --rootfs.",
      });
    }
    return checked(...problems);
  },
};

/** systemd-boot as the tree has it, for the same machine; null when it has none. */
async function treeLoader({ rootfs }: LintContext, pe: PeImage): Promise<PeImage | null> {
  const arch = efiArchOfMachine(pe.machine);
  if (arch === null) return null;
  const path = `usr/lib/systemd/boot/efi/systemd-boot${arch}.efi`;
  for (const candidate of [`${path}.signed`, path]) {
    try {
      const bytes = await readTreeFile(rootfs, candidate, PROGRAM_LIMIT);
      if (bytes !== null) return parsePe([bytes], candidate);
    } catch (error) {
      if (!(error instanceof SealError)) throw error;
    }
  }
  return null;
}

function versionOf(pe: PeImage): string {
  return loaderInfo(pe) ?? "not systemd-boot";
}
