/** Which places can hold attestations beside an image. */
import { SealError } from "../../errors.ts";
import { type ImageTarget, isLayout } from "../../io/oci/image-target.ts";
import type { ImageSource } from "../../io/rootfs-source.ts";
import type { AttestTarget } from "../../seal/attest.ts";

/**
 * A target that attestations can lie in.
 * @param option that names it, with a blank behind it
 * @throws SealError `usage` for a store and for docker's daemon
 */
export function attestTarget(target: ImageTarget, option: string): AttestTarget {
  if (isLayout(target)) return target;
  const { kind, label } = target;
  if (kind === "docker") return { kind, label };
  throw notThere({ kind, label }, option);
}

/**
 * Refuses images whose digest nobody else knows: stores and docker's daemon have layers unpacked, and packed again they are another image.
 * @param option that names it, with a blank behind it
 * @throws SealError `usage`
 */
export function refuseStore({ kind, label }: ImageSource, option: string): void {
  if (kind === "containers-storage" || kind === "docker-daemon") throw notThere({ kind, label }, option);
}

interface Store {
  readonly kind: "containers-storage" | "docker-daemon";
  readonly label: string;
}

function notThere({ kind, label }: Store, option: string): SealError {
  const keeper = kind === "docker-daemon" ? "docker's daemon" : "a store";
  return new SealError(
    "usage",
    `${option}${label}: ${keeper} has no place for attestations, and pushes the image with another digest; push it first and give docker://REF, or give oci:PATH`,
  );
}
