/** The floor of digests of images: reads the gzip layers of a layout. */
import { isMainThread } from "node:worker_threads";
import { unpackLayers } from "./unpack-layers.ts";

if (isMainThread) {
  void unpackLayers(process.argv[2] ?? "").then((layers) => process.stdout.write(`${layers}\n`));
}
