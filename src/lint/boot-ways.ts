/**
 * The ways to boot that a UKI offers, one for each profile: an initramfs, what is known of it, and the command lines
 * that it is started with.
 */
import { type Initramfs, type InitramfsFile, readInitramfs } from "../boot/initramfs.ts";
import { type Chunks, concat } from "../chunks.ts";
import { SealError } from "../errors.ts";
import type { PeImage } from "../pe/headers.ts";
import { profileGroups } from "../pe/profiles.ts";
import type { UkiSection } from "../pe/uki-sections.ts";
import { LINT_CONTENTS } from "./initramfs-contents.ts";
import { isModuleList } from "./initramfs-modules.ts";
import { findRootSetups, type RootSetup } from "./root-setup.ts";

/** One way to boot a UKI, with its command line and initramfs. */
export interface BootWay {
  readonly cmdlines: readonly string[];
  readonly initramfs: InitramfsFacts;
}

/** What an initramfs says about how the root is mounted. */
export type InitramfsFacts =
  /** The UKI has none. */
  | { readonly kind: "none" }
  | { readonly kind: "damaged"; readonly reason: string }
  /** The part at an offset is compressed in a way that seal can't decompress; only the parts before it are known. */
  | ({ readonly kind: "unreadable"; readonly compression: string; readonly offset: number } & InitramfsContents)
  | ({ readonly kind: "read" } & InitramfsContents);

interface InitramfsContents {
  readonly archives: Initramfs["archives"];
  /** Only contents that rules look into are kept, to save memory. */
  readonly files: Initramfs["files"];
  /** What can mount a composefs root. */
  readonly setups: readonly RootSetup[];
}

/** Returns each initramfs once. Sections that a profile lacks come from the base profile. */
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
    ways.push({ cmdlines, initramfs: await initramfsFacts(initramfs, pe.subject) });
  return ways;
}

function contentOf(sections: readonly UkiSection[], name: string): Chunks | null {
  return sections.find((section) => section.name === name)?.content ?? null;
}

/** @param packed null: there is none */
export async function initramfsFacts(packed: Chunks | null, subject: string): Promise<InitramfsFacts> {
  if (packed === null) return { kind: "none" };
  try {
    const initramfs = await readInitramfs(packed, subject, LINT_CONTENTS);
    const { archives, unreadable } = initramfs;
    const found = { archives, files: withoutContents(initramfs.files), setups: findRootSetups(initramfs) };
    return unreadable === null ? { kind: "read", ...found } : { kind: "unreadable", ...found, ...unreadable };
  } catch (error) {
    if (!(error instanceof SealError)) throw error;
    return { kind: "damaged", reason: error.message.replace(`${subject}: `, "") };
  }
}

/** Drops contents that were only needed to find the setups. */
function withoutContents(files: Initramfs["files"]): Initramfs["files"] {
  const none = new Uint8Array();
  const slim = new Map<string, InitramfsFile>();
  for (const [path, file] of files) slim.set(path, isModuleList(path) ? file : { ...file, content: none });
  return slim;
}
