/**
 * Single images as an OCI layout in a directory, for programs that read nothing else and would choose among
 * several in their own way.
 */
import { copyFile, link, mkdir, writeFile } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { inputError } from "../../errors.ts";
import { type Blob, describeManifest, editIndex, editManifest, NEW_INDEX, newManifest } from "../../oci/edit.ts";
import { formatJson } from "../../oci/json.ts";
import { parseManifest } from "../../oci/schemas.ts";
import { writeOutput } from "../files.ts";
import { type ImageSource, isImage, type OpenOptions, type RootfsSource } from "../rootfs-source.ts";
import { BlobWriter, blobPath } from "./blob-writer.ts";
import { carryLayers } from "./carried-layers.ts";
import { dockerImage } from "./docker-archive.ts";
import { type FileStore, openStore } from "./file-store.ts";
import { choiceOf, localImage, thisPlatform } from "./image.ts";
import { findManifest, type ImageChoice } from "./oci-layout.ts";
import { type StoredFile, storedPieces } from "./stored-file.ts";

/**
 * Makes a layout with nothing but the image that was named; blobs are other names of the same files
 * where the filesystem can.
 * @param directory that is not there yet, absolute
 * @returns the reference `oci:DIRECTORY`
 * @throws SealError `input` for what is damaged; as {@link localImage} does
 */
export async function singleLayout(
  source: ImageSource,
  directory: string,
  options: Pick<OpenOptions, "cwd" | "remote" | "platform">,
): Promise<string> {
  const local = await localImage(source, options);
  const { kind, path, subject } = local;
  const store = await openStore(kind, subject, resolve(options.cwd, path));
  const take = kind === "docker-archive" ? convertDockerImage : takeOciImage;
  const manifest = await take(store, choiceOf(local, options), directory);
  // cfsctl pulls for the machine that it runs on only; this one is chosen already.
  const index = editIndex(NEW_INDEX, describeManifest(manifest, thisPlatform(), null), null, subject);
  await writeFile(join(directory, "oci-layout"), JSON.stringify({ imageLayoutVersion: "1.0.0" }));
  await writeFile(join(directory, "index.json"), formatJson(index));
  return `oci:${directory}`;
}

/**
 * Refuses by its name what {@link singleLayout} can't make a layout of.
 * @throws SealError `input`
 */
export function checkImage(source: RootfsSource): ImageSource {
  if (isImage(source)) return source;
  throw inputError(source.subject, "is not an image; give oci:PATH[:TAG], oci-archive:FILE[:TAG] or another image");
}

/** @returns its manifest */
async function takeOciImage(store: FileStore, choice: ImageChoice, directory: string): Promise<Blob> {
  const { descriptor, bytes, subject } = await findManifest(store, choice);
  const { config, layers } = parseManifest(bytes, subject);
  for (const { digest } of [descriptor, config, ...layers]) {
    await takeBlob(await store.find(blobPath(digest)), join(directory, blobPath(digest)));
  }
  return descriptor;
}

/**
 * Layers and configuration stay as they are, the manifest is new: an archive of `docker save` has none.
 * @returns the manifest
 */
async function convertDockerImage(store: FileStore, choice: ImageChoice, directory: string): Promise<Blob> {
  const { documents, layers } = await dockerImage(store, choice);
  const blobs = new BlobWriter(directory, store.subject, { links: "any", isFlushed: false });
  const carried = await carryLayers(layers, { blobs });
  const config = await blobs.add([formatJson(documents.config)]);
  const edit = { config, configAnnotations: {}, layers: [], annotations: {} };
  const manifest = await blobs.add([formatJson(editManifest(newManifest(carried), edit, store.subject))]);
  await blobs.settle();
  return manifest;
}

/** Members of an archive are copied, and so are files on another filesystem or of another owner. */
async function takeBlob(file: StoredFile, target: string): Promise<void> {
  await mkdir(dirname(target), { recursive: true });
  if (file.start !== 0) return writeOutput(target, storedPieces(file));
  await link(file.path, target).catch(() => copyFile(file.path, target));
}
