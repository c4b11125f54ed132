import { isEmptyFile, nodeAt } from "../files.ts";
import { checked, type Rule } from "../rule.ts";

export const buildahInjectedRule: Rule = {
  id: "buildah-injected",
  severity: "warning",
  finds: "an empty /etc/hostname or /etc/resolv.conf that a container build may have left",
  applies: "any",
  check: ({ rootfs }) =>
    checked(
      ...["etc/hostname", "etc/resolv.conf"]
        .filter((path) => isEmptyFile(nodeAt(rootfs, path)))
        .map((path) => ({
          path,
          message: "It is an empty file, as a container build leaves one; the machine will start with it.",
          fix: "remove it, or write its real content, in a step where it is not mounted.",
        })),
    ),
};
