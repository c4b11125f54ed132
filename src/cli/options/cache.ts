/** Where what layers hold is remembered from one run to the next. */
import { LayerCache } from "../../io/oci/layer-cache.ts";
import { type Context, userPath } from "../context.ts";
import { type GroupValues, optionGroup } from "./group.ts";
import { pathOrOff } from "./option.ts";

export const cacheOptions = optionGroup("Image", {
  cache: pathOrOff({
    complete: "directory",
    problem: "give a directory",
    env: true,
    risk: (raw) => (raw === false ? null : "names a cache, whose records of layer contents are trusted"),
    help: "cache the contents of image layers here, and unpack only layers not seen before",
    no: "do not use the cache",
  }),
});

export type CacheOptions = GroupValues<typeof cacheOptions>;

const opened = new WeakMap<Context, LayerCache>();

/** The cache of an invocation, where its options name one. The same one each time, so that it says things once. */
export function openCache(context: Context, { cache: path }: CacheOptions): LayerCache | undefined {
  const { process, ui } = context;
  if (path === undefined || path === false) return undefined;
  const known = opened.get(context);
  if (known !== undefined) return known;
  const cache = new LayerCache({
    path: userPath(context, path),
    subject: `--cache ${path}`,
    warn: (line) => ui.warn(line),
    now: process.now,
  });
  opened.set(context, cache);
  return cache;
}
