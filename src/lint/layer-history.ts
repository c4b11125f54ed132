/** Notes taken about the layers of an image while they are read: findings, not files, to save memory. */

import { displayBytes, latin1 } from "../bytes.ts";
import type { LayerEntry } from "../tree/build.ts";
import type { HiddenFile, LayerObserver } from "../tree/layer-observer.ts";
import { type Directory, type ExternalContent, type InlineContent, splitPath } from "../tree/node.ts";
import { isKeySize, keyKind, mayBeKey } from "./private-keys.ts";

type Content = InlineContent | ExternalContent;

/** A place in a layer, which is identified by its number, lowest first from 0. */
export interface LayerPlace {
  readonly layer: number;
  readonly path: string;
}

/** A file that holds a private key. */
export interface LayerSecret extends LayerPlace {
  /** As a phrase: `a private key (DER)`. */
  readonly kind: string;
  readonly content: Content;
}

/** When the contents of a layer were last changed, in seconds since 1970. */
export interface LayerTimes {
  /**
   * Some path that counts for the digest of the root filesystem, so not one in /boot, /run or /sysroot; null: the layer
   * has none.
   */
  readonly some: string | null;
  /** The latest of them; null: none of them has a time. */
  readonly newest: { readonly path: string; readonly time: bigint } | null;
  /** The programs in boot/EFI/Linux, by path. */
  readonly ukis: ReadonlyMap<string, bigint>;
}

const UNCOUNTED = new Set(["boot", "run", "sysroot"]);
const UKI = /^boot\/EFI\/Linux\/[^/]+\.efi$/i;
const IN_BOOT = /^(?:\.?\/)*boot\//;
const WHITEOUT = ".wh.";

function layerTimes(entries: readonly LayerEntry[]): LayerTimes {
  let some: string | null = null;
  let newest: LayerTimes["newest"] = null;
  const ukis = new Map<string, bigint>();
  for (const { path, metadata, item } of entries) {
    const time = metadata.mtimeSec;
    // That goes for nearly all, and need not be taken apart.
    if (some !== null && newest !== null && time <= newest.time && !IN_BOOT.test(latin1(path))) continue;
    const names = splitPath(path);
    const [top] = names;
    if (top === undefined) continue;
    const text = () => names.map(displayBytes).join("/");
    const place = displayBytes(top);
    if (place === "boot" && item.kind === "regular" && UKI.test(text())) ukis.set(text(), time);
    if (UNCOUNTED.has(place)) continue;
    some ??= text();
    if (item.kind === "hardlink" || (newest !== null && time <= newest.time)) continue;
    if (displayBytes(names.at(-1) ?? top).startsWith(WHITEOUT)) continue;
    newest = { path: text(), time };
  }
  return { some, newest, ukis };
}

/** What the layers of an image show apart from its tree: hidden files, secrets and times. */
export class LayerHistory implements LayerObserver {
  readonly hiddenFiles: HiddenFile[] = [];
  readonly impliedDirectories: LayerPlace[] = [];
  /** Entries that bootc removes because of a later whiteout, and container engines do not. */
  readonly ownWhiteouts: LayerPlace[] = [];
  /** Lowest layer first. */
  readonly times: LayerTimes[] = [];
  readonly #secrets: LayerSecret[] = [];

  wants(path: Uint8Array, size: bigint): boolean {
    return isKeySize(size) && mayBeKey(splitPath(path), size);
  }

  content(layer: number, path: string, content: Content, bytes: Uint8Array): void {
    const kind = keyKind(bytes);
    if (kind !== null) this.#secrets.push({ layer, path, kind, content });
  }

  layer(_layer: number, entries: readonly LayerEntry[]): void {
    this.times.push(layerTimes(entries));
  }

  hidden(file: HiddenFile): void {
    this.hiddenFiles.push(file);
  }

  implied(layer: number, path: string): void {
    this.impliedDirectories.push({ layer, path });
  }

  ownWhiteout(layer: number, path: string): void {
    this.ownWhiteouts.push({ layer, path });
  }

  /** Lowest layer first. */
  get secrets(): readonly LayerSecret[] {
    return this.#secrets.toSorted((a, b) => a.layer - b.layer);
  }
}

/** Which of these contents are in a tree, under any name. */
export function visibleContents(root: Directory, wanted: Iterable<Content>): ReadonlySet<Content> {
  const candidates = new Set(wanted);
  const visible = new Set<Content>();
  const pending = candidates.size === 0 ? [] : [root];
  for (let directory = pending.pop(); directory !== undefined; directory = pending.pop()) {
    for (const { node } of directory.entries) {
      if (node.kind === "directory") pending.push(node);
      else if (node.kind === "regular" && candidates.has(node.content)) visible.add(node.content);
    }
  }
  return visible;
}
