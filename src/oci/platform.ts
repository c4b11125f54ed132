/** Which of the images of an index is meant (OCI image specification, "Image Index", property `platform`). */
import { SealError } from "../errors.ts";

/** Names as Go has them: `linux`, `amd64`, `v8`. */
export interface Platform {
  readonly os: string;
  readonly architecture: string;
  readonly variant?: string | undefined;
}

/** The variants that are meant where none is named, as containerd and skopeo have it. */
const DEFAULT_VARIANTS: Readonly<Record<string, string>> = { amd64: "v1", arm64: "v8", arm: "v7" };

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
  return wanted.variant === undefined || variantOf(found) === variantOf(wanted);
}

/**
 * Those for a platform. If no variant is wanted and there are several, the usual one is meant: an image for amd64/v3 or
 * arm/v6 does not suit every machine, or not the best.
 */
export function forPlatform<Item extends { readonly platform?: Platform | undefined }>(
  items: readonly Item[],
  wanted: Platform,
): readonly Item[] {
  const fitting = items.filter((item) => item.platform !== undefined && isPlatform(item.platform, wanted));
  const usual = { ...wanted, variant: variantOf(wanted) };
  const best = fitting.filter((item) => item.platform !== undefined && isPlatform(item.platform, usual));
  return best.length > 0 ? best : fitting;
}

/** Whether two images are for the same machines: a variant that is not named is the usual one. */
export function samePlatform(one: Platform, other: Platform): boolean {
  return isPlatform(one, { ...other, variant: variantOf(other) });
}

function variantOf({ architecture, variant }: Platform): string {
  return variant || (DEFAULT_VARIANTS[architecture] ?? "");
}
