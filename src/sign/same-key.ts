/** Whether two keys are one. */
import type { KeyObject } from "node:crypto";

/**
 * Whether two public keys are the same. Of an RSA and an EC key, Node's `equals` says that they differ, but leaves
 * OpenSSL's "different key types" in the error queue: the next call that looks for an error takes it for its own, and a
 * good key can't be read then (Node 20 to 24).
 */
export function isSameKey(one: KeyObject, other: KeyObject): boolean {
  return one.asymmetricKeyType === other.asymmetricKeyType && one.equals(other);
}
