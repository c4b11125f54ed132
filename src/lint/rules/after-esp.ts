import type { EfiArch } from "../../pe/arch.ts";
import { loaderInfo, systemdVersion } from "../../pe/loader-info.ts";
import { isRead } from "../boot-programs.ts";
import { bootctlVersion, UKI_KEY_SINCE } from "../bootctl.ts";
import type { InstalledMachine, LintContext } from "../context.ts";
import { readInstalledLoader } from "../installed-loaders.ts";
import { afterRule, firmwareRefusal, machineKeys, trusting, ukiArches } from "../machine.ts";
import { checked, notApplicable, type Problem } from "../rule.ts";
import { isSameFile, isSameProgram } from "../same-program.ts";
import { readShims } from "../shims.ts";

export const afterEspRule = afterRule(
  {
    id: "after-esp",
    severity: "warning",
    finds: "a boot loader, shim or addon that differs from that of --after: bootc upgrade does not bring it to the ESP",
  },
  async (context, machine) => {
    const arches = await ukiArches(context);
    if (arches.size === 0) return notApplicable("there is no UKI that can be read");
    const loaders = await Promise.all([...arches].map((arch) => loaderProblems(context, machine, arch)));
    return checked(
      ...loaders.flat(),
      ...(await shimProblems(context, machine)),
      ...(await addonProblems(context, machine)),
    );
  },
);

async function loaderProblems(context: LintContext, machine: InstalledMachine, arch: EfiArch): Promise<Problem[]> {
  const { subject, runs } = machine;
  const [next, there] = await Promise.all([context, runs].map(({ rootfs }) => readInstalledLoader(rootfs, arch)));
  // One that can't be read is reported by another rule.
  if (next?.kind !== "program") return [];
  const { path, pe } = next;
  const name = loaderInfo(pe) ?? "the boot loader";
  if (there?.kind !== "program") {
    const message = `${subject} has no systemd-boot in /usr that could be read: it is not known which boot loader is on the ESP of its machines. bootc upgrade does not put this one there.`;
    return [{ path, message, fix: "look at bootctl status on a machine." }];
  }
  const problems: Problem[] = [];
  if (!isSameFile(pe, there.pe)) {
    const old = loaderInfo(there.pe) ?? "another boot loader";
    const same = isSameProgram(pe, there.pe);
    const refusals = trusting(await machineKeys(machine), context.now).flatMap(
      ({ trust }) => firmwareRefusal(pe, trust) ?? [],
    );
    const [refusal] = refusals;
    problems.push({
      path,
      message: `${same ? `It is the ${name} of ${subject} with other signatures` : `It is ${name}, ${subject} has ${old}`}, and that stays on the ESP: bootc upgrade replaces no boot loader.${refusal === undefined ? "" : ` The firmware of its machines does not allow this one (${refusal}).`}`,
      fix: `${refusal === undefined ? "" : "bring the key of its signer to db first; "}${loaderInfo(pe) === loaderInfo(there.pe) ? "run bootctl install in the new system; bootctl update passes over a boot loader of the same version." : "run bootctl update in the new system, or let its systemd-boot-update.service do so, with the ESP mounted."}`,
    });
  }
  const [version, bootctl] = [systemdVersion(there.pe, "systemd-boot"), bootctlVersion(context.rootfs)];
  if (version !== null && version < UKI_KEY_SINCE && bootctl !== null && bootctl >= UKI_KEY_SINCE) {
    problems.push({
      path,
      message: `The systemd-boot that ${subject} put onto the ESP is ${version}, the bootctl of this image ${bootctl}: bootc writes the entries of the images after this one with the key uki, which that boot loader does not show.`,
      fix: "run bootctl update in the new system, before it is upgraded again.",
    });
  }
  return problems;
}

async function shimProblems(context: LintContext, { subject, runs }: InstalledMachine): Promise<Problem[]> {
  const installed = await readShims(runs.rootfs);
  return (await readShims(context.rootfs)).flatMap(({ path, name, pe }) => {
    const there = installed.filter((one) => one.name === name && one.pe.machine === pe.machine);
    if (there.some((one) => isSameFile(one.pe, pe))) return [];
    const what = there.length === 0 ? `${subject} has none of that name` : `It differs from that of ${subject}`;
    const message = `${what}: bootc upgrade does not run bootupd, so that the ESP keeps what it has.`;
    return [{ path, message, fix: "run bootupctl update in the new system." }];
  });
}

/** bootc installs addons where they are asked for, and none with an upgrade (1.16.9, boot.rs, `setup_composefs_uki_boot`). */
async function addonProblems(context: LintContext, { subject, runs }: InstalledMachine): Promise<Problem[]> {
  const installed = (await runs.addons()).filter(isRead);
  return (await context.addons()).filter(isRead).flatMap(({ path, name, pe }) => {
    if (installed.some((one) => one.name === name && isSameFile(one.pe, pe))) return [];
    const message = `${subject} does not have this addon, and bootc upgrade brings no addons to the ESP: the UKI starts without it.`;
    return [{ path, message, fix: "put it onto the ESP of each machine, or its arguments into the UKI." }];
  });
}
