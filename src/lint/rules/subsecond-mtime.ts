import { cmdlinesOf } from "../../boot/addons.ts";
import { findComposefsDigests } from "../../boot/cmdline.ts";
import { joinSeries } from "../../boot/hosts-text.ts";
import { someOf } from "../../text.ts";
import type { Rootfs } from "../../tree/rootfs.ts";
import { isRead } from "../boot-programs.ts";
import type { LintContext } from "../context.ts";
import { displayPath, walk } from "../files.ts";
import { checked, notApplicable, type Problem, type Rule } from "../rule.ts";

/** Directories that are emptied before the digest is computed. */
const EMPTIED = new Set(["boot", "sysroot", "run"]);

export const subsecondMtimeRule: Rule = {
  id: "subsecond-mtime",
  severity: "warning",
  finds: "nanoseconds in mtimes, which image layers will not keep",
  applies: "any",
  check: async (context) => {
    const { rootfs, seriesList, sealed } = context;
    if (seriesList.every(({ erofs }) => erofs === "v2")) {
      return notApplicable(`bootc ${joinSeries(seriesList)} does not store nanoseconds`);
    }
    const paths: (readonly Uint8Array[])[] = [];
    for (const { components, node } of walk(
      rootfs,
      "",
      (path) => !(path.length === 1 && EMPTIED.has(displayPath(path))),
    )) {
      if (node.mtimeNsec !== 0) paths.push(components);
    }
    const [first] = paths;
    if (first === undefined) return checked();
    const found = `${paths.length === 1 ? "One path has" : `${paths.length} paths have`} an mtime with nanoseconds: ${someOf(paths, 5, displayPath)}.`;
    if (sealed && (await isSealedAs(context, context.digests.times))) return checked();
    return checked({ path: displayPath(first), ...(sealed ? SEALED : UNSEALED)[rootfs.view](found) });
  },
};

type Texts = Readonly<Record<Rootfs["view"], (found: string) => Omit<Problem, "path">>>;

/** What to know before sealing. */
const UNSEALED: Texts = {
  mounted: (found) => ({
    severity: "info",
    message: `${found} Layers made from them keep whole seconds; seal leaves the nanoseconds of a directory out of the digest, other tools may include them.`,
    fix: "with seal, nothing needs to be done; for other tools, truncate the mtimes in the last step of the build.",
  }),
  layers: (found) => ({
    message: `${found} The installed system includes them in its digest, but a digest computed from a mount of this image leaves them out: it will not boot with that one.`,
    fix: "seal the image itself (oci:…), or its mount with --mtime exact; better still, build layers with whole seconds.",
  }),
};

/** What is wrong with a digest of other mtimes. */
const SEALED: Texts = {
  mounted: (found) => ({
    message: `${found} Image layers keep whole seconds, so a digest with exact mtimes will not be that of the pulled image.`,
    fix: "seal without --mtime exact, or truncate the mtimes in the last step of the build.",
  }),
  layers: (found) => ({
    message: `${found} The installed system includes them in its digest, and the UKI's digest does not.`,
    fix: "seal the image itself (oci:…), or its mount with --mtime exact; better still, build layers with whole seconds.",
  }),
};

/** Whether every UKI has the digest with these mtimes, so that the nanoseconds in this tree do no harm. */
async function isSealedAs({ ukis, digests, seriesList }: LintContext, times: string): Promise<boolean> {
  const programs = (await ukis()).filter(isRead);
  const counting = seriesList.filter(({ erofs }) => erofs !== "v2");
  for (const { pe } of programs) {
    for (const cmdline of cmdlinesOf(pe)) {
      const named = findComposefsDigests(cmdline).digests;
      for (const series of counting) {
        const accepted = await Promise.all(named.map((digest) => digests.accepts(digest, series)));
        if (!accepted.some((found) => found === times)) return false;
      }
    }
  }
  return programs.length > 0;
}
