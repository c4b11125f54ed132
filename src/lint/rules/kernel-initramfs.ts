import { findKernels, INITRAMFS_NAME, KERNEL_NAME, kernelPath, MODULES_DIRECTORY } from "../../boot/kernel.ts";
import { checked, notApplicable, type Rule } from "../rule.ts";

export const kernelInitramfsRule: Rule = {
  id: "kernel-initramfs",
  severity: "error",
  finds: "a kernel without initramfs.img next to it",
  applies: "unsealed",
  check: ({ rootfs }) => {
    const kernels = findKernels(rootfs);
    if (kernels.length === 0) return notApplicable(`there is no kernel in ${MODULES_DIRECTORY}`);
    return checked(
      ...kernels
        .filter(({ initramfs }) => !initramfs)
        .map(({ version }) => ({
          path: kernelPath(version, KERNEL_NAME),
          message: `There is no ${INITRAMFS_NAME} next to this kernel; without one nothing mounts the composefs root.`,
          fix: `make ${kernelPath(version, INITRAMFS_NAME)} in the image, with dracut, mkinitcpio or update-initramfs.`,
        })),
    );
  },
};
