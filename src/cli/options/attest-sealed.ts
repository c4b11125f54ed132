/** The options of verbs that attest what they have sealed. */
import { builderOption } from "../attest/builder.ts";
import { cosignTagOption } from "../attest/places.ts";
import { attestKeyOptions } from "./attest.ts";

export const attestSealedOptions = attestKeyOptions.and(builderOption).and(cosignTagOption);
