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
        "There is /usr/etc beside /etc; it belongs to bootc's own bookkeeping, and nothing says which of the two counts.",
      fix: "move what is in it to /etc, and remove it.",
    });
  },
};
