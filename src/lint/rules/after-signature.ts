import { afterRule, firmwareRefusal, machineKeys, readUkis, trusting } from "../machine.ts";
import { checked, notApplicable, type Problem } from "../rule.ts";
import { hasShim } from "../shims.ts";

export const afterSignatureRule = afterRule(
  {
    id: "after-signature",
    severity: "error",
    finds:
      "a UKI that the firmware of --after does not start: its signer is not in db, or dbx forbids it; a warning if db is unknown",
  },
  async (context, machine) => {
    const ukis = await readUkis(context);
    const [first] = ukis;
    if (first === undefined) return notApplicable("there is no UKI that can be read");
    const { subject, runs } = machine;
    const keys = trusting(await machineKeys(machine), context.now);
    if (keys.length === 0) {
      return checked({
        path: first.path,
        severity: "warning",
        answer: { question: "starts", ok: null },
        message: `Whether the machines start it is unknown: ${subject} has no db that they could have enrolled.`,
        fix: "give the db of their firmware with --db; a file from /sys/firmware/efi/efivars will do.",
      });
    }
    const shim = hasShim(runs.rootfs);
    const problems: Problem[] = [];
    for (const { path, pe } of ukis) {
      for (const { source, trust } of keys) {
        const refusal = firmwareRefusal(pe, trust);
        if (refusal === null) continue;
        problems.push({
          path,
          ...(shim ? { severity: "warning" } : {}),
          answer: { question: "starts", ok: shim || keys.length > 1 ? null : false },
          message: `Machines with ${source} refuse to start it (${refusal})${shim ? ", unless their shim trusts the signer (MOK)" : ""}: after the upgrade only ${subject} starts there.`,
          fix: `also sign it with a key that ${source} has, or add the new certificate to their db first: seal keys auth db NEW.crt --append --key KEK.key --cert KEK.crt.`,
        });
      }
    }
    return checked(...problems);
  },
);
