/** What is reported about a finished UKI. The same for every verb that makes one. */
import { z } from "zod";
import { toHex } from "../../bytes.ts";
import { authentihash, hashedContent } from "../../pe/authentihash.ts";
import { sha256Hex } from "../../pe/digest.ts";
import { type PeImage, sectionData } from "../../pe/headers.ts";
import { hashAhead } from "../../seal/hash-ahead.ts";
import type { BuiltUki } from "../../seal/tree.ts";
import { formatBytes } from "../terminal/report.ts";
import { pcrBanksSchema, pcrReport } from "./pcrs.ts";

/** One line about a UKI for people. */
export function ukiSummary({ inputs, pe }: BuiltUki): string {
  const version = inputs.uname === null ? [] : [`kernel ${inputs.uname}`];
  const signature = pe.certificateTable === null ? "unsigned" : "signed";
  return [pe.subject, formatBytes(pe.length), `${pe.sections.length} sections`, ...version, signature].join(" · ");
}

/** The report of `--json`. Its shape is stable within a major version. */
export const ukiReportSchema = z.object({
  output: z.string(),
  kver: z.string().nullable(),
  cmdline: z.string().nullable(),
  sections: z.array(
    z.object({
      name: z.string(),
      virtualAddress: z.int(),
      virtualSize: z.int(),
      rawSize: z.int(),
      sha256: z.string(),
    }),
  ),
  sha256: z.string(),
  authenticode: z.object({ sha256: z.string() }),
  signed: z.boolean(),
  /** PCR 11 by bank; empty for addons and single profiles. */
  pcrs: pcrBanksSchema,
});
export type UkiReport = z.infer<typeof ukiReportSchema>;

/** Hashes on other threads what {@link ukiReport} wants of a UKI as a whole. */
export async function hashWhole(pe: PeImage): Promise<void> {
  await hashAhead([pe.file, hashedContent(pe)], ["sha256"]);
}

/** Hashes everything; only for `--json`. */
export async function ukiReport({ inputs, pe, measured }: BuiltUki, output: string): Promise<UkiReport> {
  const contents = pe.sections.map((section) => sectionData(pe, section));
  await hashAhead([pe.file, hashedContent(pe), ...contents], ["sha256"]);
  return ukiReportSchema.parse({
    output,
    kver: inputs.uname,
    cmdline: inputs.cmdline === null ? null : Buffer.from(inputs.cmdline).toString("utf8"),
    sections: pe.sections.map((section) => ({
      name: section.name,
      virtualAddress: section.virtualAddress,
      virtualSize: section.virtualSize,
      rawSize: section.rawSize,
      sha256: sha256Hex(sectionData(pe, section)),
    })),
    sha256: sha256Hex(pe.file),
    authenticode: { sha256: toHex(authentihash(pe, "sha256")) },
    signed: pe.certificateTable !== null,
    pcrs: pcrReport(measured?.boots ?? []),
  });
}
