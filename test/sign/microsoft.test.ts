import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { microsoftVariable } from "../../src/sign/microsoft.ts";
import { MICROSOFT_CERTIFICATES } from "../../src/sign/microsoft-certificates.ts";
import { vectorCertificate } from "../support/signing.ts";
import { tempDir } from "../support/temp.ts";

const SCRIPT = fileURLToPath(new URL("../../scripts/microsoft-certificates.ts", import.meta.url));

describe("Microsoft's certificates", () => {
  it("are all that Microsoft publishes, the CA of option ROMs among them", () => {
    const variables = Object.values(MICROSOFT_CERTIFICATES);
    expect(["PK", "KEK", "db"].map((name) => variables.filter((one) => one === name).length)).toEqual([1, 2, 5]);
    // Microsoft Option ROM UEFI CA 2023
    const optionRoms = "e5be3e64c6e66a281457ecdece0d6d0787577aad2a3a0144262c10c14ba8d8f1";
    expect(MICROSOFT_CERTIFICATES[optionRoms]).toBe("db");
    expect(microsoftVariable(vectorCertificate("ca").der)).toBeNull();
  });

  it("come from a table that a script makes of Microsoft's repository", () => {
    const checkout = tempDir();
    for (const [directory, key] of [
      ["PK/Certificate", "ca"],
      ["KEK/Certificates", "leaf"],
      ["DB/Certificates", "signer"],
    ] as const) {
      const path = join(checkout, "PreSignedObjects", directory);
      mkdirSync(path, { recursive: true });
      writeFileSync(join(path, "a b.der"), vectorCertificate(key).der);
    }
    const { status, stdout, stderr } = spawnSync(process.execPath, [SCRIPT, checkout], { encoding: "utf8" });
    expect(status, stderr).toBe(0);
    const rows = [...stdout.matchAll(/^ {2}"?([0-9a-f]{64})"?: "(\w+)",$/gm)].map(([, hash, name]) => [hash, name]);
    const hash = (key: "ca" | "leaf" | "signer") =>
      createHash("sha256").update(vectorCertificate(key).der).digest("hex");
    expect(rows).toEqual([
      [hash("ca"), "PK"],
      [hash("leaf"), "KEK"],
      [hash("signer"), "db"],
    ]);
    expect(stdout).toContain("// seal test db rsa2048, until 2045");
  });
});
