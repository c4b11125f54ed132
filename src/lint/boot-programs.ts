/**
 * The EFI programs in the /boot of a tree: UKIs, boot loaders, addons, each recognised by its place, and UKIs
 * by their content too.
 */
import { ADDON_SUFFIX } from "../boot/addons.ts";
import { isUki } from "../boot/efi-program.ts";
import { displayBytes } from "../bytes.ts";
import { SealError } from "../errors.ts";
import { type PeImage, parsePe } from "../pe/headers.ts";
import type { Directory, Leaf } from "../tree/node.ts";
import { PROGRAM_LIMIT, type Rootfs, readNode } from "../tree/rootfs.ts";

/**
 * `uki`: EFI/Linux/*.efi; `loader`: in EFI/BOOT or EFI/systemd; `addon`: *.addon.efi, for a UKI or for all;
 * `misplaced`: where a UKI should be, but another program; `other`: anything else.
 */
export type ProgramRole = "uki" | "loader" | "addon" | "misplaced" | "other";

interface ProgramPlace {
  readonly role: ProgramRole;
  /** In the tree, readable: `boot/EFI/Linux/6.12.107.efi`. */
  readonly path: string;
  /** Name of the file, readable. */
  readonly name: string;
  readonly components: readonly Uint8Array[];
  readonly node: Leaf;
}

/** An EFI program in `/boot`, whether or not it could be read. */
export type BootProgram = Omit<ProgramPlace, "node" | "components"> &
  (
    | { readonly kind: "program"; readonly pe: PeImage }
    /** Not a PE file, or a corrupt one. */
    | { readonly kind: "broken"; readonly reason: string }
    | { readonly kind: "symlink"; readonly target: string }
  );

/** Programs of a kind that could be read. */
export type ReadProgram = Extract<BootProgram, { kind: "program" }>;

export function isRead(program: BootProgram): program is ReadProgram {
  return program.kind === "program";
}

/** All files below /boot whose name ends in `.efi`, in either case as on FAT; symlinked directories are not entered. */
export function findPrograms(rootfs: Rootfs): ProgramPlace[] {
  const places: ProgramPlace[] = [];
  const boot = rootfs.root.entries.find(({ name }) => displayBytes(name) === "boot");
  if (boot?.node.kind !== "directory") return places;
  const pending: { components: Uint8Array[]; node: Directory }[] = [{ components: [boot.name], node: boot.node }];
  for (let open = pending.pop(); open !== undefined; open = pending.pop()) {
    for (const { name, node } of open.node.entries) {
      const components = [...open.components, name];
      if (node.kind === "directory") pending.push({ components, node });
      else if (/\.efi$/i.test(displayBytes(name))) places.push(placeOf(components, node));
    }
  }
  return places.sort((a, b) => (a.path < b.path ? -1 : 1));
}

function placeOf(components: readonly Uint8Array[], node: Leaf): ProgramPlace {
  const names = components.map(displayBytes);
  const path = names.join("/");
  const directory = names.slice(0, -1).join("/");
  const name = names.at(-1) ?? "";
  return { role: roleOf(directory, name), path, name, components, node };
}

function roleOf(directory: string, name: string): ProgramRole {
  if (name.toLowerCase().endsWith(ADDON_SUFFIX)) return "addon";
  // Programs that look for UKIs in a tree accept only this spelling; boot loaders are found by firmware, on FAT.
  if (directory === "boot/EFI/Linux" && name.endsWith(".efi")) return "uki";
  return /^boot\/EFI\/(?:BOOT|systemd)$/i.test(directory) ? "loader" : "other";
}

/** @throws SealError `input` when the file can't be read; what is in it makes it `broken` at most */
export async function readProgram(rootfs: Rootfs, place: ProgramPlace): Promise<BootProgram> {
  const { node, components, ...rest } = place;
  if (node.kind === "symlink") return { ...rest, kind: "symlink", target: displayBytes(node.target) };
  if (node.kind !== "regular") return { ...rest, kind: "broken", reason: `is a ${node.kind}, not a regular file` };
  const bytes = await readNode(rootfs, components, node, PROGRAM_LIMIT);
  try {
    const pe = parsePe([bytes], rest.path);
    return { ...rest, role: rest.role === "uki" && !isUki(pe) ? "misplaced" : rest.role, kind: "program", pe };
  } catch (error) {
    if (!(error instanceof SealError)) throw error;
    return { ...rest, kind: "broken", reason: error.message.replace(`${rest.path}: `, "") };
  }
}
