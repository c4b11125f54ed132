/** The report of `seal image`: that of `seal rootfs`, and what became of the image. */
import { z } from "zod";
import { displayBytes } from "../../bytes.ts";
import type { ImageTarget } from "../../io/oci/image-target.ts";
import type { Placed } from "../../io/oci/push-image.ts";
import { formatBlobDigest } from "../../oci/digest.ts";
import { layerCommands } from "../../oci/history.ts";
import { formatPlatform } from "../../oci/platform.ts";
import { SEALED_LABELS } from "../../oci/sealed.ts";
import type { ImageSealing } from "../../seal/image.ts";
import type { LowerLayers } from "../../seal/lower-layers.ts";
import type { Signing } from "../../seal/tree.ts";
import type { SealedImage } from "../../seal/written-image.ts";
import { preparedReport, preparedReportSchema, preparedRows } from "../prepare/report.ts";
import type { ReportRow } from "../terminal/report.ts";
import { formatBytes } from "../terminal/report.ts";
import { type SealTimes, sealReport, sealReportSchema, sealRows } from "./report.ts";

/** What became of an image: nothing that differs from run to run. */
export const imageSummarySchema = z.object({
  from: z.string(),
  to: z.string(),
  /**
   * Digest of the manifest where the image went. Docker's daemon names images in its own way: of one that went
   * there it is `written`.
   */
  digest: z.string(),
  /**
   * Digest of the manifest that was written and read back. It is another one where layers were compressed on the way,
   * or a store made its own.
   */
  written: z.string(),
  platform: z.string(),
  /** Lowest first. */
  layers: z.array(
    z.object({
      digest: z.string(),
      size: z.int(),
      /**
       * `carried`: from another image, as it was; `rewritten`: from there, packed anew; `made`: of a directory;
       * `added`: by sealing.
       */
      origin: z.enum(["carried", "rewritten", "made", "added"]),
      /**
       * Of a rewritten layer: the digest that it had, and what was wrong with it; null: nothing, all were packed anew.
       */
      was: z.object({ digest: z.string().nullable(), why: z.string().nullable() }).nullable(),
      /** What the configuration says; null: nothing. */
      createdBy: z.string().nullable(),
    }),
  ),
  /** Paths that are in the layers below, but not in the image any more. */
  takenOut: z.array(z.string()),
  /** What `bootc install` takes from `/usr`, where sealing had a hand in it. */
  prepared: preparedReportSchema,
  labels: z.record(z.string(), z.string()),
  annotations: z.record(z.string(), z.string()),
});
export type ImageSummary = z.infer<typeof imageSummarySchema>;

/** What `--json` prints. */
export const imageReportSchema = sealReportSchema.extend({ image: imageSummarySchema });
export type ImageReport = z.infer<typeof imageReportSchema>;

export async function imageReport(
  target: ImageTarget,
  sealing: Placed<ImageSealing>,
  signing: Signing | null,
): Promise<ImageReport> {
  const { lower, sealed, judged, warnings } = sealing;
  const { computed, subject } = lower;
  return imageReportSchema.parse({
    ...(await sealReport(subject, { computed, sealed, judged, views: [], warnings }, signing)),
    image: imageSummary(target, sealing),
  });
}

/** What became of an image, see {@link imageSummarySchema}. */
export function imageSummary(
  target: ImageTarget,
  written: Placed<SealedImage & { readonly lower: LowerLayers }>,
): ImageSummary {
  const { lower, base, takenOut } = written;
  const { subject: from, layers, origin, rewritten } = lower;
  const commands = layerCommands(base.documents.config, layers.length, from);
  return {
    from,
    to: target.subject,
    digest: formatBlobDigest(written.placed ?? written.manifest.digest),
    written: formatBlobDigest(written.manifest.digest),
    platform: formatPlatform(written.platform),
    layers: [
      ...layers.map(({ digest, size }, index) => {
        const anew = rewritten.find((one) => one.index === index);
        const { digest: before = null } = anew?.before ?? {};
        return {
          digest: formatBlobDigest(digest),
          size,
          origin: anew === undefined ? origin : ("rewritten" as const),
          was: anew === undefined ? null : { digest: before === null ? null : formatBlobDigest(before), why: anew.why },
          createdBy: commands[index] ?? null,
        };
      }),
      ...written.added.map(({ digest, size, history }) => ({
        digest: formatBlobDigest(digest),
        size,
        origin: "added" as const,
        was: null,
        createdBy: history.createdBy,
      })),
    ],
    prepared: preparedReport(lower.prepared),
    takenOut: [...takenOut.kernels, ...takenOut.boot].map(displayBytes),
    labels: SEALED_LABELS,
    annotations: written.annotations,
  };
}

/** The report as rows for people. */
export function imageRows(report: ImageReport, { sealed, judged }: ImageSealing, seconds: SealTimes): ReportRow[] {
  const [first, ...details] = sealRows(report, sealed, judged, seconds);
  return [
    ...(first === undefined ? [] : [first]),
    ...details.filter(({ label }) => label !== "files"),
    ...summaryRows(report.image),
  ];
}

export function summaryRows({
  layers,
  takenOut,
  prepared,
  digest,
  written,
  platform,
  labels,
}: ImageSummary): ReportRow[] {
  const added = layers.filter(({ origin }) => origin === "added");
  const below = layers.filter(({ origin }) => origin !== "added");
  const how = below.some(({ origin }) => origin === "made") ? "built from the directory" : "carried over";
  const anew = below.flatMap(({ was }, index) =>
    was === null || was.why === null ? [] : [`layer ${index + 1} of ${below.length} ${was.why}`],
  );
  const sound = below.filter(({ was }) => was !== null).length - anew.length;
  if (sound > 0) anew.push(`${sound} that needed no change`);
  const sum = (list: typeof layers) => formatBytes(list.reduce((total, { size }) => total + size, 0));
  return [
    ...(takenOut.length === 0 ? [] : [{ mark: "done", label: "taken out", text: takenOut } as const]),
    ...preparedRows(prepared, "for bootc"),
    {
      mark: "done",
      label: "layers",
      text: [`${below.length} ${how}, ${sum(below)} · ${added.length} on top, ${sum(added)}`],
    },
    ...(anew.length === 0 ? [] : [{ mark: "done", label: "recompressed", text: anew } as const]),
    {
      mark: "done",
      label: "image",
      text: [digest, [platform, ...Object.entries(labels).map(([key, value]) => `${key}=${value}`)].join(" · ")],
    },
    ...(digest === written
      ? []
      : [
          {
            mark: "done",
            label: "written as",
            text: [written, "compressed in transit, or recreated by the store"],
          } as const,
        ]),
    { mark: "done", label: "read back", text: ["its layers have the digest in the UKI"] },
  ];
}
