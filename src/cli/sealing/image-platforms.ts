/** `seal image --all-platforms`: the images of an index, and an index of the sealed ones. */
import { z } from "zod";
import { SealError } from "../../errors.ts";
import { type ImageTarget, parseImageTarget, refuseIndex } from "../../io/oci/image-target.ts";
import { isImage } from "../../io/rootfs-source.ts";
import { formatBlobDigest } from "../../oci/digest.ts";
import type { OtherEntry } from "../../oci/platform-index.ts";
import { findPlatforms, type PlatformsSealing, sealablePlatforms, sealPlatforms } from "../../seal/platforms.ts";
import { refuseSource } from "../../seal/target.ts";
import { attestationOf } from "../attest/after-sealing.ts";
import { type Context, printJson, printLine } from "../context.ts";
import { checkPage, writePage } from "../options/html.ts";
import { portsOf } from "../ports.ts";
import { oneStepAtATime } from "../terminal/progress.ts";
import { formatSeconds, type ReportRow, renderReport } from "../terminal/report.ts";
import { forArchitectures, readImageInputs, refuseForOneArchitecture } from "./image-inputs.ts";
import type { ImageOptions } from "./image-options.ts";
import { type ImageReport, imageReport, imageReportSchema, imageRows } from "./image-report.ts";

/** What `--json` prints where several images are sealed. */
export const indexReportSchema = z.object({
  index: z.object({
    from: z.string(),
    to: z.string(),
    /** Digest of the index. */
    digest: z.string(),
    platforms: z.array(z.string()),
    /** Platforms of `from` that were not asked for. */
    leftOut: z.array(z.string()),
    /** What else was in the index: attestations of the images before sealing. */
    dropped: z.array(z.object({ digest: z.string(), type: z.string(), about: z.string().nullable() })),
  }),
  /** In the order of the index; as `seal image` reports each. */
  images: z.array(imageReportSchema),
});
type IndexReport = z.infer<typeof indexReportSchema>;

interface Sealed {
  readonly report: ImageReport;
  readonly rows: readonly ReportRow[];
}

/** Whether several images are to be sealed. */
export function wantsIndex({ allPlatforms, platform }: Pick<ImageOptions, "allPlatforms" | "platform">): boolean {
  return allPlatforms || platform.length > 1;
}

export async function sealIndex(context: Context, options: ImageOptions): Promise<0> {
  const { process, ui } = context;
  const start = process.elapsed();
  const target = parseImageTarget(options.to, "--to", process.cwd);
  const { from: source } = options;
  refuseIndex(target);
  await refuseSource(source, target, process);
  if (!isImage(source)) {
    throw new SealError("usage", "--platform: an image built from a directory has one platform; give only one");
  }
  refuseForOneArchitecture(options);
  await checkPage(context, options);
  const attest = await attestationOf(context, options, target);
  const inputs = await readImageInputs(context, options);
  const ports = portsOf({ ...context, ui: oneStepAtATime(ui) }, options);
  const found = sealablePlatforms(await findPlatforms(source, options.allPlatforms ? null : options.platform, ports));
  const optionsFor = forArchitectures(
    inputs,
    found.images.map(({ arch }) => arch),
  );
  const digested = new Map<string, number>();
  const sealing = await sealPlatforms<Sealed>(
    found,
    target,
    {
      optionsFor: ({ arch, name }) => ({
        ...optionsFor(arch),
        onDigest: () => {
          digested.set(name, process.elapsed());
        },
      }),
      report: async ({ name }, one) => {
        const report = await imageReport(target, { ...one, placed: one.manifest.digest }, inputs.how.signing);
        const seconds = {
          digest: ((digested.get(name) ?? start) - start) / 1000,
          all: (process.elapsed() - start) / 1000,
        };
        return { report, rows: imageRows(report, one, seconds) };
      },
    },
    ports,
  );
  await attest?.(source);

  const report = indexReport(found.subject, target, sealing, found.leftOut);
  const reports = sealing.images.map((image) => image.report);
  await writePage(context, options, async () => {
    const { sealedPage } = await import("../html/sealed.ts");
    const [first, ...others] = report.images.map(sealedPage);
    if (first === undefined) throw new Error("nothing was sealed");
    return [first, ...others];
  });
  for (const { warnings } of report.images) for (const warning of warnings) ui.warn(warning);
  const dropped = droppedLine(found.subject, sealing.dropped);
  if (dropped !== null) ui.note(dropped);
  if (options.json) printJson(context, report);
  else {
    for (const { rows, report: one } of reports) {
      ui.block(`${ui.err.bold(one.image.platform)}\n${renderReport(rows, ui.err, process.stderr.columns)}`);
    }
    ui.block(renderReport(indexRows(report), ui.err, process.stderr.columns));
    ui.note(` sealed in ${formatSeconds((process.elapsed() - start) / 1000)} → ${target.subject}`);
    printLine(context, target.subject);
  }
  return 0;
}

function indexReport(
  from: string,
  target: ImageTarget,
  { index, images, dropped }: PlatformsSealing<Sealed>,
  leftOut: readonly string[],
): IndexReport {
  const platforms = images.map(({ name }) => name);
  const summary = { from, to: target.subject, digest: formatBlobDigest(index.digest), platforms, leftOut };
  const others = dropped.map(({ digest, type, about }) => ({ digest, type, about }));
  return indexReportSchema.parse({
    index: { ...summary, dropped: others },
    images: images.map(({ report }) => report.report),
  });
}

/** What is not in the new index though it was in the previous one; null: nothing. */
function droppedLine(subject: string, dropped: readonly OtherEntry[]): string | null {
  if (dropped.length === 0) return null;
  const types = [...new Set(dropped.map(({ type }) => type))].join(", ");
  const what =
    dropped.length === 1
      ? "1 entry of its index, which is not an image to seal"
      : `${dropped.length} entries of its index, which are not images to seal`;
  return `${subject}: left out ${what} (${types}); attestations describe the image before sealing`;
}

function indexRows({ index: { digest, platforms, leftOut } }: IndexReport): ReportRow[] {
  return [
    { mark: "done", label: "index", text: [digest, platforms.join(" · ")] },
    ...(leftOut.length === 0
      ? []
      : [{ mark: "info", label: "left out", text: [`not asked for: ${leftOut.join(", ")}`] } as const]),
  ];
}
