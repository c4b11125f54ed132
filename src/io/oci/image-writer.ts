/**
 * Writes an image to an OCI layout, a directory or an archive. All of it is made as a separate layout under a temporary
 * name next to its place, read back there, and then moved: a new directory and an archive by one rename. What goes into
 * a new directory is flushed only where machines boot from, see {@link isBootedFrom}. Into a layout that is there the
 * blobs are moved first and `index.json` is replaced at last, by rename too, so that every tag means the old image or
 * the new one at each moment; blobs that nothing refers to any more stay there.
 */
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { mkdir, readdir, realpath, rename, rm, stat, writeFile } from "node:fs/promises";
import { join, relative } from "node:path";
import { inputError } from "../../errors.ts";
import { type Blob, describeIndex, describeManifest, editIndex, NEW_INDEX } from "../../oci/edit.ts";
import { formatJson, type JsonObject, parseJsonObject } from "../../oci/json.ts";
import type { Platform } from "../../oci/platform.ts";
import { checkLayoutMarker, parseIndex } from "../../oci/schemas.ts";
import { isBootedFrom } from "../booted-from.ts";
import { inPlaceOf, isSystemError, reasonOf, writeOutput } from "../files.ts";
import { refuseOccupied, renameProblem } from "../new-directory.ts";
import { BlobWriter, type LinkSource } from "./blob-writer.ts";
import type { LayoutTarget } from "./image-target.ts";
import { layoutArchive, layoutSize } from "./layout-archive.ts";
import { ReadBack } from "./read-back.ts";
import type { CopyProgress } from "./remote-images.ts";

/** An image that is being written. */
export interface StagedImage {
  readonly blobs: BlobWriter;
  /** Hashes layers of it before all is written; null: it is read back in another form. */
  readonly readBack: ReadBack | null;
}

/** What has been written, for the index. */
export interface WrittenImage {
  readonly manifest: Blob;
  readonly platform: Platform;
}

/** What has been written of several images: their index, and they themselves. */
export interface WrittenIndex {
  readonly index: Blob;
}

/** One image or several. */
export type AnyWritten = WrittenImage | WrittenIndex;

export interface LayoutWork<Written> {
  /** Writes blobs: layers, configuration, manifest; of several images those of all, and an index. */
  readonly write: (image: StagedImage) => Promise<Written>;
  /** Called when an archive is begun, for its progress. */
  readonly archiving?: () => CopyProgress;
  /** Reads what was written, before it gets its name. Throws when something is wrong. */
  readonly check: (place: WrittenPlace, written: Written) => Promise<void>;
}
export type ImageWork<Written extends AnyWritten = WrittenImage> = LayoutWork<Written>;

/** How what was written gets into an `index.json`: its own, and that of a layout that is there. */
interface IndexEdit<Written> {
  /** @throws SealError `input` for an index that it can't get into; `subject` is the layout in messages */
  readonly edit: (index: JsonObject, written: Written, subject: string) => JsonObject;
  /** Throws for an index that nothing could get into, before anything is written. */
  readonly refuse: (index: JsonObject, subject: string) => void;
}

/** Where an image, or an index, is that does not have its name yet: the only one there. */
export interface WrittenPlace {
  readonly kind: LayoutTarget["kind"];
  /** Absolute. */
  readonly path: string;
  /** What hashes layers of it since they were written. */
  readonly readBack?: ReadBack | undefined;
}

const MARKER = formatJson({ imageLayoutVersion: "1.0.0" });

/**
 * Writes an image, or several with their index, and returns what `work.write` returned. On failure, and when a signal
 * ends the process, the target is as it was.
 * @throws SealError `input` when something else is at that place, or it can't be written
 */
export async function writeOciImage<Written extends AnyWritten>(
  target: LayoutTarget,
  work: ImageWork<Written>,
): Promise<Written> {
  const { tag } = target;
  return writeLayout(target, work, {
    edit: (index, written, subject) => editIndex(index, describeWritten(written, target), tag, subject),
    refuse: (index, subject) => {
      editIndex(index, {}, tag, subject);
    },
  });
}

/**
 * Writes blobs and an index into a layout, see {@link writeOciImage}.
 * @throws SealError `input` as {@link writeOciImage}
 */
export async function writeLayout<Written>(
  target: LayoutTarget,
  work: LayoutWork<Written>,
  { edit, refuse }: IndexEdit<Written>,
): Promise<Written> {
  const place = await findPlace(target, refuse);
  try {
    return await inPlaceOf(place.beside, async (temporary) => {
      const layout = join(temporary, "layout");
      // One at a time: where nothing can be made (/proc), Node's recursive mkdir never ends.
      for (const directory of [temporary, layout, join(layout, "blobs")]) await mkdir(directory);
      const links = linksFor(target, place);
      // What is there for a while only need not outlast a power failure.
      const isFlushed = links !== "any" && (await isKept(place));
      const blobs = new BlobWriter(layout, target.subject, { links, isFlushed });
      const readBack = target.kind === "oci" ? new ReadBack(layout) : null;
      try {
        const written = await work.write({ blobs, readBack });
        await writeFile(join(layout, "oci-layout"), MARKER, { flush: isFlushed });
        await writeFile(join(layout, "index.json"), formatJson(edit(NEW_INDEX, written, "")), { flush: isFlushed });
        if (target.kind === "oci-archive") {
          const archive = join(temporary, "archive");
          const progress = work.archiving?.() ?? null;
          await writeOutput(archive, counted(layoutArchive(layout), progress, await layoutSize(layout)));
          await work.check({ kind: "oci-archive", path: archive }, written);
          await blobs.settle();
          await rename(archive, place.path);
        } else {
          await work.check({ kind: "oci", path: layout, readBack: readBack ?? undefined }, written);
          await blobs.settle();
          // Another process may have made the layout meanwhile.
          const isThere = place.layout !== null || existsSync(join(place.path, "index.json"));
          if (isThere) mergeLayout(layout, place.path, target.subject, (index) => edit(index, written, target.subject));
          else await rename(layout, place.path);
        }
        await rm(temporary, { recursive: true, force: true });
        return written;
      } finally {
        await readBack?.close();
      }
    });
  } catch (error) {
    throw renameProblem(target.subject, error);
  }
}

function describeWritten(written: AnyWritten, { tag }: LayoutTarget): JsonObject {
  return "index" in written
    ? describeIndex(written.index, tag)
    : describeManifest(written.manifest, written.platform, tag);
}

/** @param size of the files in the archive */
async function* counted(
  chunks: AsyncIterable<Uint8Array>,
  progress: CopyProgress | null,
  size: number,
): AsyncGenerator<Uint8Array> {
  let bytes = 0;
  for await (const chunk of chunks) {
    yield chunk;
    bytes += chunk.length;
    progress?.onBytes(bytes, Math.min(bytes / size, 1));
  }
  progress?.done(bytes);
}

/** What the temporary layout may share: of an archive it is only what it is made from. */
function linksFor({ kind, isTemporary = false }: LayoutTarget, { layout }: Place): LinkSource {
  if (kind === "oci-archive" || isTemporary) return "any";
  return layout === null ? null : { layout };
}

/** Whether a power failure must not take what is written: a directory that a build makes can be made again. */
async function isKept({ path }: Place): Promise<boolean> {
  return existsSync(path) || (await isBootedFrom(path));
}

interface Place {
  /** What will be replaced or added to, symlinks resolved. */
  readonly path: string;
  /** Path whose neighbour the temporary directory is. */
  readonly beside: string;
  /** The layout that is there already; null: none, or an archive. */
  readonly layout: string | null;
}

async function findPlace(
  { kind, path: given, subject }: LayoutTarget,
  refuse: IndexEdit<never>["refuse"],
): Promise<Place> {
  const path = await realpath(given).catch(() => given);
  const stats = await stat(path).catch((error: unknown) => {
    if (isSystemError(error) && error.code === "ENOENT") return null;
    throw inputError(subject, `can't be written: ${reasonOf(error)}`, error);
  });
  if (kind === "oci-archive") {
    if (stats !== null && !stats.isFile())
      throw inputError(subject, "already exists and is not a file; give another path");
    return { path, beside: path, layout: null };
  }
  if (stats === null) return { path, beside: path, layout: null };
  if (!stats.isDirectory()) throw inputError(subject, "already exists and is not a directory; give another path");
  if (!(await readdir(path)).includes("index.json")) {
    await refuseOccupied(path, subject);
    return { path, beside: path, layout: null };
  }
  // Found now, before half a gigabyte is read, and looked at again in the end.
  refuse(readIndex(path, subject), subject);
  return { path, beside: join(path, "index.json"), layout: path };
}

/** The `index.json` of a layout. @throws SealError `input` when the layout is damaged */
function readIndex(layout: string, subject: string): JsonObject {
  try {
    checkLayoutMarker(readFileSync(join(layout, "oci-layout")), `${subject}: oci-layout`);
    const bytes = readFileSync(join(layout, "index.json"));
    parseIndex(bytes, `${subject}: index.json`);
    return parseJsonObject(bytes, `${subject}: index.json`);
  } catch (error) {
    throw isSystemError(error) ? inputError(subject, `can't be read: ${reasonOf(error)}`, error) : error;
  }
}

/** Adds a layout to another one. Without a pause, so that no signal finds it half done. */
function mergeLayout(from: string, to: string, subject: string, edit: (index: JsonObject) => JsonObject): void {
  const temporary = join(from, "index.json");
  const place = join(to, "index.json");
  const added: string[] = [];
  try {
    for (const entry of readdirSync(join(from, "blobs"), { recursive: true, withFileTypes: true })) {
      const path = join(entry.parentPath, entry.name);
      const target = join(to, relative(from, path));
      if (entry.isDirectory()) mkdirSync(target, { recursive: true });
      else {
        if (!existsSync(target)) added.push(target);
        renameSync(path, target);
      }
    }
    // Another process may add its own image while this one gets to the disk: only what was edited is replaced.
    for (let read: Buffer | null = null; read === null || !readFileSync(place).equals(read); ) {
      read = readFileSync(place);
      const index = formatJson(edit(readIndex(to, subject)));
      writeFileSync(temporary, index, { flush: true });
    }
    renameSync(temporary, place);
  } catch (error) {
    for (const path of added) rmSync(path, { force: true });
    throw error;
  }
}
