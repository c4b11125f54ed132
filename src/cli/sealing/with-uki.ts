/** `seal with-uki --from REF --to REF --uki F`: completes a seal with a UKI that was signed elsewhere. */
import { basename } from "node:path";
import { z } from "zod";
import { cmdlinesOf } from "../../boot/addons.ts";
import { findComposefsWords } from "../../boot/cmdline.ts";
import { programArch } from "../../boot/efi-program.ts";
import { type HostVerdict, reportVerdicts } from "../../boot/hosts.ts";
import { planBoot } from "../../boot/plan.ts";
import { demandedDigests, type ImageDigest, matchDemand } from "../../boot/uki-demand.ts";
import { byteLength } from "../../bytes.ts";
import { sourceDate } from "../../io/host.ts";
import { parseImageTarget } from "../../io/oci/image-target.ts";
import { writeImage } from "../../io/oci/image-writer.ts";
import { readInput } from "../../io/read-input.ts";
import { sha256Hex } from "../../pe/digest.ts";
import { type PeImage, parsePe } from "../../pe/headers.ts";
import { chooseBootloader } from "../../seal/bootloader.ts";
import { computeDigests } from "../../seal/digest.ts";
import { checkProgramsEnrolled } from "../../seal/enrolled.ts";
import { readSource, refuseInside } from "../../seal/image-source.ts";
import { checkSigned } from "../../seal/signed-programs.ts";
import { checkSealedImage, type SealedParts, writeSealedImage } from "../../seal/written-image.ts";
import { verifyPe } from "../../sign/verify.ts";
import { defineCommand } from "../command.ts";
import { type Context, printJson, printLine, userPath } from "../context.ts";
import { AS_INSTALLED, digestChoices, digestOptions } from "../options/digest.ts";
import { freshOptions } from "../options/fresh.ts";
import { type GroupValues, optionGroup } from "../options/group.ts";
import { collectLayout, layoutOptions } from "../options/layout.ts";
import { flag, path, text } from "../options/option.ts";
import { readTrust, trustOptions } from "../options/trust.ts";
import { startBytes } from "../terminal/progress.ts";
import { formatSeconds, type ReportRow, renderReport } from "../terminal/report.ts";
import { hostReportSchema, hostRows, type Judged, judge } from "./host-report.ts";
import { imageSummary, imageSummarySchema, imageWarnings, summaryRows } from "./image-report.ts";

const OPTIONS = optionGroup("Images", {
  from: text({
    placeholder: "image",
    required: "give the image to seal",
    help: "the image that the UKI was built from, or dir:PATH, as for seal image",
  }),
  to: text({
    placeholder: "image",
    required: "give oci:PATH[:TAG] or oci-archive:FILE[:TAG]",
    help: "where the sealed one goes: oci:PATH[:TAG] or oci-archive:FILE[:TAG]; other tags of a layout stay",
  }),
  uki: path({
    required: "give the signed UKI",
    help: "the signed UKI; its digest must be the one that the image has without its kernel",
  }),
})
  .and(freshOptions)
  .and(layoutOptions.with({ bootloader: { help: "systemd-boot, signed", shownDefault: "that of the image" } }))
  .and(trustOptions)
  // The command line, and with it the form of its digests, is in the UKI.
  .and(digestOptions.without("transform", "mtime", "kargStyle", "algorithm"))
  .and(optionGroup("Output", { json: flag({ help: "print the report as JSON" }) }));
type Options = GroupValues<typeof OPTIONS>;

export const withUkiCommand = defineCommand({
  examples: [
    [
      "--from oci:out:1 --to oci:out:sealed --uki signed.efi --bootloader signed-boot.efi",
      "what seal build-uki --from oci:out:1 --print-unsigned gave, signed by somebody",
    ],
    ["--from oci:out:1 --to oci:sealed --uki signed.efi --cert db.crt", "refuses a UKI that another key signed"],
    ["--from dir:/target --to oci-archive:out.ociarchive --uki signed.efi", "a fresh image of a directory"],
  ],
  options: OPTIONS,
  run: withUki,
});

/** Nobody can sign a file in an image. */
const UNSIGNED_BOOTLOADER =
  "take it out with seal build-uki --from … --print-unsigned DIR, sign it, and give it with --bootloader";

/** What `--json` prints. */
export const withUkiReport = z.object({
  uki: z.object({ path: z.string(), cmdlines: z.array(z.string()), signers: z.array(z.string()) }),
  hosts: z.array(hostReportSchema),
  files: z.array(z.object({ path: z.string(), size: z.int(), sha256: z.string() })),
  warnings: z.array(z.string()),
  image: imageSummarySchema,
});

async function withUki(context: Context, options: Options): Promise<0> {
  const { host, ui } = context;
  const start = host.elapsed();
  const target = parseImageTarget(options.to, "--to", host.cwd);
  await refuseInside(context, options.from, target);
  const trust = await readTrust(context, options);
  const layout = await collectLayout(context, options);
  const uki = parsePe([await readInput(userPath(context, options.uki))], options.uki);
  const arch = programArch(uki);
  // What is wrong with the files is found before half a gigabyte is read.
  const [first] = demandedDigests(uki);
  for (const pe of [uki, ...layout.addons.map((addon) => addon.pe)]) checkSigned(pe, trust);
  const enrolls = (programs: readonly PeImage[]) => {
    if (layout.enrolls !== null) checkProgramsEnrolled(layout.enrolls, programs, host.now());
  };
  enrolls([uki, ...layout.addons.map((addon) => addon.pe)]);
  const choices = digestChoices({
    ...options,
    ...AS_INSTALLED,
    algorithm: first?.algorithm ?? "sha512",
    kargStyle: undefined,
  });
  const [cmdline = ""] = cmdlinesOf(uki);

  const written = await writeImage(target, {
    write: async (staged) => {
      const source = await readSource(context, options, staged, async (reading) => {
        const computed = await computeDigests(context, options.from, choices, reading);
        return { rootfs: computed.rootfs, computed };
      });
      const { rootfs, computed } = source.inputs;
      const judged = await judge(computed, { cmdline, words: findComposefsWords(cmdline) }, uki);
      const named = matchDemand(uki, [...computed.digests, ...expectedDigests(judged.verdicts)], options.from);
      const bootloader = await chooseBootloader(context, options.bootloader, rootfs, arch);
      if (options.bootloader !== undefined) checkSigned(bootloader, trust);
      else checkSigned(bootloader, trust, UNSIGNED_BOOTLOADER);
      enrolls([bootloader]);
      const plan = planBoot({ ...layout, ukis: [{ pe: uki, fileName: basename(options.uki) }], bootloader });
      const parts: SealedParts = {
        image: source.image(arch),
        rootfs: source.below,
        carried: source.carried,
        origin: source.origin,
        files: plan.files,
        named,
        digests: computed.digests,
        choices,
        time: sourceDate(host.env),
      };
      return { ...(await writeSealedImage(staged, parts)), parts, plan, judged };
    },
    archiving: () => startBytes(context, `writing ${options.to}`),
    check: (place, { parts, merged }) => checkSealedImage(context, target, place, { ...parts, merged }),
  });

  const { plan, judged } = written;
  const report = withUkiReport.parse({
    uki: {
      path: plan.files.find(({ content }) => content === uki.file)?.path,
      cmdlines: cmdlinesOf(uki),
      signers: verifyPe(uki, trust).signatures.map(({ subject }) => subject),
    },
    hosts: reportVerdicts(judged.verdicts),
    files: plan.files.map(({ path, content }) => ({ path, size: byteLength(content), sha256: sha256Hex(content) })),
    warnings: [...plan.warnings, ...imageWarnings(options.from, written, arch)],
    image: imageSummary(options.from, target, written),
  });
  for (const warning of report.warnings) ui.warn(warning);
  if (options.json) printJson(context, report);
  else {
    ui.block(renderReport(reportRows(report, judged), ui.err, host.stderr.columns));
    ui.note(` sealed in ${formatSeconds((host.elapsed() - start) / 1000)} → ${options.to}`);
    printLine(context, options.to);
  }
  return 0;
}

/** What releases compute of the image beside the digests that were asked for. */
function expectedDigests(verdicts: readonly HostVerdict[]): ImageDigest[] {
  return verdicts.flatMap(({ expected, profile: { erofs } }) =>
    expected === null ? [] : [{ erofs, algorithm: "sha512", digest: expected }],
  );
}

function reportRows({ uki, image }: z.infer<typeof withUkiReport>, judged: Judged): ReportRow[] {
  return [
    { mark: "done", label: "UKI", text: [uki.path, ...uki.signers.map((signer) => `signed by ${signer}`)] },
    { mark: "done", label: "digest", text: ["the one that the UKI names"] },
    ...hostRows(judged),
    ...summaryRows(image),
  ];
}
