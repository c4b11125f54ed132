/** Something that is attached to an image, and how it is stored: as a manifest that refers to that of the image. */
import type { Annotations, Blob, StoredLayer } from "../../oci/edit.ts";
import { formatJson, type JsonObject } from "../../oci/json.ts";
import { describeReferrer, EMPTY_CONFIG, referrerManifest } from "../../oci/referrer.ts";
import type { BlobWriter } from "./blob-writer.ts";

/** Something that is about an image. */
export interface Attachment {
  /** The manifest of the image. */
  readonly image: StoredLayer;
  readonly artifactType: string;
  readonly bytes: Uint8Array;
  /** Of its manifest, which is a function of them and the bytes: the same attachment is there once. */
  readonly annotations: Annotations;
}

/** A referrer that has been written. */
export interface WrittenReferrer {
  readonly manifest: Blob;
  /** Its entry in an index. */
  readonly entry: JsonObject;
}

/** Writes what is attached, and a manifest that says to what. @throws SealError `input` when it can't be written */
export async function writeReferrer(
  blobs: BlobWriter,
  { image, artifactType, bytes, annotations }: Attachment,
): Promise<WrittenReferrer> {
  const config = await blobs.add([EMPTY_CONFIG]);
  const content = await blobs.add([bytes]);
  const parts = { subject: image, artifactType, content, config, annotations };
  const manifest = await blobs.add([formatJson(referrerManifest(parts))]);
  return { manifest, entry: describeReferrer(manifest, artifactType, annotations) };
}
