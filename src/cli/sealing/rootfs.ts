/** `seal rootfs [ROOTFS]`: the whole chain for a root filesystem: digest, UKI, signatures, boot layout, report. */
import { join } from "node:path";
import { SealError } from "../../errors.ts";
import { replaceDirectory } from "../../io/new-directory.ts";
import { liesIn } from "../../io/paths.ts";
import { sourceDate } from "../../io/process-port.ts";
import type { RootfsSource } from "../../io/rootfs-source.ts";
import type { PeImage } from "../../pe/headers.ts";
import type { RootfsDigests } from "../../seal/digest.ts";
import { sealRootfs } from "../../seal/rootfs.ts";
import { hashWhole } from "../build-uki/report.ts";
import { defineCommand } from "../command.ts";
import { type Context, printJson, printLine, userPath } from "../context.ts";
import { planFrom } from "../digest/plan.ts";
import { rootfsArgument } from "../options/digest.ts";
import { optionGroup, type VerbValues } from "../options/group.ts";
import { checkPage, htmlOptions, writePage } from "../options/html.ts";
import { flag, path } from "../options/option.ts";
import { writes } from "../options/risk.ts";
import { sealingOptions } from "../options/sealing.ts";
import { portsOf } from "../ports.ts";
import { formatSeconds, renderReport } from "../terminal/report.ts";
import { loadSealOptions } from "./inputs.ts";
import { recordAhead, sealReport, sealRows } from "./report.ts";

const NOT_READ = "--digest and --ship-dump: give one of them; a dump file needs a tree that was read";

const ARGUMENTS = { rootfs: rootfsArgument };
const OPTIONS = sealingOptions
  .with({ shipDump: { excludes: { digest: NOT_READ } } })
  .and(
    optionGroup("Output", {
      output: path({
        risk: writes,
        short: "o",
        complete: "directory",
        required: "give the directory to write",
        help: "receives boot/ and report.json; an earlier result is replaced",
      }),
      json: flag({ help: "print the report as JSON" }),
    }),
  )
  .and(htmlOptions);
type Options = VerbValues<typeof ARGUMENTS, typeof OPTIONS>;

export const rootfsCommand = defineCommand({
  examples: [
    ["/target --key db.key --cert db.crt --output /out", "seals /target; copy /out/boot to /boot in the last stage"],
    ["/target --key db.key --cert db.crt --enroll-keys keys --output out", "also lets systemd-boot enrol the keys"],
    ["/target --bootc 1.15 --output out", "for hosts with an older bootc; not signed"],
  ],
  arguments: ARGUMENTS,
  options: OPTIONS,
  run: runSealRootfs,
});

async function runSealRootfs(context: Context, options: Options): Promise<0> {
  const { process, ui } = context;
  const start = process.elapsed();
  const { rootfs: source, digest } = options;
  const plan = planFrom(context, options);
  await refuseInside(context, source, options.output);
  await checkPage(context, options);
  const given = await loadSealOptions(context, options);
  let digested = start;
  const onDigest = (computed: RootfsDigests | null) => {
    digested = process.elapsed();
    if (computed !== null) recordAhead(computed);
  };
  let hashing = Promise.resolve();
  const onUki = (uki: PeImage) => {
    hashing = hashWhole(uki);
    // Its error comes where the report is waited for.
    hashing.catch(() => {});
  };
  const how = { ...given, plan, digest, sourceDate: sourceDate(process.env), onDigest, onUki };
  const sealing = await sealRootfs(source, how, portsOf(context, options));
  const { rootfs, sealed, judged } = sealing;
  const reporting = hashing.then(() => sealReport(rootfs.subject, sealing, given.signing ?? null));
  const reportBytes = reporting.then((made) => Buffer.from(`${JSON.stringify(made, null, 2)}\n`));
  // Its error comes where the report is waited for.
  reportBytes.catch(() => {});
  await replaceDirectory(
    userPath(context, options.output),
    [
      ...sealed.plan.files.map(({ path, content }) => ({ name: join("boot", path), bytes: content, mode: 0o644 })),
      { name: "report.json", bytes: reportBytes, mode: 0o644 },
    ],
    0o755,
  );
  const report = await reporting;

  await writePage(context, options, async () => [(await import("../html/sealed.ts")).sealedPage(report)]);
  for (const warning of report.warnings) ui.warn(warning);
  const seconds = { digest: (digested - start) / 1000, all: (process.elapsed() - start) / 1000 };
  if (options.json) printJson(context, report);
  else {
    ui.block(renderReport(sealRows(report, sealed, judged, seconds), ui.err, process.stderr.columns));
    ui.note(` sealed in ${formatSeconds(seconds.all)} → ${join(options.output, "boot")}`);
    printLine(context, join(options.output, "boot"));
  }
  return 0;
}

/**
 * Refuses an output that would be a part of what was sealed, which then has another digest. What is in
 * `/boot` has no part in it.
 */
async function refuseInside(context: Context, source: RootfsSource, output: string): Promise<void> {
  if (source.kind !== "dir") return;
  const directory = userPath(context, source.path);
  const path = userPath(context, output);
  if (!(await liesIn(path, directory)) || (await liesIn(path, join(directory, "boot")))) return;
  throw new SealError("usage", `--output: ${output} is inside the root filesystem; give a directory outside of it`);
}
