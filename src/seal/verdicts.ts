/** Which bootc releases accept what was sealed. */
import { bootcVersion } from "../boot/bootc-version.ts";
import { digestsOf } from "../boot/cmdline.ts";
import { type HostVerdict, hostVerdicts } from "../boot/hosts.ts";
import type { TreeUki } from "../boot/tree-uki.ts";
import { hostDigests } from "../composefs/host-digests.ts";
import { PROFILES } from "../composefs/profile.ts";
import { SealError } from "../errors.ts";
import { bootWays } from "../lint/boot-ways.ts";
import { readerOf, withBootEntries } from "../lint/hosts.ts";
import type { PeImage } from "../pe/headers.ts";
import type { RootfsDigests } from "./digest.ts";

/** What hosts make of a sealed root filesystem. */
export interface Judged {
  readonly verdicts: readonly HostVerdict[];
  /** The bootc in it; null: not known. */
  readonly bootc: { readonly version: string; readonly path: string; readonly accepts: boolean | null } | null;
}

/** What is judged. */
export interface SealedUki extends Pick<TreeUki, "cmdline" | "words"> {
  readonly uki: PeImage;
  /** Boot entries that the image will have beside it, see `bootEntries`; without: none. */
  readonly entries?: readonly string[];
}

/**
 * The verdicts on a root filesystem that was just hashed; no file is hashed again for them.
 * @throws SealError `input` when the initramfs in the UKI is damaged
 */
export async function judgeHosts(
  { shaped, digests, mtime, paxOwners, plan }: RootfsDigests,
  { cmdline, words, uki, entries = [] }: SealedUki,
): Promise<Judged> {
  const { transform, xattrs } = plan.transform;
  const known = transform === "boot" && xattrs === "allowlist" ? digests : [];
  const hosts =
    plan.algorithm === "sha512"
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
