import { someOf } from "../../text.ts";
import { contentSize } from "../../tree/node.ts";
import { displayPath, walk } from "../files.ts";
import { checked, type Rule } from "../rule.ts";

export const varLogRule: Rule = {
  id: "var-log",
  severity: "warning",
  finds: "log files with content in /var/log",
  applies: "any",
  check: ({ rootfs }) => {
    const paths: string[] = [];
    for (const { components, node } of walk(rootfs, "var/log")) {
      if (node.kind === "regular" && contentSize(node) > 0n) paths.push(displayPath(components));
    }
    const [first] = paths;
    if (first === undefined) return checked();
    return checked({
      path: first,
      message: `Logs of the build are in the image: ${someOf(paths)}. They differ from build to build, so the digest does too, and may reveal what they should not.`,
      fix: "remove them in the step that makes them.",
    });
  },
};
