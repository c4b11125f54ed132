/**
 * How a mounted tree can differ from the layers made from it: the digest is computed from the mount, but checked
 * against the layers (docs/two-views.md). A mount does not show where its times come from, so some notes are only
 * suspicions; a comparison with the image decides.
 */
import { SealError } from "../errors.ts";
import { displayPath, isEmptyFile, nodeAt, walk } from "../lint/files.ts";
import { contentSize, type Node } from "../tree/node.ts";
import { type Rootfs, readTreeFile } from "../tree/rootfs.ts";

/** The ways in which a mount may differ from its layers. */
export const VIEW_NOTE_KINDS = [
  "subsecond-times",
  "base-times",
  "directory-times",
  "touched-directories",
  "builder-files",
  "mounted-files",
  "rewritten-times",
] as const;

/** A way in which a mount may differ from its layers, with paths. */
export interface ViewNote {
  readonly kind: (typeof VIEW_NOTE_KINDS)[number];
  /** `warning`: the image may not be accepted; `info`: seal has handled it. */
  readonly severity: "warning" | "info";
  readonly count: number;
  /** The first of them, in directory order. */
  readonly paths: readonly string[];
  /** What it is, and what happens if it is ignored: one or two clauses. */
  readonly message: string;
}

export interface ViewOptions {
  /** Whether nanoseconds are in the digest: they are, they were cut, or its format has none. */
  readonly nanoseconds: "counted" | "cut" | "none";
  /** SOURCE_DATE_EPOCH; null: not set. */
  readonly sourceDate: Date | null;
}

const SHOWN = 5;
/** Directories that are emptied before the digest is computed. */
const EMPTIED = new Set(["boot", "sysroot", "run"]);
const BUILDER_FILES = ["etc/hosts", "etc/hostname", "etc/resolv.conf"];
/** Files that engines put into a running container, but not into images. */
const CONTAINER_FILES = [".dockerenv", "run/.containerenv"];
/** Where the kernel was removed: a layer lists the removed files, and with them the directory. */
const MODULES = /^usr\/lib\/modules\/[^/]+$/;

/** Counts places and keeps the first of them. */
class Places {
  count = 0;
  readonly paths: string[] = [];

  /** @param path as people see it, or its components: few of the many become text */
  add(path: string | readonly Uint8Array[]): void {
    this.count++;
    if (this.paths.length < SHOWN) this.paths.push(typeof path === "string" ? path : displayPath(path));
  }
}

/**
 * Notes about a tree that may make its digest wrong; none for the layers of an image, which are definite.
 * @throws SealError `input` when a file can't be read
 */
export async function viewNotes(
  rootfs: Rootfs,
  { nanoseconds, sourceDate }: ViewOptions,
): Promise<readonly ViewNote[]> {
  if (rootfs.view === "layers") return [];
  const times = surveyTimes(rootfs, sourceDate);
  const notes: ViewNote[] = [];
  const note = (kind: ViewNote["kind"], severity: ViewNote["severity"], { count, paths }: Places, message: string) => {
    if (count > 0) notes.push({ kind, severity, count, paths, message });
  };

  if (nanoseconds === "counted") {
    const message =
      "have nanoseconds, which image layers will not keep: the installed system then computes another digest and does not boot. Seal without --mtime exact";
    note("subsecond-times", "warning", times.subsecond, message);
  } else if (nanoseconds === "cut") {
    const message =
      "have nanoseconds that image layers will not keep; the digest uses whole seconds (--mtime exact to keep them)";
    note("subsecond-times", "info", times.subsecond, message);
    if (times.files.count > 0 && times.files.count * 2 > times.allFiles) {
      const why =
        "have nanoseconds, and they are most of the files: if they come from layers of the base image, the installed system includes them in its digest and does not accept this one. In that case seal the image itself (oci:…)";
      note("base-times", "warning", times.files, why);
    }
  }
  if (times.directories.count * 2 > times.allDirectories && times.files.count * 10 < times.allFiles) {
    const message =
      "have new mtimes, though their files do not: either a package manager in this build changed them, which is fine, or unpacking layers that do not list them did; in the latter case the image has other mtimes there and does not boot";
    note("directory-times", "info", times.directories, message);
  }
  if (rootfs.mount?.dropsTouched === true) {
    const message =
      "have mtimes newer than anything in them: a file was added and removed, or only their mtime was set. BuildKit leaves such a directory out of the layer unless something else in it was removed there; the image then has another digest and does not boot. Copy the tree into one layer before sealing (FROM scratch, COPY --from), or seal the resulting image (seal image)";
    note("touched-directories", "warning", placesOf(touchedDirectories(rootfs)), message);
  }
  const empty = placesOf(BUILDER_FILES.filter((path) => isLeftEmpty(nodeAt(rootfs, path))));
  const left =
    "are as a builder leaves the mount points of its own files (empty, 0755). They are in the digest: a later step that creates or removes them changes the image, which then does not boot";
  note("builder-files", "warning", empty, left);
  const own = placesOf(await foreignPaths(rootfs));
  const mounted =
    "may have been mounted by a container engine (name servers of the build machine and the like): what is mounted is not in the layers, so the image has another digest and does not boot. Mount the image or its stage, or write files of its own";
  note("mounted-files", "warning", own, mounted);
  const rewritten =
    "are newer than SOURCE_DATE_EPOCH: a builder that rewrites timestamps (--timestamp, --rewrite-timestamp) changes their mtimes in the layers, and the image does not boot. Build without rewriting, or seal what was committed";
  note("rewritten-times", "warning", times.newer, rewritten);
  return notes;
}

interface Times {
  readonly allFiles: number;
  readonly allDirectories: number;
  /** Entries with nanoseconds: all of them, regular files, and directories whose contents have none. */
  readonly subsecond: Places;
  readonly files: Places;
  readonly directories: Places;
  /** Later than SOURCE_DATE_EPOCH. */
  readonly newer: Places;
}

/** Only what is in the digest: neither the root nor directories that are emptied. */
function surveyTimes(rootfs: Rootfs, sourceDate: Date | null): Times {
  const limit = sourceDate === null ? null : BigInt(sourceDate.getTime() / 1000);
  const [subsecond, files, directories, newer] = [new Places(), new Places(), new Places(), new Places()];
  let allFiles = 0;
  let allDirectories = 0;
  const seen = new Set<Node>();
  for (const { components, node } of walk(rootfs, "", (path) => !isEmptied(path))) {
    if (isEmptied(components) || seen.has(node)) continue;
    if (node.kind !== "directory") seen.add(node);
    if (limit !== null && node.mtimeSec > limit) newer.add(components);
    if (node.kind === "regular") allFiles++;
    if (node.kind === "directory") allDirectories++;
    if (node.mtimeNsec === 0) continue;
    subsecond.add(components);
    if (node.kind === "regular") files.add(components);
    if (node.kind === "directory" && node.entries.every((entry) => isUntouched(entry.node)))
      directories.add(components);
  }
  return { allFiles, allDirectories, subsecond, files, directories, newer };
}

function isEmptied(components: readonly Uint8Array[]): boolean {
  return components.length === 1 && EMPTIED.has(displayPath(components));
}

/** What a layer says of a file has no nanoseconds; a directory says nothing about its neighbours. */
function isUntouched(node: Node): boolean {
  return node.kind === "directory" || node.mtimeNsec === 0;
}

function isLeftEmpty(node: Node | null): boolean {
  return node !== null && isEmptyFile(node) && (node.mode & 0o111) !== 0;
}

function placesOf(paths: readonly string[]): Places {
  const places = new Places();
  for (const path of paths) places.add(path);
  return places;
}

function touchedDirectories(rootfs: Rootfs): readonly string[] {
  return (rootfs.mount?.touched ?? []).filter((path) => !isBelowEmptied(path) && !isWithoutKernel(rootfs, path));
}

function isBelowEmptied(path: string): boolean {
  return EMPTIED.has(path.split("/", 1)[0] ?? "");
}

function isWithoutKernel(rootfs: Rootfs, path: string): boolean {
  return MODULES.test(path) && nodeAt(rootfs, `${path}/vmlinuz`) === null;
}

/** Paths that do not belong to the tree: mounts in it; in a container also its marker files and /etc/resolv.conf. */
async function foreignPaths(rootfs: Rootfs): Promise<readonly string[]> {
  const mounted = (rootfs.mount?.mounted ?? []).filter((path) => !isBelowEmptied(path));
  const marks = CONTAINER_FILES.filter((path) => nodeAt(rootfs, path) !== null);
  const resolver = "etc/resolv.conf";
  const isForeign = marks.length > 0 && !mounted.includes(resolver) && (await hasResolver(rootfs));
  return [...marks, ...mounted, ...(isForeign ? [resolver] : [])];
}

/** Whether /etc/resolv.conf is a file with name servers, which should not be in an image. */
async function hasResolver(rootfs: Rootfs): Promise<boolean> {
  const node = nodeAt(rootfs, "etc/resolv.conf");
  if (node?.kind !== "regular" || contentSize(node) > 65_536n) return false;
  try {
    const content = await readTreeFile(rootfs, "etc/resolv.conf");
    return content !== null && /^nameserver\s/m.test(Buffer.from(content).toString("latin1"));
  } catch (error) {
    if (error instanceof SealError) return false;
    throw error;
  }
}
