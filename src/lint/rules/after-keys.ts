import { SECURE_BOOT_VARIABLES } from "../../sign/authvar.ts";
import { someOf } from "../../text.ts";
import type { InstalledMachine, LintContext } from "../context.ts";
import { enrolledDirectories, keyPath } from "../install-keys.ts";
import { readInstalledLoader } from "../installed-loaders.ts";
import {
  afterRule,
  databaseEntries,
  firmwareRefusal,
  type MachineKeys,
  machineKeys,
  treeKeys,
  trusting,
  ukiArches,
} from "../machine.ts";
import { checked, notApplicable, type Problem } from "../rule.ts";
import { hasShim } from "../shims.ts";

export const afterKeysRule = afterRule(
  {
    id: "after-keys",
    severity: "warning",
    finds: "keys to enrol that differ from those of --after: bootc upgrade does not enrol them",
  },
  async (context, machine) => {
    const { rootfs } = context;
    const directories = enrolledDirectories(rootfs);
    if (directories.length === 0) return notApplicable("it has no keys to enrol");
    const [there, next] = [await machineKeys(machine), await treeKeys(rootfs, context.rootfs.subject)];
    if (there.length === 0) {
      return checked({
        path: keyPath(directories[0] ?? "", "db"),
        message: `${machine.subject} has no keys to enrol, so its machines have others or none, and bootc upgrade enrols none: they don't get these.`,
        fix: "give the db of their firmware with --db to have it compared.",
      });
    }
    const problems: Problem[] = [];
    for (const [index, keys] of next.entries()) {
      const directory = directories[index] ?? "";
      problems.push(...differences(directory, keys, there, machine));
      problems.push(...(await loaderProblems(directory, keys, context, machine)));
    }
    return checked(...problems);
  },
);

function differences(
  directory: string,
  next: MachineKeys,
  there: readonly MachineKeys[],
  { subject, db, dbx }: InstalledMachine,
): Problem[] {
  return SECURE_BOOT_VARIABLES.flatMap((variable) => {
    const wanted = next.variables.get(variable);
    const known = there.flatMap((keys) => keys.variables.get(variable) ?? []);
    if (wanted === undefined || (known.length === 0 && variable !== "dbx")) return [];
    const entries = databaseEntries(wanted);
    const isGiven = (variable === "db" && db !== null) || (variable === "dbx" && dbx !== null);
    // Compares each set of keys that machines may have; if one is equal, it may be the one they have.
    const changes = (known.length === 0 ? [new Map<string, string>()] : known.map(databaseEntries)).map((has) => ({
      adds: [...entries].flatMap(([key, name]) => (has.has(key) ? [] : [name])),
      // Other vendors' certificates in firmware, such as Microsoft's, are not meant to be removed.
      lacks: isGiven ? [] : [...has].flatMap(([key, name]) => (entries.has(key) ? [] : [name])),
    }));
    const [change] = changes;
    if (change === undefined || changes.some(({ adds, lacks }) => adds.length + lacks.length === 0)) return [];
    const { adds, lacks } = change;
    const how = [
      ...(adds.length === 0 ? [] : [`adds ${someOf(adds, 3)}`]),
      ...(lacks.length === 0 ? [] : [`lacks ${someOf(lacks, 3)}`]),
    ].join(" and ");
    const signer = variable === "PK" || variable === "KEK" ? "PK" : "KEK";
    return [
      {
        path: keyPath(directory, variable),
        message: `It ${how}, compared to what machines of ${subject} have. bootc upgrade copies no keys to the ESP, and firmware that already has keys enrols none: they keep what they have.`,
        fix: `write it on each machine as an update signed by the ${signer} of its firmware: seal keys auth ${variable} FILE --append --key ${signer}.key --cert ${signer}.crt, then efi-updatevar${lacks.length === 0 ? "" : " (without --append to take entries away)"}.`,
      },
    ];
  });
}

/** The boot loader stays, so the new keys must still allow its signer. */
async function loaderProblems(
  directory: string,
  keys: MachineKeys,
  context: LintContext,
  { subject, runs }: InstalledMachine,
): Promise<Problem[]> {
  const problems: Problem[] = [];
  const path = keyPath(directory, "db");
  // Which other keys shim trusts is unknown.
  if (hasShim(runs.rootfs)) return problems;
  for (const { trust } of trusting([keys], context.now)) {
    for (const arch of await ukiArches(context)) {
      const loader = await readInstalledLoader(runs.rootfs, arch);
      if (loader?.kind !== "program") continue;
      const refusal = firmwareRefusal(loader.pe, trust);
      if (refusal === null) continue;
      problems.push({
        path,
        message: `These keys do not allow the boot loader that ${subject} put onto the ESP (${refusal}), which stays there: a machine that enrols them no longer starts.`,
        fix: "replace the boot loader first (bootctl install in the new system), then the keys; until then keep both certificates in db.",
      });
    }
  }
  return problems;
}
