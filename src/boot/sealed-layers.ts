/**
 * What sealing does to the layers of an image. One layer turns the root filesystem into the one whose digest the UKI
 * has: it removes raw kernels with their initramfs and whatever is in `/boot`, which would be started instead of the
 * new UKI, and adds what `bootc install` takes from `/usr`. The next one adds the files of `/boot`. Two layers, because
 * tools disagree on a layer that removes a name and adds it again.
 */
import { displayBytes, utf8 } from "../bytes.ts";
import { type Chunks, concat } from "../chunks.ts";
import type { VerityAlgorithm } from "../composefs/series.ts";
import { inputError } from "../errors.ts";
import type { LayerEntry } from "../tree/build.ts";
import type { FileChanges } from "../tree/file-changes.ts";
import { type Directory, lookup, type Metadata } from "../tree/node.ts";
import { type Rootfs, resolvePath } from "../tree/rootfs.ts";
import { upperLayer } from "../tree/upper-layer.ts";
import { withLayer } from "./layered.ts";
import type { BootFile } from "./plan.ts";
import { rawKernelFiles } from "./without-kernel.ts";

const BOOT = utf8("boot");
const SLASH = utf8("/");
/** The longest name, in bytes, that a whiteout can remove; its own is four bytes longer. */
const NAME_LIMIT = 251;

/** Paths that are removed, relative to the root. */
export interface TakenOut {
  readonly kernels: readonly Uint8Array[];
  /** The entries of `/boot` itself. */
  readonly boot: readonly Uint8Array[];
}

export const NOTHING_TAKEN_OUT: TakenOut = { kernels: [], boot: [] };

/**
 * @throws SealError `input` for a path through a symlink that the tree does not allow, and for a name too long for a
 *   layer to remove
 */
export function takenOut(rootfs: Rootfs): TakenOut {
  const boot = lookup(rootfs.root, BOOT);
  const long = boot?.kind === "directory" ? boot.entries.find(({ name }) => name.length > NAME_LIMIT) : undefined;
  if (long !== undefined) {
    const path = `${displayBytes(BOOT)}/${displayBytes(long.name)}`;
    throw inputError(
      rootfs.subject,
      `${path}: the name is too long for a layer to remove it; remove it where the image is built`,
    );
  }
  return {
    kernels: rawKernelFiles(rootfs).map(joined),
    boot: boot?.kind === "directory" ? boot.entries.map(({ name }) => joined([BOOT, name])) : [],
  };
}

/**
 * The layer that removes paths and changes files; without entries if there is nothing to do.
 * @param root the tree of the layers below
 */
export function treeLayer(
  root: Directory,
  { kernels, boot }: TakenOut,
  { write, remove, mtime }: FileChanges,
): readonly LayerEntry<Chunks>[] {
  return upperLayer(root, {
    remove: [...kernels, ...boot, ...remove.map(utf8)],
    add: write.map(({ path, content }) => ({ path: utf8(path), content })),
    describe: agreedTimes(root),
    ...newMetadata(mtime),
  });
}

/**
 * `/boot` and `/sysroot` with the nanoseconds of `/usr`. For the booted tree, every release of bootc gives them the
 * seconds of `/usr`; up to 1.16.9 they keep their own nanoseconds, later they don't. With equal nanoseconds all compute
 * the same digest.
 */
function agreedTimes(root: Directory): { readonly path: Uint8Array; readonly metadata: Metadata }[] {
  const usr = lookup(root, utf8("usr"));
  return [BOOT, utf8("sysroot")].flatMap((path) => {
    const directory = lookup(root, path);
    if (usr?.kind !== "directory" || directory?.kind !== "directory") return [];
    const { mtimeNsec } = usr;
    return directory.mtimeNsec === mtimeNsec ? [] : [{ path, metadata: { ...directory, mtimeNsec } }];
  });
}

/** Options of {@link sealedRootfs}. */
export interface TreeLayerOptions {
  /**
   * The same image, read with PAX headers; the root filesystem itself may be read as by releases that ignore them. The
   * new layers repeat the metadata that directories have here.
   */
  readonly full: Rootfs;
  readonly changes: FileChanges;
  /** Hash of the contents. */
  readonly algorithm: VerityAlgorithm;
}

/**
 * A root filesystem as the layers of the sealed image make it, except for the content of `/boot`, which is in no
 * digest.
 * @throws SealError `input` as {@link takenOut}
 */
export function sealedRootfs(rootfs: Rootfs, { full, changes, algorithm }: TreeLayerOptions): Rootfs {
  const boot = lookup(full.root, BOOT);
  const entries = treeLayer(full.root, takenOut(full), changes);
  const listed: readonly LayerEntry<Chunks>[] =
    boot?.kind !== "directory" ? entries : [{ path: BOOT, metadata: boot, item: { kind: "directory" } }, ...entries];
  const read =
    rootfs === full ? listed : listed.map((entry) => ({ ...entry, metadata: { ...entry.metadata, mtimeNsec: 0 } }));
  return withLayer(rootfs, read, algorithm);
}

/**
 * The layer with the files of `/boot`.
 * @param root the tree of the layers below
 * @param time of files and new directories, seconds since 1970
 */
export function bootLayer(root: Directory, files: readonly BootFile[], time: bigint): readonly LayerEntry<Chunks>[] {
  return upperLayer(root, {
    remove: [],
    add: files.map(({ path, content }) => ({ path: joined([BOOT, utf8(path)]), content })),
    ...newMetadata(time),
  });
}

/**
 * Refuses an image whose only kernel is in a UKI.
 * @throws SealError `input`
 */
export function refuseSealed(rootfs: Rootfs): void {
  if (rawKernelFiles(rootfs).length > 0) return;
  const ukis = resolvePath(rootfs, "boot/EFI/Linux")?.node;
  const uki = ukis?.kind === "directory" ? ukis.entries[0] : undefined;
  if (uki === undefined) return;
  throw inputError(
    rootfs.subject,
    `is sealed already: its kernel is only in boot/EFI/Linux/${displayBytes(uki.name)}. Seal the image that it was made from, or give the kernel with --kernel-dir`,
  );
}

function joined(components: readonly Uint8Array[]): Uint8Array {
  return concat(components.flatMap((name, index) => (index === 0 ? [name] : [SLASH, name])));
}

/** Metadata of new files and directories. @param mtimeSec seconds since 1970 */
function newMetadata(mtimeSec: bigint): { readonly file: Metadata; readonly directory: Metadata } {
  const directory = { mode: 0o755, uid: 0, gid: 0, mtimeSec, mtimeNsec: 0, xattrs: [] };
  return { directory, file: { ...directory, mode: 0o644 } };
}
