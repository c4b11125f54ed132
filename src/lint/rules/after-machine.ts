import { cmdlinesOf } from "../../boot/addons.ts";
import { digestsOf, findComposefsWords } from "../../boot/cmdline.ts";
import { joinSeries } from "../../boot/hosts-text.ts";
import type { EfiArch } from "../../pe/arch.ts";
import { loaderInfo } from "../../pe/loader-info.ts";
import { someOf } from "../../text.ts";
import type { InstalledMachine, LintContext } from "../context.ts";
import { isUnsignedCopy, readInstalledLoader } from "../installed-loaders.ts";
import {
  firmwareRefusal,
  isForOthers,
  machineKeys,
  machineReleases,
  NO_MACHINE,
  readUkis,
  trusting,
  ukiArches,
  ukiWords,
} from "../machine.ts";
import { checked, notApplicable, type Problem, type Rule } from "../rule.ts";
import { isSameFile, isSameProgram } from "../same-program.ts";
import { hasShim } from "../shims.ts";

export const afterMachineRule: Rule = {
  id: "after-machine",
  severity: "warning",
  finds:
    "machines of --after that can't take this image at all, or whose state is not what that image installs; notes what is assumed",
  applies: "after",
  check: async (context) => {
    const { after: machine } = context;
    if (machine === null) return notApplicable(NO_MACHINE);
    const [uki] = await readUkis(context);
    if (uki === undefined) return notApplicable("there is no UKI that can be read");
    const { path } = uki;
    if (await isForOthers(context, machine)) {
      const [own, theirs] = [await ukiArches(context), await ukiArches(machine.runs)];
      return checked({
        path,
        severity: "error",
        answer: { question: "starts", ok: false },
        message: `It is for ${[...own].join(", ")}, but ${machine.subject} is for ${[...theirs].join(", ")}: its machines can't start this one.`,
        fix: "compare images of the same architecture (--platform).",
      });
    }
    const installed = await readUkis(machine.runs);
    const problems = [
      ...(installed.length === 0 ? [notSealed(path, machine)] : []),
      await sameImage(context, machine),
      installed.length === 0 ? null : await updateProblem(path, machine),
      ...(await Promise.all([...(await ukiArches(context))].map((arch) => loaderProblem(machine, arch, context.now)))),
    ];
    return checked(await assumptions(path, context, machine), ...problems);
  },
};

/** What the findings assume. */
async function assumptions(path: string, context: LintContext, machine: InstalledMachine): Promise<Problem> {
  const { subject } = machine;
  const loaders: string[] = [];
  for (const arch of await ukiArches(context)) {
    const loader = await readInstalledLoader(machine.runs.rootfs, arch);
    if (loader?.kind === "program") loaders.push(loaderInfo(loader.pe) ?? loader.path);
  }
  const keys = trusting(await machineKeys(machine), context.now);
  const releases = await machineReleases(machine);
  const facts = [
    loaders.length === 0 ? "an unknown boot loader" : `${someOf(loaders)} from its /usr on the ESP`,
    keys.length === 0 ? "an unknown db" : `${keys.map(({ source }) => source).join(" or ")} in firmware`,
    releases.kind === "unknown" ? "an unknown bootc" : releases.name,
  ];
  const message = `Judged for machines that were installed from ${subject} and not changed since: with ${facts.join(", ")}.`;
  return { path, severity: "info", message, fix: "" };
}

function notSealed(path: string, { subject }: InstalledMachine): Problem {
  return {
    path,
    answer: { question: "starts", ok: null },
    message: `${subject} has no UKI: its machines were not installed from a sealed image, and bootc upgrade does not turn them into sealed ones unless they already boot a UKI. What they start after the upgrade is not judged.`,
    fix: "give the sealed image that the machines run, or reinstall them.",
  };
}

/**
 * bootc names deployments by their digest, and does not deploy one twice (1.16.9, update.rs, `validate_update` and
 * `do_upgrade`).
 */
async function sameImage(context: LintContext, { subject, runs }: InstalledMachine): Promise<Problem | null> {
  const installed = await readUkis(runs);
  const theirs = new Set(digestsOf(await ukiWords(runs)).map(({ digest }) => digest));
  for (const { path, pe } of await readUkis(context)) {
    const words = cmdlinesOf(pe).flatMap(findComposefsWords);
    if (!digestsOf(words).some(({ digest }) => theirs.has(digest))) continue;
    if (installed.some((one) => isSameFile(one.pe, pe))) {
      const message = `It is the UKI of ${subject}: bootc upgrade finds nothing to do.`;
      return { path, severity: "info", message, fix: "" };
    }
    const signed = installed.some((one) => isSameProgram(one.pe, pe));
    return {
      path,
      answer: { question: "starts", ok: false },
      message: `It demands the root filesystem of ${subject}, ${signed ? "and is the same UKI with different signatures" : "but is another UKI"}: bootc upgrade treats an image whose digest is already deployed as unchanged, or refuses it, so this UKI never reaches the ESP.`,
      fix: "change something in the root filesystem before sealing, such as the version in /usr/lib/os-release.",
    };
  }
  return null;
}

async function updateProblem(path: string, machine: InstalledMachine): Promise<Problem | null> {
  const releases = await machineReleases(machine);
  if (releases.kind === "unknown") return null;
  const blind = releases.seriesList.filter(({ status }) => status === "composefs");
  if (blind.length === 0 || (await ukiWords(machine.runs)).some(({ form }) => form === "composefs")) return null;
  return {
    path,
    severity: "error",
    answer: { question: "starts", ok: false },
    message: `Machines that run ${machine.subject} can't be updated: bootc ${joinSeries(blind)} recognises a composefs root by composefs=, and their cmdline has only composefs.digest=.`,
    fix: "reinstall them from an image that is sealed with --karg-style composefs.",
  };
}

/** Whether they start at all with Secure Boot. */
async function loaderProblem(machine: InstalledMachine, arch: EfiArch, now: Date): Promise<Problem | null> {
  const { subject, runs } = machine;
  const loader = await readInstalledLoader(runs.rootfs, arch);
  // Which other keys shim trusts is unknown.
  if (loader?.kind !== "program" || hasShim(runs.rootfs)) return null;
  if (isUnsignedCopy(loader.pe, await runs.programs())) {
    return {
      path: loader.path,
      message: `In ${subject} only the boot loader in /boot is signed, as seal 0.1 left it. bootc installed the unsigned one from /usr: unless they were repaired since, its machines start only with Secure Boot off, have none of its keys, and stay that way after the upgrade.`,
      fix: "seal the next image after seal prepare, with --enroll-keys; after the upgrade run bootctl install on each machine, copy the keys to loader/keys/auto on its ESP and turn Secure Boot on, or reinstall it.",
    };
  }
  for (const { source, trust } of trusting(await machineKeys(machine), now)) {
    const refusal = firmwareRefusal(loader.pe, trust);
    if (refusal === null) continue;
    return {
      path: loader.path,
      answer: { question: "starts", ok: null },
      message: `The boot loader that ${subject} installs is not allowed by ${source} (${refusal}): with Secure Boot on, its machines don't start.`,
      fix: "give the db that they really have (--db), or put a boot loader that it allows onto their ESP.",
    };
  }
  return null;
}
