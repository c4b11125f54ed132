/** One repository of a registry: single manifests go there and come from there as they are, by skopeo. */
import { SealError } from "../../errors.ts";
import { formatBlobDigest } from "../../oci/digest.ts";
import { copyEntry, type StoredLayer } from "../../oci/edit.ts";
import { isIndexType } from "../../oci/media-types.ts";
import { parseReference } from "../../oci/reference.ts";
import type { BlobWriter } from "./blob-writer.ts";
import { writeLayout } from "./image-writer.ts";
import { RegistryClient } from "./registry-client.ts";
import type { RemoteImages } from "./remote-images.ts";
import { copyBySkopeo, type SkopeoOptions } from "./skopeo.ts";

/** Where a registry is asked, and how. */
export interface Repository {
  /** With its registry: `ghcr.io/me/os`. */
  readonly name: string;
  readonly client: RegistryClient;
  readonly options: SkopeoOptions;
}

/**
 * Attestations carry signatures of their own, which are checked here; what a machine demands of
 * images is another matter.
 */
const GLOBAL = ["--insecure-policy"];
const AS_IT_IS = ["--preserve-digests"];
/** In the layout of what is pushed. */
const PUSHED = "pushed";

/**
 * The repository of an image.
 * @param reference `docker://…`
 * @throws SealError `usage` for what is not a name of an image
 */
export function repositoryOf(reference: string, { options }: RemoteImages): Repository {
  const parsed = parseReference(reference.replace(/^docker:\/\//, ""));
  if (parsed === null) throw new SealError("usage", `${reference}: is not an image name; give docker://HOST/NAME:TAG`);
  return { name: parsed.name, client: new RegistryClient(parsed.name, options), options };
}

/** What skopeo calls a manifest there. */
export function manifestAt({ name }: Repository, digest: string): string {
  return `docker://${name}@${digest}`;
}

/**
 * Copies one manifest and its blobs.
 * @param layout absolute path of one that is there, or will be then; the manifest gets its digest as a tag, with `-`
 *   in place of the colon
 * @throws SealError `external` when skopeo fails
 */
export async function pullManifest(repository: Repository, digest: string, layout: string): Promise<void> {
  const copy = { reference: manifestAt(repository, digest), layout: `${layout}:${digest.replace(":", "-")}` };
  await copyBySkopeo({ ...copy, end: "src", global: GLOBAL, options: AS_IT_IS }, repository.options);
}

/**
 * Pushes one manifest and its blobs, or an index of manifests that are there already.
 * @param layout absolute path of one that is there, or will be then
 * @param tag that it gets; null: none
 * @param write writes all of it
 * @returns what `write` returned
 * @throws SealError `external` when skopeo fails
 */
export async function pushManifest<Written extends StoredLayer>(
  repository: Repository,
  { layout, tag }: { readonly layout: string; readonly tag: string | null },
  write: (blobs: BlobWriter) => Promise<Written>,
): Promise<Written> {
  const subject = `docker://${repository.name}`;
  const written = await writeLayout<Written>(
    { kind: "oci", path: layout, tag: PUSHED, subject, isTemporary: true },
    { write: ({ blobs }) => write(blobs), check: async () => {} },
    {
      edit: (index, { mediaType, digest, size }, subject) =>
        copyEntry(index, { mediaType, digest, size, platform: undefined }, PUSHED, subject),
      refuse: () => {},
    },
  );
  const reference = tag === null ? manifestAt(repository, formatBlobDigest(written.digest)) : `${subject}:${tag}`;
  const options = [...AS_IT_IS, ...(isIndexType(written.mediaType) ? ["--multi-arch", "index-only"] : [])];
  const copy = { reference, layout: `${layout}:${PUSHED}`, global: GLOBAL, options };
  await copyBySkopeo({ ...copy, end: "dest" }, repository.options);
  return written;
}
