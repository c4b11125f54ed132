import { displayBytes } from "../../bytes.ts";
import type { Rootfs } from "../../tree/rootfs.ts";
import { BASE_IMAGE_REFERENCE } from "../base-image.ts";
import { nodeAt } from "../files.ts";
import { checked, type Problem, type Rule } from "../rule.ts";

const OSTREE_TARGET = "sysroot/ostree";

export const baseimageRootRule: Rule = {
  id: "baseimage-root",
  severity: "error",
  finds: "no /sysroot, or no symlink /ostree to sysroot/ostree",
  applies: "any",
  check: ({ rootfs }) => {
    const reference = nodeAt(rootfs, BASE_IMAGE_REFERENCE);
    return checked(
      ...problemsIn(rootfs, ""),
      // Base images contain a copy of the root that they should have.
      ...(reference?.kind === "directory" ? problemsIn(rootfs, `${BASE_IMAGE_REFERENCE}/`) : []),
    );
  },
};

function problemsIn(rootfs: Rootfs, prefix: string): Problem[] {
  const problems: Problem[] = [];
  const sysroot = nodeAt(rootfs, `${prefix}sysroot`);
  if (sysroot?.kind !== "directory") {
    problems.push({
      path: `${prefix}sysroot`,
      message:
        sysroot === null
          ? "It is missing; the physical root is mounted there."
          : `It is a ${sysroot.kind}, not a directory.`,
      fix: "make it an empty directory.",
    });
  }
  const ostree = nodeAt(rootfs, `${prefix}ostree`);
  if (ostree?.kind !== "symlink" || displayBytes(ostree.target) !== OSTREE_TARGET) {
    const what =
      ostree === null
        ? "is missing"
        : ostree.kind === "symlink"
          ? `points to ${displayBytes(ostree.target)}`
          : `is a ${ostree.kind}`;
    problems.push({
      path: `${prefix}ostree`,
      message: `It ${what}; bootc refuses images without a symlink there to ${OSTREE_TARGET}.`,
      fix: `make it with: ln -sfn ${OSTREE_TARGET} /${prefix}ostree.`,
    });
  }
  return problems;
}
