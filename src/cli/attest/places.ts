/** Which places can hold attestations of an image. */
import { SealError } from "../../errors.ts";
import { type ImageTarget, isLayout } from "../../io/oci/image-target.ts";
import type { ImageSource } from "../../io/rootfs-source.ts";
import type { AttestTarget } from "../../seal/attest.ts";
import { type GroupValues, optionGroup } from "../options/group.ts";
import { flag } from "../options/option.ts";

/** `--attest-cosign-tag`, of the verbs that attest. */
export const cosignTagOption = optionGroup("Attestation", {
  attestCosignTag: flag({
    help: "in a registry, also publish the attestations under the tag sha256-….att, for cosign before version 3",
  }),
});

/**
 * A target that can hold attestations.
 * @param option that names it, followed by a blank
 * @throws SealError `usage` for a store and for docker's daemon, and for a layout with `--attest-cosign-tag`
 */
export function attestTarget(
  target: ImageTarget,
  { attestCosignTag: cosignTag }: GroupValues<typeof cosignTagOption>,
  option: string,
): AttestTarget {
  if (!isLayout(target)) {
    const { kind, subject } = target;
    if (kind === "docker") return { kind, subject, cosignTag };
    throw notThere({ kind, subject }, option);
  }
  if (!cosignTag) return target;
  throw new SealError(
    "usage",
    `--attest-cosign-tag: requires an image in a registry, and ${target.subject} is not one`,
  );
}

/**
 * Refuses images whose digest exists nowhere else: stores and docker's daemon keep layers unpacked, and packed again
 * they are another image.
 * @param option that names it, followed by a blank
 * @throws SealError `usage`
 */
export function refuseStore({ kind, subject }: ImageSource, option: string): void {
  if (kind === "containers-storage" || kind === "docker-daemon") throw notThere({ kind, subject }, option);
}

interface Store {
  readonly kind: "containers-storage" | "docker-daemon";
  readonly subject: string;
}

function notThere({ kind, subject }: Store, option: string): SealError {
  const keeper = kind === "docker-daemon" ? "docker's daemon" : "a store";
  return new SealError(
    "usage",
    `${option}${subject}: ${keeper} can't store attestations, and pushes the image with another digest; push it first and give docker://REF, or give oci:PATH`,
  );
}
