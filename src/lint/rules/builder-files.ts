import { isEmptyFile, nodeAt } from "../files.ts";
import { checked, type Rule } from "../rule.ts";

export const builderFilesRule: Rule = {
  id: "builder-files",
  severity: "warning",
  finds: "/etc/hosts, /etc/hostname or /etc/resolv.conf as a builder leaves them (0 bytes, executable)",
  applies: "any",
  check: ({ rootfs }) =>
    checked(
      ...["etc/hosts", "etc/hostname", "etc/resolv.conf"].map((path) => {
        const node = nodeAt(rootfs, path);
        if (node === null || !isEmptyFile(node) || (node.mode & 0o111) === 0) return null;
        return {
          path,
          message: `It is empty with mode ${node.mode.toString(8).padStart(4, "0")}, as a builder leaves the mount point of a file of its own. It may be in the mount that is sealed and not in the layers, or the other way round; then the digests differ.`,
          fix: "write a proper file there, or remove it in a step where it is not mounted.",
        };
      }),
    ),
};
