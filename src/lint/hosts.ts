/** Which bootc releases accept the UKIs of a tree. */
import { cmdlinesOf } from "../boot/addons.ts";
import { type ComposefsWord, findComposefsWords } from "../boot/cmdline.ts";
import { type HostVerdict, hostVerdicts, type Initramfs } from "../boot/hosts.ts";
import type { HostDigest } from "../composefs/host-digests.ts";
import type { Rootfs } from "../tree/rootfs.ts";
import { bootEntries } from "./boot-entries.ts";
import { type BootProgram, isRead, type ReadProgram } from "./boot-programs.ts";
import type { BootWay } from "./boot-ways.ts";
import type { TreeDigests } from "./tree-digests.ts";

/** What of a tree decides which releases accept its UKIs. */
export interface UkiFacts {
  readonly rootfs: Rootfs;
  readonly digests: TreeDigests;
  /** The UKIs in EFI/Linux, and what is there and can't be read. */
  readonly ukis: () => Promise<readonly BootProgram[]>;
  /** What each profile of a UKI boots with. */
  readonly bootWays: (uki: ReadProgram) => Promise<readonly BootWay[]>;
}

/** The verdicts on one command line. */
export interface UkiHosts {
  /** Of the UKI. */
  readonly path: string;
  readonly verdicts: readonly HostVerdict[];
}

/**
 * The verdicts on each UKI, and on each of its profiles that names other digests. Of a mount those of whole seconds count, unless only those of exact
 * times have somebody who accepts.
 * @throws SealError `input` when no digest can be computed
 */
export async function ukiHosts({ rootfs, ukis, digests, bootWays }: UkiFacts): Promise<readonly UkiHosts[]> {
  const found = (await ukis()).filter(isRead).flatMap((uki) => {
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
  const judge = async (
    words: readonly ComposefsWord[],
    initramfs: Initramfs | null,
  ): Promise<readonly HostVerdict[]> => {
    let first: readonly HostVerdict[] | null = null;
    for (const [index, mtime] of digests.possibleTimes.entries()) {
      hosts[index] ??= await digests.hosts(mtime);
      const verdicts = hostVerdicts(words, hosts[index], initramfs);
      if (verdicts.some(({ kind }) => kind === "accepts")) return verdicts;
      first ??= verdicts;
    }
    return first ?? [];
  };
  const entries = bootEntries(rootfs);
  const result: UkiHosts[] = [];
  for (const { uki, cmdline, words } of found) {
    const verdicts = await judge(words, readerOf(await bootWays(uki), cmdline));
    result.push({ path: uki.path, verdicts: withBootEntries(verdicts, entries) });
  }
  return result;
}

/** Why no release comes to a UKI; null without boot entries. */
export function entryProblem([entry]: readonly string[]): string | null {
  return entry === undefined ? null : `it finds ${entry} before the UKI, and refuses images with such an entry`;
}

/**
 * Verdicts on an image with boot entries: whoever would accept the UKI does not come to it.
 * @param entries see {@link bootEntries}
 */
export function withBootEntries(verdicts: readonly HostVerdict[], entries: readonly string[]): readonly HostVerdict[] {
  const why = entryProblem(entries);
  if (why === null) return verdicts;
  return verdicts.map((verdict) => {
    if (verdict.kind !== "accepts") return verdict;
    const { profile, expected } = verdict;
    return { kind: "refuses", profile, expected, reason: "tree", why };
  });
}

/** By which words the initramfs goes that this command line is for; null where that is not known. */
export function readerOf(ways: readonly BootWay[], cmdline: string): Initramfs | null {
  const facts = ways.find(({ cmdlines }) => cmdlines.includes(cmdline))?.initramfs;
  const [setup, other] = facts?.kind === "read" ? facts.setups : [];
  return setup === undefined || other !== undefined ? null : setup.reads;
}
