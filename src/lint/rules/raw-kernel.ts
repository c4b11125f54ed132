import { INITRAMFS_NAME, KERNEL_NAME, MODULES_DIRECTORY } from "../../boot/kernel.ts";
import { utf8 } from "../../bytes.ts";
import { lookup } from "../../tree/node.ts";
import { displayPath, nodeAt } from "../files.ts";
import { checked, type Problem, type Rule } from "../rule.ts";

export const rawKernelRule: Rule = {
  id: "raw-kernel",
  severity: "warning",
  finds: "vmlinuz or initramfs.img left in a tree with a UKI",
  applies: "sealed",
  check: async (context) => {
    const modules = nodeAt(context.rootfs, MODULES_DIRECTORY);
    if (modules?.kind !== "directory" || (await context.ukis()).length === 0) return checked();
    const problems: Problem[] = [];
    for (const { name, node } of modules.entries) {
      if (node.kind !== "directory") continue;
      for (const file of [KERNEL_NAME, INITRAMFS_NAME]) {
        const found = lookup(node, utf8(file));
        if (found === undefined) continue;
        const size =
          found.kind === "regular" && found.content.kind === "external" ? ` (${found.content.size} bytes)` : "";
        problems.push({
          path: `${MODULES_DIRECTORY}/${displayPath([name])}/${file}`,
          message: `The UKI has this already${size}: it is shipped twice, and a tool that finds it may boot it unsealed.`,
          fix: "take it out before sealing with seal split-kernel, then seal again: it is part of the digest.",
        });
      }
    }
    return checked(...problems);
  },
};
