/** Single images as an OCI layout in a directory, for programs that read nothing else and would choose among several in their own way. */
import { copyFile, link, mkdir, writeFile } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { inputError, type SealError } from "../errors.ts";
import { formatBlobDigest } from "../oci/digest.ts";
import { parseManifest } from "../oci/schemas.ts";
import { blobPath } from "./blob-writer.ts";
import { writeOutput } from "./files.ts";
import { choiceOf, localImage, thisPlatform } from "./image.ts";
import { findManifest } from "./oci-layout.ts";
import { type OpenOptions, parseRootfsSpec } from "./rootfs.ts";
import { archiveStore, directoryStore, readStored, type StoredFile } from "./stored-file.ts";

/**
 * Makes a layout with nothing but the image that was named; blobs are other names of the same files where the filesystem can.
 * @param spec ROOTFS argument
 * @param directory that is not there yet, absolute
 * @returns the reference `oci:DIRECTORY`
 * @throws SealError `input` for what is no OCI image or is damaged; as {@link localImage} does
 */
export async function singleLayout(
  spec: string,
  directory: string,
  options: Pick<OpenOptions, "cwd" | "remote" | "platform">,
): Promise<string> {
  const local = await localImage(checkImage(spec), spec, options);
  const path = resolve(options.cwd, local.path);
  if (local.kind !== "oci" && local.kind !== "oci-archive") throw noOciImage(spec);
  const store = local.kind === "oci" ? directoryStore(spec, path) : await archiveStore(spec, path);
  const { descriptor, bytes, subject } = await findManifest(store, choiceOf(local.reference, options));
  const { config, layers } = parseManifest(bytes, subject);
  for (const { digest } of [descriptor, config, ...layers]) {
    await takeBlob(await store.find(blobPath(digest)), join(directory, blobPath(digest)));
  }
  const { mediaType, digest, size } = descriptor;
  // cfsctl pulls for the machine that it runs on only; this one is chosen already.
  const manifests = [{ mediaType, digest: formatBlobDigest(digest), size, platform: thisPlatform() }];
  await writeFile(join(directory, "oci-layout"), JSON.stringify({ imageLayoutVersion: "1.0.0" }));
  await writeFile(join(directory, "index.json"), JSON.stringify({ schemaVersion: 2, manifests }));
  return `oci:${directory}`;
}

/**
 * Refuses by its name what {@link singleLayout} can't make a layout of.
 * @throws SealError `input`
 */
export function checkImage(spec: string) {
  const parsed = parseRootfsSpec(spec);
  switch (parsed.kind) {
    case "dir":
    case "dumpfile":
    case "erofs":
    case "tar":
      throw inputError(spec, "is no image; give oci:PATH[:TAG], oci-archive:FILE[:TAG] or another image");
    case "docker-archive":
      throw noOciImage(spec);
    default:
      return parsed;
  }
}

function noOciImage(spec: string): SealError {
  return inputError(spec, "is no OCI image; copy it first: skopeo copy … oci:PATH:TAG");
}

/** What lies in an archive is copied, and so is what lies on another filesystem or belongs to somebody else. */
async function takeBlob(file: StoredFile, target: string): Promise<void> {
  await mkdir(dirname(target), { recursive: true });
  if (file.start !== 0) return writeOutput(target, readStored(file));
  await link(file.path, target).catch(() => copyFile(file.path, target));
}
