/** The ways to boot that a UKI offers, one for each profile: an initramfs, what is known of it, and the command lines that it is started with. */
import { type Initramfs, readInitramfs } from "../boot/initramfs.ts";
import { type Chunks, concat } from "../bytes.ts";
import { SealError } from "../errors.ts";
import type { PeImage } from "../pe/headers.ts";
import { profileGroups } from "../pe/profiles.ts";
import type { UkiSection } from "../pe/uki-sections.ts";
import { isModuleList } from "./initramfs-modules.ts";
import { findRootSetups, type RootSetup } from "./root-setup.ts";

export interface BootWay {
  readonly cmdlines: readonly string[];
  readonly initramfs: InitramfsFacts;
}

export type InitramfsFacts =
  /** The UKI has none. */
  | { readonly kind: "none" }
  | { readonly kind: "damaged"; readonly reason: string }
  /** Some of it is compressed with what seal has no decompressor for. */
  | { readonly kind: "unreadable"; readonly compression: string }
  | {
      readonly kind: "read";
      readonly archives: Initramfs["archives"];
      /** Contents only of what rules look into, so that this is small. */
      readonly files: Initramfs["files"];
      /** What can mount a composefs root. */
      readonly setups: readonly RootSetup[];
    };

/** Each initramfs once. What a profile does not bring comes from the base. */
export async function bootWays(pe: PeImage): Promise<readonly BootWay[]> {
  const groups = profileGroups(pe).map((sections) => ({
    initramfs: contentOf(sections, ".initrd"),
    cmdline: contentOf(sections, ".cmdline"),
  }));
  const [base] = groups;
  const packed = new Map<Chunks | null, string[]>();
  for (const group of groups) {
    const initramfs = group.initramfs ?? base?.initramfs ?? null;
    const cmdline = new TextDecoder().decode(concat(group.cmdline ?? base?.cmdline ?? []));
    packed.set(initramfs, [...(packed.get(initramfs) ?? []), cmdline.replace(/[\0\s]+$/, "")]);
  }
  const ways: BootWay[] = [];
  for (const [initramfs, cmdlines] of packed)
    ways.push({ cmdlines, initramfs: await readFacts(initramfs, pe.subject) });
  return ways;
}

function contentOf(sections: readonly UkiSection[], name: string): Chunks | null {
  return sections.find((section) => section.name === name)?.content ?? null;
}

async function readFacts(packed: Chunks | null, subject: string): Promise<InitramfsFacts> {
  if (packed === null) return { kind: "none" };
  try {
    const initramfs = await readInitramfs(concat(packed), subject);
    if (initramfs.unreadable !== null) return { kind: "unreadable", compression: initramfs.unreadable };
    const { archives, files } = initramfs;
    return { kind: "read", archives, files: withoutContents(files), setups: findRootSetups(initramfs) };
  } catch (error) {
    if (!(error instanceof SealError)) throw error;
    return { kind: "damaged", reason: error.message.replace(`${subject}: `, "") };
  }
}

/** Views would keep all that was unpacked in memory. */
function withoutContents(files: Initramfs["files"]): Initramfs["files"] {
  const none = new Uint8Array();
  const slim = new Map<string, { mode: number; content: Uint8Array }>();
  for (const [path, { mode, content }] of files) {
    slim.set(path, { mode, content: isModuleList(path) ? Uint8Array.from(content) : none });
  }
  return slim;
}
