/**
 * `seal split-kernel`: takes kernel and initramfs out of a root filesystem, so that they are shipped once, in the UKI.
 * The layout of the output is that of `bootc container split-kernel-and-rootfs`:
 * `OUTPUT/<kver>/{vmlinuz,initramfs.img}`.
 */
import { join } from "node:path";
import { z } from "zod";
import { INITRAMFS_NAME, KERNEL_NAME } from "../boot/kernel.ts";
import { checkRoot } from "../io/check-root.ts";
import { realDirectory } from "../io/paths.ts";
import { runsInContainer } from "../io/process-port.ts";
import { isPartOf, moveKernel, planKernelMove } from "../seal/split-kernel.ts";
import { defineCommand } from "./command.ts";
import { printJson, printLine, userPath } from "./context.ts";
import { optionGroup } from "./options/group.ts";
import { flag, path, text } from "./options/option.ts";
import { writes } from "./options/risk.ts";

/** What `--json` prints. */
export const splitKernelReportSchema = z.strictObject({ kver: z.string(), vmlinuz: z.string(), initramfs: z.string() });

export const splitKernelCommand = defineCommand({
  examples: [
    ["--rootfs /target --output /kernel", "moves the kernel to /kernel/<kver>/ and prints that directory"],
    ["--rootfs root --output out --kver 6.12.107", "selects one of several kernels"],
  ],
  arguments: {},
  options: optionGroup(null, {
    rootfs: path({
      default: "/target",
      help: "directory of the root filesystem, changed in place",
      complete: "directory",
    }),
    output: path({
      risk: writes,
      short: "o",
      required: "give the directory to which the kernel is moved",
      help: "directory for <kver>/vmlinuz and <kver>/initramfs.img",
      complete: "directory",
    }),
    kver: text({ placeholder: "version", help: "which kernel, if there are several" }),
    json: flag({ help: "print what was moved as JSON" }),
  }),
  run: async (context, options) => {
    const rootfs = await realDirectory(userPath(context, options.rootfs.replace(/^dir:/, "")));
    const { kver = null, rootfs: subject } = options;
    const output = userPath(context, options.output);
    // In a stage of a container build the root filesystem is /, and there is nothing but it.
    const isStage = subject === "/" && runsInContainer(context.process.env);
    if (!isStage) checkRoot(rootfs);
    const move = await planKernelMove({
      root: rootfs,
      subject,
      directory: output,
      version: kver,
      option: "--output",
      again: false,
      inside: isStage,
    });
    if (isStage && (await isPartOf(output, rootfs))) {
      context.ui.warn(
        `${options.output} is inside the root filesystem: remove it before sealing, or the kernel is shipped there as well`,
      );
    }
    await moveKernel(rootfs, move);
    const { to: target, version } = move;
    if (options.json) {
      const [vmlinuz, initramfs] = [join(target, KERNEL_NAME), join(target, INITRAMFS_NAME)];
      printJson(context, splitKernelReportSchema.parse({ kver: version, vmlinuz, initramfs }));
    } else {
      printLine(context, target);
    }
    return 0;
  },
});
