/** The options that say whose attestations of an image are trusted. */
import { firmwareOptions } from "../keys/policy.ts";
import { type GroupValues, optionGroup } from "./group.ts";
import { path } from "./option.ts";
import { platformOptions } from "./platform.ts";
import { registryOptions } from "./registry.ts";

export const attestTrustOptions = optionGroup("Attestation", {
  attestCert: path({
    many: true,
    help: "certificates or public keys of trusted attesters, PEM or DER; repeatable",
  }),
  bundle: path({ many: true, help: "Sigstore bundles in files, instead of those attached to the image; repeatable" }),
})
  .and(firmwareOptions)
  .and(registryOptions)
  .and(platformOptions.with({ platform: { shownDefault: "all of them" } }));
export type AttestTrustOptions = GroupValues<typeof attestTrustOptions>;
