/**
 * Measured boot reference state of Keylime (`keylime_tenant --mb-policy`), in the form of
 * `keylime-policy create measured-boot`, which makes it of a machine's event log: digests are objects of `0x` hex by
 * algorithm, keys are those of the variables of Secure Boot.
 *
 * Its `kernels` know shim, GRUB, and the kernel that GRUB starts. Those of UKIs hold all digests that a boot measures,
 * by PCR, for a policy that knows UKIs: Keylime has none itself, an example is examples/keylime/sealed_uki.py. Digests
 * are what a policy can rely on: Keylime replays them against the quote, and does not check that they belong to the
 * data next to them in the log.
 */
import { toHex } from "../bytes.ts";
import type { PcrEvent } from "../pe/pcr-events.ts";
import type { WayReference } from "../sign/boot-reference.ts";
import type { SecureBootPolicy } from "../sign/secure-boot-policy.ts";
import { parseSignatureLists } from "../sign/siglist.ts";
import { digestIn, jsonDocument, type VerifierReference, withoutParameters } from "./format.ts";

export const KEYLIME_BANK = "sha256";

/** `scrtm_and_bios` is what differs between machines. */
const FIRMWARE =
  "scrtm_and_bios: only the firmware knows it; keylime-policy create measured-boot takes it from the log of a machine";

/**
 * The reference state of a firmware and of all ways to boot.
 * @param ways with references in `KEYLIME_BANK`
 * @throws SealError `input` when a variable is corrupt
 */
export function keylimeReferenceState(ways: readonly WayReference[], policy: SecureBootPolicy): VerifierReference {
  const keys = (name: string) => signaturesOf(policy, name);
  const state = {
    has_secureboot: policy.enforced,
    pk: keys("PK"),
    kek: keys("KEK"),
    db: keys("db"),
    dbx: keys("dbx"),
    // Those of shim, which is not there.
    vendor_db: [],
    mokdig: [],
    mokxdig: [],
    kernels: ways.map((way) => ({
      uki: way.bootPath.uki.pe.subject,
      profile: way.profile,
      events: Object.fromEntries(way.pcrs.map(({ pcr, events }) => [pcr, events.map(digestOfEvent)])),
    })),
  };
  return { output: jsonDocument(state), omitted: [FIRMWARE, ...withoutParameters(ways)] };
}

function digestOfEvent({ digests }: PcrEvent) {
  return { [KEYLIME_BANK]: `0x${toHex(digestIn(digests, KEYLIME_BANK))}` };
}

/** The entries of a variable, whatever list they are in. */
function signaturesOf({ variables }: SecureBootPolicy, name: string) {
  const value = variables.find(({ id }) => id.name === name)?.value ?? new Uint8Array();
  return parseSignatureLists(value, name)
    .flatMap(({ signatures }) => signatures)
    .map(({ owner, data }) => ({ SignatureOwner: owner, SignatureData: `0x${toHex(data)}` }));
}
