/** A directory with variables as efivarfs shows them: attributes, then the value. */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { namedVariable, type OtherVariable, SECURE_BOOT_ATTRIBUTES } from "../../src/sign/authvar.ts";
import { efivarName } from "../../src/sign/efivars.ts";
import { SECURE_BOOT } from "../../src/sign/secure-boot-policy.ts";
import { runtimeCopy, SHIM_VARIABLES } from "../../src/sign/shim.ts";

const IDS = {
  ...{ PK: namedVariable("PK"), KEK: namedVariable("KEK"), db: namedVariable("db"), dbx: namedVariable("dbx") },
  SecureBoot: SECURE_BOOT,
  MokListRT: runtimeCopy(SHIM_VARIABLES.enrolled),
  MokListXRT: runtimeCopy(SHIM_VARIABLES.revoked),
  SbatLevelRT: runtimeCopy(SHIM_VARIABLES.sbatLevel),
} as const satisfies Record<string, OtherVariable>;

export function writeEfivars(directory: string, values: Readonly<Partial<Record<keyof typeof IDS, Uint8Array>>>): void {
  mkdirSync(directory, { recursive: true });
  for (const [name, id] of Object.entries(IDS)) {
    const value = values[name as keyof typeof IDS];
    const attributes = [isVolatile(id) ? BOTH_TIMES : SECURE_BOOT_ATTRIBUTES, 0, 0, 0];
    if (value !== undefined)
      writeFileSync(join(directory, efivarName(id)), Buffer.concat([Buffer.from(attributes), value]));
  }
}

/** BOOTSERVICE_ACCESS and RUNTIME_ACCESS. */
const BOTH_TIMES = 0x06;

/** Firmware and shim make these at each start. */
function isVolatile({ name }: OtherVariable): boolean {
  return name === "SecureBoot" || name.endsWith("RT");
}
