import { cmdlinesOf } from "../../boot/addons.ts";
import { findComposefsDigests } from "../../boot/cmdline.ts";
import type { Series } from "../../composefs/series.ts";
import { shortDigest } from "../../text.ts";
import type { Rootfs } from "../../tree/rootfs.ts";
import { isRead } from "../boot-programs.ts";
import type { LintContext } from "../context.ts";
import { digestCause, recordedDifference } from "../digest-causes.ts";
import { nodeAt, quote } from "../files.ts";
import { checked, notApplicable, type Problem, type Rule } from "../rule.ts";
import type { Match } from "../tree-digests.ts";

export const ukiDigestRule: Rule = {
  id: "uki-digest",
  severity: "error",
  finds: "a digest on the cmdline that is not the one of this root filesystem",
  applies: "sealed",
  check: async (context) => {
    const ukis = await context.ukis();
    if (ukis.length === 0) return notApplicable("there is no UKI");
    const problems: Problem[] = [];
    for (const uki of ukis) {
      if (uki.kind === "broken") {
        problems.push({
          path: uki.path,
          message: `It can't be read (${uki.reason}), so nothing finds a digest in it, and firmware does not start it.`,
          fix: "write the UKI again.",
        });
      }
      if (!isRead(uki)) continue;
      const cmdlines = cmdlinesOf(uki.pe);
      for (const cmdline of cmdlines.length === 0 ? [""] : cmdlines) {
        problems.push(...(await problemsOf(uki.path, cmdline, context)));
      }
    }
    return checked(...problems);
  },
};

async function problemsOf(path: string, cmdline: string, context: LintContext): Promise<Problem[]> {
  const { seriesList, digests: trees, rootfs } = context;
  const { digests, malformed } = findComposefsDigests(cmdline);
  const problems: Problem[] = malformed.map(({ text, reason }) => ({
    path,
    message: `Its cmdline has ${quote(text)}: ${reason}. The machine will not start with it.`,
    fix: "build the UKI again with the argument that seal compute-digest --karg prints.",
  }));
  const [first] = digests;
  if (first === undefined) {
    if (malformed.length > 0) return problems;
    const message =
      "Its cmdline has no composefs digest: nothing ties the UKI to this root filesystem, and nothing mounts it.";
    return [{ path, message, fix: "build it with --rootfs, which adds the digest." }];
  }
  for (const series of seriesList) {
    const accepted = await Promise.all(digests.map((digest) => trees.accepts(digest, series)));
    if (accepted.some((times) => times !== null)) continue;
    const wanted = await trees.compute(series, first.algorithm, trees.times);
    const matches = await trees.explain(first);
    const demand = `The UKI demands ${shortDigest(first.digest, 8)}, but bootc ${series.name} computes ${shortDigest(wanted, 8)} for this root filesystem: it will not boot.`;
    problems.push({
      path,
      ...(matches === null
        ? await changed(demand, { path, digest: first.digest }, context, series)
        : otherRelease(demand, matches, rootfs, series)),
    });
    // If no tree has the first digest, the others add nothing.
    if (matches === null) break;
  }
  return problems;
}

function otherRelease(demand: string, matches: Match, { view }: Rootfs, wanted: Series): Omit<Problem, "path"> {
  const { erofs, times, userXattrs, lines } = matches;
  const usual = view === "layers" ? "exact" : "seconds";
  const cut =
    times === usual ? "" : times === "seconds" ? " with mtimes truncated to whole seconds" : " with nanoseconds";
  const kept = userXattrs ? " with user.* xattrs kept" : "";
  const who = lines.length === 0 ? "which no bootc release computes" : `bootc ${lines.join(", ")}`;
  return {
    message: `${demand} The digest is right for EROFS ${erofs}${cut}${kept}, ${who}.`,
    fix:
      times !== usual && lines.includes(wanted.name)
        ? TIMES_FIX[view]
        : userXattrs
          ? "seal again without --xattrs keep-user, or remove the user.* xattrs from the tree."
          : lines.length === 0
            ? "seal again without --erofs."
            : `seal again for the hosts' release (--bootc ${wanted.releases.at(-1)}), or lint with --bootc ${lines.at(-1)?.split("–").at(-1)} when that is what they run.`,
  };
}

async function changed(
  demand: string,
  uki: { readonly path: string; readonly digest: string },
  { rootfs, image, digests }: LintContext,
  { erofs, rules }: Series,
): Promise<Omit<Problem, "path">> {
  const recorded = image === null ? null : await recordedDifference(image, uki.digest, (one) => digests.read(one));
  const known = [demand, ...(recorded === null ? [] : [recorded])].join(" ");
  const cause = image === null ? null : digestCause(image, uki.path);
  if (cause !== null) return { ...cause, message: `${known} ${cause.message}` };
  const counts = erofs !== "v2" && rules.bootMtime === "seconds" && (nodeAt(rootfs, "boot")?.mtimeNsec ?? 0) !== 0;
  const hint = counts
    ? " (With --mtime exact, the nanoseconds of /boot's own mtime count, and they change when a file is put there.)"
    : "";
  return {
    message: `${known} No known release or format gives the demanded digest: the root filesystem was changed after the digest was computed, or the kernel was still in it then.${hint}`,
    fix: "seal again, as the last step: split off the kernel before it, and write nothing but /boot after it.",
  };
}

/** What to do if the digest is right except for the nanoseconds. */
const TIMES_FIX: Readonly<Record<Rootfs["view"], string>> = {
  layers: "seal the image itself (oci:…), whose layers carry nanoseconds, or its mount with --mtime exact.",
  mounted: "seal again without --mtime exact.",
};
