/** `seal rootfs [ROOTFS]`: the whole chain for a root filesystem: digest, UKI, signatures, boot layout, report. */
import { join } from "node:path";
import type { BootFile } from "../../boot/plan.ts";
import { SealError } from "../../errors.ts";
import { sourceDate } from "../../io/host.ts";
import { replaceDirectory } from "../../io/new-directory.ts";
import { liesIn } from "../../io/paths.ts";
import { parseRootfsSpec } from "../../io/rootfs-source.ts";
import { bootEntries, inTheWay } from "../../lint/boot-entries.ts";
import { type ViewOptions, viewNotes } from "../../lint/two-views.ts";
import type { RootfsDigests } from "../../seal/digest.ts";
import { someOf } from "../../text.ts";
import type { Rootfs } from "../../tree/rootfs.ts";
import { collectRootfsInputs } from "../build-uki/rootfs-inputs.ts";
import { defineCommand } from "../command.ts";
import { type Context, printJson, printLine, userPath } from "../context.ts";
import { chainOptions } from "../options/chain.ts";
import { rootfsArgument } from "../options/digest.ts";
import { optionGroup, type VerbValues } from "../options/group.ts";
import { flag, path } from "../options/option.ts";
import { formatSeconds, renderReport } from "../terminal/report.ts";
import { loadChain, sealWith } from "./chain.ts";
import { judge } from "./host-report.ts";
import { sealReport, sealRows } from "./report.ts";

const ARGUMENTS = { rootfs: rootfsArgument };
const OPTIONS = chainOptions.and(
  optionGroup("Output", {
    output: path({
      short: "o",
      complete: "directory",
      required: "give the directory to write",
      help: "gets boot/ and report.json; an older result of the same files is replaced",
    }),
    json: flag({ help: "print the report as JSON" }),
  }),
);
type Options = VerbValues<typeof ARGUMENTS, typeof OPTIONS>;

export const rootfsCommand = defineCommand({
  examples: [
    ["/target --key db.key --cert db.crt --output /out", "seals /target; COPY /out/boot to /boot in the last stage"],
    ["/target --key db.key --cert db.crt --enroll-keys keys --output out", "and lets systemd-boot enrol the keys"],
    ["/target --bootc 1.15 --output out", "for hosts with an older bootc; not signed"],
  ],
  arguments: ARGUMENTS,
  options: OPTIONS,
  run: sealRootfs,
});

async function sealRootfs(context: Context, options: Options): Promise<0> {
  const { host, ui } = context;
  const start = host.elapsed();
  await refuseInside(context, options);
  const chain = await loadChain(context, options);
  const { rootfs, computed, treeOptions } = await collectRootfsInputs(
    context,
    options,
    options.rootfs,
    chain.pcrPublicKey,
  );
  const digested = host.elapsed();

  const sealed = await sealWith(context, options, chain, rootfs, treeOptions);
  const entries = bootEntries(rootfs);
  const judged = computed === null ? null : await judge(computed, sealed.tree, sealed.uki, entries);
  const views = computed === null ? [] : await viewNotes(computed.shaped, viewOptions(context, computed));
  const planned = sealReport(rootfs.label, sealed, computed, judged, chain.signing, views);
  const report = { ...planned, warnings: [...planned.warnings, ...bootWarnings(rootfs, sealed.plan.files)] };
  await replaceDirectory(
    userPath(context, options.output),
    [
      ...sealed.plan.files.map(({ path, content }) => ({ name: join("boot", path), bytes: content, mode: 0o644 })),
      { name: "report.json", bytes: Buffer.from(`${JSON.stringify(report, null, 2)}\n`), mode: 0o644 },
    ],
    0o755,
  );

  for (const warning of report.warnings) ui.warn(warning);
  const seconds = { digest: (digested - start) / 1000, all: (host.elapsed() - start) / 1000 };
  if (options.json) printJson(context, report);
  else {
    ui.block(renderReport(sealRows(report, sealed, judged, seconds), ui.err, host.stderr.columns));
    ui.note(` sealed in ${formatSeconds(seconds.all)} → ${join(options.output, "boot")}`);
    printLine(context, join(options.output, "boot"));
  }
  return 0;
}

/** Refuses an output that would be a part of what was sealed, which then has another digest. What is in `/boot` has no part in it. */
async function refuseInside(context: Context, { rootfs, output }: Options): Promise<void> {
  const spec = parseRootfsSpec(rootfs);
  if (spec.kind !== "dir") return;
  const directory = userPath(context, spec.path);
  const path = userPath(context, output);
  if (!(await liesIn(path, directory)) || (await liesIn(path, join(directory, "boot")))) return;
  throw new SealError("usage", `--output: ${output} lies in the root filesystem. Give a directory outside of it`);
}

/** What is in the tree's /boot stays there when the result is copied to it. */
function bootWarnings(rootfs: Rootfs, files: readonly BootFile[]): readonly string[] {
  const paths = inTheWay(
    rootfs,
    files.map(({ path }) => path),
  );
  if (paths.length === 0) return [];
  return [
    `${rootfs.label}: its /boot has ${someOf(paths)}, which stays beside what is sealed: bootc takes boot entries before UKIs, checks every UKI, and refuses the image. Remove it in the stage that is sealed`,
  ];
}

function viewOptions({ host }: Context, { digests, mtime }: RootfsDigests): ViewOptions {
  const isStored = digests.some(({ erofs }) => erofs !== "v2");
  const nanoseconds = !isStored ? "none" : mtime === "exact" ? "counted" : "cut";
  return { nanoseconds, sourceDate: sourceDate(host.env) };
}
