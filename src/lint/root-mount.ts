/**
 * What the program that mounts the root reads, and whether it always requires fs-verity, as inferred from the program
 * itself and from the bootc of its tree.
 */
import { type BootcVersion, bootcVersion } from "../boot/bootc-version.ts";
import type { RootMount } from "../boot/hosts.ts";
import type { Chunks } from "../chunks.ts";
import type { DigestReader } from "../composefs/series.ts";
import { SealError } from "../errors.ts";
import type { Rootfs } from "../tree/rootfs.ts";
import { type BootWay, type InitramfsFacts, initramfsFacts } from "./boot-ways.ts";
import type { RootSetup } from "./root-setup.ts";

/** The release of composefs-setup-root that is known to require fs-verity. */
const INSISTING = "0.9.4";
/** bootc up to 1.16.10 was built with a git revision; from this release on, its initramfs tries all arguments. */
const FIRST_THAT_TRIES_ALL = "0.9.3";
/** Older ones come from bootc up to 1.16.11, whose initramfs reads one argument. */
const FIRST_IN_DOUBT = "0.9.1";

/** What a program is and does. */
export interface SetupFacts {
  /** With its release, as far as it is known: `bootc's initramfs-setup of bootc 1.17.4`. */
  readonly name: string;
  readonly reads: DigestReader | null;
  readonly verity: "insists" | "not-always" | "unknown";
}

/**
 * @param bootc of the tree, with which the initramfs is assumed to be made unless the program itself shows
 *   otherwise; null: not known
 */
export function setupFacts(setup: RootSetup, bootc: BootcVersion | null): SetupFacts {
  const { name, composefs, knowsLongForm } = setup;
  if (name === "composefs-setup-root") {
    const known = composefs === null ? name : `${name} ${composefs}`;
    const verity = composefs === null ? "unknown" : isAtLeast(composefs, INSISTING) ? "insists" : "not-always";
    return { name: known, reads: "all", verity };
  }
  const series = bootc?.series ?? null;
  const named = bootc === null ? name : `${name} of bootc ${bootc.version}`;
  const isOlder = composefs !== null && (!composefs.includes(".") || !isAtLeast(composefs, FIRST_IN_DOUBT));
  if (!knowsLongForm) return { name, reads: "composefs", verity: "not-always" };
  if (isOlder) return { name: `${name} (composefs-rs ${composefs})`, reads: "composefs.digest", verity: "not-always" };
  if (composefs !== null && isAtLeast(composefs, FIRST_THAT_TRIES_ALL) && series?.initramfs !== "all") {
    return { name, reads: "all", verity: "unknown" };
  }
  if (series === null) return { name, reads: null, verity: "unknown" };
  return { name: named, reads: series.initramfs, verity: series.verity };
}

function isAtLeast(version: string, least: string): boolean {
  const [left, right] = [version, least].map((text) => text.split(".").map(Number));
  for (const index of [0, 1, 2]) {
    const difference = (left?.[index] ?? 0) - (right?.[index] ?? 0);
    if (difference !== 0) return difference > 0;
  }
  return true;
}

/** What mounts the root of a UKI that is started with this command line. */
export function rootMount(ways: readonly BootWay[], cmdline: string, bootc: BootcVersion | null): RootMount {
  const facts = ways.find(({ cmdlines }) => cmdlines.includes(cmdline))?.initramfs;
  return facts === undefined
    ? { kind: "unknown", why: "no profile of the UKI has this command line" }
    : mountOf(facts, bootc);
}

/**
 * What mounts the root of a UKI that is to be made of a tree.
 * @param initrds of the UKI, which Linux unpacks one after the other
 */
export async function mountOfTree(rootfs: Rootfs, initrds: Chunks): Promise<RootMount> {
  return mountByFacts(rootfs, await initramfsFacts(initrds, rootfs.subject));
}

/** Like {@link mountOfTree}, for initrds that were read already. */
export async function mountByFacts(rootfs: Rootfs, facts: FactsOfSetups): Promise<RootMount> {
  return mountOf(facts, await bootcVersion(rootfs).catch(nothingKnown));
}

/** The part of {@link InitramfsFacts} that says what mounts the root. */
export type FactsOfSetups = WithoutFiles<InitramfsFacts>;
type WithoutFiles<Facts> = Facts extends unknown ? Omit<Facts, "archives" | "files"> : never;

/** A package database that can't be read yields nothing. */
function nothingKnown(error: unknown): null {
  if (error instanceof SealError) return null;
  throw error;
}

function mountOf(facts: FactsOfSetups, bootc: BootcVersion | null): RootMount {
  switch (facts.kind) {
    case "none":
      return { kind: "none", why: "the UKI has no initramfs: nothing mounts the composefs root" };
    case "damaged":
      return { kind: "none", why: `its initramfs can't be unpacked: ${facts.reason}` };
    case "unreadable":
      return {
        kind: "unknown",
        why: `its initramfs is compressed with ${facts.compression}, which seal can't unpack here`,
      };
    case "read": {
      const [setup, other] = facts.setups;
      if (setup === undefined) return { kind: "none", why: "nothing in the initramfs mounts a composefs root" };
      if (other === undefined) return { kind: "mounts", ...setupFacts(setup, bootc) };
      return { kind: "unknown", why: `its initramfs has both ${setup.name} and ${other.name}` };
    }
  }
}
