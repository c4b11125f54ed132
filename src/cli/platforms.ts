/** The images that `--all-platforms` means, for verbs that answer for each. */
import { SealError } from "../errors.ts";
import { isImage, type RootfsSource } from "../io/rootfs-source.ts";
import { findPlatforms, type PlatformImage } from "../seal/platforms.ts";
import type { Context } from "./context.ts";
import type { CacheOptions } from "./options/cache.ts";
import type { RegistryOptions } from "./options/registry.ts";
import { portsOf } from "./ports.ts";

/** @throws SealError `usage` for what is not an image; as {@link findPlatforms} */
export async function platformsOf(
  context: Context,
  options: RegistryOptions & CacheOptions,
  source: RootfsSource,
): Promise<readonly PlatformImage[]> {
  if (!isImage(source)) {
    throw new SealError("usage", `--all-platforms: ${source.subject} is not an image and has only one platform`);
  }
  return (await findPlatforms(source, null, portsOf(context, options))).images;
}
