/** The options of verbs that make an image of a directory. */
import { z } from "zod";
import { SealError } from "../../errors.ts";
import { parseRootfsSpec } from "../../io/rootfs-source.ts";
import type { OptionSpec } from "../command.ts";

const GROUP = "Fresh images (--from dir:PATH)";
const SIZE_UNITS: Readonly<Record<string, number>> = { "": 1, K: 2 ** 10, M: 2 ** 20, G: 2 ** 30 };

export const FRESH_OPTIONS: readonly OptionSpec[] = [
  {
    flags: "--layer-size <bytes>",
    description: "what a layer holds unpacked, about; K, M and G may follow",
    default: "64M",
    group: GROUP,
  },
  {
    flags: "--compression <kind>",
    description: "gzip, zstd or none, with a level as in gzip:9",
    default: "gzip",
    group: GROUP,
    complete: ["gzip", "zstd", "none"],
  },
  {
    flags: "--config-from <image>",
    description: "image whose configuration is taken over: labels, environment, command",
    default: "none: /sbin/init as the command, and what says that it is sealed",
    group: GROUP,
  },
];

/** Fields of {@link FRESH_OPTIONS} for a verb's schema. */
export const freshFields = {
  layerSize: z
    .string()
    .regex(/^[1-9]\d{0,11}[KMG]?$/, "give bytes, as 64M")
    .transform((text) => Number.parseInt(text, 10) * (SIZE_UNITS[text.replace(/\d+/, "")] ?? 1))
    .optional(),
  compression: z.string().optional(),
  configFrom: z.string().optional(),
};

const schema = z.object(freshFields);
export type FreshOptions = z.infer<typeof schema>;

/** Layers of this size are few enough for every store, and small enough to be fetched side by side. */
export const DEFAULT_LAYER_SIZE = 64 << 20;

/** @throws SealError `usage` for options that say something of layers that are carried over as they are */
export function refuseFreshOptions({ layerSize, compression, configFrom }: FreshOptions, from: string): void {
  const given = { "--layer-size": layerSize, "--compression": compression, "--config-from": configFrom };
  const flag = Object.entries(given).find(([, value]) => value !== undefined)?.[0];
  if (flag === undefined) return;
  throw new SealError("usage", `${flag}: goes with --from dir:PATH; the layers of ${from} stay as they are`);
}

/** The directory that `--from dir:PATH` names, of which a fresh image is made; null for everything else, a bare path too. */
export function directoryOf(from: string): string | null {
  const spec = parseRootfsSpec(from);
  return spec.kind === "dir" && from.startsWith("dir:") ? spec.path : null;
}
