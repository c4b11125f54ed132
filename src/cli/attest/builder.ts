/** `--builder`: who vouches for how an image was made. */
import { z } from "zod";
import { BUILDER_ID } from "../../attest/provenance.ts";
import { optionGroup } from "../options/group.ts";
import { value } from "../options/option.ts";

const URI = /^[a-z][a-z0-9+.-]*:[\x21-\x7e]+$/i;

export const builderOption = optionGroup("Attestation", {
  builder: value(() => z.string().regex(URI, "give a URI that names the builder: https://ci.example/os"), {
    placeholder: "uri",
    default: BUILDER_ID,
    help: "builder ID for the SLSA provenance: the URI of a CI system and its pipeline",
  }),
});
