/** `seal verify IMAGE`, `seal verify-attestation IMAGE`: who attested an image, and is what they state true? */
import { z } from "zod";
import { BUNDLE_LIMIT } from "../../attest/json.ts";
import { escapeControls } from "../../bytes.ts";
import { SealError } from "../../errors.ts";
import { readInput } from "../../io/read-input.ts";
import type { ImageSource } from "../../io/rootfs-source.ts";
import { type AttestationVerdict, type ImageVerdict, verifyImages } from "../../seal/verify-attestations.ts";
import { defineCommand } from "../command.ts";
import { type Context, printJson, printLine, userPath } from "../context.ts";
import { firmwarePolicy } from "../keys/policy.ts";
import { readAttestKey } from "../options/attest.ts";
import { type AttestTrustOptions, attestTrustOptions } from "../options/attest-trust.ts";
import { optionGroup } from "../options/group.ts";
import { flag, parsed } from "../options/option.ts";
import { imageSource } from "../options/source.ts";
import { portsOf } from "../ports.ts";
import { refuseStore } from "./places.ts";

export const verifyAttestationCommand = defineCommand({
  examples: [
    ["oci:sealed --attest-cert attest.pub", "is there an attestation by this key, and is everything it states true?"],
    ["oci:sealed --attest-cert attest.pub --keys keys", "also PCR 4 and 7, of machines with these keys"],
    ["oci:sealed --attest-cert new.pub --attest-cert old.pub --json", "either key is accepted; for scripts"],
    ["docker://ghcr.io/me/os:1 --attest-cert attest.pub", "an image in a registry with its attached attestations"],
    ["oci:sealed --bundle sealed-image.sigstore.json --attest-cert attest.pub", "a bundle in a file"],
  ],
  arguments: {
    image: parsed(imageSource("verify-attestation"), {
      required: "give an image",
      help: "oci:PATH[:TAG], oci-archive:FILE[:TAG], docker://REF",
    }),
  },
  options: attestTrustOptions.and(optionGroup("Output", { json: flag({ help: "print the result as JSON" }) })),
  run: (context, { image, ...options }) => verifyAttestations(context, image, options),
});

const claimSchema = z.strictObject({
  about: z.string(),
  /** `unchecked`: it can't be found out from the image alone. */
  result: z.enum(["true", "false", "unchecked"]),
  reason: z.string().nullable(),
});

/** What `--json` prints: one for each image of an index. */
export const verifyAttestationReportSchema = z.strictObject({
  images: z.array(
    z.strictObject({
      digest: z.string(),
      platform: z.string().nullable(),
      /** Whether a trusted key states what the image is, and nothing that one states is false. */
      verified: z.boolean(),
      reason: z.string().nullable(),
      attestations: z.array(
        z.strictObject({
          attestation: z.string(),
          predicateType: z.string().nullable(),
          signer: z.string().nullable(),
          /** `ignored`: by another key, or of a kind that seal does not know. */
          outcome: z.enum(["true", "false", "ignored"]),
          reason: z.string().nullable(),
          claims: z.array(claimSchema),
        }),
      ),
    }),
  ),
});

/**
 * Verifies the attestations of an image and says what became of each claim.
 * @throws SealError `usage` without a key, `input` for an image that is damaged
 */
export async function verifyAttestations(
  context: Context,
  image: ImageSource,
  options: AttestTrustOptions & { readonly json: boolean },
): Promise<0 | 1> {
  const { attestCert, bundle, platform, json } = options;
  if (attestCert.length === 0) {
    throw new SealError("usage", "--attest-cert: give the certificate or public key of the attester");
  }
  refuseStore(image, "");
  const bundles = await Promise.all(
    bundle.map(async (subject) => ({ subject, bytes: await readInput(userPath(context, subject), BUNDLE_LIMIT) })),
  );
  const verdicts = await verifyImages(
    image,
    {
      platform,
      trusted: await Promise.all(attestCert.map((file) => readAttestKey(context, file))),
      bundles: bundles.length === 0 ? null : bundles,
      policy: await firmwarePolicy(context, options),
      now: context.process.now(),
    },
    // What is remembered of layers proves nothing.
    portsOf(context, { ...options, cache: false }),
  );
  if (json) printJson(context, toJson(verdicts));
  else for (const verdict of verdicts) printLine(context, toText(context, image.subject, verdict));
  return verdicts.every(({ verified }) => verified) ? 0 : 1;
}

function toJson(verdicts: readonly ImageVerdict[]): z.infer<typeof verifyAttestationReportSchema> {
  return verifyAttestationReportSchema.parse({
    images: verdicts.map(({ attestations, ...verdict }) => ({
      ...verdict,
      attestations: attestations.map(({ subject, claims, ...rest }) => ({
        attestation: subject,
        ...rest,
        claims: claims.map((claim) => ({
          about: claim.about,
          result: claim.kind,
          reason: claim.kind === "true" ? null : claim.reason,
        })),
      })),
    })),
  });
}

function toText(
  context: Context,
  subject: string,
  { digest, verified, reason, attestations, platform }: ImageVerdict,
): string {
  const { out } = context.ui;
  const marks = { true: out.green("✓"), false: out.red("✗"), unchecked: out.dim("–"), ignored: out.dim("–") };
  const verdict = verified ? "verified" : `not verified${reason === null ? "" : `: ${reason}`}`;
  const name = [subject, ...(platform === null ? [] : [platform]), digest].join("  ");
  return [
    `${verified ? marks.true : marks.false} ${name}  ${verdict}`,
    ...attestations.flatMap((one) => [
      `  ${marks[one.outcome]} ${describe(one)}`,
      ...one.claims.map((claim) => {
        const why = claim.kind === "true" ? "" : out.dim(`: ${escapeControls(claim.reason)}`);
        return `    ${marks[claim.kind]} ${escapeControls(claim.about)}${why}`;
      }),
    ]),
  ].join("\n");
}

/** Text from outside must not look like a line of this report. */
function describe({ subject, predicateType, signer, outcome, reason }: AttestationVerdict): string {
  const words = { true: "true", false: "false", ignored: "skipped" };
  return [
    predicateType ?? subject,
    ...(signer === null ? [] : [`signed by ${signer}`]),
    `${words[outcome]}${reason === null ? "" : `: ${reason}`}`,
  ]
    .map(escapeControls)
    .join("  ");
}
