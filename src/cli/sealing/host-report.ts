/** Which bootc releases accept what was sealed: for programs and for people. */
import { z } from "zod";
import { bootcVersion } from "../../boot/bootc-version.ts";
import { digestsOf } from "../../boot/cmdline.ts";
import {
  describeVerdicts,
  type HostReport,
  type HostVerdict,
  hostVerdicts,
  REFUSAL_REASONS,
} from "../../boot/hosts.ts";
import type { TreeUki } from "../../boot/tree-uki.ts";
import { hostDigests } from "../../composefs/host-digests.ts";
import { PROFILES } from "../../composefs/profile.ts";
import { SealError } from "../../errors.ts";
import { bootWays } from "../../lint/boot-ways.ts";
import { readerOf, withBootEntries } from "../../lint/hosts.ts";
import type { PeImage } from "../../pe/headers.ts";
import type { RootfsDigests } from "../../seal/digest.ts";
import type { ReportRow } from "../terminal/report.ts";

/** A verdict as `--json` has it, see {@link HostReport}. */
export const hostReportSchema: z.ZodType<HostReport> = z.object({
  releases: z.string(),
  accepts: z.boolean().nullable(),
  reason: z.enum(REFUSAL_REASONS).nullable(),
  why: z.string().nullable(),
  expected: z.string().nullable(),
  option: z.string().nullable(),
});
/** What hosts make of a sealed root filesystem. */
export interface Judged {
  readonly verdicts: readonly HostVerdict[];
  /** The bootc in it; null: not known. */
  readonly bootc: { readonly version: string; readonly path: string; readonly accepts: boolean | null } | null;
}

/**
 * The verdicts on a root filesystem that was just hashed; no file is hashed again for them.
 * @param cmdline of the UKI, and what names digests on it
 * @param entries boot entries that the image will have beside it, see `bootEntries`
 */
export async function judge(
  computed: RootfsDigests,
  { cmdline, words }: Pick<TreeUki, "cmdline" | "words">,
  uki: PeImage,
  entries: readonly string[] = [],
): Promise<Judged> {
  const { shaped, digests, mtime, paxOwners, choices } = computed;
  const { transform, xattrs } = choices.transform;
  const known = transform === "boot" && xattrs === "allowlist" ? digests : [];
  const hosts =
    choices.algorithm === "sha512"
      ? await hostDigests(shaped, { mtime, paxOwners, known })
      : PROFILES.map((profile) => ({ kind: "unknown", profile, why: "bootc has digests of SHA-512 only" }) as const);
  // One digest is the same to every initramfs; unpacking takes longer than all else here.
  const isOne = new Set(digestsOf(words).map(({ digest }) => digest)).size < 2;
  const initramfs = isOne ? null : readerOf(await bootWays(uki), cmdline);
  const verdicts = withBootEntries(hostVerdicts(words, hosts, initramfs), entries);
  const inside = await bootcVersion(shaped).catch(nothingKnown);
  if (inside === null) return { verdicts, bootc: null };
  const { version, path, profile } = inside;
  const kind = verdicts.find((verdict) => verdict.profile === profile)?.kind ?? "unknown";
  return { verdicts, bootc: { version, path, accepts: kind === "unknown" ? null : kind === "accepts" } };
}

/** A package database that can't be read keeps nobody from sealing. */
function nothingKnown(error: unknown): null {
  if (error instanceof SealError) return null;
  throw error;
}

/** The verdicts as rows of a report. */
export function hostRows({ verdicts, bootc }: Judged): ReportRow[] {
  const mark = verdicts.some(({ kind }) => kind === "accepts") ? "info" : "warning";
  const rows: ReportRow[] = [{ mark, label: "accepted by", text: describeVerdicts(verdicts) }];
  if (bootc?.accepts === false) {
    const text = [
      `${bootc.version} in the image does not accept this: a host that has installed it can't install`,
      "the next image that is sealed like it. See docs/hosts.md",
    ];
    rows.push({ mark: "warning", label: "bootc inside", text });
  }
  return rows;
}
