/**
 * How an image says that it is sealed: bootc's label, and the digests that composefs-rs's "OCI Sealing Specification" gives names to (inline
 * mode, crates/composefs-oci/src/sealing_spec.rs): `composefs.{role}.erofs.{version}.fsverity-{algorithm}-12`, 12 being the
 * binary logarithm of the block size.
 */
import type { Annotations } from "./edit.ts";

/** bootc takes an image with this label for one whose UKI holds the digest of its root filesystem. */
export const SEALED_LABELS: Annotations = { "containers.bootc": "sealed" };

/** A digest of an EROFS image. */
export interface TreeDigestName {
  readonly erofs: string;
  readonly algorithm: string;
  /** Lower-case hex. */
  readonly digest: string;
}

/**
 * The annotations of a manifest.
 * @param merged digests of the whole root filesystem
 * @param bootable of what is booted, as the UKI has them; of several of one format the first is told
 */
export function manifestDigests(merged: readonly TreeDigestName[], bootable: readonly TreeDigestName[]): Annotations {
  const entries = [
    ...merged.map((digest) => [erofsKey("merged", digest), digest.digest] as const),
    ...bootable.map((digest) => [erofsKey("merged.bootable", digest), digest.digest] as const),
  ];
  // The first of a name is the one that counts.
  return Object.fromEntries(entries.reverse());
}

/** The annotation on the descriptor of a configuration. @param digest fs-verity digest of its bytes, lower-case hex */
export function configDigest(algorithm: string, digest: string): Annotations {
  return { [`composefs.config.fsverity-${algorithm}-12`]: digest };
}

function erofsKey(role: string, { erofs, algorithm }: TreeDigestName): string {
  return `composefs.${role}.erofs.${erofs}.fsverity-${algorithm}-12`;
}
