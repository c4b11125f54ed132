/** Which of the images of an index is meant (OCI image specification, "Image Index", property `platform`). */
import { SealError } from "../errors.ts";

/** Names as Go has them: `linux`, `amd64`, `v8`. */
export interface Platform {
  readonly os: string;
  readonly architecture: string;
  readonly variant?: string | undefined;
}

/** What tools leave out, because there is only one. */
const DEFAULT_VARIANTS: Readonly<Record<string, string>> = { arm64: "v8", arm: "v7" };

/**
 * Takes `os/architecture` or `os/architecture/variant` apart.
 * @throws SealError `usage` for anything else
 */
export function parsePlatform(text: string): Platform {
  const [, os, architecture, variant] = /^([a-z0-9]+)\/([a-z0-9]+)(?:\/([a-z0-9.]+))?$/.exec(text) ?? [];
  if (os === undefined || architecture === undefined) {
    throw new SealError("usage", `--platform ${text}: give os/architecture, as linux/amd64 or linux/arm/v7`);
  }
  return variant === undefined ? { os, architecture } : { os, architecture, variant };
}

export function formatPlatform({ os, architecture, variant }: Platform): string {
  return [os, architecture, ...(variant === undefined || variant === "" ? [] : [variant])].join("/");
}

/** Whether an image for `found` is one for `wanted`; a variant counts only where one is wanted. */
export function isPlatform(found: Platform, wanted: Platform): boolean {
  if (found.os !== wanted.os || found.architecture !== wanted.architecture) return false;
  const variantOf = (platform: Platform) => platform.variant ?? DEFAULT_VARIANTS[platform.architecture] ?? "";
  return wanted.variant === undefined || variantOf(found) === variantOf(wanted);
}
