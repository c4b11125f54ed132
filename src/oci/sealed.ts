/**
 * How an image says that it is sealed: bootc's label, and the digests that composefs-rs's "OCI Sealing Specification"
 * gives names to (inline mode, crates/composefs-oci/src/sealing_spec.rs):
 * `composefs.{role}.erofs.{version}.fsverity-{algorithm}-12`, 12 being the binary logarithm of the block size.
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
 * @param bootable of the booted tree, as the UKI has them; of several of one format the first is used
 */
export function manifestDigests(merged: readonly TreeDigestName[], bootable: readonly TreeDigestName[]): Annotations {
  const entries = [
    ...merged.map((digest) => [erofsKey("merged", digest), digest.digest] as const),
    ...bootable.map((digest) => [erofsKey("merged.bootable", digest), digest.digest] as const),
  ];
  // The first of a name is the one that counts.
  return Object.fromEntries(entries.reverse());
}

/**
 * Where a manifest keeps what was sealed: `entries=14664 newest=1700000000 timeless-sha512=9f3c…`. Of seal's own, no
 * specification has it.
 */
const RECORD_KEY = "seal.tree";

/** What a manifest remembers of the root filesystem that was sealed. */
export interface SealedRecord {
  /** Names in it. */
  readonly entries: number;
  /** The latest mtime in it, in seconds since 1970. */
  readonly newest: bigint;
  readonly algorithm: "sha256" | "sha512";
  /** Its digest with 0 for all times, lower-case hex. */
  readonly timeless: string;
}

/** The annotation of a manifest that distinguishes another tree from the same one with other times. */
export function recordAnnotation({ entries, newest, algorithm, timeless }: SealedRecord): Annotations {
  return { [RECORD_KEY]: `entries=${entries} newest=${newest} timeless-${algorithm}=${timeless}` };
}

/** What the annotations of a manifest remember; null: nothing, or nothing that seal understands. */
export function readRecord(annotations: Annotations): (SealedRecord & { readonly digests: readonly string[] }) | null {
  const text = annotations[RECORD_KEY] ?? "";
  const found = /^entries=(\d{1,15}) newest=(-?\d{1,20}) timeless-(sha256|sha512)=([0-9a-f]+)$/.exec(text);
  if (found === null) return null;
  const [, entries = "", newest = "", algorithm = "", timeless = ""] = found;
  const digests = Object.entries(annotations).flatMap(([key, digest]) =>
    key.startsWith(BOOTABLE_KEY) ? [digest] : [],
  );
  const kind = algorithm === "sha256" ? "sha256" : "sha512";
  return { entries: Number(entries), newest: BigInt(newest), algorithm: kind, timeless, digests };
}

const BOOTABLE_KEY = "composefs.merged.bootable.";

/** The annotation on the descriptor of a configuration. @param digest fs-verity digest of its bytes, lower-case hex */
export function configDigest(algorithm: string, digest: string): Annotations {
  return { [`composefs.config.fsverity-${algorithm}-12`]: digest };
}

function erofsKey(role: string, { erofs, algorithm }: TreeDigestName): string {
  return `composefs.${role}.erofs.${erofs}.fsverity-${algorithm}-12`;
}
