import { SECUREBOOT_KEYS } from "../../boot/esp-sources.ts";
import type { EnrollKeys } from "../../sign/enroll-keys.ts";
import { enrolledTrust, programRefusal } from "../../sign/enrolled-trust.ts";
import { type Rootfs, readTreeFile } from "../../tree/rootfs.ts";
import { isRead } from "../boot-programs.ts";
import type { LintContext } from "../context.ts";
import { nodeAt } from "../files.ts";
import { type InstalledKeys, installedKeys, keyPath, readKeyDirectory } from "../install-keys.ts";
import { checked, notApplicable, type Problem, type Rule } from "../rule.ts";

/** Where machines without bootc find the keys. */
const BOOT_KEYS = "boot/loader/keys/auto";
const LOADER_CONF = "boot/loader/loader.conf";

export const enrollKeysRule: Rule = {
  id: "enroll-keys",
  severity: "warning",
  finds:
    "keys to enrol that firmware refuses, or that do not match each other or the signatures; secure-boot-enroll force",
  applies: "sealed",
  check: async (context) => {
    const { rootfs } = context;
    const inBoot = nodeAt(rootfs, BOOT_KEYS) === null ? [] : [BOOT_KEYS];
    const { directories, obstacles } = installedKeys(rootfs);
    const problems = obstacles.map(obstacleProblem);
    const forced = await forcedProblem(rootfs);
    const places = [...inBoot, ...directories];
    if (places.length === 0 && problems.length === 0 && forced === null) {
      return notApplicable(`there are no keys in ${BOOT_KEYS} and ${SECUREBOOT_KEYS}`);
    }
    for (const place of places) problems.push(...(await keyProblems(context, place)));
    if (inBoot.length > 0 && directories.length === 0) problems.push(ONLY_IN_BOOT);
    return checked(forced, ...problems);
  },
};

const ONLY_IN_BOOT: Problem = {
  path: BOOT_KEYS,
  message: `No machine that bootc installs gets these keys: it takes them from ${SECUREBOOT_KEYS}.`,
  fix: "put them there before the digest is computed: seal prepare / --enroll-keys DIR in the stage that is sealed, or seal image --enroll-keys DIR.",
};

/** What bootc install fails on. */
function obstacleProblem({ path, wanted }: InstalledKeys["obstacles"][number]): Problem {
  return {
    path,
    severity: "error",
    message: `It is not ${wanted}: bootc install fails on it.`,
    fix: "remove it, or put it into a directory of its own, as auto/PK.auth.",
  };
}

async function forcedProblem(rootfs: Rootfs): Promise<Problem | null> {
  const conf = await readTreeFile(rootfs, LOADER_CONF);
  if (conf === null || !/^[ \t]*secure-boot-enroll[ \t]+force\b/m.test(new TextDecoder().decode(conf))) return null;
  return {
    path: LOADER_CONF,
    message:
      "secure-boot-enroll force enrols the keys on every machine in setup mode without asking; a machine whose devices need firmware signed by others may not start again.",
    fix: "use if-safe (the default: virtual machines only) or manual.",
  };
}

async function keyProblems(context: LintContext, directory: string): Promise<Problem[]> {
  const keys = await readKeyDirectory(context.rootfs, directory);
  return [
    ...keys.problems.map(({ variable, severity, message, fix }) => ({
      path: keyPath(directory, variable),
      severity,
      message: `It ${message}.`,
      fix: `${fix}.`,
    })),
    ...(await programProblems(context, keys, keyPath(directory, "db"))),
  ];
}

/**
 * Programs that a machine refuses once it has enrolled the keys. Missing and invalid signatures are found by other
 * rules.
 */
async function programProblems(context: LintContext, keys: EnrollKeys, path: string): Promise<Problem[]> {
  const trust = enrolledTrust(keys, context.now);
  if (trust === null) return [];
  const problems: Problem[] = [];
  for (const program of (await context.programs()).filter(isRead)) {
    const refusal = programRefusal(program.pe, trust);
    if (refusal === null) continue;
    problems.push({
      path,
      severity: "error",
      message: `This db does not allow ${program.path} (${refusal}): a machine that enrols this db refuses to start that program.`,
      fix: "enrol the db that has the signer's certificate, or sign with the key of that db.",
    });
  }
  return problems;
}
