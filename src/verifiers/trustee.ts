/**
 * Reference values of Trustee, the attestation service of Confidential Containers: a message to its Reference
 * Value Provider Service of type `sample`, version 0.1.0, for `rvps-tool register` (rvps/README.md and
 * rvps/src/extractors/sample/README.md of its sources). The service sees no signature in it: what is
 * registered has to be true.
 *
 * Names are those that Trustee's default policy asks for (ear_default_policy_cpu.rego), continued for the other
 * registers; the verifiers of TPMs and of the vTPMs of Azure give their policies the SHA-256 bank, in lower-case hex.
 */
import { toHex, utf8 } from "../bytes.ts";
import type { BankValues } from "../pe/pcr-events.ts";
import type { WayReference } from "../sign/boot-reference.ts";
import { digestIn, jsonDocument, type VerifierReference, withoutParameters } from "./format.ts";

export const TRUSTEE_BANK = "sha256";

/**
 * The values of all ways to boot together: a policy asks whether a register's is among them. PCR 11 is that after each
 * phase path of the references.
 * @param ways with references in `TRUSTEE_BANK`
 */
export function trusteeMessage(ways: readonly WayReference[]): VerifierReference {
  const [code, policy, uki, parameters] = ([4, 7, 11, 12] as const).map((pcr) => valuesOf(ways, pcr));
  const values = {
    tpm_pcr04: code,
    tpm_pcr07: policy,
    tpm_pcr11: uki,
    ...(parameters?.length === 0 ? {} : { tpm_pcr12: parameters }),
    snp_pcr11: uki,
    tdx_pcr11: uki,
  };
  const payload = Buffer.from(utf8(JSON.stringify(values))).toString("base64");
  return {
    output: jsonDocument({ version: "0.1.0", type: "sample", payload }),
    omitted: withoutParameters(ways),
  };
}

function valuesOf(ways: readonly WayReference[], pcr: 4 | 7 | 11 | 12): string[] {
  const all = ways.flatMap(({ pcrs }) =>
    pcrs
      .filter((one) => one.pcr === pcr)
      .flatMap(({ values, phases }): BankValues[] => (pcr === 11 ? phases.map((phase) => phase.values) : [values])),
  );
  return [...new Set(all.map((values) => toHex(digestIn(values, TRUSTEE_BANK))))];
}
