/** Finds out what prevents the program in an initramfs from mounting the composefs root. */
import type { BootcVersion } from "../boot/bootc-version.ts";
import { type CmdlineDigest, findComposefsDigests, findComposefsWords } from "../boot/cmdline.ts";
import { triedDigests } from "../boot/digest-words.ts";
import { shortDigest } from "../text.ts";
import type { LintContext } from "./context.ts";
import { quote } from "./files.ts";
import { type SetupFacts, setupFacts } from "./root-mount.ts";
import { failingCondition, type RootSetup } from "./root-setup.ts";
import type { Problem } from "./rule.ts";

/** A note on what the program is, and whether it is started and looks up the digest of this root filesystem. */
export async function rootSetupProblems(
  setup: RootSetup,
  { path, cmdlines }: { readonly path: string; readonly cmdlines: readonly string[] },
  context: Pick<LintContext, "digests" | "seriesList">,
  bootc: BootcVersion | null,
): Promise<Problem[]> {
  const facts = setupFacts(setup, bootc);
  const problems = [note(setup, facts, path), verityProblem(facts, path), startProblem(setup, path)];
  for (const cmdline of new Set(cmdlines)) {
    problems.push(conditionProblem(setup, path, cmdline), await digestProblem(facts, path, cmdline, context));
  }
  return problems.filter((problem) => problem !== null);
}

function note({ path: program }: RootSetup, { name, reads, verity }: SetupFacts, path: string): Problem {
  const doubt = verity === "unknown" ? " Its release is unknown, so it may not require fs-verity in every case." : "";
  const message = `Its initramfs sets up the composefs root with ${name} (${program}), which ${HOW[reads ?? "unknown"]}.${doubt}`;
  return { path, severity: "info", message, fix: "" };
}

const HOW = {
  all: "tries the digests on the cmdline in order",
  composefs: "reads only the first composefs= on the cmdline",
  "composefs.digest": "reads only the first composefs.digest= on the cmdline, or the first composefs= if there is none",
  unknown:
    "tries the digests on the cmdline in order if it is from bootc 1.17 or newer; an older one reads only the first composefs.digest=, or the first composefs= if there is none",
} as const;

/** Programs that mount the root without fs-verity in some case, though the command line requires it. */
function verityProblem({ name, verity }: SetupFacts, path: string): Problem | null {
  if (verity !== "not-always") return null;
  return {
    path,
    severity: "warning",
    message: `${name} in its initramfs does not require fs-verity in every case, so the digest on the cmdline protects less than it seems to (GHSA-8j99-gv74-3j76).`,
    fix: "update to bootc 1.17.5 or newer, or composefs-setup-root 0.9.4, then rebuild the initramfs and the UKI.",
  };
}

function startProblem({ name, path: program, starters }: RootSetup, path: string): Problem | null {
  const [first] = starters;
  if (starters.some(({ isWanted }) => isWanted)) return null;
  const problem = { path, severity: "warning" } as const;
  if (first === undefined) {
    return {
      ...problem,
      message: `Its initramfs has ${program}, but no script or unit that starts it.`,
      fix: `add something that starts ${name} to the initramfs, such as a unit ordered before initrd-root-fs.target.`,
    };
  }
  return {
    ...problem,
    message: `${first.path} in its initramfs starts ${name}, but no other unit wants it: it is not started.`,
    fix: "link it into initrd-root-fs.target.wants of the initramfs.",
  };
}

/** Whether systemd skips all units that start it. */
function conditionProblem({ name, starters }: RootSetup, path: string, cmdline: string): Problem | null {
  const wanted = starters.filter(({ isWanted }) => isWanted);
  const failing = wanted.map((starter) =>
    starter.path.endsWith(".service") ? failingCondition(starter.text, cmdline) : null,
  );
  const [condition] = failing;
  if (condition === undefined || condition === null || failing.includes(null)) return null;
  return {
    path,
    message: `systemd in its initramfs does not start ${name}: ${wanted[0]?.path} has ${quote(condition)}, which its cmdline does not meet.`,
    fix: "build the UKI with --karg-style composefs, or change the condition of the unit.",
  };
}

async function digestProblem(
  { name, reads }: SetupFacts,
  path: string,
  cmdline: string,
  { digests: trees, seriesList }: Pick<LintContext, "digests" | "seriesList">,
): Promise<Problem | null> {
  if (reads === null) return null;
  const tried = triedDigests(findComposefsWords(cmdline), reads);
  const isRight = async (digest: CmdlineDigest) =>
    (await Promise.all(seriesList.map((series) => trees.accepts(digest, series)))).some((times) => times !== null);
  for (const digest of findComposefsDigests(cmdline).digests) {
    // Where none is right, uki-digest says so.
    if (tried.includes(digest) || !(await isRight(digest))) continue;
    if ((await Promise.all(tried.map(isRight))).includes(true)) return null;
    const what =
      tried[0] === undefined ? "no digest, as it can read none on its cmdline" : shortDigest(tried[0].digest, 8);
    return {
      path,
      message: `${name} in its initramfs reads ${what}, and not ${shortDigest(digest.digest, 8)}, which is the digest of this root filesystem: it will not boot.`,
      fix: "put that digest first, or give no other; bootc needs SHA-512.",
    };
  }
  return null;
}
