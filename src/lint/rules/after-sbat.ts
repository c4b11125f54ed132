import { sbatOf } from "../../pe/sbat.ts";
import { shimLevels } from "../../pe/shim-levels.ts";
import { isRead, type ReadProgram } from "../boot-programs.ts";
import type { InstalledMachine, LintContext } from "../context.ts";
import { quote } from "../files.ts";
import { readInstalledLoader } from "../installed-loaders.ts";
import { afterRule, readUkis, ukiArches } from "../machine.ts";
import { checked, notApplicable, type Problem } from "../rule.ts";
import {
  parseRevocationLevel,
  parseSbat,
  type RevocationLevel,
  type RevokedEntry,
  revokedEntries,
} from "../sbat-level.ts";
import { readShims, type Shim } from "../shims.ts";

export const afterSbatRule = afterRule(
  {
    id: "after-sbat",
    severity: "warning",
    finds:
      "SBAT generations that prevent going back to --after, or that the shim of --after refuses, which is an error",
  },
  async (context, machine) => {
    const { sbatLevel } = context;
    const [there, next] = [await readShims(machine.runs.rootfs), await readShims(context.rootfs)];
    if (there.length + next.length === 0 && sbatLevel === null) {
      return notApplicable("neither image has shim, and nothing else checks SBAT (--sbat-level is checked regardless)");
    }
    const problems: Problem[] = [];
    for (const level of there.flatMap((shim) => levelsOf(shim, machine.subject).slice(0, 1))) {
      for (const uki of await readUkis(context)) problems.push(...refused(uki, level, machine));
    }
    const given = sbatLevel === null ? [] : [{ level: sbatLevel, name: "--sbat-level", when: "At" }];
    const levels = [...given, ...next.flatMap((shim) => levelsOf(shim, context.rootfs.subject))];
    problems.push(...(await wayBack(levels, context, machine)), ...(await raised(context, machine)));
    return checked(...problems);
  },
);

interface NamedLevel {
  readonly level: RevocationLevel;
  readonly name: string;
  readonly when: string;
}

/** The level that a shim sets automatically, then the one that it sets on request. */
function levelsOf({ path, pe }: Shim, subject: string): NamedLevel[] {
  const levels = shimLevels(pe);
  if (levels === null) return [];
  const name = `${path} of ${subject}`;
  return [
    {
      level: parseRevocationLevel(levels.automatic, path),
      name,
      when: "Once it has started with Secure Boot, at the SBAT level of",
    },
    {
      level: parseRevocationLevel(levels.latest, path),
      name,
      when: "After mokutil --set-sbat-policy latest, at the SBAT level of",
    },
  ];
}

function entriesOf({ pe }: Pick<ReadProgram, "pe">) {
  return sbatOf(pe).flatMap(({ text }) => parseSbat(text));
}

function describe(entries: readonly RevokedEntry[]): string {
  return entries
    .map(({ component, generation, wanted }) => `${quote(component)} ${generation}, at least ${wanted} required`)
    .join("; ");
}

function refused(uki: ReadProgram, { level, name }: NamedLevel, { subject }: InstalledMachine): Problem[] {
  const revoked = revokedEntries(entriesOf(uki), level);
  if (revoked.length === 0) return [];
  return [
    {
      path: uki.path,
      severity: "error",
      answer: { question: "starts", ok: false },
      message: `Machines of ${subject} refuse it: ${name} has set an SBAT level that revokes it (${describe(revoked)}).`,
      fix: "build it with newer components.",
    },
  ];
}

/** Which programs on the machine are revoked, each with the first level that revokes it. */
async function wayBack(
  levels: readonly NamedLevel[],
  context: LintContext,
  { subject, runs }: InstalledMachine,
): Promise<Problem[]> {
  const [uki] = await readUkis(context);
  const loaders = await Promise.all(
    [...(await ukiArches(context))].map((arch) => readInstalledLoader(runs.rootfs, arch)),
  );
  const programs = [
    ...(await readUkis(runs)).map((program) => ({ program, what: "the UKI", so: "there is no way back to it" })),
    ...loaders
      .filter((one) => one !== null)
      .filter(isRead)
      .map((program) => ({
        program,
        what: "the boot loader",
        so: "machines that still have it no longer start",
      })),
  ];
  return programs.flatMap(({ program, what, so }) => {
    for (const { level, name, when } of levels) {
      const revoked = revokedEntries(entriesOf(program), level);
      if (revoked.length === 0) continue;
      return [
        {
          path: uki?.path ?? program.path,
          answer: { question: "back", ok: null },
          message: `${when} ${name}, shim refuses ${what} of ${subject}, ${program.path} (${describe(revoked)}): ${so}.`,
          fix:
            what === "the UKI"
              ? "be sure of this image before its shim starts, or keep an intermediate image that the level allows."
              : "replace the boot loader before shim (bootctl install in the new system).",
        },
      ];
    }
    return [];
  });
}

/** Generations that differ between the images, which a future level may distinguish. */
async function raised(context: LintContext, { subject, runs }: InstalledMachine): Promise<Problem[]> {
  const old = new Map(
    (await readUkis(runs)).flatMap(entriesOf).map(({ component, generation }) => [component, generation]),
  );
  return (await readUkis(context)).flatMap((uki) => {
    const changed = entriesOf(uki).flatMap(({ component, generation }) => {
      const before = old.get(component);
      return before === undefined || before === generation
        ? []
        : [`${quote(component)} ${generation} instead of ${before}`];
    });
    if (changed.length === 0) return [];
    const message = `Its SBAT generations differ from those of ${subject} (${changed.join("; ")}): an SBAT level may allow one and revoke the other.`;
    return [{ path: uki.path, severity: "info" as const, message, fix: "" }];
  });
}
