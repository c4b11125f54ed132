/** Media types of images, OCI's and Docker's, and which of them can be read. */
import { inputError } from "../errors.ts";

export const INDEX_TYPE = "application/vnd.oci.image.index.v1+json";
export const MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json";
export const CONFIG_TYPE = "application/vnd.oci.image.config.v1+json";
/** A layer that is not compressed. */
export const LAYER_TYPE = "application/vnd.oci.image.layer.v1.tar";

const INDEXES = [INDEX_TYPE, "application/vnd.docker.distribution.manifest.list.v2+json"];
/** Of single images. */
export const MANIFESTS = [MANIFEST_TYPE, "application/vnd.docker.distribution.manifest.v2+json"];
const LAYER =
  /^application\/vnd\.(?:oci\.image\.layer\.v1\.tar|docker\.image\.rootfs\.diff\.tar)(?:[+.](?:gzip|zstd))?$/;

export type ManifestKind = "index" | "manifest";

/** Whether a descriptor is of an index, OCI's or Docker's. */
export function isIndexType(mediaType: string): boolean {
  return INDEXES.includes(mediaType);
}

/** Whether a descriptor is of an image or an index, OCI's or Docker's. */
export function isImageType(mediaType: string): boolean {
  return isIndexType(mediaType) || MANIFESTS.includes(mediaType);
}

/** @throws SealError `input` for what is neither an index nor a manifest of an image */
export function manifestKind(mediaType: string, subject: string): ManifestKind {
  if (isIndexType(mediaType)) return "index";
  if (MANIFESTS.includes(mediaType)) return "manifest";
  throw inputError(subject, `has the media type ${JSON.stringify(mediaType)}, which is not an image`);
}

/**
 * A layer must be an unencrypted tar archive that is here. Its first bytes show how it is compressed: tools have
 * written wrong media types, and the digest of the unpacked layer shows whether it was read correctly.
 * @throws SealError `input` for foreign and encrypted layers, and what is not a filesystem layer
 */
export function checkLayerType(mediaType: string, subject: string): void {
  if (mediaType.endsWith("+encrypted")) {
    throw inputError(subject, "is encrypted; decrypt the image first (skopeo copy --decryption-key)");
  }
  if (/nondistributable|foreign/.test(mediaType)) {
    throw inputError(subject, "is a foreign layer, whose content is not part of the image; seal can't read it");
  }
  if (!LAYER.test(mediaType)) {
    throw inputError(
      subject,
      `has the media type ${JSON.stringify(mediaType)}, which is not a layer of a root filesystem`,
    );
  }
}

/** How a layer of that type is compressed, for readers that trust it. */
export function layerType(mediaType: string): "gzip" | "zstd" | "none" {
  const [, compression] = /[+.](gzip|zstd)$/.exec(mediaType) ?? [];
  return compression === "gzip" || compression === "zstd" ? compression : "none";
}

/** OCI's name for what Docker calls a layer; every other name as it is. */
export function ociLayerType(mediaType: string): string {
  const [, compression] =
    /^application\/vnd\.docker\.image\.rootfs\.diff\.tar(?:[+.](gzip|zstd))?$/.exec(mediaType) ?? [];
  if (compression !== undefined) return `${LAYER_TYPE}+${compression}`;
  return mediaType === "application/vnd.docker.image.rootfs.diff.tar" ? LAYER_TYPE : mediaType;
}
