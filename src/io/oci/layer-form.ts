/** How layers are stored, as far as a reader that goes by media types, or stops behind the first part, can't unpack them. */
import { inputError } from "../../errors.ts";
import type { LayerForm } from "../../oci/layer-form.ts";
import { layerType } from "../../oci/media-types.ts";
import type { LayerContents } from "../../tree/layer-contents.ts";
import { type Compression, compressionOf } from "./decompress.ts";
import type { Layer } from "./layer.ts";
import { readAt, type StoredFile } from "./stored-file.ts";
import { blockLength, frameHeaderLength, isSkippable, ZSTD_MAGIC } from "./zstd-frames.ts";

/** What readers stumble over. @param mediaType what the manifest says of the layer */
export function layerForm({ mediaType }: Pick<Layer, "mediaType">, { compression, isOnePart }: StoredForm): LayerForm {
  return {
    compression,
    wrongType: mediaType === null || layerType(mediaType) === compression ? null : mediaType,
    isOnePart,
  };
}

type StoredForm = Pick<LayerContents, "compression" | "isOnePart">;

/**
 * How a layer is stored, whatever the manifest says.
 * @param unpacked bytes of the archive in it
 * @throws SealError `input` for what can't be read
 */
export async function storedForm({ file }: Pick<Layer, "file">, unpacked: number): Promise<StoredForm> {
  const compression = compressionOf(await readAt(file, 0, Math.min(4, file.size)));
  return { compression, isOnePart: await isOnePart(file, compression, unpacked) };
}

async function isOnePart(file: StoredFile, compression: Compression, unpacked: number): Promise<boolean> {
  switch (compression) {
    case "none":
      return true;
    case "gzip": {
      // A member ends with the size of what it holds (RFC 1952, "ISIZE"): that of the last one is the whole only where there is one.
      const end = Buffer.from(await readAt(file, Math.max(file.size - 4, 0), Math.min(4, file.size)));
      return end.length === 4 && end.readUInt32LE(0) === unpacked % 2 ** 32;
    }
    case "zstd":
      return isOneFrame(file);
  }
}

/** Whether the first frame holds data and no other does; skippable ones behind it are not missed. */
async function isOneFrame(file: StoredFile): Promise<boolean> {
  let offset = await endOfFrame(file, 0);
  if (offset === null) return false;
  while (offset < file.size) {
    const head = await bytesAt(file, offset, 8);
    if (!isSkippable(head.readUInt32LE(0))) return false;
    offset += 8 + head.readUInt32LE(4);
  }
  return true;
}

/** Where a frame with data ends (RFC 8878, section 3.1.1); null where there is another one. */
async function endOfFrame(file: StoredFile, start: number): Promise<number | null> {
  const head = await bytesAt(file, start, 5);
  if (head.readUInt32LE(0) !== ZSTD_MAGIC) return null;
  const descriptor = head[4] ?? 0;
  let offset = start + 5 + frameHeaderLength(descriptor);
  for (;;) {
    const block = (await bytesAt(file, offset, 3)).readUIntLE(0, 3);
    offset += 3 + blockLength(block);
    if ((block & 1) !== 0) break;
  }
  const end = offset + ((descriptor & 4) === 0 ? 0 : 4);
  if (end > file.size) throw truncated(file);
  return end;
}

async function bytesAt(file: StoredFile, offset: number, length: number): Promise<Buffer> {
  if (offset + length > file.size) throw truncated(file);
  return Buffer.from(await readAt(file, offset, length));
}

function truncated({ subject }: StoredFile): Error {
  return inputError(subject, "ends in the middle of a Zstandard frame: it is truncated");
}
