import { bootcVersion } from "../../boot/bootc-version.ts";
import { optionFor } from "../../boot/hosts.ts";
import { bootEntries } from "../boot-entries.ts";
import { entryProblem } from "../hosts.ts";
import { checked, notApplicable, type Rule } from "../rule.ts";

export const bootcReleaseRule: Rule = {
  id: "bootc-release",
  severity: "warning",
  finds: "a bootc in the tree that does not accept the digest of its own UKI",
  applies: "sealed",
  check: async ({ rootfs, hosts }) => {
    const bootc = await bootcVersion(rootfs);
    if (bootc === null) return notApplicable("no package database tells the version of bootc in the tree");
    const { version, path: source, profile } = bootc;
    if (profile === null) return notApplicable(`bootc ${version} of the tree is a release that seal does not know`);
    return checked(
      ...(await hosts()).map(({ path, verdicts }) => {
        const verdict = verdicts.find((one) => one.profile === profile);
        if (verdict?.kind !== "refuses") return null;
        // A boot entry is in the way of every release: boot-entry tells of it.
        if (verdict.why === entryProblem(bootEntries(rootfs))) return null;
        const option = optionFor(verdict);
        return {
          path,
          message: `The bootc in the tree is ${version} (${source}), which refuses this UKI: ${verdict.why}. A host that has installed the image can't install it again, nor the next one that is sealed like it.`,
          fix: `${option === null ? "update" : `seal with ${option}, or update`} bootc in the tree to a release of the hosts' line.`,
        };
      }),
    );
  },
};
