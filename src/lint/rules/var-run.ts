import { nodeAt } from "../files.ts";
import { checked, type Rule } from "../rule.ts";

export const varRunRule: Rule = {
  id: "var-run",
  severity: "error",
  finds: "/var/run that is not a symlink",
  applies: "any",
  check: ({ rootfs }) => {
    const node = nodeAt(rootfs, "var/run");
    if (node === null || node.kind === "symlink") return checked();
    return checked({
      path: "var/run",
      message: `/var/run is a ${node.kind}; programs that use it and those that use /run will not find each other's files.`,
      fix: "remove it, or make it a symlink to ../run.",
    });
  },
};
