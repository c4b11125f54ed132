import { systemdVersion } from "../../pe/loader-info.ts";
import { type Rootfs, readNode } from "../../tree/rootfs.ts";
import { isRead } from "../boot-programs.ts";
import { bootctlVersion, UKI_KEY_SINCE } from "../bootctl.ts";
import { displayPath, walk } from "../files.ts";
import { checked, notApplicable, type Problem, type Rule } from "../rule.ts";

export const bootloaderEntriesRule: Rule = {
  id: "bootloader-entries",
  severity: "warning",
  finds: "a systemd-boot before 258 where boot entries have or will have the key uki",
  applies: "sealed",
  check: async (context) => {
    const loaders = (await context.programs()).filter(({ role }) => role === "loader").filter(isRead);
    const versions = loaders.flatMap(({ path, pe }) => {
      const version = systemdVersion(pe, "systemd-boot");
      return version === null ? [] : [{ path, version }];
    });
    if (versions.length === 0) return notApplicable("there is no systemd-boot with a version");
    const old = versions.find(({ version }) => version < UKI_KEY_SINCE);
    if (old === undefined) return checked();
    return checked(await entryProblem(context.rootfs, old.version), bootctlProblem(context.rootfs, old));
  },
};

async function entryProblem(rootfs: Rootfs, version: number): Promise<Problem | null> {
  for (const { components, node } of walk(rootfs, "boot/loader/entries")) {
    const path = displayPath(components);
    if (node.kind !== "regular" || !path.endsWith(".conf")) continue;
    const text = new TextDecoder().decode(await readNode(rootfs, components, node));
    if (!/^[ \t]*uki[ \t]/m.test(text)) continue;
    return {
      path,
      message: `It has the key uki, which systemd-boot ${version} does not know: the entry is not shown.`,
      fix: `use systemd-boot ${UKI_KEY_SINCE} or later, or write efi instead of uki.`,
    };
  }
  return null;
}

/** bootc runs the bootctl of the system that installs, which is mostly the image itself. */
function bootctlProblem(rootfs: Rootfs, { path, version }: { path: string; version: number }): Problem | null {
  const own = bootctlVersion(rootfs);
  if (own === null || own < UKI_KEY_SINCE) return null;
  return {
    path,
    message: `It is systemd-boot ${version}, but the image's bootctl is ${own}: bootc then writes boot entries with the key uki, which this boot loader does not show.`,
    fix: "take the boot loader from this tree, with seal boot-layout --rootfs.",
  };
}
