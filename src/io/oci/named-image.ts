/** What a name of an image means: the digest of the image that is chosen, and what there is to choose from. */
import { createHash } from "node:crypto";
import { resolve } from "node:path";
import { formatBlobDigest } from "../../oci/digest.ts";
import { parseJsonObject } from "../../oci/json.ts";
import { isImageType, isIndexType } from "../../oci/media-types.ts";
import { formatPlatform, parsePlatform } from "../../oci/platform.ts";
import { parseIndex } from "../../oci/schemas.ts";
import { selectPlatform } from "../../oci/select.ts";
import type { ImageSource, OpenOptions } from "../rootfs-source.ts";
import { openStore } from "./file-store.ts";
import { choiceOf, requireRemote, thisPlatform } from "./image.ts";
import { listImages } from "./image-list.ts";
import { findManifest } from "./oci-layout.ts";

export interface NamedImage {
  /** Of the manifest of the chosen image; null: it has none (archives of `docker save`, docker's daemon). */
  readonly digest: string | null;
  /** The images of its index, in that order; empty where it has none. */
  readonly platforms: readonly { readonly platform: string; readonly digest: string }[];
}

/**
 * Looks a name up, without copying what is elsewhere.
 * @throws SealError `input` for what is damaged or lacks the image; `external` when skopeo is missing or fails
 */
export async function namedImage(
  source: ImageSource,
  options: Pick<OpenOptions, "cwd" | "remote" | "platform">,
): Promise<NamedImage> {
  if (source.kind === "docker-archive" || source.kind === "docker-daemon") return { digest: null, platforms: [] };
  if (!("path" in source)) return remoteImage(source.subject, options);
  const { images } = await listImages(source, options);
  const store = await openStore(source.kind, source.subject, resolve(options.cwd, source.path));
  const { descriptor } = await findManifest(store, choiceOf(source, options));
  const platforms = images.map(({ platform, digest }) => ({ platform: formatPlatform(platform), digest }));
  return { digest: formatBlobDigest(descriptor.digest), platforms: platforms.length > 1 ? platforms : [] };
}

/**
 * The digest of what a name of a registry means: an image or an index; with a platform that image.
 * @throws SealError `input` for what is damaged or lacks the image; `external` when skopeo is missing or fails
 */
export async function digestThere(
  subject: string,
  options: Pick<OpenOptions, "remote" | "platform">,
): Promise<string | null> {
  if (options.platform !== undefined) return (await remoteImage(subject, options)).digest;
  return digestOf(await requireRemote(subject, options.remote).manifest(subject));
}

function digestOf(bytes: Uint8Array): string {
  return `sha256:${createHash("sha256").update(bytes).digest("hex")}`;
}

async function remoteImage(subject: string, options: Pick<OpenOptions, "remote" | "platform">): Promise<NamedImage> {
  const bytes = await requireRemote(subject, options.remote).manifest(subject);
  const { mediaType } = parseJsonObject(bytes, subject);
  if (typeof mediaType !== "string" || !isIndexType(mediaType)) {
    return { digest: digestOf(bytes), platforms: [] };
  }
  const { manifests } = parseIndex(bytes, subject);
  const platform = options.platform === undefined ? thisPlatform() : parsePlatform(options.platform);
  return {
    digest: formatBlobDigest(selectPlatform(manifests, platform, subject).digest),
    platforms: manifests.flatMap((one) =>
      one.platform === undefined || one.platform.os === "unknown" || !isImageType(one.mediaType)
        ? []
        : [{ platform: formatPlatform(one.platform), digest: formatBlobDigest(one.digest) }],
    ),
  };
}
