/** What `seal inspect` shows of the initramfs images in a UKI. */
import { z } from "zod";
import { useLibzstd } from "../../io/libzstd.ts";
import { bootWays, type InitramfsFacts } from "../../lint/boot-ways.ts";
import type { PeImage } from "../../pe/headers.ts";
import { STREAM_KINDS } from "../../unpack/unpack.ts";

/** One initramfs: of the base, or of a profile that brings its own. */
export const initramfsReportSchema = z.object({
  archives: z.array(
    z.object({
      compression: z.enum(["none", ...STREAM_KINDS]),
      offset: z.int(),
      size: z.int(),
      unpackedSize: z.int(),
      entries: z.int(),
    }),
  ),
  /** Paths in all archives together. */
  files: z.int(),
  /** What can mount a composefs root. */
  rootSetups: z.array(z.object({ name: z.string(), path: z.string() })),
  /** Why no more is known: damage, or a compression that seal can't unpack, which the archives before it don't have. */
  problem: z.string().nullable(),
});
export type InitramfsReport = z.infer<typeof initramfsReportSchema>;

export async function describeInitramfs(pe: PeImage): Promise<InitramfsReport[]> {
  useLibzstd();
  return (await bootWays(pe)).flatMap(({ initramfs }) => (initramfs.kind === "none" ? [] : [reportOf(initramfs)]));
}

function reportOf(facts: Exclude<InitramfsFacts, { kind: "none" }>): InitramfsReport {
  if (facts.kind === "damaged") return { archives: [], files: 0, rootSetups: [], problem: facts.reason };
  const problem =
    facts.kind === "read"
      ? null
      : `the data at offset 0x${facts.offset.toString(16)} is compressed with ${facts.compression}, which seal can't unpack`;
  return {
    archives: [...facts.archives],
    files: facts.files.size,
    rootSetups: facts.setups.map(({ name, path }) => ({ name, path })),
    problem,
  };
}
