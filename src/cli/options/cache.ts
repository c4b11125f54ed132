/** Where what layers hold is remembered from one run to the next. */
import { LayerCache } from "../../io/oci/layer-cache.ts";
import { type Context, userPath } from "../context.ts";
import { type GroupValues, optionGroup } from "./group.ts";
import { pathOrOff } from "./option.ts";

export const cacheOptions = optionGroup("Image", {
  cache: pathOrOff({
    complete: "directory",
    problem: "give a directory",
    help: "remember here what layers of images hold, and unpack only those that were never read (also SEAL_CACHE)",
    no: "read all layers anew",
  }),
});

export type CacheOptions = GroupValues<typeof cacheOptions>;

const opened = new WeakMap<Context, LayerCache>();

/** The cache of an invocation: that of its options, else of the environment. The same one each time, so that it says things once. */
export function openCache(context: Context, { cache: given }: CacheOptions): LayerCache | undefined {
  const { host, ui } = context;
  const { SEAL_CACHE: variable } = host.env;
  const [path, name] = given === undefined ? [variable, "SEAL_CACHE"] : [given, "--cache"];
  if (typeof path !== "string" || path === "") return undefined;
  const known = opened.get(context);
  if (known !== undefined) return known;
  const cache = new LayerCache({
    path: userPath(context, path),
    label: `${name} ${path}`,
    warn: (line) => ui.warn(line),
    now: host.now,
  });
  opened.set(context, cache);
  return cache;
}
