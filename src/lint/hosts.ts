/** Which bootc releases accept the UKIs of a tree. */
import { cmdlinesOf } from "../boot/addons.ts";
import type { BootcVersion } from "../boot/bootc-version.ts";
import { type ComposefsWord, digestsOf, findComposefsWords } from "../boot/cmdline.ts";
import { type HostVerdict, hostVerdicts, type ImageDefect, type JudgedImage } from "../boot/hosts.ts";
import type { HostDigest } from "../composefs/host-digests.ts";
import { SealError } from "../errors.ts";
import type { Rootfs } from "../tree/rootfs.ts";
import { type BootProgram, isRead, type ReadProgram } from "./boot-programs.ts";
import type { BootWay } from "./boot-ways.ts";
import type { LintImage } from "./image.ts";
import { bootDefects, layerDefects, ukiDefects } from "./image-defects.ts";
import { rootMount } from "./root-mount.ts";
import type { TreeDigests } from "./tree-digests.ts";

/** The properties of a tree that decide which releases accept its UKIs. */
export interface UkiFacts {
  readonly rootfs: Rootfs;
  readonly digests: TreeDigests;
  /** The UKIs in EFI/Linux, and files there that can't be read. */
  readonly ukis: () => Promise<readonly BootProgram[]>;
  /** Null: it is not an image. */
  readonly image: LintImage | null;
  /** The bootc in the tree, as far as a package database names it. */
  readonly bootc: () => Promise<BootcVersion | null>;
  /** What each series of a UKI boots with. */
  readonly bootWays: (uki: ReadProgram) => Promise<readonly BootWay[]>;
}

/** The verdicts on one command line. */
export interface UkiHosts {
  /** Of the UKI. */
  readonly path: string;
  readonly verdicts: readonly HostVerdict[];
}

/**
 * The verdicts on each UKI, and on each of its profiles that names other digests. For a mount, digests with whole
 * seconds are compared, unless only those with exact times are accepted by some release.
 * @throws SealError `input` when no digest can be computed
 */
export async function ukiHosts(facts: UkiFacts): Promise<readonly UkiHosts[]> {
  const { rootfs, digests, bootWays, bootc } = facts;
  const ukis = (await facts.ukis()).filter(isRead);
  const found = ukis.flatMap((uki) => {
    const cmdlines = new Map(
      cmdlinesOf(uki.pe).map((cmdline) => {
        const words = findComposefsWords(cmdline);
        return [JSON.stringify(words), { cmdline, words }];
      }),
    );
    return [...cmdlines.values()].map((one) => ({ uki, ...one }));
  });
  if (found.length === 0) return [];
  const hosts: (readonly HostDigest[])[] = [];
  const judge = async (image: JudgedImage): Promise<readonly HostVerdict[]> => {
    let first: readonly HostVerdict[] | null = null;
    for (const [index, mtime] of digests.possibleTimes.entries()) {
      hosts[index] ??= await digests.hosts(mtime);
      const verdicts = hostVerdicts(image, hosts[index]);
      if (verdicts.some(({ kind }) => kind === "accepts")) return verdicts;
      first ??= verdicts;
    }
    return first ?? [];
  };
  const forms = (facts.image?.layers ?? []).flatMap(({ form }) => (form === null ? [] : [form]));
  const shared = [...layerDefects(forms), ...bootDefects(rootfs), ...markDefects(found.flatMap(({ words }) => words))];
  const inside = await bootc().catch(nothingKnown);
  const result: UkiHosts[] = [];
  for (const { uki, cmdline, words } of found) {
    const mount = rootMount(await bootWays(uki), cmdline, inside);
    const verdicts = await judge({ words, mount, defects: [...shared, ...ukiDefects(uki.pe)] });
    result.push({ path: uki.path, verdicts });
  }
  return result;
}

/** A package database that can't be read yields nothing; its own rule reports that. */
function nothingKnown(error: unknown): null {
  if (error instanceof SealError) return null;
  throw error;
}

/** For UKIs of which some require fs-verity and others don't. */
function markDefects(words: readonly ComposefsWord[]): readonly ImageDefect[] {
  if (new Set(digestsOf(words).map(({ insecure }) => insecure)).size < 2) return [];
  return [{ id: "mixed-marks", text: "it requires ? on all digests of all UKIs, or on none" }];
}
