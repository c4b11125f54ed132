/** `seal image --from REF --to REF`: the whole chain for an image: digest, UKI, signatures, two layers on top, and a look at the result. */
import { refuseSealed } from "../../boot/sealed-layers.ts";
import { sourceDate } from "../../io/host.ts";
import { parseImageTarget } from "../../io/oci/image-target.ts";
import { writeImage } from "../../io/oci/image-writer.ts";
import { readSource, refuseInside } from "../../seal/image-source.ts";
import { checkSealedImage, type SealedParts, writeSealedImage } from "../../seal/written-image.ts";
import { collectRootfsInputs } from "../build-uki/rootfs-inputs.ts";
import { defineCommand } from "../command.ts";
import { type Context, printJson, printLine } from "../context.ts";
import { chainOptions } from "../options/chain.ts";
import { AS_INSTALLED } from "../options/digest.ts";
import { freshOptions } from "../options/fresh.ts";
import { type GroupValues, optionGroup } from "../options/group.ts";
import { flag, text } from "../options/option.ts";
import { startBytes } from "../terminal/progress.ts";
import { formatSeconds, renderReport } from "../terminal/report.ts";
import { loadChain, sealWith } from "./chain.ts";
import { judge } from "./host-report.ts";
import { type ImageSealing, imageReport, imageRows } from "./image-report.ts";

const OPTIONS = optionGroup("Images", {
  from: text({
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
  options: OPTIONS,
  run: sealImage,
});

async function sealImage(context: Context, options: Options): Promise<0> {
  const { host, ui } = context;
  const start = host.elapsed();
  const target = parseImageTarget(options.to, "--to", host.cwd);
  await refuseInside(context, options.from, target);
  const chain = await loadChain(context, options);

  const sealing = await writeImage<ImageSealing>(target, {
    write: async (staged) => {
      const source = await readSource(context, options, staged, (reading) =>
        collectRootfsInputs(context, { ...options, ...AS_INSTALLED }, options.from, chain.pcrPublicKey, reading),
      );
      const { rootfs, computed, treeOptions } = source.inputs;
      const digested = host.elapsed();
      if (treeOptions.kernel === null) refuseSealed(rootfs);
      const sealed = await sealWith(context, options, chain, rootfs, treeOptions);
      const parts: SealedParts = {
        image: source.image(sealed.tree.arch),
        rootfs: source.below,
        carried: source.carried,
        origin: source.origin,
        files: sealed.plan.files,
        named: computed.digests,
        digests: computed.digests,
        choices: computed.choices,
        time: sourceDate(host.env),
      };
      const image = await writeSealedImage(staged, parts);
      const judged = await judge(computed, sealed.tree, sealed.uki);
      return {
        ...image,
        parts,
        sealed,
        computed,
        judged,
        signing: chain.signing,
        digestSeconds: (digested - start) / 1000,
      };
    },
    archiving: () => startBytes(context, `writing ${options.to}`),
    check: (place, { parts, merged }) => checkSealedImage(context, target, place, { ...parts, merged }),
  });

  const report = imageReport(options.from, target, sealing);
  for (const warning of report.warnings) ui.warn(warning);
  const seconds = { digest: sealing.digestSeconds, all: (host.elapsed() - start) / 1000 };
  if (options.json) printJson(context, report);
  else {
    ui.block(renderReport(imageRows(report, sealing, seconds), ui.err, host.stderr.columns));
    ui.note(` sealed in ${formatSeconds(seconds.all)} → ${options.to}`);
    printLine(context, options.to);
  }
  return 0;
}
