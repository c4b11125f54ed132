import { sign } from "node:crypto";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { concat } from "../../../src/chunks.ts";
import { readCertificateTable } from "../../../src/pe/certtable.ts";
import { type PeImage, parsePe } from "../../../src/pe/headers.ts";
import { attachRawSignature, attachSignature, exportToBeSigned } from "../../../src/sign/detached.ts";
import { verifyPe } from "../../../src/sign/verify.ts";
import { type CliOptions, seal } from "../../support/cli.ts";
import { vectorCertificate } from "../../support/signing.ts";
import { tempDir } from "../../support/temp.ts";
import { vector } from "../../support/vectors.ts";

const KEYS = fileURLToPath(new URL("../../vectors/authenticode/keys", import.meta.url));
const cert = (name: string) => ["--cert", join(KEYS, `${name}.crt`)];
const key = vector("authenticode/keys/signer.key");
const plain = vector("authenticode/pe/plain.efi.gz");
const signed = vector("authenticode/signed/plain.systemd-sbsign.signer.efi.gz");
const TIME = ["--signing-time", "2026-01-02T03:04:05Z"];

/** The one signature of a PE file, with the padding that its entry has. */
function pkcs7Of(file: Uint8Array): Uint8Array {
  const [entry] = readCertificateTable(parsePe([file], "vector"));
  return entry?.data ?? new Uint8Array();
}

function workDir(): string {
  const dir = tempDir();
  writeFileSync(join(dir, "x.efi"), plain);
  writeFileSync(join(dir, "y.efi"), vector("authenticode/pe/kernel.efi.gz"));
  return dir;
}

async function run(cwd: string, args: readonly string[], options: CliOptions = {}) {
  const result = await seal(["sign", ...args], { cwd, ...options });
  expect(result).toMatchObject({ code: 0, stderr: "" });
  return result;
}

/** What the machine with the key does. */
function signFile(cwd: string, tbs: string, signature: string): void {
  writeFileSync(join(cwd, signature), sign("sha256", readFileSync(join(cwd, tbs)), key));
}

describe("seal sign with a key that is elsewhere", () => {
  it.each([
    ["the time given again", [...TIME]],
    ["what was exported", ["--tbs", "x.tbs"]],
  ])("exports and attaches with %s: the same file as with the key", async (_, args) => {
    const cwd = workDir();
    const exported = await run(cwd, ["x.efi", "--export-tbs", "x.tbs", ...TIME]);
    expect(exported.stdout).toMatch(/^x\.tbs: what is to be signed for x\.efi, \d+ bytes\n$/);
    expect(readFileSync(join(cwd, "x.efi"))).toEqual(plain);
    signFile(cwd, "x.tbs", "x.sig");
    const attached = await run(cwd, ["x.efi", "--attach-signature", "x.sig", ...args, ...cert("signer")]);
    expect(attached.stdout).toBe("x.efi: signed by CN=seal test db rsa2048 (RSA-2048), attached\n");
    expect(readFileSync(join(cwd, "x.efi"))).toEqual(signed);
  });

  it("exports the same bytes each time, with and without a time", async () => {
    const cwd = workDir();
    const now = (second: number) => ({ now: new Date(second * 1000) });
    await run(cwd, ["x.efi", "--export-tbs", "1"], now(1));
    await run(cwd, ["x.efi", "--export-tbs", "2"], now(2));
    expect(readFileSync(join(cwd, "1"))).toEqual(readFileSync(join(cwd, "2")));
    await run(cwd, ["x.efi", "--export-tbs", "3"], { env: { SOURCE_DATE_EPOCH: "1767323045" } });
    await run(cwd, ["x.efi", "--export-tbs", "4", ...TIME]);
    expect(readFileSync(join(cwd, "3"))).toEqual(readFileSync(join(cwd, "4")));
    expect(readFileSync(join(cwd, "3"))).not.toEqual(readFileSync(join(cwd, "1")));
  });

  it("does not export a signed file otherwise than an unsigned one", async () => {
    const cwd = workDir();
    writeFileSync(join(cwd, "signed.efi"), signed);
    await run(cwd, ["x.efi", "--export-tbs", "1"]);
    await run(cwd, ["signed.efi", "--export-tbs", "2"]);
    expect(readFileSync(join(cwd, "1"))).toEqual(readFileSync(join(cwd, "2")));
  });

  it.each(["sbsign", "systemd-sbsign", "osslsigncode", "pesign"])("attaches the PKCS#7 of %s", async (tool) => {
    const cwd = workDir();
    const theirs = vector(`authenticode/signed/plain.${tool}.signer.efi.gz`);
    const pkcs7 = pkcs7Of(theirs);
    writeFileSync(join(cwd, "x.p7"), pkcs7);
    await run(cwd, ["x.efi", "--attach-pkcs7", "x.p7", "--output", "z.efi", ...cert("signer")]);
    const attached = pkcs7Of(readFileSync(join(cwd, "z.efi")));
    expect(Buffer.from(attached).subarray(0, pkcs7.length - 7)).toEqual(
      Buffer.from(pkcs7).subarray(0, pkcs7.length - 7),
    );
    expect((await seal(["verify", "z.efi", ...cert("signer")], { cwd })).code).toBe(0);
    expect(readFileSync(join(cwd, "x.efi"))).toEqual(plain);
  });

  it.each(["PKCS7", "CMS", "AUTHENTICODE SIGNATURE"])("attaches PEM that says %s", async (type) => {
    const cwd = workDir();
    const base64 = Buffer.from(pkcs7Of(signed)).toString("base64");
    writeFileSync(join(cwd, "x.pem"), `-----BEGIN ${type}-----\n${base64}\n-----END ${type}-----\n`);
    await run(cwd, ["x.efi", "--attach-pkcs7", "x.pem"]);
    expect(readFileSync(join(cwd, "x.efi"))).toEqual(signed);
  });

  it("attaches a second signature beside the first", async () => {
    const cwd = workDir();
    await run(cwd, ["x.efi", "--key", join(KEYS, "db3072.key"), ...cert("db3072")]);
    await run(cwd, ["x.efi", "--export-tbs", "x.tbs"]);
    signFile(cwd, "x.tbs", "x.sig");
    await run(cwd, ["x.efi", "--append", "--attach-signature", "x.sig", ...cert("signer")]);
    for (const name of ["signer", "db3072"]) {
      expect((await seal(["verify", "x.efi", ...cert(name)], { cwd })).code).toBe(0);
    }
  });

  it.each<[string, string[], number, RegExp]>([
    [
      "the signature of another file",
      ["--attach-signature", "y.sig", ...cert("signer")],
      3,
      /^seal: y\.sig: .*does not verify with .*exported for x\.efi/,
    ],
    [
      "what was exported for another file",
      ["--attach-signature", "y.sig", "--tbs", "y.tbs", ...cert("signer")],
      3,
      /^seal: y\.tbs: these attributes are for another file/,
    ],
    [
      "a signature of another time",
      ["--attach-signature", "x.sig", ...TIME, ...cert("signer")],
      3,
      /does not verify.*same signing time/,
    ],
    ["another certificate", ["--attach-signature", "x.sig", ...cert("other")], 3, /does not verify with .*other\.crt/],
    [
      "a signature as text",
      ["--attach-signature", "x.b64", ...cert("signer")],
      3,
      /gave 344 bytes; a raw signature .* has 256/,
    ],
    ["no certificate", ["--attach-signature", "x.sig"], 2, /--cert: --attach-signature needs the signer's certificate/],
    [
      "attributes that are none",
      ["--attach-signature", "x.sig", "--tbs", "x.sig", ...cert("signer")],
      3,
      /^seal: x\.sig: signed attributes expected/,
    ],
    [
      "the PKCS#7 of another file",
      ["--attach-pkcs7", "y.p7"],
      3,
      /^seal: y\.p7: is not a valid signature of x\.efi: the file was changed/,
    ],
    [
      "the PKCS#7 of somebody else",
      ["--attach-pkcs7", "x.p7", ...cert("other")],
      3,
      /^seal: x\.p7: is signed by CN=seal test db rsa2048, not by .*other\.crt/,
    ],
    ["a PKCS#7 that is none", ["--attach-pkcs7", "x.sig"], 3, /^seal: x\.sig: ContentInfo expected/],
    [
      "a certificate as PKCS#7",
      ["--attach-pkcs7", join(KEYS, "signer.crt")],
      3,
      /is PEM but contains no PKCS#7 message/,
    ],
    [
      "two steps",
      ["--attach-pkcs7", "x.p7", "--export-tbs", "t"],
      2,
      /--export-tbs and --attach-pkcs7: give one of them/,
    ],
    ["a key", ["--export-tbs", "t", "--key", "k"], 2, /--export-tbs: cannot be combined with --key/],
    ["a command", ["--attach-pkcs7", "x.p7", "--signer", "k"], 2, /--attach-pkcs7: cannot be combined with --signer/],
    ["attributes alone", ["--tbs", "x.tbs", "--key", "k"], 2, /--tbs: requires --attach-signature/],
    ["an output of nothing", ["--export-tbs", "t", "--output", "o"], 2, /--output: --export-tbs signs nothing/],
    ["several files", ["y.efi", "--export-tbs", "t"], 2, /--export-tbs: requires a single file, not 2/],
  ])("refuses %s and writes nothing", async (_, args, code, message) => {
    const cwd = workDir();
    for (const name of ["x", "y"]) {
      await run(cwd, [`${name}.efi`, "--export-tbs", `${name}.tbs`]);
      signFile(cwd, `${name}.tbs`, `${name}.sig`);
    }
    writeFileSync(join(cwd, "x.b64"), readFileSync(join(cwd, "x.sig")).toString("base64"));
    writeFileSync(join(cwd, "x.p7"), pkcs7Of(signed));
    writeFileSync(join(cwd, "y.p7"), pkcs7Of(vector("authenticode/signed/kernel.sbsign.signer.efi.gz")));
    const before = readdirSync(cwd);
    const result = await seal(["sign", "x.efi", ...args], { cwd });
    expect(result.stderr).toMatch(message);
    expect(result).toMatchObject({ code, stdout: "" });
    expect(result.stderr.split("\n")).toHaveLength(2);
    expect(readdirSync(cwd)).toEqual(before);
    expect(readFileSync(join(cwd, "x.efi"))).toEqual(plain);
  });
});

describe("what comes back from elsewhere", () => {
  const certificate = vectorCertificate("signer");
  const tbs = exportToBeSigned(parsePe([plain], "x.efi"), null);
  const good = sign("sha256", tbs, key);
  const attach = (attributes: Uint8Array, signature: Uint8Array) =>
    attachRawSignature(parsePe([plain], "x.efi"), {
      signature: { bytes: signature, subject: "x.sig" },
      over: { attributes: { bytes: attributes, subject: "x.tbs" } },
      certificate,
      chain: [],
      append: false,
    });
  const flipped = (bytes: Uint8Array, at: number, flip: number) =>
    bytes.map((byte, index) => (index === at % bytes.length ? byte ^ flip : byte));
  const expectGood = ({ file }: PeImage) => {
    const written = parsePe([concat(file)], "x.efi");
    const { signatures } = verifyPe(written, { certificates: [], now: new Date(0) });
    expect(signatures.map(({ outcome }) => outcome)).toEqual(["untrusted"]);
  };
  const change = [fc.nat(4095), fc.integer({ min: 1, max: 255 })] as const;
  const refused = { name: "SealError", code: "input" };

  it("is refused with any byte of the attributes or the signature changed or cut off", async () => {
    await attach(tbs, good);
    await fc.assert(
      fc.asyncProperty(...change, async (at, flip) => {
        await expect(attach(flipped(tbs, at, flip), good)).rejects.toMatchObject(refused);
        await expect(attach(tbs, flipped(good, at, flip))).rejects.toMatchObject(refused);
        await expect(attach(tbs.subarray(0, at % tbs.length), good)).rejects.toMatchObject(refused);
      }),
      { numRuns: 150 },
    );
  });

  it("is refused or verifies when somebody signed changed attributes in earnest", async () => {
    await fc.assert(
      fc.asyncProperty(...change, async (at, flip) => {
        const attributes = flipped(tbs, at, flip);
        const result = await attach(attributes, sign("sha256", attributes, key)).catch((error: unknown) => error);
        if (result instanceof Error) expect(result).toMatchObject(refused);
        else expectGood(result as PeImage);
      }),
      { numRuns: 150 },
    );
  });

  it("is refused or verifies as PKCS#7 with any byte changed", async () => {
    const pkcs7 = pkcs7Of(signed);
    const accept = (bytes: Uint8Array) =>
      attachSignature(parsePe([plain], "x.efi"), { bytes, subject: "x.p7" }, { append: false, signer: null });
    expect(accept(pkcs7).certificate.subjectText).toBe("CN=seal test db rsa2048");
    await fc.assert(
      fc.asyncProperty(...change, async (at, flip) => {
        try {
          // The key is what counts: the certificate's own signature, for instance, says nothing about the file.
          expectGood(accept(flipped(pkcs7, at, flip)).pe);
        } catch (error) {
          expect(error).toMatchObject(refused);
        }
      }),
      { numRuns: 300 },
    );
  });
});
