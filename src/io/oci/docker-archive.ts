/** Finds the layers of an image in an archive of `docker save`, old and new, and of tools that write the same. */
import { type BlobDigest, parseBlobDigest } from "../../oci/digest.ts";
import { parseJsonObject } from "../../oci/json.ts";
import { parseConfig, parseDockerSave, type StoredImage } from "../../oci/schemas.ts";
import { selectDockerImage } from "../../oci/select.ts";
import type { FileStore } from "./file-store.ts";
import { checkBlob, type Layer } from "./layer.ts";
import { checkCount, checkPlatform, type ImageChoice, readJson } from "./oci-layout.ts";

/**
 * Finds an image and its layers. Only the configuration says what they must be.
 * @throws SealError `input` for an archive that is damaged or lacks the image
 */
export async function dockerImage(store: FileStore, choice: ImageChoice): Promise<StoredImage<Layer>> {
  const list = await store.find("manifest.json");
  const image = selectDockerImage(parseDockerSave(await readJson(list), list.subject), choice.reference, store.subject);
  const configFile = await store.find(image.Config);
  const bytes = await readJson(configFile);
  const digest = nameDigest(image.Config);
  if (digest !== null) checkBlob(bytes, digest, configFile.subject);
  const config = parseConfig(bytes, configFile.subject);
  checkPlatform(config, choice, store.subject);
  const diffIds = checkCount(config, image.Layers.length, list.subject);
  const layers: Layer[] = [];
  for (const [index, name] of image.Layers.entries()) {
    const diffId = diffIds[index] ?? null;
    layers.push({ file: await store.find(name), digest: null, diffId, mediaType: null, negativeTimes: false });
  }
  return { config, documents: { config: parseJsonObject(bytes, configFile.subject), manifest: null }, layers };
}

/** Configurations are named by their SHA-256, with or without `.json`. */
function nameDigest(path: string): BlobDigest | null {
  return parseBlobDigest(`sha256:${path.replace(/^blobs\/sha256\//, "").replace(/\.json$/, "")}`);
}
