import { ukiVersion } from "../../boot/efi-program.ts";
import { MODULES_DIRECTORY } from "../../boot/kernel.ts";
import { displayBytes } from "../../bytes.ts";
import type { Rootfs } from "../../tree/rootfs.ts";
import { isRead, type ReadProgram } from "../boot-programs.ts";
import { nodeAt } from "../files.ts";
import { checked, notApplicable, type Problem, type Rule } from "../rule.ts";

export const ukiNameRule: Rule = {
  id: "uki-name",
  severity: "warning",
  finds: "a UKI that is not named <kver>.efi, or whose .uname differs from the modules directory",
  applies: "sealed",
  check: async (context) => {
    const ukis = (await context.ukis()).filter(isRead);
    if (ukis.length === 0) return notApplicable("there is no UKI that can be read");
    const versions = moduleVersions(context.rootfs);
    return checked(...ukis.flatMap((uki) => problemsOf(uki, versions)));
  },
};

/** Versions that there are modules for. */
function moduleVersions(rootfs: Rootfs): string[] {
  const modules = nodeAt(rootfs, MODULES_DIRECTORY);
  if (modules?.kind !== "directory") return [];
  return modules.entries.filter(({ node }) => node.kind === "directory").map(({ name }) => displayBytes(name));
}

function problemsOf({ path, name, pe }: ReadProgram, versions: readonly string[]): Problem[] {
  const uname = ukiVersion(pe);
  const known = uname === null ? versions : [uname];
  const problems: Problem[] = [];
  if (uname !== null && versions.length > 0 && !versions.includes(uname)) {
    problems.push({
      path,
      message: `Its kernel says it is ${uname} (.uname), but ${MODULES_DIRECTORY} has ${versions.join(", ")}: no module will load.`,
      fix: "build the UKI from the kernel of this tree.",
    });
  }
  if (known.length > 0 && !known.some((version) => isNamed(name, version))) {
    problems.push({
      path,
      message: `It is not named after its kernel; tools that expect ${known[0]}.efi will not find it.`,
      fix: `call it ${known[0]}.efi.`,
    });
  }
  return problems;
}

/** `<kver>.efi`, or, as by kernel-install(8), with an entry token before it or a boot counter after it. */
function isNamed(name: string, version: string): boolean {
  const stem = name.replace(/(?:\+\d+(?:-\d+)?)?\.efi$/, "");
  const whole = name.replace(/\.efi$/, "");
  return [stem, whole].some((candidate) => candidate === version || candidate.endsWith(`-${version}`));
}
