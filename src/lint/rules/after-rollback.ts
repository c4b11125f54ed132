import { cmdlinesOf } from "../../boot/addons.ts";
import type { RootMount } from "../../boot/hosts.ts";
import type { InstalledMachine, LintContext } from "../context.ts";
import { afterRule, firmwareRefusal, machineKeys, readUkis, treeKeys, trusting, ukiWords } from "../machine.ts";
import { rootMount } from "../root-mount.ts";
import { checked, notApplicable, type Problem } from "../rule.ts";
import { hasShim } from "../shims.ts";

export const afterRollbackRule = afterRule(
  {
    id: "after-rollback",
    severity: "warning",
    finds:
      "what prevents going back to --after: keys that do not allow its UKI, or a bootc that can't roll back; notes what going back gives up",
  },
  async (context, machine) => {
    const [uki] = await readUkis(context);
    if (uki === undefined) return notApplicable("there is no UKI that can be read");
    if ((await readUkis(machine.runs)).length === 0)
      return notApplicable(`${machine.subject} has no UKI that can be read`);
    return checked(
      ...(await keyProblems(uki.path, context, machine)),
      await statusProblem(uki.path, context, machine),
      await verityNote(uki.path, context, machine),
    );
  },
);

/** Checks the keys that machines have, and those that this image has to enrol. */
async function keyProblems(path: string, context: LintContext, machine: InstalledMachine): Promise<Problem[]> {
  const { subject, runs } = machine;
  const own = await treeKeys(context.rootfs, context.rootfs.subject);
  const sets = [
    ...trusting(await machineKeys(machine), context.now).map((keys, _, all) => ({
      ...keys,
      when: "With",
      ok: all.length > 1 ? null : (false as const),
    })),
    ...trusting(own, context.now).map((keys) => ({ ...keys, when: "Once machines have", ok: null })),
  ];
  const shim = hasShim(runs.rootfs);
  const problems: Problem[] = [];
  for (const { path: installed, pe } of await readUkis(runs)) {
    for (const { source, trust, when, ok } of sets) {
      const refusal = firmwareRefusal(pe, trust);
      if (refusal === null) continue;
      problems.push({
        path,
        answer: { question: "back", ok: shim ? null : ok },
        message: `${when} ${source} they refuse the UKI of ${subject}, ${installed} (${refusal})${shim ? ", unless their shim trusts the signer (MOK)" : ""}: there is no way back to it.`,
        fix: "be sure of this image first; to keep a way back, leave the certificate of its signer in db, and out of dbx.",
      });
      break;
    }
  }
  return problems;
}

/** The bootc in this image is the one that rolls back. */
async function statusProblem(
  path: string,
  context: LintContext,
  { subject }: InstalledMachine,
): Promise<Problem | null> {
  const bootc = await context.bootc();
  if (bootc?.series?.status !== "composefs") return null;
  if ((await ukiWords(context)).some(({ form }) => form === "composefs")) return null;
  return {
    path,
    answer: { question: "back", ok: null },
    message: `bootc ${bootc.version} of this image recognises a composefs root by composefs=, and its cmdline has only composefs.digest=: bootc rollback and upgrade fail.`,
    fix: `seal it with --karg-style composefs. ${subject} can still be chosen in the menu of the boot loader.`,
  };
}

/** Anyone who can choose a boot entry can start an old UKI that is still allowed. */
async function verityNote(
  path: string,
  context: LintContext,
  { subject, runs }: InstalledMachine,
): Promise<Problem | null> {
  const [next, old] = [await mountsOf(context), await mountsOf(runs)];
  const weak = old.find((mount) => mount.kind === "mounts" && mount.verity === "not-always");
  if (weak?.kind !== "mounts" || !next.every((mount) => mount.kind === "mounts" && mount.verity === "insists"))
    return null;
  const message = `Going back gives up a fix in this image: ${weak.name} of ${subject} does not require fs-verity in every case. Anyone who can choose a boot entry can go back too, until its UKI is in dbx.`;
  return { path, severity: "info", message, fix: "" };
}

async function mountsOf(context: LintContext): Promise<readonly RootMount[]> {
  const bootc = await context.bootc();
  const mounts: RootMount[] = [];
  for (const uki of await readUkis(context)) {
    for (const cmdline of cmdlinesOf(uki.pe)) mounts.push(rootMount(await context.bootWays(uki), cmdline, bootc));
  }
  return mounts;
}
