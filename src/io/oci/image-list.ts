/** Lists the images of a multi-platform image: those of its index, and of the indexes in it. */
import { resolve } from "node:path";
import { inputError } from "../../errors.ts";
import { formatBlobDigest } from "../../oci/digest.ts";
import { NEW_INDEX, withAnnotations, without } from "../../oci/edit.ts";
import { arrayOf, type JsonObject, objectOf, parseJsonObject } from "../../oci/json.ts";
import { isIndexType } from "../../oci/media-types.ts";
import type { Platform } from "../../oci/platform.ts";
import { type OtherEntry, otherEntry } from "../../oci/platform-index.ts";
import { type Descriptor, parseConfig, parseIndex, parseManifest } from "../../oci/schemas.ts";
import { REF_NAME, taggedImages } from "../../oci/select.ts";
import type { ImageSource, LocalImageSource, OpenOptions } from "../rootfs-source.ts";
import { type FileStore, openStore } from "./file-store.ts";
import { localImage } from "./image.ts";
import { ENDLESS, INNER_INDEXES, readBlob, readIndex } from "./oci-layout.ts";

/** An image of several. */
export interface ListedImage {
  /** Its digest, which is that of its manifest. */
  readonly digest: string;
  /** As its index has it, else its configuration. */
  readonly platform: Platform;
  /** Its entry, as in the index. */
  readonly entry: JsonObject;
  /** Reads it, and no other one. */
  readonly source: LocalImageSource & { readonly manifest: Descriptor };
}

/** The images that an image index lists. */
export interface ImageList {
  /** What messages call it. */
  readonly subject: string;
  /** What the reference means in the layout's own index: an index, an image, or one image for each platform. */
  readonly entries: readonly Descriptor[];
  /** The index as it is; a new one if the images are in the layout's own. */
  readonly index: JsonObject;
  /** In the order of the index; a nested index is replaced by its images. */
  readonly images: readonly ListedImage[];
  /** Everything else in it. */
  readonly others: readonly OtherEntry[];
}

/**
 * The images for all platforms. An image that has no index is the only one of its list.
 * @throws SealError `input` for what is damaged, hostile, missing or can't have several images; as `localImage`
 */
export async function listImages(
  source: ImageSource,
  options: Pick<OpenOptions, "cwd" | "remote">,
): Promise<ImageList> {
  const local = await localImage(source, options, "all");
  const { kind, subject, path, reference } = local;
  if (kind === "docker-archive") {
    throw inputError(
      subject,
      "has no index; only oci:, oci-archive: and docker:// can have images for several platforms",
    );
  }
  const store = await openStore(kind, subject, resolve(options.cwd, path));
  const top = readEntries(await readIndex(store), `${subject}: index.json`);
  const tagged = taggedImages(
    top.entries.map(({ descriptor }) => descriptor),
    reference,
    subject,
  );
  const entries = top.entries.filter(({ descriptor }) => tagged.includes(descriptor));
  const lister = new Lister(store, local);
  const [only, second] = entries;
  if (only !== undefined && second === undefined && isIndex(only)) {
    const { index, entries: inner } = await lister.open(only);
    await lister.add(inner);
    return { subject, entries: tagged, index, images: lister.images, others: lister.others };
  }
  await lister.add(entries.map(withoutTag));
  return { subject, entries: tagged, index: NEW_INDEX, images: lister.images, others: lister.others };
}

interface Entry {
  readonly descriptor: Descriptor;
  readonly entry: JsonObject;
}

interface Index {
  readonly index: JsonObject;
  readonly entries: readonly Entry[];
}

/** An index twice: with what seal knows, and with everything in it. */
function readEntries(bytes: Uint8Array, subject: string): Index {
  const { manifests } = parseIndex(bytes, subject);
  const index = parseJsonObject(bytes, subject);
  const entries = arrayOf(index["manifests"], `${subject}: manifests`);
  return {
    index,
    entries: manifests.map((descriptor, place) => ({ descriptor, entry: objectOf(entries[place], subject) })),
  };
}

function isIndex({ descriptor }: Entry): boolean {
  return isIndexType(descriptor.mediaType);
}

/** A tag is an image's name in a layout; in an index it would be another one. */
function withoutTag({ descriptor, entry }: Entry): Entry {
  const annotations = without(objectOf(entry["annotations"], "annotations"), [REF_NAME]);
  return { descriptor, entry: withAnnotations(entry, annotations) };
}

class Lister {
  readonly images: ListedImage[] = [];
  readonly others: OtherEntry[] = [];
  readonly #store: FileStore;
  readonly #source: LocalImageSource;
  /** Indexes that have been read: one that came back again and again could fill the memory. */
  readonly #seen = new Set<string>();

  constructor(store: FileStore, source: LocalImageSource) {
    this.#store = store;
    this.#source = source;
  }

  async open({ descriptor }: Entry): Promise<Index> {
    const { subject } = this.#store;
    const digest = formatBlobDigest(descriptor.digest);
    if (this.#seen.has(digest)) throw inputError(subject, `lists the index ${digest} twice`);
    this.#seen.add(digest);
    if (this.#seen.size > INNER_INDEXES) throw inputError(subject, ENDLESS);
    return readEntries(await readBlob(this.#store, descriptor), `${subject}: ${digest}`);
  }

  async add(entries: readonly Entry[]): Promise<void> {
    for (const one of entries) {
      const { descriptor, entry } = one;
      const other = otherEntry(descriptor, entry);
      if (other !== null) this.others.push(other);
      else if (isIndex(one)) await this.add((await this.open(one)).entries);
      else {
        this.images.push({
          digest: formatBlobDigest(descriptor.digest),
          platform: descriptor.platform ?? (await this.#platformOf(descriptor)),
          entry,
          source: { ...this.#source, manifest: descriptor },
        });
      }
    }
  }

  async #platformOf(descriptor: Descriptor): Promise<Platform> {
    const subject = `${this.#store.subject}: ${formatBlobDigest(descriptor.digest)}`;
    const manifest = parseManifest(await readBlob(this.#store, descriptor), subject);
    const { os, architecture, variant } = parseConfig(await readBlob(this.#store, manifest.config), subject);
    if (os !== "" && architecture !== "") return { os, architecture, variant };
    throw inputError(subject, "does not say which platform it is for");
  }
}
