/** Sets of Secure Boot keys to enrol, of the test keys among the vectors. */
import {
  type SecureBootVariable,
  signVariableChange,
  VARIABLE_VENDORS,
  type VariableChange,
} from "../../src/sign/authvar.ts";
import { certificateEsl } from "./databases.ts";
import { type VectorKey, vectorSigner } from "./signing.ts";

/** PK and KEK of a set; whoever signs programs is in db. */
const OWNERS = { PK: "other", KEK: "db3072" } as const;
const TIME = new Date("2026-01-02T03:04:05Z");

/** A signed update of a variable, in which something may be other than in a good set. */
export function keyUpdate(
  variable: SecureBootVariable,
  value: VectorKey | Uint8Array,
  change: Partial<VariableChange> & { readonly signer?: VectorKey } = {},
): Promise<Uint8Array> {
  const { signer = VARIABLE_VENDORS[variable] === VARIABLE_VENDORS.PK ? OWNERS.PK : OWNERS.KEK, ...rest } = change;
  const bytes = typeof value === "string" ? certificateEsl(value) : value;
  return signVariableChange({ variable, write: "replace", time: TIME, value: bytes, ...rest }, vectorSigner(signer));
}

/** PK, KEK and db, with this key in db. */
export async function keySet(db: VectorKey = "signer"): Promise<Map<SecureBootVariable, Uint8Array>> {
  return new Map<SecureBootVariable, Uint8Array>([
    ["PK", await keyUpdate("PK", OWNERS.PK)],
    ["KEK", await keyUpdate("KEK", OWNERS.KEK)],
    ["db", await keyUpdate("db", db)],
  ]);
}
