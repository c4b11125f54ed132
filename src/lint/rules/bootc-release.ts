import { optionFor } from "../../boot/hosts-text.ts";
import { checked, notApplicable, type Rule } from "../rule.ts";

export const bootcReleaseRule: Rule = {
  id: "bootc-release",
  severity: "warning",
  finds: "a bootc in the tree that does not accept the digest of its own UKI",
  applies: "sealed",
  check: async ({ bootc: bootcOf, hosts }) => {
    const bootc = await bootcOf();
    if (bootc === null) return notApplicable("no package database has the version of bootc in the tree");
    const { version, path: source, series, note } = bootc;
    if (series === null) return notApplicable(`bootc ${version} of the tree is older than any release seal knows`);
    return checked(
      note === null ? null : { path: source, severity: "info", message: `In the tree: ${note}.`, fix: "" },
      ...(await hosts()).map(({ path, verdicts }) => {
        const verdict = verdicts.find((one) => one.series === series);
        const why = verdict?.refusal ?? null;
        // What every release refuses is reported by another rule.
        if (verdict === undefined || why === null || why.id === "boot-entry" || why.id === "no-mount") return null;
        const option = optionFor(verdict);
        return {
          path,
          message: `The bootc in the tree is ${version} (${source}), which refuses this UKI: ${why.text}. A host that has installed the image can't install it again, nor the next one sealed the same way.`,
          fix: `${option === null ? "update" : `seal with ${option}, or update`} bootc in the tree to a release of the hosts' series.`,
        };
      }),
    );
  },
};
