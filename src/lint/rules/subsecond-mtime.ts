import { findComposefsDigests } from "../../boot/cmdline.ts";
import { isRead } from "../boot-programs.ts";
import { cmdlinesOf } from "../cmdlines.ts";
import type { LintContext } from "../context.ts";
import { displayPath, someOf, walk } from "../files.ts";
import { checked, notApplicable, type Rule } from "../rule.ts";

/** Directories that are emptied before the digest is computed. */
const EMPTIED = new Set(["boot", "sysroot", "run"]);

export const subsecondMtimeRule: Rule = {
  id: "subsecond-mtime",
  severity: "warning",
  finds: "nanoseconds in mtimes, which image layers will not keep",
  applies: "any",
  check: async (context) => {
    const { rootfs, profile } = context;
    if (profile.erofs === "v2") return notApplicable(`bootc ${profile.line} does not store nanoseconds`);
    const paths: string[] = [];
    for (const { components, node } of walk(
      rootfs,
      "",
      (path) => !(path.length === 1 && EMPTIED.has(displayPath(path))),
    )) {
      if (node.mtimeNsec !== 0) paths.push(displayPath(components));
    }
    const [first] = paths;
    if (first === undefined || (await isSealedInSeconds(context))) return checked();
    return checked({
      path: first,
      message: `${paths.length === 1 ? "One path has" : `${paths.length} paths have`} an mtime with nanoseconds: ${someOf(paths)}. Image layers keep whole seconds, so a digest of exact times will not be that of the pulled image.`,
      fix: "compute the digest with --mtime seconds, or cut the times in the last step of the build.",
    });
  },
};

/** Whether every UKI demands the digest of whole seconds: then the nanoseconds in this tree do no harm. */
async function isSealedInSeconds({ ukis, digests, profile }: LintContext): Promise<boolean> {
  const programs = (await ukis()).filter(isRead);
  for (const { pe } of programs) {
    for (const cmdline of cmdlinesOf(pe)) {
      const [first] = findComposefsDigests(cmdline).digests;
      if (first === undefined || (await digests.accepts(first, profile)) !== "seconds") return false;
    }
  }
  return programs.length > 0;
}
