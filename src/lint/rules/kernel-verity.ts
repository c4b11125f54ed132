import { cmdlinesOf } from "../../boot/addons.ts";
import { findComposefsDigests } from "../../boot/cmdline.ts";
import { ukiKernelVersion } from "../../boot/efi-program.ts";
import { findKernels, MODULES_DIRECTORY } from "../../boot/kernel.ts";
import { describeFault, kernelFault } from "../../boot/kernel-faults.ts";
import { isRead } from "../boot-programs.ts";
import { checked, type Problem, type Rule } from "../rule.ts";

export const kernelVerityRule: Rule = {
  id: "kernel-verity",
  severity: "warning",
  finds: "a kernel of a release that is known to refuse roots that require fs-verity",
  applies: "any",
  check: async ({ rootfs, sealed, ukis }) => {
    if (!sealed) {
      return checked(...findKernels(rootfs).map(({ version }) => problem(`${MODULES_DIRECTORY}/${version}`, version)));
    }
    const demanding = (await ukis())
      .filter(isRead)
      .filter(({ pe }) =>
        cmdlinesOf(pe).some((cmdline) => findComposefsDigests(cmdline).digests.some(({ insecure }) => !insecure)),
      );
    return checked(...demanding.map(({ path, pe }) => problem(path, ukiKernelVersion(pe) ?? "")));
  },
};

function problem(path: string, version: string): Problem | null {
  const fault = kernelFault(version);
  if (fault === null) return null;
  return {
    path,
    message: `The kernel is ${version}. ${describeFault(fault)}. The machine does not start unless the distribution has fixed that.`,
    fix: "use a newer kernel, or try this one with seal boot-test.",
  };
}
