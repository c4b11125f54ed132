import { isUtf8 } from "node:buffer";
import { displayBytes } from "../../bytes.ts";
import { displayPath, walk } from "../files.ts";
import { checked, type Problem, type Rule } from "../rule.ts";

export const utf8Rule: Rule = {
  id: "utf8",
  severity: "error",
  finds: "file names or symlink targets that are not UTF-8",
  applies: "any",
  check: ({ rootfs }) => {
    const problems: Problem[] = [];
    for (const { components, node } of walk(rootfs, "")) {
      if (!isUtf8(components.at(-1) ?? new Uint8Array())) {
        problems.push({
          path: displayPath(components),
          message: "This name is not UTF-8; bootc's ostree backend refuses it.",
          fix: "rename it.",
        });
      }
      if (node.kind === "symlink" && !isUtf8(node.target)) {
        problems.push({
          path: displayPath(components),
          message: `The target of this symlink (${displayBytes(node.target)}) is not UTF-8; bootc's ostree backend refuses it.`,
          fix: "point it elsewhere.",
        });
      }
    }
    return checked(...problems);
  },
};
