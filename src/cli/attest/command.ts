/** `seal attest --from IMAGE`: attaches signed statements of what a sealed image is and how it was made. */
import { z } from "zod";
import type { AttestSigner } from "../../attest/signer.ts";
import { SealError } from "../../errors.ts";
import { writeNewDirectory } from "../../io/new-directory.ts";
import { isLayout, parseImageTarget } from "../../io/oci/image-target.ts";
import type { ImageSource } from "../../io/rootfs-source.ts";
import { formatBlobDigest } from "../../oci/digest.ts";
import {
  type Attestation,
  type AttestTarget,
  attachAttestations,
  type Stated,
  sharedKeyWarning,
  signStatements,
  stateImages,
} from "../../seal/attest.ts";
import { defineCommand } from "../command.ts";
import { type Context, printJson, printLine, userPath } from "../context.ts";
import { firmwareOptions, firmwarePolicy } from "../keys/policy.ts";
import { attestKeyOptions, loadAttestSigner } from "../options/attest.ts";
import { type GroupValues, optionGroup } from "../options/group.ts";
import { flag, parsed, path, text, value } from "../options/option.ts";
import { banksOption, DEFAULT_PHASES_SHOWN, phasePaths } from "../options/pcr.ts";
import { platformOptions } from "../options/platform.ts";
import { registryOptions } from "../options/registry.ts";
import { writes, writesImage } from "../options/risk.ts";
import { imageSource, parseImage } from "../options/source.ts";
import { portsOf } from "../ports.ts";
import { version } from "../version.ts";
import { builderOption } from "./builder.ts";
import { attachSigned, exportStatements } from "./halves.ts";
import { attestTarget, cosignTagOption, refuseStore } from "./places.ts";

const OPTIONS = optionGroup("Images", {
  from: parsed(imageSource("--from"), {
    placeholder: "image",
    required: "give the image to attest",
    help: "sealed image: oci:PATH[:TAG], oci-archive:FILE[:TAG], docker://REF",
  }),
  to: text({
    risk: writesImage,
    placeholder: "image",
    help: "where to write the image with its attestations: oci:PATH[:TAG], oci-archive:FILE[:TAG] or docker://REF",
    shownDefault: "attached to the image in place",
  }),
  base: text({
    placeholder: "image",
    help: "the image it was sealed from, whose digest is recorded",
    shownDefault: "only the digests of its layers are recorded",
  }),
})
  .and(platformOptions.with({ platform: { shownDefault: "all of them" } }))
  .and(registryOptions)
  .and(attestKeyOptions)
  .and(builderOption)
  .and(cosignTagOption)
  .and(
    optionGroup("Signing in two steps", {
      exportTbs: path({
        risk: writes,
        complete: "directory",
        help: "write the statements and the data to sign to this directory, and sign nothing",
        excludes: ["attachSignature", "attestKey", "attestSigner", "to", "bundle"],
      }),
      attachSignature: path({
        complete: "directory",
        help: "attach the signatures NAME.sig from this directory; requires --attest-cert",
        requires: "attestCert",
        excludes: ["attestKey", "attestSigner"],
      }),
    }),
  )
  .and(firmwareOptions)
  .and(
    optionGroup("Reference values", {
      banks: banksOption("SHA-256 only"),
      phases: value(phasePaths, {
        many: true,
        placeholder: "paths",
        help: "boot phase paths (enter-initrd:leave-initrd), comma-separated; repeatable",
        shownDefault: DEFAULT_PHASES_SHOWN,
      }),
    }),
  )
  .and(
    optionGroup("Output", {
      bundle: path({
        complete: "directory",
        help: "write Sigstore bundles NAME.sigstore.json to this new directory, and attach nothing",
        excludes: ["to"],
      }),
      json: flag({ help: "print the result as JSON" }),
    }),
  );
type Options = GroupValues<typeof OPTIONS>;

export const attestCommand = defineCommand({
  examples: [
    ["--from oci:sealed --attest-key attest.key", "signs statements about the image and attaches them in the layout"],
    ["--from oci:sealed --keys keys --attest-key attest.key", "also states PCR 4 and 7 of machines with these keys"],
    ["--from docker://ghcr.io/me/os:1 --attest-key attest.key", "attaches them in the registry; needs skopeo"],
    [
      "--from oci:sealed --bundle bundles --attest-signer 'kms-sign attest' --attest-cert attest.pub",
      "bundles in files, signed by an external program",
    ],
    ["--from oci:sealed --export-tbs to-sign", "what an offline key must sign, for --attach-signature"],
  ],
  arguments: {},
  options: OPTIONS,
  run: attest,
});

/** What `--json` prints: one for each statement. */
export const attestReportSchema = z.strictObject({
  attestations: z.array(
    z.strictObject({
      name: z.string(),
      /** Digest of the image's manifest. */
      image: z.string(),
      predicateType: z.string(),
      /** Digest of the manifest that refers to the image; null: the bundle is in a file. */
      referrer: z.string().nullable(),
    }),
  ),
});

async function attest(context: Context, options: Options): Promise<0> {
  const { from, exportTbs, attachSignature } = options;
  const target = attachTarget(context, from, options);
  if (attachSignature !== undefined) {
    const { found, attestations } = await attachSigned(context, from, options, attachSignature);
    return finish(context, options, { found, target, attestations });
  }
  const signer = exportTbs === undefined ? await loadAttestSigner(context, options) : null;
  if (signer === null && exportTbs === undefined) {
    throw new SealError("usage", "--attest-key: give the key to sign with; it should not be the Secure Boot key");
  }
  const stated = await stateImages(
    from,
    {
      command: "seal attest",
      builder: options.builder,
      version: version(),
      base: options.base === undefined ? null : parseImage(options.base, "--base"),
      platform: options.platform,
      policy: (await firmwarePolicy(context, options)) ?? "own",
      banks: options.banks,
      phases: options.phases.length > 0 ? options.phases.flat() : undefined,
      now: context.process.now(),
    },
    // What is stated of an image is read from its layers, never remembered.
    portsOf(context, { ...options, cache: false }),
  );
  if (signer === null) return exportStatements(context, stated, exportTbs ?? "");
  const attestations = await signAll(context, stated, signer);
  return finish(context, options, { found: stated.found, target, attestations });
}

/** Signs all statements. Warns about an unsuitable key. */
export async function signAll(context: Context, stated: Stated, signer: AttestSigner): Promise<readonly Attestation[]> {
  const warning = sharedKeyWarning(signer, stated.signers);
  if (warning !== null) context.ui.warn(warning);
  return signStatements(stated.statements, signer);
}

/**
 * Where attestations go; null: nowhere, they become files.
 * @throws SealError `usage` for a target that can't hold them
 */
function attachTarget(context: Context, from: ImageSource, options: Options): AttestTarget | null {
  const { to, bundle, exportTbs } = options;
  const target =
    to === undefined ? null : attestTarget(parseImageTarget(to, "--to", context.process.cwd), options, "--to ");
  // A layout gets the copy that is attested; elsewhere the digest must be one that others know.
  if (target === null || !isLayout(target)) refuseStore(from, "--from ");
  if (target !== null || bundle !== undefined || exportTbs !== undefined) return target;
  if (from.kind === "docker") return attestTarget({ kind: "docker", subject: from.subject }, options, "");
  if (from.kind !== "oci" && from.kind !== "oci-archive") return null;
  const { kind, path, reference: tag, subject } = from;
  return attestTarget({ kind, path: userPath(context, path), tag, subject }, options, "");
}

interface Attested {
  readonly found: Stated["found"];
  readonly target: AttestTarget | null;
  readonly attestations: readonly Attestation[];
}

async function finish(context: Context, options: Options, { found, target, attestations }: Attested): Promise<0> {
  const { bundle, json } = options;
  const referrers =
    target === null
      ? []
      : await attachAttestations(found, target, attestations, portsOf(context, { ...options, cache: false }));
  if (bundle !== undefined) {
    const files = attestations.map((one) => ({ name: `${one.name}.sigstore.json`, bytes: one.bundle, mode: 0o644 }));
    await writeNewDirectory(userPath(context, bundle), files, 0o755);
  }
  const report = attestReport(attestations, referrers);
  if (json) printJson(context, report);
  else printAttested(context, report, target?.subject ?? bundle ?? "");
  return 0;
}

export function attestReport(
  attestations: readonly Attestation[],
  referrers: Awaited<ReturnType<typeof attachAttestations>>,
): z.infer<typeof attestReportSchema> {
  return attestReportSchema.parse({
    attestations: attestations.map(({ name, image, predicateType }, index) => {
      const referrer = referrers[index];
      return {
        name,
        image: formatBlobDigest(image.digest),
        predicateType,
        referrer: referrer === undefined ? null : formatBlobDigest(referrer.digest),
      };
    }),
  });
}

function printAttested(context: Context, { attestations }: z.infer<typeof attestReportSchema>, place: string): void {
  for (const { name, image } of attestations) printLine(context, `${place}: ${name} of ${image}`);
}
