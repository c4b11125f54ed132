/**
 * `seal image --from REF --to REF`: the whole chain for an image: digest, UKI, signatures, two layers on top, and
 * a look at the result.
 */
import { parseImageTarget } from "../../io/oci/image-target.ts";
import { sealImage } from "../../seal/image.ts";
import { attestationOf } from "../attest/after-sealing.ts";
import { defineCommand } from "../command.ts";
import { type Context, printJson, printLine } from "../context.ts";
import { checkPage, writePage } from "../options/html.ts";
import { portsOf } from "../ports.ts";
import { formatSeconds, renderReport } from "../terminal/report.ts";
import { forOneImage, readImageInputs } from "./image-inputs.ts";
import { type ImageOptions, imageOptions } from "./image-options.ts";
import { sealIndex, wantsIndex } from "./image-platforms.ts";
import { imageReport, imageRows } from "./image-report.ts";

export const imageCommand = defineCommand({
  examples: [
    [
      "--from oci:out:1 --to oci:out:sealed --key db.key --cert db.crt",
      "seals an image in an OCI layout, next to the original",
    ],
    [
      "--from oci-archive:in.ociarchive --to oci-archive:out.ociarchive --key db.key --cert db.crt",
      "from archive to archive",
    ],
    ["--from oci:multi --platform linux/arm64 --to oci:sealed:arm64", "one platform of several; not signed"],
    [
      "--from oci:multi --all-platforms --to oci:sealed --key db.key --cert db.crt",
      "all images of an index, giving an index of sealed ones",
    ],
    [
      "--from dir:/target --to oci-archive:/out/out.ociarchive --key db.key --cert db.crt",
      "a new image from a mounted root filesystem; use it with FROM oci-archive:out.ociarchive",
    ],
    [
      "--from containers-storage:localhost/os --to oci:sealed --signer 'kms-sign db' --cert db.crt",
      "an image built by podman, signed by an external program; needs skopeo",
    ],
    [
      "--from docker://ghcr.io/me/os:1 --to docker://ghcr.io/me/os:1-sealed --key db.key --cert db.crt --authfile auth.json",
      "from a registry and back; needs skopeo",
    ],
  ],
  arguments: {},
  options: imageOptions,
  run: runSealImage,
});

async function runSealImage(context: Context, options: ImageOptions): Promise<0> {
  if (wantsIndex(options)) return sealIndex(context, options);
  const { process, ui } = context;
  const start = process.elapsed();
  const target = parseImageTarget(options.to, "--to", process.cwd);
  await checkPage(context, options);
  const attest = await attestationOf(context, options, target);
  const inputs = await readImageInputs(context, options);
  let digested = start;
  const onDigest = () => {
    digested = process.elapsed();
  };
  const sealing = await sealImage(
    options.from,
    target,
    { ...forOneImage(inputs), onDigest },
    portsOf(context, options),
  );
  await attest?.(options.from);

  const report = await imageReport(target, sealing, inputs.how.signing);
  await writePage(context, options, async () => [(await import("../html/sealed.ts")).sealedPage(report)]);
  for (const warning of report.warnings) ui.warn(warning);
  const seconds = { digest: (digested - start) / 1000, all: (process.elapsed() - start) / 1000 };
  if (options.json) printJson(context, report);
  else {
    ui.block(renderReport(imageRows(report, sealing, seconds), ui.err, process.stderr.columns));
    ui.note(` sealed in ${formatSeconds(seconds.all)} → ${target.subject}`);
    printLine(context, target.subject);
  }
  return 0;
}
