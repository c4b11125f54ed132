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
    finds: "a boot loader, shim or addon that differs from that of --after: bootc upgrade does not copy it to the ESP",
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
    const message = `${subject} has no readable systemd-boot in /usr, so which boot loader is on the ESP of its machines is unknown. bootc upgrade does not put this one there.`;
    return [{ path, message, fix: "run bootctl status on one of the machines." }];
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
      message: `${same ? `It is the ${name} of ${subject} with different signatures` : `It is ${name}, ${subject} has ${old}`}, and that one stays on the ESP: bootc upgrade does not replace boot loaders.${refusal === undefined ? "" : ` The firmware of its machines does not allow this one (${refusal}).`}`,
      fix: `${refusal === undefined ? "" : "add its signer's certificate to db first; "}${loaderInfo(pe) === loaderInfo(there.pe) ? "run bootctl install in the new system; bootctl update skips a boot loader of the same version." : "run bootctl update in the new system, or let its systemd-boot-update.service do it, with the ESP mounted."}`,
    });
  }
  const [version, bootctl] = [systemdVersion(there.pe, "systemd-boot"), bootctlVersion(context.rootfs)];
  if (version !== null && version < UKI_KEY_SINCE && bootctl !== null && bootctl >= UKI_KEY_SINCE) {
    problems.push({
      path,
      message: `The systemd-boot that ${subject} put onto the ESP is ${version}, but the bootctl of this image is ${bootctl}: for the images after this one, bootc writes boot entries with the key uki, which that boot loader does not show.`,
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
    const what = there.length === 0 ? `${subject} has no file of that name` : `It differs from the one in ${subject}`;
    const message = `${what}: bootc upgrade does not run bootupd, so the ESP keeps what it has.`;
    return [{ path, message, fix: "run bootupctl update in the new system." }];
  });
}

/** bootc installs addons only on request, and none with an upgrade (1.16.9, boot.rs, `setup_composefs_uki_boot`). */
async function addonProblems(context: LintContext, { subject, runs }: InstalledMachine): Promise<Problem[]> {
  const installed = (await runs.addons()).filter(isRead);
  return (await context.addons()).filter(isRead).flatMap(({ path, name, pe }) => {
    if (installed.some((one) => one.name === name && isSameFile(one.pe, pe))) return [];
    const message = `${subject} does not have this addon, and bootc upgrade copies no addons to the ESP: the UKI starts without it.`;
    return [{ path, message, fix: "put it onto the ESP of each machine, or its arguments into the UKI." }];
  });
}
