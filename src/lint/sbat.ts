/** What is missing or revoked in the `.sbat` of a program in /boot; the same for UKIs and boot loaders. */
import { loaderInfo } from "../pe/loader-info.ts";
import { sbatOf } from "../pe/sbat.ts";
import type { ReadProgram } from "./boot-programs.ts";
import { quote } from "./files.ts";
import type { Problem } from "./rule.ts";
import { parseSbat, type RevocationLevel, revokedEntries } from "./sbat-level.ts";

/** @param source where a good one is built from, for the advice: `a systemd-stub` */
export function sbatProblems({ path, pe }: ReadProgram, level: RevocationLevel | null, source: string): Problem[] {
  const entries = sbatOf(pe).flatMap(({ text }) => parseSbat(text));
  const program = loaderInfo(pe);
  if (entries.length === 0) {
    return [
      {
        path,
        message: "It has no .sbat section, so shim refuses it, and it can only be revoked by its hash.",
        fix: `build it from ${source} with SBAT data (systemd 250 or later).`,
      },
    ];
  }
  const problems: Problem[] = [];
  if (program !== null && !entries.some(({ component }) => component.startsWith("systemd"))) {
    problems.push({
      path,
      message: `Its .sbat does not name ${quote(program)}, which it is built from: when that is revoked, this one stays valid.`,
      fix: `build it again with seal build-uki, which keeps the lines of ${source}.`,
    });
  }
  for (const { component, generation, wanted } of level === null ? [] : revokedEntries(entries, level)) {
    problems.push({
      path,
      message: `Its ${quote(component)} has SBAT generation ${generation}; generations below ${wanted} are revoked, and shim refuses it.`,
      fix: `build it with a newer ${quote(component)}.`,
    });
  }
  return problems;
}
