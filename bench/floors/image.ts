/**
 * The floor of `seal image` of an image of one gzip layer: reads that, copies it, and hashes the copy. Besides what
 * `unpack-layers.ts` leaves out: the kernel, the UKI and its layer, the signature, the JSON of the image.
 */
import { constants } from "node:fs";
import { copyFile } from "node:fs/promises";
import { isMainThread } from "node:worker_threads";
import { hashStored } from "./unpack.ts";
import { gzipLayers, unpackLayers } from "./unpack-layers.ts";

/** All at once: how long it takes depends on the cores alone. */
async function copyLayer(layout: string, copy: string): Promise<string> {
  const [layer = ""] = gzipLayers(layout);
  await copyFile(layer, copy, constants.COPYFILE_FICLONE);
  return hashStored(copy);
}

if (isMainThread) {
  const [layout = "", copy = ""] = process.argv.slice(2);
  void Promise.all([unpackLayers(layout), copyLayer(layout, copy)]).then(([layers]) =>
    process.stdout.write(`${layers}\n`),
  );
}
