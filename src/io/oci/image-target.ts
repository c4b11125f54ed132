/** Where an image is written to. */
import { resolve } from "node:path";
import { SealError } from "../../errors.ts";

export interface ImageTarget {
  /** An OCI image layout: a directory, or an archive of one. */
  readonly kind: "oci" | "oci-archive";
  /** Absolute. */
  readonly path: string;
  readonly tag: string | null;
  /** As the user wrote it. */
  readonly label: string;
}

/** OCI image specification, "Pre-Defined Annotation Keys", `org.opencontainers.image.ref.name`. */
const COMPONENT = "[A-Za-z0-9]+(?:(?:[-._:@+]|--)[A-Za-z0-9]+)*";
const TAG = new RegExp(`^${COMPONENT}(?:/${COMPONENT})*$`);

/**
 * Takes `oci:PATH[:TAG]` and `oci-archive:FILE[:TAG]` apart. The path ends at its first colon, as container tools have it.
 * @param option what it stands behind, for messages
 * @param cwd where relative paths start
 * @throws SealError `usage` for anything else
 */
export function parseImageTarget(text: string, option: string, cwd: string): ImageTarget {
  const [, kind, path, tag] = /^(oci|oci-archive):([^:]+)(?::(.+))?$/s.exec(text) ?? [];
  if (path === undefined || (kind !== "oci" && kind !== "oci-archive")) {
    throw new SealError(
      "usage",
      `${option} ${text}: images are written to oci:PATH[:TAG] or oci-archive:FILE[:TAG]; skopeo copy takes them to registries and stores`,
    );
  }
  if (tag !== undefined && !TAG.test(tag)) {
    throw new SealError(
      "usage",
      `${option} ${text}: "${tag}" is no tag; letters, digits and single . _ - : @ + / between them are`,
    );
  }
  return { kind, path: resolve(cwd, path), tag: tag ?? null, label: text };
}
