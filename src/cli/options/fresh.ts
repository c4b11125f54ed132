/** The options of verbs that make an image of a directory. */
import { z } from "zod";
import { parseCompression } from "../../io/oci/compress.ts";
import type { FreshOptions } from "../../seal/lower-layers.ts";
import type { Recompression } from "../../seal/recompress.ts";
import type { Requirement } from "./declaration.ts";
import { type GroupValues, optionGroup } from "./group.ts";
import { flagOrChoice, text, value } from "./option.ts";
import { parseImage } from "./source.ts";

const SIZE_UNITS: Readonly<Record<string, number>> = { "": 1, K: 2 ** 10, M: 2 ** 20, G: 2 ** 30 };

const size = () =>
  z
    .string()
    .regex(/^[1-9]\d{0,11}[KMG]?$/, "give bytes, as 64M")
    .transform((given) => Number.parseInt(given, 10) * (SIZE_UNITS[given.replace(/\d+/, "")] ?? 1));

/** They say something of layers that are made; those of an image are carried over. */
const requires: Requirement = {
  anyOf: ["from"],
  matching: /^dir:/,
  problem: (from) => `requires --from dir:PATH; the layers of ${from} are kept as they are`,
};

export const freshOptions = optionGroup("New images (--from dir:PATH)", {
  // Layers of this size are few enough for every store, and small enough to be fetched side by side.
  layerSize: value(size, {
    placeholder: "bytes",
    default: "64M",
    help: "approximate uncompressed size of a layer; with suffix K, M or G",
    requires,
  }),
  compression: value(() => z.string().transform(parseCompression), {
    placeholder: "kind",
    default: "gzip",
    help: "gzip, zstd or none, optionally with a level: gzip:9",
    complete: ["gzip", "zstd", "none"],
    requires,
  }),
  configFrom: text({
    placeholder: "image",
    help: "image to copy the configuration from: labels, environment, command",
    shownDefault: "none: /sbin/init as the command and the labels of a sealed image",
    requires,
  }),
});

/** The option of verbs that put the layers of an image into another one. */
export const recompressOption = optionGroup("Images", {
  recompress: flagOrChoice(["needed", "all"], {
    placeholder: "which",
    help: "recompress layers: needed (the default): those that the --bootc releases, or without --bootc any known release, can't unpack; all: every compressed layer; the digest stays the same",
    requires: {
      anyOf: ["from"],
      matching: /^(?!dir:)/,
      problem: (from) => `requires an image to seal; the layers of ${from} are created anew, see --compression`,
    },
  }),
});

/** What `--recompress` says. */
export function recompression({ recompress }: GroupValues<typeof recompressOption>): Recompression | null {
  if (recompress === false) return null;
  return recompress === true ? "needed" : recompress;
}

/**
 * What the options say about a fresh image.
 * @throws SealError `usage` where `--config-from` names no image
 */
export function freshImage({ layerSize, compression, configFrom }: GroupValues<typeof freshOptions>): FreshOptions {
  return {
    layerSize,
    compression,
    configFrom: configFrom === undefined ? undefined : parseImage(configFrom, "--config-from"),
  };
}
