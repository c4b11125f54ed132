/** How an image was made: SLSA provenance (slsa.dev, "Provenance", predicate version 1), as far as seal knows it. */
import { z } from "zod";
import type { BlobDigest } from "../oci/digest.ts";

/** The predicate type of SLSA provenance, version 1. */
export const PROVENANCE_TYPE = "https://slsa.dev/provenance/v1";
/** What the parameters of {@link Provenance} mean: docs/attestation.md. */
export const BUILD_TYPE = "tag:seal,2026:seal-image/v1";
/** The default builder: seal, wherever it ran. */
export const BUILDER_ID = "tag:seal,2026:seal";

/** A subset of the specification: what seal writes, and all that it reads. */
export const provenanceSchema = z.strictObject({
  buildDefinition: z.strictObject({
    buildType: z.literal(BUILD_TYPE),
    externalParameters: z.strictObject({
      /** `seal image`: the image was sealed in the same run; `seal attest`: it was there already. */
      command: z.enum(["seal image", "seal attest"]),
    }),
    /** `base image`: the manifest of what was sealed; `layer N`: the layers below those that sealing added, from 1. */
    resolvedDependencies: z.array(
      z.strictObject({
        name: z.string().min(1, "is empty"),
        digest: z
          .record(z.string(), z.string().regex(/^[0-9a-f]+$/))
          .refine((digests) => Object.keys(digests).length > 0, "is empty: it says nothing about what was used"),
        mediaType: z.string().optional(),
      }),
    ),
  }),
  runDetails: z.strictObject({
    builder: z.strictObject({
      id: z.string().min(1, "is empty: it names no builder"),
      version: z.record(z.string(), z.string()),
    }),
  }),
});
/** The predicate of SLSA provenance, version 1. */
export type Provenance = z.infer<typeof provenanceSchema>;

/** Whether a predicate has the build type {@link BUILD_TYPE}; seal can't check those of other builders. */
export function isOwnProvenance(predicate: unknown): boolean {
  return z.looseObject({ buildDefinition: z.looseObject({ buildType: z.literal(BUILD_TYPE) }) }).safeParse(predicate)
    .success;
}

/** What an image was made of, and who made it. */
export interface Making {
  readonly command: "seal image" | "seal attest";
  /** A URI. */
  readonly builder: string;
  /** Of seal. */
  readonly version: string;
  /** The manifest of the image that was sealed; null: not known, or there was none. */
  readonly base: BlobDigest | null;
  /** Of the image, below those that sealing added, lowest first. */
  readonly layers: readonly { readonly digest: BlobDigest; readonly mediaType: string | null }[];
}

/** States how an image was made: the predicate of SLSA provenance. */
export function provenanceOf({ command, builder, version, base, layers }: Making): Provenance {
  return {
    buildDefinition: {
      buildType: BUILD_TYPE,
      externalParameters: { command },
      resolvedDependencies: [
        ...(base === null ? [] : [{ name: "base image", digest: { [base.algorithm]: base.hex } }]),
        ...layers.map(({ digest, mediaType }, index) => ({
          name: `layer ${index + 1}`,
          digest: { [digest.algorithm]: digest.hex },
          ...(mediaType === null ? {} : { mediaType }),
        })),
      ],
    },
    runDetails: { builder: { id: builder, version: { seal: version } } },
  };
}
