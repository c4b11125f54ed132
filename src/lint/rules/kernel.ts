import { findKernels, MODULES_DIRECTORY } from "../../boot/kernel.ts";
import { checked, type Rule } from "../rule.ts";

export const kernelRule: Rule = {
  id: "kernel",
  severity: "error",
  finds: "no kernel, or more than one directory with a kernel in /usr/lib/modules",
  applies: "unsealed",
  check: ({ rootfs }) => {
    const versions = findKernels(rootfs).map(({ version }) => version);
    if (versions.length === 1) return checked();
    if (versions.length === 0) {
      return checked({
        path: MODULES_DIRECTORY,
        message: `There is no kernel (${MODULES_DIRECTORY}/<version>/vmlinuz), so nothing can be booted.`,
        fix: "install a kernel package, and copy its vmlinuz there if the distribution puts it into /boot.",
      });
    }
    return checked({
      path: MODULES_DIRECTORY,
      message: `There are ${versions.length} kernels (${versions.join(", ")}); an image has one, and bootc refuses several.`,
      fix: "remove all but one of the directories.",
    });
  },
};
