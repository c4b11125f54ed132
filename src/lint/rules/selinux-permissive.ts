import type { Rootfs } from "../../tree/rootfs.ts";
import { allArguments } from "../cmdlines.ts";
import { nodeAt, quote, walk } from "../files.ts";
import { checked, notApplicable, type Rule } from "../rule.ts";

export const selinuxPermissiveRule: Rule = {
  id: "selinux-permissive",
  severity: "warning",
  finds: "a policy in the tree and enforcing=0 or selinux=0 on the cmdline",
  applies: "any",
  check: async (context) => {
    if (!hasPolicy(context.rootfs)) return notApplicable("there is no SELinux policy in the tree");
    return checked(
      ...(await allArguments(context))
        .filter(({ name, value }) => (name === "enforcing" || name === "selinux") && value === "0")
        .map(({ path, text }) => ({
          path,
          message: `${quote(text)} is signed into the image, so its SELinux policy is never enforced.`,
          fix: "remove it once the system works with the policy enforced, or remove the policy.",
        })),
    );
  },
};

/** `etc/selinux/<type>/policy/policy.NN`, or what it is built from. */
function hasPolicy(rootfs: Rootfs): boolean {
  if (nodeAt(rootfs, "etc/selinux/config") === null) return false;
  for (const { components } of walk(rootfs, "etc/selinux")) {
    const name = Buffer.from(components.at(-1) ?? []).toString("latin1");
    if (/^policy\.\d+$/.test(name) || name === "file_contexts") return true;
  }
  return false;
}
