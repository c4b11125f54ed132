/** ECDSA signatures. */
import { integer, sequence } from "./der.ts";

/**
 * Ecdsa-Sig-Value (RFC 3279 2.2.3) of the two numbers that tokens give.
 * @param raw r and s in equal halves, big endian
 */
export function ecdsaSignature(raw: Uint8Array): Uint8Array {
  const half = raw.length / 2;
  return sequence(integer(raw.subarray(0, half)), integer(raw.subarray(half)));
}
