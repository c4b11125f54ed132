import { createPrivateKey, X509Certificate } from "node:crypto";
import { readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { parseVariableUpdate } from "../../../src/sign/authvar.ts";
import { efiTimeOf } from "../../../src/sign/efi-time.ts";
import { seal } from "../../support/cli.ts";
import { tempDir } from "../../support/temp.ts";
import { vector } from "../../support/vectors.ts";

const read = (directory: string, name: string) => readFileSync(join(directory, name));

describe("seal keys generate", () => {
  it("writes keys that belong to their certificates, readable by their owner only", async () => {
    const cwd = tempDir();
    const { code, stdout, stderr } = await seal(["keys", "generate", "--output", "keys"], { cwd });
    expect(code).toBe(0);
    const keys = join(cwd, "keys");
    expect(readdirSync(keys)).toHaveLength(3 * 5 + 2);
    expect(statSync(keys).mode & 0o777).toBe(0o700);
    for (const role of ["PK", "KEK", "db"]) {
      expect(statSync(join(keys, `${role}.key`)).mode & 0o777).toBe(0o600);
      const certificate = new X509Certificate(read(keys, `${role}.crt`));
      expect(certificate.subject).toBe(`CN=Secure Boot ${role}`);
      expect(certificate.checkPrivateKey(createPrivateKey(read(keys, `${role}.key`)))).toBe(true);
      expect(read(keys, `${role}.cer`).equals(certificate.raw)).toBe(true);
      expect(stdout).toContain(certificate.fingerprint256.replaceAll(":", "").toLowerCase());
    }
    expect(stdout).toContain("Next: seal rootfs /target --key keys/db.key --cert keys/db.crt --output out\n");
    expect(stderr).toContain("The private keys are not encrypted");
  });

  it("reports as JSON, with the time, days, name, type and owner asked for", async () => {
    const cwd = tempDir();
    const owner = "11111111-2222-3333-4444-123456789ABC";
    const asked = ["--common-name", "Example", "--days", "10", "--type", "rsa3072", "--owner", owner];
    const env = { SOURCE_DATE_EPOCH: "1700000000" };
    const { code, stdout } = await seal(["keys", "generate", "--output", "k", "--json", ...asked], { cwd, env });
    expect(code).toBe(0);
    const report: unknown = JSON.parse(stdout);
    expect(report).toMatchObject({
      directory: join(cwd, "k"),
      owner: owner.toLowerCase(),
      keys: [
        { role: "PK" },
        { role: "KEK" },
        {
          role: "db",
          subject: "CN=Example db",
          type: "RSA-3072",
          notBefore: "2023-11-14T22:13:20.000Z",
          notAfter: "2023-11-24T22:13:20.000Z",
          sha256: new X509Certificate(read(join(cwd, "k"), "db.crt")).fingerprint256.replaceAll(":", "").toLowerCase(),
          files: { key: join(cwd, "k/db.key"), auth: join(cwd, "k/db.auth") },
        },
      ],
    });
    expect(parseVariableUpdate(read(join(cwd, "k"), "PK.auth"), "PK.auth").time).toEqual(
      efiTimeOf(new Date(1_700_000_000_000)),
    );
    expect(read(join(cwd, "k"), "GUID.txt").toString()).toBe(`${owner.toLowerCase()}\n`);
  });

  it("makes key pairs for PCR policies, with which build-uki signs", async () => {
    const cwd = tempDir();
    const args = ["--output", "k", "--pcr-key", "initrd", "--pcr-key", "system", "--json", "--passphrase-env", "WORD"];
    const env = { WORD: "secret" };
    const { code, stdout } = await seal(["keys", "generate", ...args], { cwd, env });
    expect(code).toBe(0);
    const at = (name: string) => join(cwd, "k", name);
    expect(JSON.parse(stdout).pcrKeys).toEqual([
      { name: "initrd", key: at("initrd.key"), publicKey: at("initrd.pub") },
      { name: "system", key: at("system.key"), publicKey: at("system.pub") },
    ]);
    expect(statSync(at("initrd.key")).mode & 0o777).toBe(0o600);
    for (const name of ["kernel", "stub-plain"]) writeFileSync(join(cwd, name), vector(`uki/inputs/${name}`));
    const keys = ["initrd", "system"].flatMap((name) => [
      ...["--pcr-private-key", at(`${name}.key`), "--pcr-public-key", at(`${name}.pub`)],
    ]);
    const build = ["build-uki", "--linux", "kernel", "--stub", "stub-plain", "--os-release", "", ...keys];
    const built = await seal([...build, "--output", "x.efi", "--passphrase-env", "WORD"], { cwd, env });
    expect(built.code, built.stderr).toBe(0);
    const pcrsig = JSON.parse((await seal(["inspect", "x.efi", "--section", ".pcrsig"], { cwd })).stdout);
    expect(new Set(pcrsig.sha256.map(({ pkfp }: { pkfp: string }) => pkfp)).size).toBe(2);
  });

  it.each([
    ["the name of another key", ["--pcr-key", "DB"], /--pcr-key: is the name of another key/],
    ["a path", ["--pcr-key", "a/b"], /--pcr-key: give a name of letters/],
    ["a name twice", ["--pcr-key", "a", "--pcr-key", "A"], /--pcr-key: give each name once/],
  ])("refuses %s for a PCR key", async (_, args, message) => {
    const cwd = tempDir();
    const result = await seal(["keys", "generate", "--output", "k", ...args], { cwd });
    expect(result).toMatchObject({ code: 2, stdout: "" });
    expect(result.stderr).toMatch(message);
    expect(readdirSync(cwd)).toEqual([]);
  });

  it("gives every set serial numbers, keys and an owner of its own", async () => {
    const cwd = tempDir();
    for (const output of ["a", "b"])
      expect((await seal(["keys", "generate", "--output", output], { cwd })).code).toBe(0);
    for (const name of ["PK.key", "PK.crt", "GUID.txt"]) {
      expect(read(join(cwd, "a"), name).equals(read(join(cwd, "b"), name))).toBe(false);
    }
    const serials = ["PK", "KEK", "db"].map(
      (role) => new X509Certificate(read(join(cwd, "a"), `${role}.crt`)).serialNumber,
    );
    expect(new Set(serials).size).toBe(3);
  });

  it("encrypts the private keys with a passphrase from a file or the environment", async () => {
    const cwd = tempDir();
    writeFileSync(join(cwd, "pass"), "from a file\n");
    const ways = [
      { output: "a", option: ["--passphrase-file", "pass"], passphrase: "from a file" },
      { output: "b", option: ["--passphrase-env", "PASS"], passphrase: "from outside" },
    ];
    for (const { output, option, passphrase } of ways) {
      const env = { PASS: "from outside" };
      const { code, stderr } = await seal(["keys", "generate", "--output", output, ...option], { cwd, env });
      expect([code, stderr]).toEqual([0, ""]);
      const key = read(join(cwd, output), "db.key");
      expect(key.toString()).toMatch(/^-----BEGIN ENCRYPTED PRIVATE KEY-----/);
      expect(createPrivateKey({ key, passphrase }).asymmetricKeyType).toBe("rsa");
      expect(() => createPrivateKey({ key, passphrase: "wrong" })).toThrow();
    }
  });

  it("makes keys that seal itself signs and verifies with", async () => {
    const cwd = tempDir();
    writeFileSync(join(cwd, "boot.efi"), vector("authenticode/pe/plain.efi.gz"));
    const env = { PASS: "from outside" };
    await seal(["keys", "generate", "--output", "keys", "--passphrase-env", "PASS"], { cwd, env });
    const key = ["--key", "keys/db.key", "--cert", "keys/db.crt", "--passphrase-env", "PASS"];
    expect(await seal(["sign", "boot.efi", ...key], { cwd, env })).toMatchObject({ code: 0 });
    expect(await seal(["verify", "boot.efi", "--cert", "keys/db.cer"], { cwd })).toMatchObject({ code: 0 });
    expect(await seal(["verify", "boot.efi", "--cert", "keys/KEK.crt"], { cwd })).toMatchObject({ code: 1 });
  });

  it("never overwrites keys", async () => {
    const cwd = tempDir();
    await seal(["keys", "generate", "--output", "keys"], { cwd });
    const before = read(join(cwd, "keys"), "PK.key");
    const { code, stdout, stderr } = await seal(["keys", "generate", "--output", "keys"], { cwd });
    expect([code, stdout]).toEqual([3, ""]);
    expect(stderr).toMatch(/^seal: .*\/keys: is not empty \(GUID\.txt, KEK\.auth, KEK\.cer, …\)\. .*\n$/);
    expect(read(join(cwd, "keys"), "PK.key").equals(before)).toBe(true);
  });

  it.each([
    ["no --output", [], 2, /--output: give a directory/],
    ["an unknown type", ["--output", "k", "--type", "rsa1024"], 2, /--type: /],
    ["0 days", ["--output", "k", "--days", "0"], 2, /--days: give days, a whole number from 1 to 36500/],
    ["no number of days", ["--output", "k", "--days", "soon"], 2, /--days: give days, a whole number from 1 to 36500/],
    ["a name that is too long", ["--output", "k", "--common-name", "x".repeat(61)], 2, /longer than 60 characters/],
    ["a name with a newline", ["--output", "k", "--common-name", "a\nb"], 2, /control characters/],
    ["no GUID", ["--output", "k", "--owner", "me"], 2, /--owner: "me" is not a GUID/],
    ["a variable that is not set", ["--output", "k", "--passphrase-env", "NO"], 2, /the variable NO is not set/],
    ["an empty variable", ["--output", "k", "--passphrase-env", "EMPTY"], 2, /the variable EMPTY is empty/],
    ["an endless variable", ["--output", "k", "--passphrase-env", "LONG"], 2, /in LONG is over 1024 bytes long/],
    ["an empty path", ["--output", ""], 2, /--output: is empty/],
    ["both", ["--output", "k", "--passphrase-env", "A", "--passphrase-file", "b"], 2, /give one of them/],
    ["a missing file", ["--output", "k", "--passphrase-file", "no"], 3, /no: can't be read: no such file/],
    ["an empty file", ["--output", "k", "--passphrase-file", "empty"], 3, /the passphrase in it is empty/],
    ["a file as parent", ["--output", "empty/k"], 3, /can't be written: part of the path is not a directory/],
  ])("%s: one line, and nothing is written", async (_, args, exit, message) => {
    const cwd = tempDir();
    writeFileSync(join(cwd, "empty"), "\n");
    const { code, stderr } = await seal(["keys", "generate", ...args], {
      cwd,
      env: { EMPTY: "", LONG: "x".repeat(1025) },
    });
    expect(stderr).toMatch(message);
    expect(stderr.trimEnd().split("\n")).toHaveLength(1);
    expect(code).toBe(exit);
    expect(readdirSync(cwd)).toEqual(["empty"]);
  });
});
