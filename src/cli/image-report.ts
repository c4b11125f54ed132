/** The report of `seal image`: that of `seal rootfs`, and what became of the image. */
import { z } from "zod";
import { displayBytes } from "../bytes.ts";
import type { ImageTarget } from "../io/image-target.ts";
import { formatBlobDigest } from "../oci/digest.ts";
import { formatPlatform } from "../oci/platform.ts";
import { SEALED_LABELS } from "../oci/sealed.ts";
import type { SealedTree, Signing } from "../seal.ts";
import type { RootfsDigests } from "./digests.ts";
import type { Judged } from "./host-report.ts";
import type { ReportRow } from "./report.ts";
import { formatBytes } from "./report.ts";
import { type SealTimes, sealReport, sealReportSchema, sealRows } from "./rootfs-report.ts";
import type { SealedImage, SealedParts } from "./sealed-image.ts";

/** What `--json` prints: nothing that differs from run to run. */
export const imageReportSchema = sealReportSchema.extend({
  image: z.object({
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
        origin: z.enum(["carried", "added"]),
        createdBy: z.string().nullable(),
      }),
    ),
    /** Paths that are in the layers below, but not in the image any more. */
    takenOut: z.array(z.string()),
    labels: z.record(z.string(), z.string()),
    annotations: z.record(z.string(), z.string()),
  }),
});
export type ImageReport = z.infer<typeof imageReportSchema>;

/** Everything that is known of an image that was sealed. */
export interface ImageSealing extends SealedImage {
  readonly parts: SealedParts;
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
  const { parts, sealed, computed, judged, signing, takenOut } = sealing;
  const report = sealReport(from, sealed, computed, judged, signing);
  const boot = takenOut.boot.map(displayBytes);
  const replaced =
    boot.length === 0 ? [] : [`${from}: what was in its /boot is not in the sealed image: ${listed(boot)}`];
  return imageReportSchema.parse({
    ...report,
    warnings: [...report.warnings, ...replaced],
    image: {
      from,
      to: target.label,
      digest: formatBlobDigest(sealing.manifest.digest),
      platform: formatPlatform(sealing.platform),
      layers: [
        ...parts.carried.map(({ digest, size }) => ({
          digest: formatBlobDigest(digest),
          size,
          origin: "carried",
          createdBy: null,
        })),
        ...sealing.added.map(({ digest, size, history }) => ({
          digest: formatBlobDigest(digest),
          size,
          origin: "added",
          createdBy: history.createdBy,
        })),
      ],
      takenOut: [...takenOut.kernels, ...takenOut.boot].map(displayBytes),
      labels: SEALED_LABELS,
      annotations: sealing.annotations,
    },
  });
}

function listed(paths: readonly string[]): string {
  const rest = paths.length - SHOWN;
  return `${paths.slice(0, SHOWN).join(", ")}${rest > 0 ? ` and ${rest} more` : ""}`;
}

/** The report as rows for people. */
export function imageRows(report: ImageReport, { sealed, judged }: ImageSealing, seconds: SealTimes): ReportRow[] {
  const { layers, takenOut, digest, platform, labels } = report.image;
  const carried = layers.filter(({ origin }) => origin === "carried");
  const added = layers.filter(({ origin }) => origin === "added");
  const sum = (list: typeof layers) => formatBytes(list.reduce((total, { size }) => total + size, 0));
  const [first, ...details] = sealRows(report, sealed, judged, seconds);
  return [
    ...(first === undefined ? [] : [first]),
    ...details.filter(({ label }) => label !== "files"),
    ...(takenOut.length === 0 ? [] : [{ mark: "done", label: "taken out", text: takenOut } as const]),
    {
      mark: "done",
      label: "layers",
      text: [`${carried.length} carried over, ${sum(carried)} · ${added.length} on top, ${sum(added)}`],
    },
    {
      mark: "done",
      label: "image",
      text: [digest, [platform, ...Object.entries(labels).map(([key, value]) => `${key}=${value}`)].join(" · ")],
    },
    { mark: "done", label: "read back", text: ["its layers have the digests that the UKI names"] },
  ];
}
