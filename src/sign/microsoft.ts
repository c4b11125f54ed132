/** Microsoft's Secure Boot certificates, known by the SHA-256 of their DER, and the variables that they belong into. */
import { createHash } from "node:crypto";
import { toHex } from "../bytes.ts";
import { knownGuid } from "./guid.ts";

/** The owner that Microsoft gives its entries. */
export const MICROSOFT_OWNER = knownGuid("77fa9abd-0359-4d32-bd60-28f4e78f784b");

const CERTIFICATES: Readonly<Record<string, "KEK" | "db">> = {
  // Microsoft Corporation KEK CA 2011
  a1117f516a32cefcba3f2d1ace10a87972fd6bbe8fe0d0b996e09e65d802a503: "KEK",
  // Microsoft Corporation KEK 2K CA 2023
  "3cd3f0309edae228767a976dd40d9f4affc4fbd5218f2e8cc3c9dd97e8ac6f9d": "KEK",
  // Microsoft Corporation UEFI CA 2011: boot loaders and option ROMs of others
  "48e99b991f57fc52f76149599bff0a58c47154229b9f8d603ac40d3500248507": "db",
  // Microsoft UEFI CA 2023
  f6124e34125bee3fe6d79a574eaa7b91c0e7bd9d929c1a321178efd611dad901: "db",
  // Microsoft Windows Production PCA 2011
  e8e95f0733a55e8bad7be0a1413ee23c51fcea64b3c8fa6a786935fddcc71961: "db",
  // Windows UEFI CA 2023
  "076f1fea90ac29155ebf77c17682f75f1fdd1be196da302dc8461e350a9ae330": "db",
};

/** The variable that a certificate of Microsoft belongs into; null for all other certificates. */
export function microsoftVariable(der: Uint8Array): "KEK" | "db" | null {
  return CERTIFICATES[toHex(createHash("sha256").update(der).digest())] ?? null;
}
