/** Computes which bootc releases accept a sealed root filesystem. */
import { bootcVersion } from "../boot/bootc-version.ts";
import { type HostVerdict, hostVerdicts, type ImageDefect, type RootMount } from "../boot/hosts.ts";
import type { TreeUki } from "../boot/tree-uki.ts";
import { SealError } from "../errors.ts";
import { bootWays } from "../lint/boot-ways.ts";
import { ukiDefects } from "../lint/image-defects.ts";
import { rootMount } from "../lint/root-mount.ts";
import type { PeImage } from "../pe/headers.ts";
import type { RootfsDigests } from "./digest.ts";

/** What hosts do with a sealed root filesystem. */
export interface Judged {
  readonly verdicts: readonly HostVerdict[];
  /** The bootc in it; null: unknown. */
  readonly bootc: {
    readonly version: string;
    readonly path: string;
    readonly accepts: boolean | null;
    /** A note about an unknown release; null: none. */
    readonly note: string | null;
  } | null;
}

/** What the verdicts are about. */
export interface SealedUki extends Pick<TreeUki, "cmdline" | "words"> {
  readonly uki: PeImage;
  /** Defects of the image that it will be part of, in addition to those of the UKI; absent: none. */
  readonly defects?: readonly ImageDefect[];
  /** What mounts the root; absent: taken from the UKI. */
  readonly mount?: RootMount | null;
}

/** The verdicts on a root filesystem that was just hashed; no file is hashed again for them. */
export async function judgeHosts(
  computed: RootfsDigests,
  { cmdline, words, uki, defects = [], mount: known = null }: SealedUki,
): Promise<Judged> {
  const inside = await bootcVersion(computed.digestedTree).catch(nothingKnown);
  const mount = known ?? rootMount(await bootWays(uki), cmdline, inside);
  const verdicts = hostVerdicts({ words, mount, defects: [...defects, ...ukiDefects(uki)] }, await computed.hosts());
  if (inside === null) return { verdicts, bootc: null };
  const { version, path, series, note } = inside;
  const kind = verdicts.find((verdict) => verdict.series === series)?.kind ?? "unknown";
  return { verdicts, bootc: { version, path, accepts: kind === "unknown" ? null : kind === "accepts", note } };
}

/** A package database that can't be read does not prevent sealing. */
function nothingKnown(error: unknown): null {
  if (error instanceof SealError) return null;
  throw error;
}
