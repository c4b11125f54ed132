/** Which places can hold attestations beside an image. */
import { SealError } from "../../errors.ts";
import { type ImageTarget, isLayout } from "../../io/oci/image-target.ts";
import type { ImageSource } from "../../io/rootfs-source.ts";
import type { AttestTarget } from "../../seal/attest.ts";
import { type GroupValues, optionGroup } from "../options/group.ts";
import { flag } from "../options/option.ts";

/** `--attest-cosign-tag`, of the verbs that attest. */
export const cosignTagOption = optionGroup("Attestation", {
  attestCosignTag: flag({
    help: "in a registry put the attestations also at the tag sha256-….att, where cosign before version 3 looks",
  }),
});

/**
 * A target that attestations can lie in.
 * @param option that names it, with a blank behind it
 * @throws SealError `usage` for a store and for docker's daemon, and for a layout with `--attest-cosign-tag`
 */
export function attestTarget(
  target: ImageTarget,
  { attestCosignTag: cosignTag }: GroupValues<typeof cosignTagOption>,
  option: string,
): AttestTarget {
  if (!isLayout(target)) {
    const { kind, label } = target;
    if (kind === "docker") return { kind, label, cosignTag };
    throw notThere({ kind, label }, option);
  }
  if (!cosignTag) return target;
  throw new SealError("usage", `--attest-cosign-tag: goes with images in registries; ${target.label} is none`);
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
