/** `seal image --from REF --to REF`: the whole chain for an image: digest, UKI, signatures, two layers on top, and a look at the result. */
import { z } from "zod";
import { refuseSealed } from "../../boot/sealed-layers.ts";
import { SealError } from "../../errors.ts";
import { CarriedLayers } from "../../io/carried-layers.ts";
import { sourceDate } from "../../io/host.ts";
import { parseImageTarget } from "../../io/image-target.ts";
import { type StagedImage, writeImage } from "../../io/image-writer.ts";
import { isLayers } from "../../io/rootfs.ts";
import { sealTree } from "../../seal.ts";
import { chooseBootloader } from "../boot-files.ts";
import { defineCommand } from "../command.ts";
import { type Context, printJson, printLine } from "../context.ts";
import { judge } from "../host-report.ts";
import { type ImageSealing, imageReport, imageRows } from "../image-report.ts";
import { imageShape } from "../image-shape.ts";
import { CHAIN_OPTIONS, chainFields } from "../options/chain.ts";
import { digestChoices } from "../options/digest.ts";
import { collectLayout } from "../options/layout.ts";
import { loadSigning } from "../options/signing.ts";
import { longName } from "../program.ts";
import { formatSeconds, renderReport } from "../report.ts";
import { checkSealedImage, type SealedParts, writeSealedImage } from "../sealed-image.ts";
import { collectRootfsInputs } from "../uki-inputs-rootfs.ts";
import { loadPcrPlan } from "../uki-pcrs.ts";

/** An installed system computes the digest in one way: of the layers, as they are booted. */
const FIXED = new Set(["transform", "mtime", "digest"]);
const GROUP = "Images";

const schema = z.object({
  ...chainFields,
  from: z.string("give the image to seal").min(1, "give the image to seal"),
  to: z.string("give oci:PATH[:TAG] or oci-archive:FILE[:TAG]"),
  json: z.boolean().default(false),
});
type Options = z.infer<typeof schema>;

export const imageCommand = defineCommand<Options>({
  examples: [
    [
      "--from oci:out:1 --to oci:out:sealed --key db.key --cert db.crt",
      "seals an image of a layout beside the other one",
    ],
    ["--from oci-archive:in.ociarchive --to oci-archive:out.ociarchive --key db.key --cert db.crt", "archives"],
    ["--from oci:multi --platform linux/arm64 --to oci:sealed:arm64", "one image of several; not signed"],
    [
      "--from containers-storage:localhost/os --to oci:sealed --signer 'kms-sign db' --cert db.crt",
      "what podman built, signed by another program; needs skopeo",
    ],
  ],
  options: [
    {
      flags: "--from <image>",
      description:
        "image to seal: oci:PATH[:TAG], oci-archive:FILE[:TAG], docker-archive:FILE[:REF], docker://REF, containers-storage:REF",
      group: GROUP,
    },
    {
      flags: "--to <image>",
      description: "where the sealed one goes: oci:PATH[:TAG] or oci-archive:FILE[:TAG]; other tags of a layout stay",
      group: GROUP,
    },
    ...CHAIN_OPTIONS.filter((option) => !FIXED.has(longName(option))),
    { flags: "--json", description: "print the report as JSON", group: "Output" },
  ],
  schema,
  run: sealImage,
});

async function sealImage(context: Context, options: Options): Promise<0> {
  const { host, ui } = context;
  const start = host.elapsed();
  const target = parseImageTarget(options.to, "--to", host.cwd);
  if (!isLayers(options.from)) {
    throw new SealError(
      "usage",
      `--from ${options.from}: give an image (oci:, oci-archive:, docker-archive:, docker://, containers-storage:)`,
    );
  }
  // Wrong keys are found before half a gigabyte is read.
  const signing = await loadSigning(context, options, null);
  const pcrs = await loadPcrPlan(context, options);
  const layout = await collectLayout(context, options);

  const sealing = await writeImage<ImageSealing>(target, {
    write: async (staged) => {
      const { treeOptions, ...read } = await readSource(context, options, staged);
      const { rootfs, computed } = read;
      const digested = host.elapsed();
      if (treeOptions.kernel === null) refuseSealed(rootfs);
      const sealed = await sealTree(rootfs, {
        uki: treeOptions,
        bootloader: ({ arch }) => chooseBootloader(context, options.bootloader, rootfs, arch),
        signing,
        pcrs: pcrs.policies.length > 0 ? pcrs : undefined,
        layout,
      });
      const parts: SealedParts = {
        ...read,
        files: sealed.plan.files,
        digests: computed.digests,
        choices: digestChoices(options),
        time: sourceDate(host.env),
      };
      const image = await writeSealedImage(staged, parts);
      const judged = await judge(computed, sealed.tree.cmdline);
      return { ...image, parts, sealed, computed, judged, signing, digestSeconds: (digested - start) / 1000 };
    },
    check: (place, { parts, ...image }) => checkSealedImage(context, target, place, parts, image),
  });

  const report = imageReport(options.from, target, sealing);
  for (const warning of report.warnings) ui.warn(warning);
  const seconds = { digest: sealing.digestSeconds, all: (host.elapsed() - start) / 1000 };
  if (options.json) printJson(context, report);
  else {
    ui.note(renderReport(imageRows(report, sealing, seconds), ui.err));
    ui.note(` sealed in ${formatSeconds(seconds.all)} → ${options.to}`);
    printLine(context, options.to);
  }
  return 0;
}

/** Reads the image and copies its layers on the way. */
async function readSource(context: Context, options: Options, staged: StagedImage) {
  const layers = new CarriedLayers(staged);
  const shape = imageShape(context, options.from, options.xattrs);
  const inputs = await collectRootfsInputs(context, options, options.from, { shape, tap: layers.tap });
  const { rootfs, computed, treeOptions } = inputs;
  if (computed === null || computed.image === null) throw new Error("an image was read, but not as one");
  const { image } = computed;
  return { rootfs, computed, treeOptions, image, carried: await layers.finish(image.layers) };
}
