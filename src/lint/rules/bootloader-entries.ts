import { displayBytes } from "../../bytes.ts";
import { loaderInfo } from "../../pe/loader-info.ts";
import { type Rootfs, readNode } from "../../tree/rootfs.ts";
import { isRead } from "../boot-programs.ts";
import { displayPath, nodeAt, walk } from "../files.ts";
import { checked, notApplicable, type Problem, type Rule } from "../rule.ts";

/** The first systemd that knows the key `uki` of boot entries, and whose presence lets bootc write it. */
const UKI_KEY_SINCE = 258;

export const bootloaderEntriesRule: Rule = {
  id: "bootloader-entries",
  severity: "warning",
  finds: "a systemd-boot before 258 where boot entries have or will have the key uki",
  applies: "sealed",
  check: async (context) => {
    const loaders = (await context.programs()).filter(({ role }) => role === "loader").filter(isRead);
    const versions = loaders.flatMap(({ path, pe }) => {
      const version = majorVersion(loaderInfo(pe));
      return version === null ? [] : [{ path, version }];
    });
    if (versions.length === 0) return notApplicable("there is no systemd-boot that tells its version");
    const old = versions.find(({ version }) => version < UKI_KEY_SINCE);
    if (old === undefined) return checked();
    return checked(await entryProblem(context.rootfs, old.version), bootctlProblem(context.rootfs, old));
  },
};

/** Of `systemd-boot 257.13-1~deb13u1`. */
function majorVersion(info: string | null): number | null {
  const found = /^systemd-boot (\d+)/.exec(info ?? "")?.[1];
  return found === undefined ? null : Number(found);
}

async function entryProblem(rootfs: Rootfs, version: number): Promise<Problem | null> {
  for (const { components, node } of walk(rootfs, "boot/loader/entries")) {
    const path = displayPath(components);
    if (node.kind !== "regular" || !path.endsWith(".conf")) continue;
    const text = new TextDecoder().decode(await readNode(rootfs, components, node));
    if (!/^[ \t]*uki[ \t]/m.test(text)) continue;
    return {
      path,
      message: `It has the key uki, which systemd-boot ${version} does not know: the entry is not shown.`,
      fix: `take systemd-boot ${UKI_KEY_SINCE} or later, or write efi instead of uki.`,
    };
  }
  return null;
}

/** bootc asks the bootctl of the system that installs, which mostly is the image itself. */
function bootctlProblem(rootfs: Rootfs, { path, version }: { path: string; version: number }): Problem | null {
  if (nodeAt(rootfs, "usr/bin/bootctl") === null) return null;
  const own = systemdVersion(rootfs);
  if (own === null || own < UKI_KEY_SINCE) return null;
  return {
    path,
    message: `It is systemd-boot ${version}, but the image's bootctl is ${own}: bootc then writes boot entries with the key uki, which this boot loader does not show.`,
    fix: "take the boot loader from this tree, with seal boot-layout --rootfs.",
  };
}

/** As its shared library is called: `usr/lib/systemd/libsystemd-shared-258.so`, or below a directory for the architecture. */
function systemdVersion(rootfs: Rootfs): number | null {
  const lib = nodeAt(rootfs, "usr/lib");
  const directories =
    lib?.kind === "directory" ? lib.entries.map(({ name }) => `usr/lib/${displayBytes(name)}/systemd`) : [];
  for (const path of ["usr/lib/systemd", "usr/lib64/systemd", ...directories]) {
    const directory = nodeAt(rootfs, path);
    for (const { name } of directory?.kind === "directory" ? directory.entries : []) {
      const found = /^libsystemd-shared-(\d+).*\.so$/.exec(displayBytes(name))?.[1];
      if (found !== undefined) return Number(found);
    }
  }
  return null;
}
