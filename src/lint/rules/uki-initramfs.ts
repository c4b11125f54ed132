import { ukiVersion } from "../../boot/efi-program.ts";
import { MODULES_DIRECTORY } from "../../boot/kernel.ts";
import { displayBytes } from "../../bytes.ts";
import type { Rootfs } from "../../tree/rootfs.ts";
import { isRead, type ReadProgram } from "../boot-programs.ts";
import type { InitramfsFacts } from "../boot-ways.ts";
import type { LintContext } from "../context.ts";
import { nodeAt } from "../files.ts";
import { missingModules } from "../initramfs-modules.ts";
import { rootSetupProblems } from "../root-setup-problems.ts";
import { checked, couldNotRun, notApplicable, type Problem, type Rule } from "../rule.ts";

export const ukiInitramfsRule: Rule = {
  id: "uki-initramfs",
  severity: "error",
  finds: "an initramfs that does not set up a composefs root, or lacks modules for it; notes which program does",
  applies: "sealed",
  check: async (context) => {
    const ukis = (await context.ukis()).filter(isRead);
    if (ukis.length === 0) return notApplicable("there is no UKI that can be read");
    const problems: Problem[] = [];
    for (const uki of ukis) {
      for (const { initramfs, cmdlines } of await context.bootWays(uki)) {
        if (initramfs.kind === "unreadable") return couldNotRun(unreadable(uki.path, initramfs.compression));
        problems.push(...(await checkWay(uki, initramfs, cmdlines, context)));
      }
    }
    return checked(...problems);
  },
};

function unreadable(path: string, compression: string): string {
  return `${path}: its initramfs is compressed with ${compression}, which seal can't unpack here; pack it with gzip, xz or lz4 (or zstd, with Node 22.15 or later) to have it checked`;
}

async function checkWay(
  { path, pe }: ReadProgram,
  initramfs: Exclude<InitramfsFacts, { kind: "unreadable" }>,
  cmdlines: readonly string[],
  context: LintContext,
): Promise<readonly Problem[]> {
  switch (initramfs.kind) {
    case "none":
      return [{ path, message: "It has no initramfs (.initrd): nothing mounts the composefs root.", fix: REBUILD }];
    case "damaged":
      return [
        { path, message: `Its initramfs can't be unpacked: ${initramfs.reason}.`, fix: "rebuild the initramfs." },
      ];
    case "read": {
      if (initramfs.setups.length === 0) return [{ path, message: nothingThere(initramfs), fix: REBUILD }];
      const problems: Problem[] = [];
      const bootc = await context.bootc();
      for (const setup of initramfs.setups) {
        problems.push(...(await rootSetupProblems(setup, { path, cmdlines }, context, bootc)));
      }
      return [...problems, ...(await moduleProblems(path, ukiVersion(pe), initramfs, context.rootfs))];
    }
  }
}

const REBUILD =
  'build it with bootc\'s module (dracut: add_dracutmodules+=" bootc ") or with composefs-setup-root and a unit that starts it, then rebuild the UKI.';

type ReadInitramfs = Extract<InitramfsFacts, { kind: "read" }>;

function nothingThere({ archives, files }: ReadInitramfs): string {
  const kinds = [
    ...new Set(archives.map(({ compression }) => (compression === "none" ? "uncompressed" : compression))),
  ];
  const ostree = [...files.keys()].some((file) => file.endsWith("/ostree-prepare-root"));
  const instead = ostree ? " It has ostree-prepare-root, which mounts ostree's deployments only." : "";
  return `Its initramfs (${kinds.join(", ") || "empty"}; ${files.size} files) has neither composefs-setup-root nor bootc's initramfs-setup: nothing mounts the composefs root.${instead} The machine stops in the initramfs.`;
}

async function moduleProblems(
  path: string,
  uname: string | null,
  initramfs: ReadInitramfs,
  rootfs: Rootfs,
): Promise<Problem[]> {
  const version = uname ?? onlyVersion(rootfs);
  if (version === null) return [];
  const missing = (await missingModules(rootfs, initramfs, version)) ?? [];
  return missing.map(({ name, why, otherVersion }) => {
    const other = otherVersion === null ? "" : ` (it has the one of ${otherVersion})`;
    const what =
      why === "absent"
        ? `Its initramfs lacks the module ${name}${other}, which kernel ${version} has not built in`
        : `Kernel ${version} has ${name} neither built in nor as a module`;
    return {
      path,
      severity: "warning",
      message: `${what}: without it the composefs root can't be mounted.`,
      fix:
        why === "absent" ? `add it to the initramfs (dracut: add_drivers+=" ${name} ").` : "use a kernel that has it.",
    };
  });
}

/** The only kernel that has modules in the tree; null if there is none, or several. */
function onlyVersion(rootfs: Rootfs): string | null {
  const modules = nodeAt(rootfs, MODULES_DIRECTORY);
  const names = modules?.kind === "directory" ? modules.entries.filter(({ node }) => node.kind === "directory") : [];
  return names.length === 1 ? displayBytes(names[0]?.name ?? new Uint8Array()) : null;
}
