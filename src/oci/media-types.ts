/** Media types of images, OCI's and Docker's, and which of them can be read. */
import { inputError } from "../errors.ts";

const INDEXES = [
  "application/vnd.oci.image.index.v1+json",
  "application/vnd.docker.distribution.manifest.list.v2+json",
];
const MANIFESTS = [
  "application/vnd.oci.image.manifest.v1+json",
  "application/vnd.docker.distribution.manifest.v2+json",
];
const LAYER =
  /^application\/vnd\.(?:oci\.image\.layer\.v1\.tar|docker\.image\.rootfs\.diff\.tar)(?:[+.](?:gzip|zstd))?$/;

export type ManifestKind = "index" | "manifest";

/** @throws SealError `input` for what is neither an index nor a manifest of an image */
export function manifestKind(mediaType: string, subject: string): ManifestKind {
  if (INDEXES.includes(mediaType)) return "index";
  if (MANIFESTS.includes(mediaType)) return "manifest";
  throw inputError(subject, `has the media type ${JSON.stringify(mediaType)}, which is no image`);
}

/**
 * A layer must be a tar archive that lies here in the clear. How it is compressed shows in its first bytes: tools have written wrong
 * media types, and the digest of the unpacked layer tells whether it was read right.
 * @throws SealError `input` for foreign and encrypted layers, and what is no layer of a filesystem
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
      `has the media type ${JSON.stringify(mediaType)}, which is no layer of a root filesystem`,
    );
  }
}
