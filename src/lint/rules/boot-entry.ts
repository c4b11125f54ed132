import { someOf } from "../../text.ts";
import { bootEntries } from "../boot-entries.ts";
import { checked, type Rule } from "../rule.ts";

export const bootEntryRule: Rule = {
  id: "boot-entry",
  severity: "error",
  finds: "a boot entry (type #1) in the image, which installers take before any UKI",
  applies: "sealed",
  check: ({ rootfs }) => {
    const entries = bootEntries(rootfs);
    const [first] = entries;
    if (first === undefined) return checked();
    return checked({
      path: first,
      message: `Installers take the first boot entry of an image, and ${someOf(entries)} come${entries.length === 1 ? "s" : ""} before every UKI: bootc refuses the image, and cfsctl installs what the entry names instead, which is not sealed.`,
      fix: "remove it: a UKI in EFI/Linux is a boot entry by itself, and installers write the others.",
    });
  },
};
