/** What the user names as a root filesystem, taken apart, and how it is opened. */
import { SealError } from "../errors.ts";
import type { LayerForm } from "../oci/layer-form.ts";
import { likelyMeant } from "../oci/reference.ts";
import type { Descriptor, StoredImage } from "../oci/schemas.ts";
import type { LayerObserver } from "../tree/layer-observer.ts";
import type { Rootfs } from "../tree/rootfs.ts";
import type { ContentNeeds } from "./oci/kept-contents.ts";
import type { Layer } from "./oci/layer.ts";
import type { LayerCache } from "./oci/layer-cache.ts";
import type { LayerMemory } from "./oci/layer-memory.ts";
import type { ReadBack } from "./oci/read-back.ts";
import type { RemoteImages } from "./oci/remote-images.ts";
import type { ScanOptions, ScanStats } from "./scan.ts";

/**
 * What a root filesystem is read from. {@link parseRootfsSource} makes it of a text, once; from there on it is
 * this value that travels.
 */
export type RootfsSource = DirectorySource | TreeSource | ArchiveSource | ImageSource;

interface Named {
  /** As the user wrote it: what messages and reports call it. */
  readonly subject: string;
}

/** A directory: mostly a mount of what becomes layers. */
export interface DirectorySource extends Named {
  readonly kind: "dir";
  readonly path: string;
}

/** A tree without contents. */
export interface TreeSource extends Named {
  readonly kind: "dumpfile" | "erofs";
  readonly path: string;
}

/** One archive with a whole root filesystem. */
export interface ArchiveSource extends Named {
  readonly kind: "tar";
  readonly path: string;
}

/** A container image. */
export type ImageSource = LocalImageSource | RemoteImageSource;

/** An image in a layout or an archive on this machine. */
export interface LocalImageSource extends Named {
  readonly kind: "oci" | "oci-archive" | "docker-archive";
  readonly path: string;
  /** Tag, or name in an archive; null: the only image. */
  readonly reference: string | null;
  /** The manifest, where it has been found already, see `listImages`. */
  readonly manifest?: Descriptor | undefined;
}

/**
 * An image in a registry, in containers-storage or with docker's daemon, which skopeo fetches. {@link Named.subject}
 * is what skopeo takes.
 */
export interface RemoteImageSource extends Named {
  readonly kind: "docker" | "containers-storage" | "docker-daemon";
}

/** How a root filesystem is opened. */
export interface OpenOptions extends ScanOptions {
  /** Where relative paths start. */
  readonly cwd: string;
  /** Which image of an index, as `os/architecture[/variant]`; default: Linux on the architecture of this machine. */
  readonly platform?: string | undefined;
  /** How layers are read, see `TransformRules.paxOwners`; default: `count`. */
  readonly paxOwners?: "count" | "ignored" | undefined;
  /** Gets what is not on this disk; without it such images are refused. */
  readonly remote?: RemoteImages | undefined;
  /** What layers of images are known to hold; without, all are read. */
  readonly cache?: LayerCache | undefined;
  /**
   * `fill`: what the cache knows is not taken, for all will be read in any case; what it does not know is given to
   * it. Default: `take`.
   */
  readonly cacheUse?: "take" | "fill" | undefined;
  /** Layers that this run has read: only hashed where they occur again. What is read is added. */
  readonly memory?: LayerMemory | undefined;
  /** What hashes layers of the image since they were written; the others are read or hashed now. */
  readonly readBack?: ReadBack | undefined;
  /** Notified of what the layers of an image have and its tree does not show. */
  readonly observer?: LayerObserver | undefined;
  /** Work on the layers of an image that is done while they are read; the signal stops it. */
  readonly meanwhile?: ((layers: readonly Layer[], signal: AbortSignal) => Promise<void>) | undefined;
  /** Ends the reading of an image with its reason. */
  readonly signal?: AbortSignal | undefined;
  /** What contents of layers are kept in memory for; the others are slower to read. Default: all that verbs read. */
  readonly needs?: ContentNeeds | undefined;
}

/** A root filesystem that was opened. */
export interface OpenedRootfs {
  readonly rootfs: Rootfs;
  readonly stats: Readonly<ScanStats>;
  /** Null: it was read from something else than an image. */
  readonly image: StoredImage<Layer> | null;
  /** Of layers: how each is stored, lowest first. */
  readonly forms?: readonly LayerForm[];
}

/** An image that was opened. */
export interface OpenedImage extends OpenedRootfs {
  readonly image: StoredImage<Layer>;
}

/** The kinds of ROOTFS arguments, for messages. */
const KINDS =
  "a directory, dir:PATH, oci:PATH[:TAG], oci-archive:FILE[:TAG], docker-archive:FILE[:REF], docker://REF, containers-storage:REF, docker-daemon:REF, tar:FILE, erofs:FILE or dumpfile:FILE";

/**
 * Parses a ROOTFS argument, see {@link RootfsSource}. A path whose first colon follows a slash is a path. The path of
 * an image ends at its first colon, as container tools have it.
 * @throws SealError `usage` for another kind
 */
export function parseRootfsSource(text: string): RootfsSource {
  const [, kind, rest = ""] = /^([^/:]*):(.*)$/s.exec(text) ?? [];
  if (kind === undefined && text !== "") return { kind: "dir", path: text, subject: text };
  switch (kind) {
    case "dir":
    case "dumpfile":
    case "erofs":
    case "tar":
      if (rest !== "") return { kind, path: rest, subject: text };
      break;
    case "oci":
    case "oci-archive":
    case "docker-archive": {
      const [, path, reference] = /^([^:]+)(?::(.+))?$/s.exec(rest) ?? [];
      if (path !== undefined) return { kind, path, reference: reference ?? null, subject: text };
      break;
    }
    case "docker":
      if (/^\/\/./.test(rest)) return { kind, subject: text };
      break;
    case "containers-storage":
    case "docker-daemon":
      if (rest !== "") return { kind, subject: text };
  }
  const meant = likelyMeant(text);
  const wayOut = meant === null ? `give ${KINDS}` : `probably ${meant}`;
  throw new SealError("usage", `"${text}" is not a root filesystem; ${wayOut}`);
}

/**
 * What an image can be made of: another image, or a directory, which must be named as `dir:PATH` here.
 * @param option what the text was given with, for messages
 * @throws SealError `usage` for everything else
 */
export function parseImageOrDirectory(text: string, option: string): ImageSource | DirectorySource {
  const source = parseRootfsSource(text);
  if (isImage(source) || (source.kind === "dir" && text.startsWith("dir:"))) return source;
  const kinds = "oci:, oci-archive:, docker-archive:, docker://, containers-storage:, docker-daemon:";
  const meant = likelyMeant(text);
  const given = meant === null ? `an image (${kinds})` : meant;
  throw new SealError("usage", `${option} ${text}: give ${given} or dir:PATH`);
}

/** Whether a source is a container image, with layers, configuration and manifest. */
export function isImage(source: RootfsSource): source is ImageSource {
  switch (source.kind) {
    case "dir":
    case "dumpfile":
    case "erofs":
    case "tar":
      return false;
    default:
      return true;
  }
}
