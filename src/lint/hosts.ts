/** Which bootc releases accept the UKIs of a tree. */
import { cmdlinesOf } from "../boot/addons.ts";
import { findComposefsWords } from "../boot/cmdline.ts";
import { type HostVerdict, hostVerdicts } from "../boot/hosts.ts";
import type { HostDigest } from "../composefs/host-digests.ts";
import { isRead } from "./boot-programs.ts";
import type { LintContext } from "./context.ts";

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
export async function ukiHosts({ ukis, digests }: Pick<LintContext, "ukis" | "digests">): Promise<readonly UkiHosts[]> {
  const found = (await ukis()).filter(isRead).flatMap(({ path, pe }) => {
    const cmdlines = new Map(cmdlinesOf(pe).map((cmdline) => [JSON.stringify(findComposefsWords(cmdline)), cmdline]));
    return [...cmdlines.values()].map((cmdline) => ({ path, cmdline }));
  });
  if (found.length === 0) return [];
  const hosts: (readonly HostDigest[])[] = [];
  const judge = async (cmdline: string): Promise<readonly HostVerdict[]> => {
    let first: readonly HostVerdict[] | null = null;
    for (const [index, mtime] of digests.possibleTimes.entries()) {
      hosts[index] ??= await digests.hosts(mtime);
      const verdicts = hostVerdicts(cmdline, hosts[index]);
      if (verdicts.some(({ kind }) => kind === "accepts")) return verdicts;
      first ??= verdicts;
    }
    return first ?? [];
  };
  const result: UkiHosts[] = [];
  for (const { path, cmdline } of found) result.push({ path, verdicts: await judge(cmdline) });
  return result;
}
