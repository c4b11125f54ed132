import { OS_RELEASE_PATHS } from "../../boot/os-release.ts";
import { concat } from "../../chunks.ts";
import { SealError } from "../../errors.ts";
import { findSection, sectionData } from "../../pe/headers.ts";
import { readTreeFile } from "../../tree/rootfs.ts";
import { isRead, type ReadProgram } from "../boot-programs.ts";
import { checked, notApplicable, type Problem, type Rule } from "../rule.ts";

export const ukiOsrelRule: Rule = {
  id: "uki-osrel",
  severity: "warning",
  finds: "a UKI without .osrel, or with another os-release than the tree's",
  applies: "sealed",
  check: async (context) => {
    const ukis = (await context.ukis()).filter(isRead);
    if (ukis.length === 0) return notApplicable("there is no UKI that can be read");
    const own: string[] = [];
    let failure: SealError | null = null;
    for (const path of OS_RELEASE_PATHS) {
      try {
        const bytes = await readTreeFile(context.rootfs, path);
        if (bytes !== null) own.push(normalize(bytes));
      } catch (error) {
        // Reached through a refused symlink; the other path will do.
        if (!(error instanceof SealError)) throw error;
        failure = error;
      }
    }
    if (own.length === 0 && failure !== null) throw failure;
    return checked(...ukis.map((uki) => problemOf(uki, own)));
  },
};

function problemOf({ path, pe }: ReadProgram, own: readonly string[]): Problem | null {
  const section = findSection(pe, ".osrel");
  const text = section === null ? "" : normalize(concat(sectionData(pe, section)));
  if (text === "") {
    return {
      path,
      message: "It has no .osrel section: systemd-boot does not show it, and can't tell which version is newer.",
      fix: "build it with --rootfs, or with --os-release @usr/lib/os-release.",
    };
  }
  if (own.length === 0 || own.includes(text)) return null;
  return {
    path,
    message: "Its .osrel is not the os-release of this tree: the boot menu shows and sorts it as another system.",
    fix: "build it again from this tree.",
  };
}

function normalize(bytes: Uint8Array): string {
  return new TextDecoder("latin1").decode(bytes).replace(/[\0\s]+$/, "");
}
