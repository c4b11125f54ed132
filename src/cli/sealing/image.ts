/** `seal image --from REF --to REF`: the whole chain for an image: digest, UKI, signatures, two layers on top, and a look at the result. */
import { sourceDate } from "../../io/host.ts";
import { parseImageTarget } from "../../io/oci/image-target.ts";
import { sealImage } from "../../seal/image.ts";
import { defineCommand } from "../command.ts";
import { type Context, printJson, printLine } from "../context.ts";
import { planFrom } from "../digest/plan.ts";
import { chainOptions } from "../options/chain.ts";
import { AS_INSTALLED } from "../options/digest.ts";
import { freshImage, freshOptions, recompression, recompressOption } from "../options/fresh.ts";
import { type GroupValues, optionGroup } from "../options/group.ts";
import { flag, text, value } from "../options/option.ts";
import { sealSource } from "../options/source.ts";
import { portsOf } from "../ports.ts";
import { formatSeconds, renderReport } from "../terminal/report.ts";
import { imageReport, imageRows } from "./image-report.ts";
import { loadSealOptions } from "./inputs.ts";

const OPTIONS = optionGroup("Images", {
  from: value(sealSource("give the image to seal"), {
    placeholder: "image",
    required: "give the image to seal",
    help: "image to seal: oci:PATH[:TAG], oci-archive:FILE[:TAG], docker-archive:FILE[:REF], docker://REF, containers-storage:REF; or dir:PATH, a root filesystem to make a fresh image of",
  }),
  to: text({
    placeholder: "image",
    required: "give oci:PATH[:TAG] or oci-archive:FILE[:TAG]",
    help: "where the sealed one goes: oci:PATH[:TAG] or oci-archive:FILE[:TAG]; other tags of a layout stay",
  }),
})
  .and(recompressOption)
  .and(freshOptions)
  .and(chainOptions.without("transform", "mtime", "digest"))
  .and(optionGroup("Output", { json: flag({ help: "print the report as JSON" }) }));
type Options = GroupValues<typeof OPTIONS>;

export const imageCommand = defineCommand({
  examples: [
    [
      "--from oci:out:1 --to oci:out:sealed --key db.key --cert db.crt",
      "seals an image of a layout beside the other one",
    ],
    ["--from oci-archive:in.ociarchive --to oci-archive:out.ociarchive --key db.key --cert db.crt", "archives"],
    ["--from oci:multi --platform linux/arm64 --to oci:sealed:arm64", "one image of several; not signed"],
    [
      "--from dir:/target --to oci-archive:/out/out.ociarchive --key db.key --cert db.crt",
      "a fresh image of a mounted root filesystem; FROM oci-archive:out.ociarchive takes it",
    ],
    [
      "--from containers-storage:localhost/os --to oci:sealed --signer 'kms-sign db' --cert db.crt",
      "what podman built, signed by another program; needs skopeo",
    ],
  ],
  arguments: {},
  options: OPTIONS,
  run: runSealImage,
});

async function runSealImage(context: Context, options: Options): Promise<0> {
  const { host, ui } = context;
  const start = host.elapsed();
  const target = parseImageTarget(options.to, "--to", host.cwd);
  const { from: source } = options;
  const fresh = freshImage(options);
  const plan = planFrom(context, { ...options, ...AS_INSTALLED });
  const given = await loadSealOptions(context, options);
  let digested = start;
  const onDigest = () => {
    digested = host.elapsed();
  };
  const how = { ...given, plan, fresh, recompress: recompression(options), time: sourceDate(host.env), onDigest };
  const sealing = await sealImage(source, target, how, portsOf(context));

  const report = imageReport(target, sealing, given.signing ?? null);
  for (const warning of report.warnings) ui.warn(warning);
  const seconds = { digest: (digested - start) / 1000, all: (host.elapsed() - start) / 1000 };
  if (options.json) printJson(context, report);
  else {
    ui.block(renderReport(imageRows(report, sealing, seconds), ui.err, host.stderr.columns));
    ui.note(` sealed in ${formatSeconds(seconds.all)} → ${target.label}`);
    printLine(context, target.label);
  }
  return 0;
}
