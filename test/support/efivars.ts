/** A directory with variables as efivarfs shows them: attributes, then the value. */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { namedVariable, type OtherVariable } from "../../src/sign/authvar.ts";
import { efivarName } from "../../src/sign/efivars.ts";
import { SECURE_BOOT } from "../../src/sign/secure-boot-policy.ts";
import { SHIM_VARIABLES } from "../../src/sign/shim.ts";

const IDS = {
  ...{ PK: namedVariable("PK"), KEK: namedVariable("KEK"), db: namedVariable("db"), dbx: namedVariable("dbx") },
  SecureBoot: SECURE_BOOT,
  MokListRT: SHIM_VARIABLES.enrolled,
  MokListXRT: SHIM_VARIABLES.revoked,
  SbatLevelRT: SHIM_VARIABLES.sbatLevel,
} as const satisfies Record<string, OtherVariable>;

export function writeEfivars(directory: string, values: Readonly<Partial<Record<keyof typeof IDS, Uint8Array>>>): void {
  mkdirSync(directory, { recursive: true });
  for (const [name, id] of Object.entries(IDS)) {
    const value = values[name as keyof typeof IDS];
    if (value !== undefined) writeFileSync(join(directory, efivarName(id)), Buffer.concat([ATTRIBUTES, value]));
  }
}

/** NON_VOLATILE, BOOTSERVICE_ACCESS, RUNTIME_ACCESS, TIME_BASED_AUTHENTICATED_WRITE_ACCESS. */
const ATTRIBUTES = Buffer.from([0x27, 0, 0, 0]);
