import { displayBytes } from "../../bytes.ts";
import { someOf } from "../../text.ts";
import type { Rootfs } from "../../tree/rootfs.ts";
import { isBootPlace } from "../boot-places.ts";
import { displayPath, nodeAt, walk } from "../files.ts";
import { checked, type Problem, type Rule } from "../rule.ts";

/** Files that boot loaders look at, which belong there in a sealed tree. */
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
    const dumps = sealed ? ukiNames(rootfs).map((name) => name.replace(/\.efi$/, ".dump")) : [];
    const names = boot.entries
      .map(({ name }) => displayBytes(name))
      .filter((name) => !(name === "EFI" || (sealed && (SEALED.has(name) || dumps.includes(name)))));
    const [first] = names;
    return checked(
      first === undefined
        ? null
        : {
            path: `boot/${first}`,
            message: `/boot holds ${someOf(names)}, which is not part of the digest and hidden on the running system.`,
            fix: "remove it; kernel and initramfs belong in usr/lib/modules/<version>.",
          },
      ...(sealed ? strayFiles(rootfs) : []),
    );
  },
};

/** Names of UKIs: bootc looks for a dump file of the same name. */
function ukiNames(rootfs: Rootfs): string[] {
  const directory = nodeAt(rootfs, "boot/EFI/Linux");
  if (directory?.kind !== "directory") return [];
  return directory.entries.map(({ name }) => displayBytes(name)).filter((name) => name.endsWith(".efi"));
}

/** Files where nothing looks for them at boot, or that can't be on an EFI system partition. */
function strayFiles(rootfs: Rootfs): Problem[] {
  const strays: string[] = [];
  const problems: Problem[] = [];
  for (const { components, node } of walk(rootfs, "boot")) {
    const path = displayPath(components);
    const below = path.slice("boot/".length);
    if (!/^(?:EFI|loader)\//.test(below) || node.kind === "directory") continue;
    if (below === "loader/random-seed") {
      problems.push({
        path,
        message: "It is a random seed: every machine that gets the image starts from the same one.",
        fix: "remove it; bootctl install makes one on each machine.",
      });
    } else if (node.kind !== "regular" || !isBootPlace(below)) strays.push(path);
  }
  const [first] = strays;
  if (first === undefined) return problems;
  const message = `${someOf(strays)}: neither the firmware nor the boot loader looks there, and nothing protects what is not part of the digest.`;
  return [...problems, { path: first, message, fix: "remove it, or move it to where one of them looks." }];
}
