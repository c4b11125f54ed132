import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it, vi } from "vitest";
import { verifyReportSchema } from "../../../src/cli/verify/command.ts";
import { authentihash } from "../../../src/pe/authentihash.ts";
import { readCertificateTable } from "../../../src/pe/certtable.ts";
import { parsePe } from "../../../src/pe/headers.ts";
import { PePass } from "../../../src/pe/pe-pass.ts";
import { signVariableChange } from "../../../src/sign/authvar.ts";
import { knownGuid } from "../../../src/sign/guid.ts";
import { algorithmSeen } from "../../../src/sign/verify.ts";
import { type CliResult, seal } from "../../support/cli.ts";
import { certificateEsl, certificateHashEsl, esl, IMAGE_HASH_TYPES } from "../../support/databases.ts";
import { vectorSigner } from "../../support/signing.ts";
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
  // What is hashed before anybody has asked is read once more where another hash is asked for.
  it("hashes a program while it reads it only where a signature names that hash", async () => {
    const take = vi.spyOn(PePass.prototype, "take");
    try {
      const [entry] = readCertificateTable(parsePe([signed], "signed"));
      const sha384 = Uint8Array.from(signed);
      const at = Buffer.from(signed).indexOf(Buffer.from("0609608648016503040201", "hex"));
      sha384[at + 10] = 2;
      const [other] = readCertificateTable(parsePe([sha384], "changed"));
      expect([entry, other].map((one) => one && algorithmSeen(one))).toEqual(["sha256", "sha384"]);
      const taken: number[] = [];
      for (const bytes of [signed, sha384, plain]) {
        take.mockClear();
        await verify({ "a.efi": bytes }, ...cert("signer"));
        taken.push(take.mock.calls.length);
      }
      expect(taken).toEqual([1, 0, 0]);
    } finally {
      take.mockRestore();
    }
  });

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
      /✗ CN=seal test db rsa2048.*\n {4}good, but CN=seal test db rsa2048 is not a trusted certificate/,
    ],
    [
      "a changed file",
      changed,
      cert("signer"),
      /bad: the file was changed after it was signed \(signed ad3bbc…d477, now/,
    ],
    ["no certificate given", signed, [], /good, but not checked against any certificate/],
  ])("refuses %s", async (_, bytes, options, message) => {
    const result = await verify({ "x.efi": bytes }, ...options);
    expect(result.code).toBe(1);
    expect(result.stdout).toMatch(message);
  });

  it("says which bytes no signature covers", async () => {
    const cwd = tempDir();
    writeFileSync(join(cwd, "gap.efi"), vector("authenticode/pe/gap-between-sections.efi.gz"));
    expect((await seal(["verify", "gap.efi", ...cert("signer")], { cwd })).stderr).toBe("");
    const key = ["--key", join(KEYS, "signer.key")];
    expect(await seal(["sign", "gap.efi", ...key, ...cert("signer")], { cwd })).toMatchObject({ code: 0 });
    const result = await seal(["verify", "gap.efi", ...cert("signer")], { cwd });
    expect(result.code).toBe(0);
    expect(result.stderr).toMatch(
      /^warning: gap\.efi: bytes \d+ to \d+ are between its sections and not covered by any signature\n$/,
    );
  });

  it("--json keeps its shape, one document for each file", async () => {
    const result = await verify({ "a.efi": signed, "b.efi": changed, "c.efi": plain }, "--json", ...cert("signer"));
    expect(result.code).toBe(1);
    const [first, second, third] = result.stdout
      .trimEnd()
      .split("\n")
      .map((line) => verifyReportSchema.parse(JSON.parse(line)));
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

  it("says 3 for what is not a PE file, or one with a corrupt certificate table", async () => {
    const result = await verify({ "x.efi": Buffer.from("#!/bin/sh\n".repeat(30)) }, ...cert("signer"));
    expect(result).toMatchObject({
      code: 3,
      stdout: "",
      stderr: expect.stringMatching(/^seal: x\.efi: not a PE file/),
    });
    const trailing = await verify({ "x.efi": Buffer.concat([signed, Buffer.alloc(8)]) }, ...cert("signer"));
    expect(trailing).toMatchObject({
      code: 3,
      stderr: expect.stringMatching(/certificate table ends at 7240, the file at 7248/),
    });
    const noCertificate = await verify({ "x.efi": signed }, "--cert", join(KEYS, "signer.key"));
    expect(noCertificate).toMatchObject({
      code: 3,
      stderr: expect.stringMatching(/signer\.key: is PEM but contains no certificate/),
    });
  });

  it.each([
    [54, "FAT16   "],
    [82, "FAT32   "],
    [512, "EFI PART"],
  ])("says of the image of a disk or partition what to do with it (%s)", async (at, mark) => {
    const image = Buffer.alloc(1 << 16);
    image.write("\xeb\x58\x90mkfs.fat", "latin1");
    image.write(mark, at);
    expect(await verify({ "esp.img": image }, ...cert("signer"))).toMatchObject({
      code: 3,
      stderr: expect.stringMatching(/^seal: esp\.img: is a disk or partition image, which .* give the directory\n$/),
    });
  });

  it("asks db and dbx like firmware, from signature lists and signed updates", async () => {
    const cwd = tempDir();
    const update = { variable: "db", write: "replace", time: new Date(0), value: certificateEsl("signer") } as const;
    for (const [name, bytes] of Object.entries({
      "a.efi": signed,
      "plain.efi": plain,
      "db.esl": certificateEsl("signer"),
      "db.auth": await signVariableChange(update, vectorSigner("ca")),
      "hash.esl": esl(IMAGE_HASH_TYPES.sha256, authentihash(parsePe([plain], "x"), "sha256")),
      "dbx.esl": certificateHashEsl("signer"),
      "empty.esl": new Uint8Array(),
      "odd.esl": esl(knownGuid("3c5766e8-269c-4e34-aa14-ed776e85b3b6"), new Uint8Array(256)),
    })) {
      writeFileSync(join(cwd, name), bytes);
    }
    const run = (...args: string[]) => seal(["verify", ...args], { cwd });
    expect(await run("a.efi", "--db", "db.esl", "--dbx", "empty.esl")).toMatchObject({
      code: 0,
      stdout: expect.stringContaining("good, trusted by db.esl"),
    });
    expect((await run("a.efi", "--db", "db.auth")).code).toBe(0);
    expect(await run("a.efi", "--db", "db.esl", "--dbx", "dbx.esl")).toMatchObject({
      code: 1,
      stdout: expect.stringMatching(
        /✗ a\.efi {2}not trusted\n.*\n {4}revoked: CN=.* is revoked by its hash in dbx\.esl/,
      ),
    });
    expect(await run("plain.efi", "--db", "db.esl", "--db", "hash.esl")).toMatchObject({
      code: 0,
      stdout: "✓ plain.efi  trusted: its SHA-256 hash is in hash.esl\n",
    });
    const json = await run("plain.efi", "--json", "--db", "hash.esl", "--dbx", "hash.esl");
    expect(json.code).toBe(1);
    expect(verifyReportSchema.parse(JSON.parse(json.stdout))).toEqual({
      file: "plain.efi",
      valid: false,
      reason: "revoked: its SHA-256 hash is in hash.esl",
      signatures: [],
    });
    expect(await run("a.efi", "--db", "odd.esl", "--db", "db.esl")).toMatchObject({
      code: 0,
      stderr: expect.stringContaining("odd.esl: entries of these types do not apply to EFI programs: RSA-2048"),
    });
    expect(await run("a.efi", "--db", "a.efi")).toMatchObject({
      code: 3,
      stderr: expect.stringMatching(/^seal: a\.efi: /),
    });
  });
});
