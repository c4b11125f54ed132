/** `seal with-uki --from REF --to REF --uki F`: completes a seal with a UKI that was signed elsewhere. */
import { basename } from "node:path";
import { z } from "zod";
import { cmdlinesOf } from "../../boot/addons.ts";
import { reportVerdicts } from "../../boot/hosts-text.ts";
import { byteLength } from "../../chunks.ts";
import { parseImageTarget, TARGET_KINDS } from "../../io/oci/image-target.ts";
import { sourceDate } from "../../io/process-port.ts";
import { readInput } from "../../io/read-input.ts";
import { sha256Hex } from "../../pe/digest.ts";
import { parsePe } from "../../pe/headers.ts";
import type { Judged } from "../../seal/verdicts.ts";
import { completeSeal } from "../../seal/with-uki.ts";
import { verifyPe } from "../../sign/verify.ts";
import { defineCommand } from "../command.ts";
import { type Context, printJson, printLine, userPath } from "../context.ts";
import { planFrom } from "../digest/plan.ts";
import { AS_INSTALLED, digestOptions } from "../options/digest.ts";
import { freshImage, freshOptions, recompression, recompressOption } from "../options/fresh.ts";
import { type GroupValues, optionGroup } from "../options/group.ts";
import { halvesOptions, readSignedBootloaders } from "../options/halves.ts";
import { collectLayout, dumpOptions, layoutOptions, readBootloader } from "../options/layout.ts";
import { flag, parsed, path, text } from "../options/option.ts";
import { writesImage } from "../options/risk.ts";
import { sealSource } from "../options/source.ts";
import { readTrust, trustOptions } from "../options/trust.ts";
import { portsOf } from "../ports.ts";
import { formatSeconds, type ReportRow, renderReport } from "../terminal/report.ts";
import { hostReportSchema, hostRows } from "./host-report.ts";
import { imageSummary, imageSummarySchema, summaryRows } from "./image-report.ts";

const OPTIONS = optionGroup("Images", {
  from: parsed(sealSource, {
    placeholder: "image",
    required: "give the image to seal",
    help: "the image that the UKI was built from, or dir:PATH, as for seal image",
  }),
  to: text({
    risk: writesImage,
    placeholder: "image",
    required: `give ${TARGET_KINDS}`,
    help: `where to write the sealed image: ${TARGET_KINDS}; other tags of a layout are kept`,
  }),
  uki: path({
    required: "give the signed UKI",
    help: "the signed UKI; its digest must match the image without its kernel",
  }),
})
  .and(halvesOptions.each({ heading: "Images" }))
  .and(recompressOption)
  .and(freshOptions)
  .and(
    layoutOptions.with({
      bootloader: {
        help: "systemd-boot for /boot, signed",
        shownDefault: "that of --signed-bootloader, else the image's",
      },
    }),
  )
  .and(dumpOptions)
  .and(trustOptions)
  // The command line, and with it the form of its digests, is in the UKI.
  .and(digestOptions.without("transform", "mtime", "kargStyle", "algorithm"))
  .and(optionGroup("Output", { json: flag({ help: "print the report as JSON" }) }));
type Options = GroupValues<typeof OPTIONS>;

export const withUkiCommand = defineCommand({
  examples: [
    [
      "--from oci:out:1 --to oci:out:sealed --uki signed.efi --signed-bootloader signed-boot.efi",
      "the output of seal build-uki --from oci:out:1 --print-unsigned, signed elsewhere",
    ],
    ["--from oci:out:1 --to oci:sealed --uki signed.efi --cert db.crt", "refuses a UKI signed with another key"],
    ["--from dir:/target --to oci-archive:out.ociarchive --uki signed.efi", "a new image from a directory"],
  ],
  arguments: {},
  options: OPTIONS,
  run: withUki,
});

/** What `--json` prints. */
export const withUkiReportSchema = z.object({
  uki: z.object({ path: z.string(), cmdlines: z.array(z.string()), signers: z.array(z.string()) }),
  hosts: z.array(hostReportSchema),
  files: z.array(z.object({ path: z.string(), size: z.int(), sha256: z.string() })),
  warnings: z.array(z.string()),
  image: imageSummarySchema,
});

async function withUki(context: Context, options: Options): Promise<0> {
  const { process, ui } = context;
  const start = process.elapsed();
  const target = parseImageTarget(options.to, "--to", process.cwd);
  const { from: source } = options;
  const fresh = freshImage(options);
  const plan = planFrom(context, { ...options, ...AS_INSTALLED });
  const trust = await readTrust(context, options);
  const { enrolls, ...layout } = await collectLayout(context, options);
  const enrolled = enrolls === null ? null : { keys: enrolls, now: process.now() };
  const bootloader = await readBootloader(context, options);
  const signedBootloaders = await readSignedBootloaders(context, options);
  const uki = parsePe([await readInput(userPath(context, options.uki))], options.uki);
  const completed = await completeSeal(
    source,
    target,
    {
      uki,
      fileName: basename(options.uki),
      trust,
      layout,
      enrolled,
      bootloader,
      signedBootloaders,
      fresh,
      recompress: recompression(options),
      plan,
      time: sourceDate(process.env),
      shipDump: options.shipDump,
    },
    portsOf(context, options),
  );

  const { files } = completed.plan;
  const report = withUkiReportSchema.parse({
    uki: {
      path: files.find(({ content }) => content === uki.file)?.path,
      cmdlines: cmdlinesOf(uki),
      signers: verifyPe(uki, trust).signatures.map(({ subject }) => subject),
    },
    hosts: reportVerdicts(completed.judged.verdicts),
    files: files.map(({ path, content }) => ({ path, size: byteLength(content), sha256: sha256Hex(content) })),
    warnings: completed.warnings,
    image: imageSummary(target, completed),
  });
  for (const warning of report.warnings) ui.warn(warning);
  if (options.json) printJson(context, report);
  else {
    ui.block(renderReport(reportRows(report, completed.judged), ui.err, process.stderr.columns));
    ui.note(` sealed in ${formatSeconds((process.elapsed() - start) / 1000)} → ${target.subject}`);
    printLine(context, target.subject);
  }
  return 0;
}

function reportRows({ uki, image }: z.infer<typeof withUkiReportSchema>, judged: Judged): ReportRow[] {
  return [
    { mark: "done", label: "UKI", text: [uki.path, ...uki.signers.map((signer) => `signed by ${signer}`)] },
    { mark: "done", label: "digest", text: ["the one that the UKI names"] },
    ...hostRows(judged),
    ...summaryRows(image),
  ];
}
