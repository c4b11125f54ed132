/** Microsoft's Secure Boot certificates, and the variables that they belong into. */
import { createHash } from "node:crypto";
import { toHex } from "../bytes.ts";
import { knownGuid } from "./guid.ts";
import { MICROSOFT_CERTIFICATES } from "./microsoft-certificates.ts";

/** The owner that Microsoft gives its entries. */
export const MICROSOFT_OWNER = knownGuid("77fa9abd-0359-4d32-bd60-28f4e78f784b");

/** The variable that a certificate of Microsoft belongs into; null for all other certificates. */
export function microsoftVariable(der: Uint8Array): "PK" | "KEK" | "db" | null {
  return MICROSOFT_CERTIFICATES[toHex(createHash("sha256").update(der).digest())] ?? null;
}
