/** What was prepared in a root filesystem, for programs and for people: the same of a directory and of an image. */
import { z } from "zod";
import { byteLength } from "../../chunks.ts";
import { sha256Hex } from "../../pe/digest.ts";
import { loaderInfo } from "../../pe/loader-info.ts";
import type { PreparedKey, PreparedLoader } from "../../seal/preparation.ts";
import type { ReportRow } from "../terminal/report.ts";

/** What bootc puts onto the disk, as `--json` has it. */
export const preparedReportSchema = z.strictObject({
  /** Paths relative to the root. */
  loaders: z.array(
    z.strictObject({
      path: z.string(),
      arch: z.string(),
      version: z.string().nullable(),
      signed: z.enum(["already", "now", "no"]),
      size: z.int(),
      sha256: z.string(),
    }),
  ),
  keys: z.array(z.strictObject({ path: z.string(), change: z.enum(["kept", "written", "removed"]) })),
});
type PreparedReport = z.infer<typeof preparedReportSchema>;

export function preparedReport(prepared: {
  readonly loaders: readonly PreparedLoader[];
  readonly keys: readonly PreparedKey[];
}): PreparedReport {
  return preparedReportSchema.parse({
    loaders: prepared.loaders.map(({ path, arch, pe, signed }) => {
      const size = byteLength(pe.file);
      return { path, arch, version: loaderInfo(pe), signed, size, sha256: sha256Hex(pe.file) };
    }),
    keys: prepared.keys,
  });
}

const SIGNED = { already: "signed already", now: "signed now", no: "not signed" } as const;

/** @param subject of the rows about boot loaders */
export function preparedRows({ loaders, keys }: PreparedReport, subject: string): ReportRow[] {
  const rows = loaders.map(({ path, version, signed }): ReportRow => {
    const program = version === null ? "" : ` · ${version}`;
    return { mark: "done", label: subject, text: [`${path}  ${SIGNED[signed]}${program}`] };
  });
  if (keys.length === 0) return rows;
  return [
    ...rows,
    { mark: "done", label: "keys to enrol", text: keys.map(({ path, change }) => `${path}  ${change}`) },
  ];
}
