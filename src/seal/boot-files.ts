/**
 * Finds what firmware or a boot loader may start in a `/boot` or an EFI system partition, by name, content and boot
 * entries.
 */
import { closeSync, openSync, readSync } from "node:fs";
import { lstat, readdir, readlink } from "node:fs/promises";
import { join, posix } from "node:path";
import { beginsLikeEfiProgram, PROGRAM_HEAD } from "../boot/efi-program.ts";
import { type LoaderEntry, parseLoaderEntry } from "../boot/loader-entry.ts";
import { compareBytes, displayBytes } from "../bytes.ts";
import { inputError } from "../errors.ts";
import { reasonOf } from "../io/files.ts";
import { readInput, SMALL_FILE } from "../io/read-input.ts";

/** A file below the directory that was given. */
export interface ListedFile {
  /** From that directory, readable. */
  readonly path: string;
  /** Absolute. */
  readonly place: Buffer;
}

/** What is to be judged. */
export type Candidate =
  | ({ readonly kind: "file" } & ListedFile)
  /** It has the name of a program, but is not a file: `a symlink to ../x.efi`. */
  | { readonly kind: "other"; readonly path: string; readonly what: string };

/** Files that no signature covers although they decide what runs. */
export interface Uncovered {
  readonly path: string;
  readonly what: string;
}

export interface BootContents {
  /** In the order of their paths. */
  readonly candidates: readonly Candidate[];
  readonly uncovered: readonly Uncovered[];
}

/** What is not a directory. */
interface Leaf extends ListedFile {
  readonly kind: "file" | "symlink" | "special";
}

/**
 * Looks through a `/boot`, a partition, or the `boot` and `efi` of a system's root. No symlink is followed.
 * @param directory absolute
 * @param subject names it in messages
 * @throws SealError `input` for what can't be read
 */
export async function findBootFiles(directory: string, subject: string): Promise<BootContents> {
  const leaves: Leaf[] = [];
  for (const top of await topsOf(directory)) leaves.push(...(await leavesOf(directory, top, subject)));
  const entries = await readEntries(leaves);
  const programs = namedBy(entries, "programs");
  const initrds = namedBy(entries, "initrds");
  const candidates: Candidate[] = [];
  const uncovered: Uncovered[] = [];
  for (const leaf of leaves) {
    const candidate = await candidateOf(leaf, programs);
    if (candidate !== null) candidates.push(candidate);
    const entry = entries.get(leaf);
    const what = entry === undefined ? sidecarOf(leaf, initrds) : uncoveredBy(entry);
    if (what !== null) uncovered.push({ path: leaf.path, what });
  }
  return { candidates, uncovered };
}

/** Names of the directories to look through; empty: the one given. A `/boot` may have a symlink `boot` to itself. */
async function topsOf(directory: string): Promise<readonly string[]> {
  const isDirectory = async (name: string) =>
    (await lstat(join(directory, name)).catch(() => null))?.isDirectory() ?? false;
  if (!(await isDirectory("boot"))) return [""];
  if ((await isDirectory("EFI")) && !(await isDirectory("usr"))) return [""];
  return (await isDirectory("efi")) ? ["boot", "efi"] : ["boot"];
}

async function leavesOf(directory: string, top: string, subject: string): Promise<Leaf[]> {
  const leaves: Leaf[] = [];
  const pending = [{ place: Buffer.from(join(directory, top)), path: top }];
  for (let open = pending.pop(); open !== undefined; open = pending.pop()) {
    const { place, path } = open;
    const entries = await readdir(place, { withFileTypes: true, encoding: "buffer" }).catch((error: unknown) => {
      throw inputError(join(subject, path), `can't be read: ${reasonOf(error)}`, error);
    });
    for (const entry of entries) {
      const below = {
        place: Buffer.concat([place, Buffer.from("/"), entry.name]),
        path: join(path, displayBytes(entry.name)),
      };
      if (entry.isDirectory()) pending.push(below);
      else leaves.push({ ...below, kind: entry.isFile() ? "file" : entry.isSymbolicLink() ? "symlink" : "special" });
    }
  }
  return leaves.sort((a, b) => compareBytes(a.place, b.place));
}

/** A boot entry, and the directory that its paths start from. */
interface PlacedEntry extends LoaderEntry {
  readonly partition: string;
}

async function readEntries(leaves: readonly Leaf[]): Promise<ReadonlyMap<Leaf, PlacedEntry>> {
  const entries = new Map<Leaf, PlacedEntry>();
  for (const leaf of leaves) {
    const [, partition] = /^(.*?)loader\/entries\/[^/]+\.conf$/i.exec(leaf.path) ?? [];
    if (partition === undefined || leaf.kind !== "file") continue;
    const text = new TextDecoder().decode(await readInput(leaf.place, SMALL_FILE));
    entries.set(leaf, { ...parseLoaderEntry(text), partition });
  }
  return entries;
}

/** The paths that entries name, as {@link keyOf} returns them. */
function namedBy(entries: ReadonlyMap<Leaf, PlacedEntry>, what: "programs" | "initrds"): ReadonlySet<string> {
  const paths = [...entries.values()].flatMap((entry) => entry[what].map((path) => `${entry.partition}/${path}`));
  return new Set(paths.map(keyOf));
}

/** A key that paths of the same file on FAT, which ignores case, have in common. */
export function keyOf(path: string): string {
  return posix.normalize(path.replaceAll("\\", "/")).replace(/^\/+/, "").toLowerCase();
}

/**
 * A file with the name of a program may be something else. Other programs, mostly kernels, are recognised by a boot
 * entry or by their content.
 */
async function candidateOf({ path, place, kind }: Leaf, named: ReadonlySet<string>): Promise<Candidate | null> {
  const isNamed = /\.efi$/i.test(path) || named.has(keyOf(path));
  if (kind === "file") return isNamed || beginsLikeEfiProgram(headOf(place)) ? { kind, path, place } : null;
  if (!isNamed) return null;
  const what = kind === "special" ? "not a regular file" : `a symlink to ${await targetOf(place)}`;
  return { kind: "other", path, what };
}

async function targetOf(place: Buffer): Promise<string> {
  try {
    return displayBytes(await readlink(place, { encoding: "buffer" }));
  } catch (error) {
    throw inputError(displayBytes(place), `can't be read: ${reasonOf(error)}`, error);
  }
}

function headOf(place: Buffer): Uint8Array {
  const head = Buffer.alloc(PROGRAM_HEAD);
  let descriptor: number | null = null;
  try {
    descriptor = openSync(place, "r");
    return head.subarray(0, readSync(descriptor, head, 0, head.length, 0));
  } catch (error) {
    throw inputError(displayBytes(place), `can't be read: ${reasonOf(error)}`, error);
  } finally {
    if (descriptor !== null) closeSync(descriptor);
  }
}

function uncoveredBy({ initrds, devicetrees, hasOptions }: LoaderEntry): string | null {
  const parts = [
    ...(initrds.length > 0 ? [`initrd ${initrds.join(", ")}`] : []),
    ...(devicetrees.length > 0 ? [`device tree ${devicetrees.join(", ")}`] : []),
    ...(hasOptions ? ["command line"] : []),
  ];
  return parts.length === 0 ? null : parts.join(" and ");
}

/** Other files that boot loaders and stubs read, by their paths. */
const SIDECARS: readonly (readonly [RegExp, string])[] = [
  [/(?:\.efi\.extra\.d|loader\/credentials)\/[^/]+\.cred$/i, "credential"],
  [/(?:\.efi\.extra\.d|loader\/(?:extensions|confexts))\/[^/]+\.raw$/i, "extension image"],
  [/(?:^|\/)grub\.cfg$/i, "what GRUB starts, and its command line"],
  [/(?:^|\/)init(?:rd|ramfs)[^/]*$/i, "initrd"],
];

function sidecarOf({ path, kind }: Leaf, initrds: ReadonlySet<string>): string | null {
  // Files of a boot entry are reported with it.
  if (kind !== "file" || initrds.has(keyOf(path))) return null;
  return SIDECARS.find(([place]) => place.test(path))?.[1] ?? null;
}
