/** The report of `seal image`: that of `seal rootfs`, and what became of the image. */
import { z } from "zod";
import { displayBytes } from "../../bytes.ts";
import type { ImageTarget } from "../../io/oci/image-target.ts";
import { formatBlobDigest } from "../../oci/digest.ts";
import { layerCommands } from "../../oci/edit.ts";
import { formatPlatform } from "../../oci/platform.ts";
import { SEALED_LABELS } from "../../oci/sealed.ts";
import { type EfiArch, goArchOf } from "../../pe/arch.ts";
import type { RootfsDigests } from "../../seal/digest.ts";
import type { SealedTree, Signing } from "../../seal/tree.ts";
import type { SealedImage, SealedParts } from "../../seal/written-image.ts";
import { someOf } from "../../text.ts";
import type { ReportRow } from "../terminal/report.ts";
import { formatBytes } from "../terminal/report.ts";
import type { Judged } from "./host-report.ts";
import { type SealTimes, sealReport, sealReportSchema, sealRows } from "./report.ts";

/** What became of an image: nothing that differs from run to run. */
export const imageSummarySchema = z.object({
  from: z.string(),
  to: z.string(),
  /** Digest of the manifest. */
  digest: z.string(),
  platform: z.string(),
  /** Lowest first. */
  layers: z.array(
    z.object({
      digest: z.string(),
      size: z.int(),
      /** `carried`: from another image, as it was; `made`: of a directory; `added`: by sealing. */
      origin: z.enum(["carried", "made", "added"]),
      /** What the configuration says; null: nothing. */
      createdBy: z.string().nullable(),
    }),
  ),
  /** Paths that are in the layers below, but not in the image any more. */
  takenOut: z.array(z.string()),
  labels: z.record(z.string(), z.string()),
  annotations: z.record(z.string(), z.string()),
});
export type ImageSummary = z.infer<typeof imageSummarySchema>;

/** What `--json` prints. */
export const imageReportSchema = sealReportSchema.extend({ image: imageSummarySchema });
export type ImageReport = z.infer<typeof imageReportSchema>;

/** An image that was written, and what it was made of. */
export interface WrittenSeal extends SealedImage {
  readonly parts: SealedParts;
}

/** Everything that is known of an image that was sealed. */
export interface ImageSealing extends WrittenSeal {
  readonly sealed: SealedTree;
  readonly computed: RootfsDigests;
  readonly judged: Judged;
  readonly signing: Signing | null;
  /** How long reading took. */
  readonly digestSeconds: number;
}

/** How many paths a message names. */
const SHOWN = 3;

export function imageReport(from: string, target: ImageTarget, sealing: ImageSealing): ImageReport {
  const { sealed, computed, judged, signing } = sealing;
  const report = sealReport(from, sealed, computed, judged, signing);
  return imageReportSchema.parse({
    ...report,
    warnings: [...report.warnings, ...imageWarnings(from, sealing, sealed.tree.arch)],
    image: imageSummary(from, target, sealing),
  });
}

/** Lines about files of `/boot` that are gone, and about an image for other machines than its kernel. @param arch of the kernel */
export function imageWarnings(from: string, { takenOut, platform }: WrittenSeal, arch: EfiArch): string[] {
  const boot = takenOut.boot.map(displayBytes);
  const { architecture } = platform;
  const own = goArchOf(arch) ?? arch;
  return [
    ...(boot.length === 0 ? [] : [`${from}: what was in its /boot is not in the sealed image: ${someOf(boot, SHOWN)}`]),
    ...(architecture === "" || architecture === own
      ? []
      : [
          `${from}: is an image for ${architecture}, but has a kernel for ${own}: machines that pull it can't start it`,
        ]),
  ];
}

export function imageSummary(from: string, target: ImageTarget, written: WrittenSeal): ImageSummary {
  const { parts, takenOut } = written;
  const commands = layerCommands(parts.image.documents.config, parts.carried.length, from);
  return {
    from,
    to: target.label,
    digest: formatBlobDigest(written.manifest.digest),
    platform: formatPlatform(written.platform),
    layers: [
      ...parts.carried.map(({ digest, size }, index) => ({
        digest: formatBlobDigest(digest),
        size,
        origin: parts.origin,
        createdBy: commands[index] ?? null,
      })),
      ...written.added.map(({ digest, size, history }) => ({
        digest: formatBlobDigest(digest),
        size,
        origin: "added" as const,
        createdBy: history.createdBy,
      })),
    ],
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

export function summaryRows({ layers, takenOut, digest, platform, labels }: ImageSummary): ReportRow[] {
  const added = layers.filter(({ origin }) => origin === "added");
  const below = layers.filter(({ origin }) => origin !== "added");
  const how = below.some(({ origin }) => origin === "made") ? "made of the directory" : "carried over";
  const sum = (list: typeof layers) => formatBytes(list.reduce((total, { size }) => total + size, 0));
  return [
    ...(takenOut.length === 0 ? [] : [{ mark: "done", label: "taken out", text: takenOut } as const]),
    {
      mark: "done",
      label: "layers",
      text: [`${below.length} ${how}, ${sum(below)} · ${added.length} on top, ${sum(added)}`],
    },
    {
      mark: "done",
      label: "image",
      text: [digest, [platform, ...Object.entries(labels).map(([key, value]) => `${key}=${value}`)].join(" · ")],
    },
    { mark: "done", label: "read back", text: ["its layers have the digests that the UKI names"] },
  ];
}
