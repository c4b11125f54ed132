import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { verifyJson } from "../../../src/cli/commands/verify.ts";
import { type CliResult, seal } from "../../support/cli.ts";
import { tempDir } from "../../support/temp.ts";
import { vector } from "../../support/vectors.ts";

const KEYS = fileURLToPath(new URL("../../vectors/authenticode/keys", import.meta.url));
const cert = (name: string) => ["--cert", join(KEYS, `${name}.crt`)];

async function verify(files: Readonly<Record<string, Uint8Array>>, ...options: string[]): Promise<CliResult> {
  const cwd = tempDir();
  for (const [name, bytes] of Object.entries(files)) writeFileSync(join(cwd, name), bytes);
  return seal(["verify", ...Object.keys(files), ...options], { cwd });
}

const signed = vector("authenticode/signed/plain.sbsign.signer.efi.gz");
const plain = vector("authenticode/pe/plain.efi.gz");
const changed = Uint8Array.from(signed).fill(1, 2000, 2001);

describe("seal verify", () => {
  it("names the certificate that a signature is trusted by", async () => {
    const result = await verify({ "a.efi": signed }, ...cert("signer"));
    expect(result.code).toBe(0);
    expect(result.stdout).toMatch(
      /^✓ a\.efi {2}trusted\n {2}✓ CN=seal test db rsa2048 · RSA-2048 · SHA-256 · 2026-01-02 03:04:05 UTC\n {4}good, trusted by .*signer\.crt\n$/,
    );
  });

  it.each<[string, Uint8Array, string[], RegExp]>([
    ["an unsigned file", plain, cert("signer"), /^✗ x\.efi {2}not signed\n$/],
    [
      "somebody else's",
      signed,
      cert("other"),
      /✗ CN=seal test db rsa2048.*\n {4}good, but CN=seal test db rsa2048 is none of the given/,
    ],
    [
      "a changed file",
      changed,
      cert("signer"),
      /bad: the file was changed after it was signed \(signed ad3bbc…d477, is/,
    ],
    ["no certificate given", signed, [], /good, but not checked against any certificate/],
  ])("refuses %s", async (_, bytes, options, message) => {
    const result = await verify({ "x.efi": bytes }, ...options);
    expect(result.code).toBe(1);
    expect(result.stdout).toMatch(message);
  });

  it("--json keeps its shape, one document for each file", async () => {
    const result = await verify({ "a.efi": signed, "b.efi": changed, "c.efi": plain }, "--json", ...cert("signer"));
    expect(result.code).toBe(1);
    const [first, second, third] = result.stdout
      .trimEnd()
      .split("\n")
      .map((line) => verifyJson.parse(JSON.parse(line)));
    expect(first).toEqual({
      file: "a.efi",
      valid: true,
      signatures: [
        {
          subject: "CN=seal test db rsa2048",
          issuer: "CN=seal test db rsa2048",
          digestAlgorithm: "sha256",
          trusted: true,
          reason: null,
        },
      ],
    });
    expect(second).toMatchObject({
      valid: false,
      signatures: [{ trusted: false, reason: expect.stringContaining("changed") }],
    });
    expect(third).toEqual({ file: "c.efi", valid: false, signatures: [] });
  });

  it("takes several certificates, from bundles too", async () => {
    const twice = vector("authenticode/pe/signed-twice.efi.gz");
    expect((await verify({ "x.efi": twice }, ...cert("other"), ...cert("signer"))).code).toBe(0);
    const bundle = Buffer.concat(["other", "signer"].map((name) => vector(`authenticode/keys/${name}.crt`)));
    const cwd = tempDir();
    writeFileSync(join(cwd, "x.efi"), signed);
    writeFileSync(join(cwd, "bundle.pem"), bundle);
    expect((await seal(["verify", "x.efi", "--cert", "bundle.pem"], { cwd })).code).toBe(0);
  });

  it("says 3 for what is no PE file, or one with a corrupt certificate table", async () => {
    const result = await verify({ "x.efi": Buffer.from("#!/bin/sh\n".repeat(30)) }, ...cert("signer"));
    expect(result).toMatchObject({ code: 3, stdout: "", stderr: expect.stringMatching(/^seal: x\.efi: no PE file/) });
    const trailing = await verify({ "x.efi": Buffer.concat([signed, Buffer.alloc(8)]) }, ...cert("signer"));
    expect(trailing).toMatchObject({
      code: 3,
      stderr: expect.stringMatching(/certificate table ends at 7240, the file at 7248/),
    });
    const noCertificate = await verify({ "x.efi": signed }, "--cert", join(KEYS, "signer.key"));
    expect(noCertificate).toMatchObject({
      code: 3,
      stderr: expect.stringMatching(/signer\.key: holds no certificate/),
    });
  });
});
