import { createPrivateKey } from "node:crypto";
import { chmodSync, mkdirSync, readdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { readCertificateTable } from "../../../src/pe/certtable.ts";
import { parsePe } from "../../../src/pe/headers.ts";
import { type CliOptions, seal } from "../../support/cli.ts";
import { tempDir } from "../../support/temp.ts";
import { vector } from "../../support/vectors.ts";

const KEYS = fileURLToPath(new URL("../../vectors/authenticode/keys", import.meta.url));
const by = (name: string) => ["--key", join(KEYS, `${name}.key`), "--cert", join(KEYS, `${name}.crt`)];
const plain = vector("authenticode/pe/plain.efi.gz");
const TIME = "2026-01-02T03:04:05Z";

function workDir(): string {
  const dir = tempDir();
  writeFileSync(join(dir, "x.efi"), plain);
  return dir;
}

describe("seal sign", () => {
  it("signs in place and keeps the mode", async () => {
    const cwd = workDir();
    chmodSync(join(cwd, "x.efi"), 0o664);
    const result = await seal(["sign", "x.efi", ...by("signer"), "--signing-time", TIME], { cwd });
    expect(result).toMatchObject({
      code: 0,
      stdout: "x.efi: signed by CN=seal test db rsa2048 (RSA-2048, SHA-256)\n",
      stderr: "",
    });
    expect(readFileSync(join(cwd, "x.efi"))).toEqual(vector("authenticode/signed/plain.systemd-sbsign.signer.efi.gz"));
    expect(statSync(join(cwd, "x.efi")).mode & 0o777).toBe(0o664);
    expect(readdirSync(cwd)).toEqual(["x.efi"]);
  });

  it("signs what a symlink points to", async () => {
    const cwd = workDir();
    mkdirSync(join(cwd, "boot"));
    symlinkSync("../x.efi", join(cwd, "boot/link.efi"));
    expect((await seal(["sign", "boot/link.efi", ...by("signer")], { cwd })).code).toBe(0);
    expect((await seal(["verify", "x.efi", "--cert", join(KEYS, "signer.crt")], { cwd })).code).toBe(0);
    expect(readdirSync(join(cwd, "boot"))).toEqual(["link.efi"]);
    expect(statSync(join(cwd, "boot/link.efi")).ino).toBe(statSync(join(cwd, "x.efi")).ino);
  });

  it("writes to another file and leaves the input alone", async () => {
    const cwd = workDir();
    const env = { SOURCE_DATE_EPOCH: String(Date.parse(TIME) / 1000) };
    const result = await seal(["sign", "x.efi", "--output", "out/y.efi", ...by("db4096")], { cwd, env });
    expect(result).toMatchObject({ code: 0, stdout: expect.stringMatching(/^out\/y\.efi: signed by .*RSA-4096/) });
    expect(readFileSync(join(cwd, "out/y.efi"))).toEqual(
      vector("authenticode/signed/plain.systemd-sbsign.db4096.efi.gz"),
    );
    expect(readFileSync(join(cwd, "x.efi"))).toEqual(plain);
  });

  it("takes the time of day only when asked for it", async () => {
    const cwd = workDir();
    const sign = (...options: string[]) =>
      seal(["sign", "x.efi", ...by("signer"), ...options], { cwd, now: new Date(TIME) });
    await sign("--signing-time", "now");
    expect(readFileSync(join(cwd, "x.efi"))).toEqual(vector("authenticode/signed/plain.systemd-sbsign.signer.efi.gz"));
    await sign();
    const withoutTime = readFileSync(join(cwd, "x.efi"));
    expect(withoutTime.includes(Buffer.from("260102030405Z"))).toBe(false);
    await sign("--signing-time", "2026-01-02T05:04:05.5+02:00");
    expect(readFileSync(join(cwd, "x.efi")).includes(Buffer.from("260102030405Z"))).toBe(true);
  });

  it("signs several files, and appends", async () => {
    const cwd = workDir();
    writeFileSync(join(cwd, "y.efi"), vector("authenticode/pe/kernel.efi.gz"));
    expect((await seal(["sign", "x.efi", "y.efi", ...by("signer")], { cwd })).code).toBe(0);
    const second = await seal(["sign", "--append", "x.efi", "y.efi", ...by("db3072")], { cwd });
    expect(second.stdout.split("\n")).toHaveLength(3);
    for (const name of ["x.efi", "y.efi"]) {
      expect(readCertificateTable(parsePe([readFileSync(join(cwd, name))], name))).toHaveLength(2);
      const verified = await seal(["verify", name, "--cert", join(KEYS, "db3072.crt")], { cwd });
      expect(verified.code).toBe(0);
    }
  });

  it("warns of an expired certificate and of gaps between sections", async () => {
    const cwd = workDir();
    writeFileSync(join(cwd, "gap.efi"), vector("authenticode/pe/gap-between-sections.efi.gz"));
    const result = await seal(["sign", "gap.efi", ...by("signer")], { cwd, now: new Date("2046-01-01T00:00:00Z") });
    expect(result.code).toBe(0);
    expect(result.stderr).toMatch(/^warning: the certificate CN=seal test db rsa2048 expired on 2045-01-01: /m);
    expect(result.stderr).toMatch(/^warning: gap\.efi: there are bytes between its sections/m);
  });

  describe("by a command", () => {
    const cert = ["--cert", join(KEYS, "signer.crt")];
    const program = fileURLToPath(new URL("../../support/signer.mjs", import.meta.url));
    const SIGN = `'${process.execPath}' '${program}' '${join(KEYS, "signer.key")}'`;

    it.each([
      ["the digest", SIGN, []],
      ["the digest, as it was told", `test $SEAL_SIGNER_INPUT = digest && ${SIGN}`, ["--signer-input", "digest"]],
      ["the data", `test $SEAL_SIGNER_INPUT = data && ${SIGN}`, ["--signer-input", "data"]],
    ])("that gets %s: the same signature as with the key", async (_, signer, options) => {
      const cwd = workDir();
      const args = ["--signer", signer, ...options, ...cert, "--signing-time", TIME];
      expect(await seal(["sign", "x.efi", ...args], { cwd })).toMatchObject({ code: 0, stderr: "" });
      const expected = vector("authenticode/signed/plain.systemd-sbsign.signer.efi.gz");
      expect(readFileSync(join(cwd, "x.efi"))).toEqual(expected);
    });

    it.each<[string, string[], number, RegExp]>([
      ["fails", ["--signer", "echo no card >&2; exit 9", ...cert], 4, /^no card\nseal: echo no card .* exit code 9\n$/],
      [
        "signs something else",
        ["--signer", `head -c 32 /dev/zero | ${SIGN}`, ...cert],
        4,
        /^seal: .*does not verify with .*signer\.crt/,
      ],
      ["signs with another key", ["--signer", SIGN, "--cert", join(KEYS, "other.crt")], 4, /^seal: .*does not verify/],
      ["answers text", ["--signer", `${SIGN} | base64`, ...cert], 4, /^seal: .*gave 349 bytes; a raw signature for/],
      ["has no certificate", ["--signer", SIGN], 2, /^seal: --cert: --signer needs the signer's certificate\n/],
      ["has no name", ["--signer", " ", ...cert], 2, /^seal: --signer: give a command\n/],
      ["has a rival", ["--signer", SIGN, ...by("signer")], 2, /^seal: --key and --signer: give one of them\n/],
      ["gets something unknown", ["--signer", SIGN, ...cert, "--signer-input", "x"], 2, /give digest or data\n/],
      ["is not there", [...by("signer"), "--signer-input", "data"], 2, /requires --signer\n/],
      ["gets a passphrase", ["--signer", SIGN, ...cert, "--passphrase-env", "PATH"], 2, /asks for its own\n/],
    ])("that %s: nothing is written", async (_, args, code, message) => {
      const cwd = workDir();
      const result = await seal(["sign", "x.efi", ...args], { cwd });
      expect(result.stderr).toMatch(message);
      expect(result).toMatchObject({ code, stdout: "" });
      expect(readdirSync(cwd)).toEqual(["x.efi"]);
      expect(readFileSync(join(cwd, "x.efi"))).toEqual(plain);
    });
  });

  describe("with a passphrase", () => {
    const cipher = { type: "pkcs8", format: "pem", cipher: "aes-256-cbc", passphrase: "geheim" } as const;
    const encrypted = createPrivateKey(vector("authenticode/keys/signer.key")).export(cipher);
    const cert = ["--cert", join(KEYS, "signer.crt")];
    const pass = Buffer.from("geheim\r\nnot this line\n");

    function withKey(): string {
      const cwd = workDir();
      writeFileSync(join(cwd, "db.key"), encrypted);
      writeFileSync(join(cwd, "pass"), pass);
      return cwd;
    }

    it.each<[string, string[], CliOptions]>([
      ["from a file", ["--key", "db.key", "--passphrase-file", "pass"], {}],
      ["from the environment", ["--key", "db.key", "--passphrase-env", "P"], { env: { P: "geheim" } }],
      ["from standard input", ["--key", "db.key", "--passphrase-file", "-"], { stdin: pass }],
      [
        "and the key from standard input",
        ["--key", "-", "--passphrase-file", "pass"],
        { stdin: Buffer.from(encrypted) },
      ],
    ])("%s", async (_, args, options) => {
      const result = await seal(["sign", "x.efi", ...args, ...cert], { cwd: withKey(), ...options });
      expect(result).toMatchObject({ code: 0, stderr: "" });
    });

    it.each<[string, string[], CliOptions, RegExp]>([
      ["none", ["--key", "db.key"], {}, /^seal: db\.key: is encrypted\. Give its passphrase with/],
      [
        "a wrong one",
        ["--key", "db.key", "--passphrase-env", "P"],
        { env: { P: "secret" } },
        /^seal: db\.key: can't be opened/,
      ],
      [
        "an endless one",
        ["--key", "db.key", "--passphrase-file", "-"],
        { stdin: Buffer.alloc(2000, 97) },
        /not a passphrase/,
      ],
    ])("%s is refused, and never shown", async (_, args, options, message) => {
      const result = await seal(["--verbose", "sign", "x.efi", ...args, ...cert], { cwd: withKey(), ...options });
      expect(result).toMatchObject({ code: 3, stdout: "", stderr: expect.stringMatching(message) });
      expect(result.stderr).not.toMatch(/geheim|secret|aaaaa/);
    });
  });

  it.each<[string, string[], number, RegExp]>([
    ["no key", ["x.efi"], 2, /^seal: --key: give the private key/],
    [
      "no certificate",
      ["x.efi", "--key", join(KEYS, "signer.key")],
      2,
      /^seal: --cert: give the certificate of .*signer\.key/,
    ],
    [
      "another key's certificate",
      ["x.efi", "--key", join(KEYS, "signer.key"), "--cert", join(KEYS, "other.crt")],
      3,
      /other\.crt does not belong to .*signer\.key \(public keys differ\)\. Give the certificate issued for this key\.\n$/,
    ],
    ["an EC key", ["x.efi", ...by("ec")], 3, /ec\.key: EC keys are refused by Secure Boot firmware/],
    [
      "no such key",
      ["x.efi", "--key", "no.key", "--cert", join(KEYS, "signer.crt")],
      3,
      /no\.key: can't be read: no such file/,
    ],
    ["no such file", ["no.efi", ...by("signer")], 3, /no\.efi: can't be read: no such file/],
    ["not a PE file", [join(KEYS, "signer.crt"), ...by("signer")], 3, /not a PE file/],
    [
      "--output for two files",
      ["x.efi", "x.efi", "--output", "y", ...by("signer")],
      2,
      /^seal: --output: requires a single file, not 2/,
    ],
    [
      "a time that is none",
      ["x.efi", "--signing-time", "2026-02-30T00:00:00Z", ...by("signer")],
      2,
      /^seal: --signing-time: give a time like/,
    ],
    [
      "words as time",
      ["x.efi", "--signing-time", "yesterday", ...by("signer")],
      2,
      /^seal: --signing-time: give a time like/,
    ],
    [
      "another hash",
      ["x.efi", "--digest-algorithm", "sha1", ...by("signer")],
      2,
      /^seal: --digest-algorithm: all firmware accepts sha256 only/,
    ],
    [
      "two sources of a passphrase",
      ["x.efi", "--passphrase-env", "A", "--passphrase-file", "b", ...by("signer")],
      2,
      /give one of them/,
    ],
    ["a variable that is not set", ["x.efi", "--passphrase-env", "NOT_SET", ...by("signer")], 2, /NOT_SET is not set/],
    [
      "standard input twice",
      ["x.efi", "--key", "-", "--passphrase-file", "-"],
      2,
      /can't both be read from standard input/,
    ],
    ["an output that can't be written", ["x.efi", "--output", "x.efi/y", ...by("signer")], 3, /can't be written/],
  ])("refuses %s", async (_, args, code, message) => {
    const cwd = workDir();
    const result = await seal(["sign", ...args], { cwd });
    expect(result.stderr).toMatch(message);
    expect(result).toMatchObject({ code, stdout: "" });
    expect(result.stderr.split("\n")).toHaveLength(2);
    expect(readdirSync(cwd)).toEqual(["x.efi"]);
    expect(readFileSync(join(cwd, "x.efi"))).toEqual(plain);
  });
});
