/** How lint reads a root filesystem. */
import { openRootfs } from "../../io/rootfs.ts";
import type { OpenedRootfs, OpenOptions, RootfsSource } from "../../io/rootfs-source.ts";
import type { Context } from "../context.ts";
import { type CacheOptions, openCache } from "../options/cache.ts";
import type { RegistryOptions } from "../options/registry.ts";
import { startScan } from "../terminal/progress.ts";

/** What can count in a digest. */
const XATTRS = ["security.capability", "user."];

type ScanChoices = Pick<OpenOptions, "algorithm" | "paxOwners" | "observer" | "platform">;

/** Reads a root filesystem and shows how far it is. @param options how it is fetched, if it is an image elsewhere */
export async function scan(
  context: Context,
  options: RegistryOptions & CacheOptions,
  source: RootfsSource,
  choices: ScanChoices,
): Promise<OpenedRootfs> {
  const { onProgress, done } = startScan(context, `reading ${source.subject}`);
  const { process } = context;
  const remote = context.remote(options);
  const cache = openCache(context, options);
  const opened = await openRootfs(source, { xattrs: XATTRS, cwd: process.cwd, remote, cache, onProgress, ...choices });
  done(opened.stats);
  return opened;
}
