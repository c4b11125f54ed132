/** The ways to boot that a UKI offers, one for each profile: an initramfs, and the command lines that it is started with. */
import type { Chunks } from "../bytes.ts";
import { concat } from "../bytes.ts";
import type { PeImage } from "../pe/headers.ts";
import { profileGroups } from "../pe/profiles.ts";
import type { UkiSection } from "../pe/uki-sections.ts";

export interface BootWay {
  /** Null: there is none. */
  readonly initramfs: Chunks | null;
  readonly cmdlines: readonly string[];
}

/** Each initramfs once. What a profile does not bring comes from the base. */
export function bootWays(pe: PeImage): BootWay[] {
  const groups = profileGroups(pe).map((sections) => ({
    initramfs: contentOf(sections, ".initrd"),
    cmdline: contentOf(sections, ".cmdline"),
  }));
  const [base] = groups;
  const ways = new Map<Chunks | null, string[]>();
  for (const group of groups) {
    const initramfs = group.initramfs ?? base?.initramfs ?? null;
    const cmdline = new TextDecoder().decode(concat(group.cmdline ?? base?.cmdline ?? []));
    ways.set(initramfs, [...(ways.get(initramfs) ?? []), cmdline.replace(/[\0\s]+$/, "")]);
  }
  return [...ways].map(([initramfs, cmdlines]) => ({ initramfs, cmdlines }));
}

function contentOf(sections: readonly UkiSection[], name: string): Chunks | null {
  return sections.find((section) => section.name === name)?.content ?? null;
}
