import { nodeAt } from "../files.ts";
import { checked, type Rule } from "../rule.ts";

export const etcUsretcRule: Rule = {
  id: "etc-usretc",
  severity: "error",
  finds: "both /etc and /usr/etc",
  applies: "any",
  check: ({ rootfs }) => {
    if (nodeAt(rootfs, "etc") === null || nodeAt(rootfs, "usr/etc") === null) return checked();
    return checked({
      path: "usr/etc",
      message:
        "There is a /usr/etc as well as an /etc; /usr/etc is for bootc's own bookkeeping, and which of the two counts is not defined.",
      fix: "move what is in it to /etc, and remove it.",
    });
  },
};
