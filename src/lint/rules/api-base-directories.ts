import { nodeAt } from "../files.ts";
import { checked, type Rule } from "../rule.ts";

/** What systemd mounts or expects (https://systemd.io/API_FILE_SYSTEMS/), and /var, which bootc needs. */
const DIRECTORIES = ["dev", "proc", "sys", "run", "tmp", "var"];

export const apiBaseDirectoriesRule: Rule = {
  id: "api-base-directories",
  severity: "error",
  finds: "/dev, /proc, /sys, /run, /tmp or /var missing or not a directory",
  applies: "any",
  check: ({ rootfs }) =>
    checked(
      ...DIRECTORIES.map((path) => {
        const node = nodeAt(rootfs, path);
        if (node?.kind === "directory") return null;
        return {
          path,
          message: `/${path} ${node === null ? "is missing" : `is a ${node.kind}, not a directory`}; the sealed root is read-only, so it can't be made at boot.`,
          fix: node === null ? `make it, empty, with: mkdir /${path}.` : "make it a directory.",
        };
      }),
    ),
};
