/** What the user names as a root filesystem, taken apart, and how it is opened. */
import { SealError } from "../errors.ts";
import type { StoredImage } from "../oci/schemas.ts";
import type { LayerObserver } from "../tree/layer-observer.ts";
import type { Rootfs } from "../tree/rootfs.ts";
import type { ContentNeeds } from "./oci/kept-contents.ts";
import type { Layer } from "./oci/layer.ts";
import type { RemoteImages } from "./oci/remote-images.ts";
import type { ScanOptions, ScanStats } from "./scan.ts";

/** What a ROOTFS argument names. */
export type RootfsSpec = { readonly kind: "dir" | "dumpfile" | "erofs"; readonly path: string } | ImageSpec;

/** What is made of layers. */
export type ImageSpec =
  | { readonly kind: "tar"; readonly path: string }
  | {
      readonly kind: "oci" | "oci-archive" | "docker-archive";
      readonly path: string;
      readonly reference: string | null;
    }
  | RemoteSpec;

/** An image that lies in a registry or in the store of container tools, and is had through skopeo. */
export interface RemoteSpec {
  readonly kind: "docker" | "containers-storage";
  /** What stands behind the first colon, as skopeo takes it. */
  readonly reference: string;
}

export interface OpenOptions extends ScanOptions {
  /** Where relative paths start. */
  readonly cwd: string;
  /** Which image of an index, as `os/architecture[/variant]`; default: Linux on the architecture of this machine. */
  readonly platform?: string;
  /** How layers are read, see `TransformRules.paxOwners`; default: `count`. */
  readonly paxOwners?: "count" | "ignored";
  /** Gets what is not on this disk; without it such images are refused. */
  readonly remote?: RemoteImages;
  /** Told of what the layers of an image have and its tree does not show. */
  readonly observer?: LayerObserver;
  /** Work on the layers of an image that is done while they are read; the signal tells it to stop. */
  readonly meanwhile?: (layers: readonly Layer[], signal: AbortSignal) => Promise<void>;
  /** What contents of layers are kept in memory for; the others are slower to read. Default: all that verbs read. */
  readonly needs?: ContentNeeds;
}

export interface OpenedRootfs {
  readonly rootfs: Rootfs;
  readonly stats: Readonly<ScanStats>;
  /** Where the root filesystem is an image. */
  readonly image?: StoredImage<Layer>;
}

/** The kinds of ROOTFS arguments, for messages. */
const KINDS =
  "a directory, dir:PATH, oci:PATH[:TAG], oci-archive:FILE[:TAG], docker-archive:FILE[:REF], docker://REF, containers-storage:REF, tar:FILE, erofs:FILE or dumpfile:FILE";

/**
 * Takes a ROOTFS argument apart, see {@link RootfsSpec}. A path whose first colon stands behind a slash is a path. The path of an image ends at its
 * first colon, as container tools have it.
 * @throws SealError `usage` for another kind
 */
export function parseRootfsSpec(text: string): RootfsSpec {
  const [, kind, rest = ""] = /^([^/:]*):(.*)$/s.exec(text) ?? [];
  if (kind === undefined && text !== "") return { kind: "dir", path: text };
  switch (kind) {
    case "dir":
    case "dumpfile":
    case "erofs":
    case "tar":
      if (rest !== "") return { kind, path: rest };
      break;
    case "oci":
    case "oci-archive":
    case "docker-archive": {
      const [, path, reference] = /^([^:]+)(?::(.+))?$/s.exec(rest) ?? [];
      if (path !== undefined) return { kind, path, reference: reference ?? null };
      break;
    }
    case "docker":
      if (/^\/\/./.test(rest)) return { kind, reference: rest };
      break;
    case "containers-storage":
      if (rest !== "") return { kind, reference: rest };
  }
  throw new SealError("usage", `"${text}" names no root filesystem; give ${KINDS}`);
}

const IMAGE_KINDS = new Set<RootfsSpec["kind"]>([
  "oci",
  "oci-archive",
  "docker-archive",
  "docker",
  "containers-storage",
]);

/** Whether an argument names an image, whose layers are read. */
export function isLayers(spec: string): boolean {
  return IMAGE_KINDS.has(parseRootfsSpec(spec).kind);
}
