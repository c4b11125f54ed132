/** What machines measure that boot an image: the part of its attestation about PCRs. */
import type { StatedBoot } from "../attest/sealed-image.ts";
import { toHex } from "../bytes.ts";
import { DEFAULT_PHASE_PATHS } from "../pe/measure.ts";
import type { BankValues, PcrBank } from "../pe/pcr-events.ts";
import { type BootPath, describeWay, type WayReference } from "../sign/boot-reference.ts";
import { readPolicy, type SecureBootPolicy } from "../sign/secure-boot-policy.ts";
import { bootReferences } from "./boot-reference.ts";
import type { Ports } from "./ports.ts";

/** What the predictions are made for. */
export interface BootChoices {
  /** The keys of the firmware; null: unknown, so PCR 4 and 7 are left out. */
  readonly policy: SecureBootPolicy | null;
  /** Banks of the reference values; absent: SHA-256. */
  readonly banks?: readonly PcrBank[] | undefined;
  /** Phase paths of PCR 11; absent: the default ones. */
  readonly phases?: readonly string[] | undefined;
  readonly now: Date;
}

/** Why something is not stated. */
const NO_KEYS = "no keys of the firmware were given, and the image brings none that it starts with";

/** What each way to boot an image measures. */
export function describeBoots(
  paths: readonly BootPath[],
  { policy, banks = ["sha256"], phases = DEFAULT_PHASE_PATHS, now }: BootChoices,
  ports: Ports,
): StatedBoot[] {
  const { references, refusals } = bootReferences(paths, {
    policy: policy ?? readPolicy([], "firmware"),
    banks,
    phases,
    kernelArguments: "",
    now,
  });
  for (const reason of refusals) ports.warn(reason);
  return references.map((reference) => describeBoot(reference, policy !== null));
}

function describeBoot(reference: WayReference, hasKeys: boolean): StatedBoot {
  const { pcrs, unknown } = reference;
  return {
    ...describeWay(reference),
    pcrs: pcrs
      .filter(({ pcr }) => hasKeys || pcr === 11 || pcr === 12)
      .map(({ pcr, values, events, phases, assumes }) => ({
        pcr,
        values: hexValues(values),
        events: events.map(({ type, description, digests }) => ({ type, description, digests: hexValues(digests) })),
        phases: phases.map(({ phase, values: after }) => ({ phase, values: hexValues(after) })),
        assumes: [...assumes],
      })),
    omitted: [
      ...(hasKeys ? [] : [4, 7].map((pcr) => ({ pcr, reason: NO_KEYS }))),
      ...(unknown === null ? [] : [{ pcr: 12, reason: unknown }]),
    ],
  };
}

function hexValues(values: BankValues): Partial<Record<PcrBank, string>> {
  return Object.fromEntries(Object.entries(values).map(([bank, value]) => [bank, toHex(value)]));
}
