/** The report of `seal rootfs`: one for programs, one for people. */
import { z } from "zod";
import { digestsOf } from "../../boot/cmdline.ts";
import { reportVerdicts } from "../../boot/hosts-text.ts";
import { byteLength } from "../../chunks.ts";
import { treeRecord } from "../../composefs/tree-record.ts";
import { SealError } from "../../errors.ts";
import { sha256Hex } from "../../pe/digest.ts";
import { loaderInfo } from "../../pe/loader-info.ts";
import type { RootfsDigests } from "../../seal/digest.ts";
import type { RootfsSealing } from "../../seal/rootfs.ts";
import type { SealedTree, Signing } from "../../seal/tree.ts";
import type { Judged } from "../../seal/verdicts.ts";
import { keyName } from "../../sign/certificate.ts";
import { allEntries } from "../../tree/links.ts";
import { ukiReport, ukiReportSchema } from "../build-uki/report.ts";
import { formatBytes, formatCount, type ReportRow } from "../terminal/report.ts";
import { hostReportSchema, hostRows } from "./host-report.ts";
import { treeRecordSchema } from "./record.ts";
import { viewNoteSchema, viewRow } from "./view-rows.ts";

/** What `--json` prints and report.json holds: nothing that differs from run to run. */
export const sealReportSchema = z.object({
  rootfs: z.string(),
  title: z.string().nullable(),
  kver: z.string(),
  arch: z.string(),
  cmdline: z.string(),
  digests: z.array(
    z.object({ erofs: z.string().nullable(), algorithm: z.string(), digest: z.string(), insecure: z.boolean() }),
  ),
  /** Null when `--digest` gave the digest, so that nothing was read for it. */
  tree: z.object({ files: z.int(), directories: z.int(), bytesHashed: z.int(), subsecondTimes: z.int() }).nullable(),
  /**
   * What was sealed, to distinguish another tree from the same one with other times; null with `--digest` and
   * without the boot transform.
   */
  record: treeRecordSchema.nullable().default(null),
  /** What of a mount the layers made of it may not have (docs/two-views.md). */
  views: z.array(viewNoteSchema).default([]),
  uki: ukiReportSchema,
  bootloader: z.object({ version: z.string().nullable(), signed: z.enum(["already", "now", "no"]) }),
  /** Which bootc releases accept it; null with `--digest`, of which nothing is known. */
  hosts: z.array(hostReportSchema).nullable().default(null),
  /**
   * The bootc in the root filesystem, as far as a package database names it, and whether it accepts
   * this; null: not known.
   */
  bootc: z
    .object({ version: z.string(), path: z.string(), accepts: z.boolean().nullable(), note: z.string().nullable() })
    .nullable()
    .default(null),
  signer: z.object({ subject: z.string(), key: z.string() }).nullable(),
  files: z.array(z.object({ path: z.string(), size: z.int(), sha256: z.string() })),
  warnings: z.array(z.string()),
});
export type SealReport = z.infer<typeof sealReportSchema>;

/** Hashes everything that is written. @param subject of the root filesystem */
export async function sealReport(
  subject: string,
  { computed, sealed, judged, views, warnings }: Omit<RootfsSealing, "rootfs">,
  signing: Signing | null,
): Promise<SealReport> {
  const { tree, uki, bootloader, plan } = sealed;
  const ukiPath = plan.files.find((file) => file.content === uki.file)?.path ?? uki.subject;
  const certificate = signing?.signer.certificate ?? null;
  // First what other threads do, while boot files are written; then what is computed on this one.
  const ukiPart = await ukiReport({ inputs: tree.inputs, pe: uki, measured: sealed.measured, warnings: [] }, ukiPath);
  return sealReportSchema.parse({
    rootfs: subject,
    title: tree.title,
    kver: tree.kver,
    arch: tree.arch,
    cmdline: tree.cmdline,
    digests: digestsOf(tree.words).map(({ erofs, algorithm, digest, insecure }) => ({
      erofs: erofs ?? computed?.digests.find((one) => one.digest === digest)?.erofs ?? null,
      algorithm,
      digest,
      insecure,
    })),
    tree: computed === null ? null : { ...computed.stats, subsecondTimes: countSubsecondTimes(computed) },
    record: computed === null || !hasRecord(computed) ? null : recordOf(computed),
    views,
    uki: ukiPart,
    bootloader: { version: loaderInfo(bootloader.pe), signed: bootloader.signed },
    hosts: judged === null ? null : reportVerdicts(judged.verdicts),
    bootc: judged?.bootc ?? null,
    signer: certificate === null ? null : { subject: certificate.subjectText, key: keyName(certificate) },
    files: plan.files.map(({ path, content }) => ({ path, size: byteLength(content), sha256: sha256Hex(content) })),
    warnings,
  });
}

/** Computes what {@link sealReport} will want, at a moment when this thread would only wait for others. */
export function recordAhead(computed: RootfsDigests): void {
  if (!hasRecord(computed)) return;
  try {
    recordOf(computed);
  } catch (error) {
    // It comes again with the report, after what is found before.
    if (!(error instanceof SealError)) throw error;
  }
}

function hasRecord({ plan }: RootfsDigests): boolean {
  return plan.transform.transform === "boot";
}

function recordOf({ digestedTree, plan }: RootfsDigests): z.input<typeof treeRecordSchema> {
  const { newest, ...record } = treeRecord(digestedTree, plan.algorithm);
  return { ...record, newest: Number(newest) };
}

/**
 * How many inodes' nanoseconds are in the digests, though layers made of a mount keep whole seconds only. Those of an
 * image are in its layers.
 */
function countSubsecondTimes({ digests, image }: RootfsDigests): number {
  if (image !== null) return 0;
  const stored = digests.find(({ erofs }) => erofs !== "v2");
  if (stored === undefined) return 0;
  const nodes = new Set([stored.root, ...Array.from(allEntries(stored.root), ({ node }) => node)]);
  return [...nodes].filter(({ mtimeNsec }) => mtimeNsec !== 0).length;
}

/** Durations in seconds. */
export interface SealTimes {
  readonly digest: number;
  readonly all: number;
}

/** The report as rows for people. */
export function sealRows(
  report: SealReport,
  sealed: SealedTree,
  judged: Judged | null,
  seconds: SealTimes,
): ReportRow[] {
  const { tree: stats, uki, signer, bootloader } = report;
  const { inputs, initramfsBytes, kargsFiles } = sealed.tree;
  const stub = loaderInfo(inputs.stub);
  const rows: ReportRow[] = [
    {
      mark: "done",
      label: "root filesystem",
      text: [
        [
          report.title ?? report.rootfs,
          ...(stats === null
            ? ["not hashed: --digest"]
            : [
                `${formatCount(stats.files + stats.directories)} files and directories`,
                formatBytes(stats.bytesHashed),
              ]),
        ].join(" · "),
      ],
      seconds: seconds.digest,
    },
    ...report.digests.map(
      ({ erofs, algorithm, digest }): ReportRow => ({
        mark: "done",
        label: "digest",
        text: [[erofs, algorithm].filter((word) => word !== null).join(" "), ...halves(digest)],
      }),
    ),
    {
      mark: "done",
      label: "kernel",
      text: [
        `${report.kver} · initramfs ${formatBytes(initramfsBytes)} · kargs.d: ${kargsFiles} ${kargsFiles === 1 ? "file" : "files"}`,
      ],
    },
    { mark: "done", label: "command line", text: cmdlineWords(report.cmdline) },
    {
      mark: "done",
      label: "UKI",
      text: [
        `${uki.output}  ${formatBytes(sealed.uki.length)} · ${uki.sections.length} sections${stub === null ? "" : ` · ${stub}`}`,
      ],
    },
    signer === null
      ? {
          mark: "warning",
          label: "not signed",
          text: ["no machine with Secure Boot boots this; give --key and --cert"],
        }
      : { mark: "done", label: "signed", text: [`${signer.subject} · ${signer.key} · SHA-256`] },
    {
      mark: "done",
      label: "boot loader",
      text: [
        `${bootloader.version ?? "no systemd-boot"} → ${report.files
          .map(({ path }) => path)
          .filter((path) => /^EFI\/(?:BOOT|systemd)\//.test(path))
          .join(", ")}`,
      ],
    },
    ...warningRows(report),
    ...(judged === null ? [] : hostRows(judged)),
    { mark: "info", label: "files", text: report.files.map(({ path, size }) => `${path}  ${formatBytes(size)}`) },
  ];
  return rows.filter(({ text }) => text.some((line) => line !== ""));
}

function warningRows({ views, digests }: SealReport): ReportRow[] {
  const rows: ReportRow[] = views.map(viewRow);
  if (digests.some(({ insecure }) => insecure)) {
    rows.push({
      mark: "warning",
      label: "insecure",
      text: ["composefs=?: it also boots without fs-verity, and then nothing checks what is read"],
    });
  }
  return rows;
}

/** A whole digest in lines that fit next to the label. */
function halves(digest: string): string[] {
  return digest.match(/.{1,64}/g) ?? [];
}

/** One argument a line; a digest is above already. */
function cmdlineWords(cmdline: string): string[] {
  return [cmdline.replace(/\b([0-9a-f]{4})[0-9a-f]{56,120}([0-9a-f]{4})\b/g, "$1…$2")];
}
