/** Attestations of what `seal image` has just written. */
import type { AttestSigner } from "../../attest/signer.ts";
import { SealError } from "../../errors.ts";
import { type ImageTarget, isLayout } from "../../io/oci/image-target.ts";
import type { DirectorySource, ImageSource } from "../../io/rootfs-source.ts";
import { type AttestTarget, attachAttestations, stateImages } from "../../seal/attest.ts";
import type { Context } from "../context.ts";
import { loadAttestSigner } from "../options/attest.ts";
import type { attestSealedOptions } from "../options/attest-sealed.ts";
import type { GroupValues } from "../options/group.ts";
import type { RegistryOptions } from "../options/registry.ts";
import { portsOf } from "../ports.ts";
import { version } from "../version.ts";
import { signAll } from "./command.ts";
import { attestTarget } from "./places.ts";

type Options = GroupValues<typeof attestSealedOptions> & RegistryOptions;

/**
 * Opens the key before anything is sealed.
 * @returns attests the image at the target, which has been read back by then; null: no option asks for it
 * @throws SealError `usage` for a target that nothing can be attached in, and as {@link loadAttestSigner}
 */
export async function attestationOf(
  context: Context,
  options: Options,
  target: ImageTarget,
): Promise<((source: ImageSource | DirectorySource) => Promise<void>) | null> {
  const signer = await loadAttestSigner(context, options);
  if (signer === null) return null;
  const place = attestTarget(target, options, "--attest-key: ");
  return (source) => attestSealed(context, options, { signer, place, source }).catch(notAttested(place));
}

interface ToAttest {
  readonly signer: AttestSigner;
  readonly place: AttestTarget;
  /** What was sealed. */
  readonly source: ImageSource | DirectorySource;
}

async function attestSealed(context: Context, options: Options, { signer, place, source }: ToAttest): Promise<void> {
  // What is signed is read from the layers themselves.
  const ports = portsOf(context, { ...options, cache: false });
  const stated = await stateImages(
    imageAt(place),
    {
      command: "seal image",
      builder: options.builder,
      version: version(),
      // Of what skopeo copied here the digest is not always that of the registry.
      base: "path" in source ? source : null,
      platform: undefined,
      policy: "own",
      now: context.process.now(),
    },
    ports,
  );
  await attachAttestations(stated.found, place, await signAll(context, stated, signer), ports);
}

/** Says that the image itself is there, and how to do the rest. */
function notAttested({ subject }: AttestTarget): (error: unknown) => never {
  return (error) => {
    if (!(error instanceof SealError)) throw error;
    const message = `${error.message}. ${subject} is sealed but not attested; seal attest --from ${subject} does that alone`;
    throw new SealError(error.code, message, { cause: error });
  };
}

function imageAt(target: AttestTarget): ImageSource {
  if (!isLayout(target)) return { kind: target.kind, subject: target.subject };
  const { kind, path, tag, subject } = target;
  return { kind, path, reference: tag, subject };
}
