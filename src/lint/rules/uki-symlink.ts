import { MODULES_DIRECTORY } from "../../boot/kernel.ts";
import { displayBytes } from "../../bytes.ts";
import { displayPath, walk } from "../files.ts";
import { checked, type Rule } from "../rule.ts";

export const ukiSymlinkRule: Rule = {
  id: "uki-symlink",
  severity: "error",
  finds: "a UKI that is a symlink, or a link to one in /usr/lib/modules",
  applies: "any",
  check: async (context) => {
    const inBoot = (await context.ukis()).flatMap((uki) => (uki.kind === "symlink" ? [uki] : []));
    const inModules = [...walk(context.rootfs, MODULES_DIRECTORY)].flatMap(({ components, node }) => {
      if (node.kind !== "symlink") return [];
      const path = displayPath(components);
      return path.endsWith(".efi") ? [{ path, target: displayBytes(node.target) }] : [];
    });
    return checked(
      ...[...inBoot, ...inModules].map(({ path, target }) => ({
        path,
        message: `This is a symlink to ${target}; bootc refuses an image with a UKI that is a symlink.`,
        fix: path.startsWith("boot/") ? "put the file itself there." : "remove the link; the UKI in /boot is enough.",
      })),
    );
  },
};
