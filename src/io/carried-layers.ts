/** Layers that go from one image into another, byte for byte, while they are read for their digest. */
import { inputError } from "../errors.ts";
import type { Blob, StoredLayer } from "../oci/edit.ts";
import { LAYER_TYPE } from "../oci/media-types.ts";
import { compressionOf } from "./decompress.ts";
import type { StagedImage } from "./image-writer.ts";
import type { Layer, LayerTap } from "./layer.ts";
import { readAt, readStored } from "./stored-file.ts";

export class CarriedLayers {
  readonly #image: StagedImage;
  readonly #blobs = new Map<Layer, Blob>();

  /** @param image the one that they go into */
  constructor(image: StagedImage) {
    this.#image = image;
  }

  /** Copies each layer that is read through it, see `readLayer`. */
  readonly tap: LayerTap = (layer, stored) => this.#copied(layer, stored);

  async *#copied(layer: Layer, stored: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
    const { blobs } = this.#image;
    const { digest, file } = layer;
    if (digest !== null && (await blobs.takeOver(file, digest))) {
      this.#blobs.set(layer, { digest, size: file.size });
      yield* stored;
      return;
    }
    // Who reads a layer to its end checks its digest.
    const blob = await blobs.open(digest ?? "sha256");
    let finished = false;
    try {
      for await (const chunk of stored) {
        await blob.write(chunk);
        yield chunk;
      }
      this.#blobs.set(layer, await blob.finish());
      finished = true;
    } finally {
      if (!finished) await blob.abandon();
    }
  }

  /**
   * The copies. Their media types tell what they are, whatever the image that they come from says.
   * @param layers which have been read by now; of what a reader had no need for to its end, the copy is made here
   * @throws SealError `input` when a layer is another one than when it was read
   */
  async finish(layers: readonly Layer[]): Promise<readonly StoredLayer[]> {
    const copies: StoredLayer[] = [];
    for (const layer of layers) {
      const { digest, file } = layer;
      const blob = this.#blobs.get(layer) ?? (await this.#image.blobs.add(readStored(file), digest?.algorithm));
      if (digest !== null && blob.digest.hex !== digest.hex) {
        throw inputError(file.subject, "was changed while it was read; run seal again when nothing writes to it");
      }
      const compression = compressionOf(await readAt(file, 0, 4));
      copies.push({ ...blob, mediaType: compression === "none" ? LAYER_TYPE : `${LAYER_TYPE}+${compression}` });
    }
    return copies;
  }
}
