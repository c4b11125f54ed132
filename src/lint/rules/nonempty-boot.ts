import { displayBytes } from "../../bytes.ts";
import { nodeAt, someOf } from "../files.ts";
import { checked, type Rule } from "../rule.ts";

/** What boot loaders look at; in a sealed tree it belongs there. */
const SEALED = new Set(["EFI", "loader"]);

export const nonemptyBootRule: Rule = {
  id: "nonempty-boot",
  severity: "warning",
  finds: "no /boot, or anything in it that is not for the boot loader of a sealed image",
  applies: "any",
  check: ({ rootfs, sealed }) => {
    const boot = nodeAt(rootfs, "boot");
    if (boot?.kind !== "directory") {
      return checked({
        path: "boot",
        message: "There is no directory /boot.",
        fix: "make it, empty, with: mkdir /boot.",
      });
    }
    const names = boot.entries
      .map(({ name }) => displayBytes(name))
      .filter((name) => !(name === "EFI" || (sealed && SEALED.has(name))));
    const [first] = names;
    if (first === undefined) return checked();
    return checked({
      path: `boot/${first}`,
      message: `/boot holds ${someOf(names)}, which is not part of the digest and hidden on the running system.`,
      fix: "remove it; kernel and initramfs belong into usr/lib/modules/<version>.",
    });
  },
};
