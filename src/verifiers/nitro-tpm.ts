/**
 * PCR values as AWS uses them in key policies and attestation documents of NitroTPM: what nitro-tpm-pcr-compute 1.1.2
 * writes.
 */
import { toHex } from "../bytes.ts";
import type { WayReference } from "../sign/boot-reference.ts";
import { digestIn, distinctVariants, type VerifierReference, wayName, withoutParameters } from "./format.ts";

/** The bank that NitroTPM attests. */
export const NITRO_TPM_BANK = "sha384";
/** Those that nitro-tpm-pcr-compute writes. PCR 11 goes on when the system boots. */
const PCRS = [4, 7, 12];

/**
 * The values of each way to boot: one document where they are the same, else a file for each that is different.
 * @param ways with references in `NITRO_TPM_BANK`
 */
export function nitroTpmMeasurements(ways: readonly WayReference[]): VerifierReference {
  const variants = distinctVariants(
    ways.map((way) => ({ name: wayName(way, ways), text: `${JSON.stringify(measurements(way), null, 2)}\n` })),
  );
  const [only] = variants;
  return {
    output:
      only !== undefined && variants.length === 1
        ? { kind: "document", text: only.text }
        : { kind: "files", files: variants.map(({ name, text }) => ({ name: `${name}.json`, text })) },
    omitted: withoutParameters(ways),
  };
}

function measurements({ pcrs }: WayReference) {
  const values = pcrs
    .filter(({ pcr }) => PCRS.includes(pcr))
    .map(({ pcr, values: all }) => [`PCR${pcr}`, toHex(digestIn(all, NITRO_TPM_BANK))] as const);
  return { Measurements: { HashAlgorithm: "SHA384", ...Object.fromEntries(values) } };
}
