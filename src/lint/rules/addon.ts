import { addonDirectory, addonFits, addonProblem, foreignDigest, GLOBAL_ADDONS } from "../../boot/addons.ts";
import { ukiVersion } from "../../boot/efi-program.ts";
import { efiArchOfMachine } from "../../pe/arch.ts";
import { isRead, type ReadProgram } from "../boot-programs.ts";
import { quote } from "../files.ts";
import { checked, notApplicable, type Problem, type Rule } from "../rule.ts";

export const addonRule: Rule = {
  id: "addon",
  severity: "error",
  finds: "a UKI addon with a composefs digest that is not its UKI's, or one that systemd-stub will not load",
  applies: "sealed",
  check: async (context) => {
    const addons = (await context.addons()).filter(isRead);
    if (addons.length === 0) return notApplicable("there is no addon that can be read");
    const ukis = (await context.ukis()).filter(isRead);
    return checked(...addons.map((addon) => problemOf(addon, ukis)));
  },
};

function problemOf(addon: ReadProgram, ukis: readonly ReadProgram[]): Problem | null {
  const { path, pe } = addon;
  const ignored = (message: string, fix: string): Problem => ({ path, message, fix, severity: "warning" });
  const directory = path.slice(0, path.lastIndexOf("/"));
  const isGlobal = directory.toLowerCase() === `boot/${GLOBAL_ADDONS}`;
  const own = isGlobal
    ? ukis
    : ukis.filter((uki) => directory.toLowerCase() === addonDirectory(uki.path).toLowerCase());
  if (own.length === 0 && !isGlobal) {
    return ignored(
      "It is not where systemd-stub looks for addons, so nothing loads it.",
      `put it into ${addonDirectory("boot/EFI/Linux/<kver>.efi")}/ or boot/${GLOBAL_ADDONS}/.`,
    );
  }
  const problem = addonProblem(pe);
  if (problem !== null) return ignored(`It ${problem}; systemd-stub ignores it.`, "build it without --linux.");
  const other = own.find((uki) => uki.pe.machine !== pe.machine);
  if (other !== undefined) {
    const [mine, theirs] = [pe, other.pe].map(({ machine }) => efiArchOfMachine(machine) ?? "another architecture");
    return ignored(
      `It is for ${mine}, but the UKI is for ${theirs}: firmware does not load it.`,
      "build it for the architecture of the UKI.",
    );
  }
  const fitting = own.filter((uki) => addonFits(pe, uki.pe));
  if (own.length > 0 && fitting.length === 0) {
    const version = quote(ukiVersion(pe) ?? "");
    return ignored(
      `It is for the kernel ${version}, which no UKI here has: systemd-stub ignores it.`,
      "rebuild it for that kernel.",
    );
  }
  const digest = fitting.map((uki) => foreignDigest(pe, uki.pe)).find((found) => found !== null) ?? null;
  if (digest === null) return null;
  return {
    path,
    message: `It adds ${quote(digest)} to the cmdline, which is not the digest of the UKI: a program that reads the last digest mounts another root filesystem.`,
    fix: "build the addon without a digest.",
  };
}
