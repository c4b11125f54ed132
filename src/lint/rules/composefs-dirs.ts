import { nodeAt } from "../files.ts";
import { checked, type Rule } from "../rule.ts";

export const composefsDirsRule: Rule = {
  id: "composefs-dirs",
  severity: "error",
  finds: "/boot, /sysroot or /usr missing or not a directory",
  applies: "any",
  check: ({ rootfs }) =>
    checked(
      ...["boot", "sysroot", "usr"].map((path) => {
        const node = nodeAt(rootfs, path);
        if (node?.kind === "directory") return null;
        return {
          path,
          message: `/${path} ${node === null ? "is missing" : `is a ${node.kind}, not a directory`}; without it the tree has no digest.`,
          fix: node === null ? `make it, empty, with: mkdir /${path}.` : "make it a directory.",
        };
      }),
    ),
};
