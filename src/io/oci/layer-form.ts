/**
 * How layers are stored, as far as a reader that trusts media types, or stops after the first part, can't unpack them.
 */
import type { LayerForm, StoredForm } from "../../oci/layer-form.ts";
import { layerType } from "../../oci/media-types.ts";
import type { Compression } from "./decompress.ts";

/** What a layer is, and what its image says that it is. @param mediaType null: the image says nothing */
export function layerForm(
  { mediaType }: { readonly mediaType: string | null },
  { compression, isOnePart }: StoredForm,
): LayerForm {
  const wrongType = mediaType === null || layerType(mediaType) === compression ? null : mediaType;
  return { compression, wrongType, isOnePart };
}

/** Finds out how a layer is stored while it is unpacked. */
export class FormWatcher {
  readonly #compression: Compression;
  /** The last four bytes. */
  #tail = Buffer.alloc(0);
  #isFirstData: boolean | null = null;
  #dataFrames = 0;

  constructor(compression: Compression) {
    this.#compression = compression;
  }

  /** The next bytes of the file. */
  stored(piece: Uint8Array): void {
    if (this.#compression === "gzip") this.#tail = Buffer.concat([this.#tail, piece.subarray(-4)]).subarray(-4);
  }

  /** The next Zstandard frame. @param isData false: a skippable one */
  frame(isData: boolean): void {
    this.#isFirstData ??= isData;
    if (isData) this.#dataFrames++;
  }

  /** @param unpacked bytes of the archive, whose last one has come */
  form(unpacked: number): StoredForm {
    return { compression: this.#compression, isOnePart: this.#isOnePart(unpacked) };
  }

  #isOnePart(unpacked: number): boolean {
    switch (this.#compression) {
      case "none":
        return true;
      case "gzip":
        // A member ends with the size of what it holds (RFC 1952, "ISIZE"): that of the last one is the whole
        // only where there is one.
        return this.#tail.length === 4 && this.#tail.readUInt32LE(0) === unpacked % 2 ** 32;
      case "zstd":
        // Skippable frames after it are not missed.
        return this.#isFirstData === true && this.#dataFrames === 1;
    }
  }
}
