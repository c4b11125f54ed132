/** Keys in a token, SoftHSM's: found, used and told apart as people name them. */
import { createPublicKey } from "node:crypto";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { beforeAll, expect, it } from "vitest";
import { attestLab } from "../support/attest-lab.ts";
import { seal } from "../support/cli.ts";
import { describeWith, type Peer, runPeer, SOFTHSM_MODULE } from "../support/peers.ts";
import { tempDir } from "../support/temp.ts";
import { vector } from "../support/vectors.ts";

const PIN = "2222";
const plain = vector("authenticode/pe/plain.efi.gz");
const TIME = ["--signing-time", "2026-01-02T03:04:05Z"];

describeWith(["softhsm2-util", "pkcs11-tool", "openssl", "sbverify", "osslsigncode"], "keys in a token", () => {
  let token: string;
  const peer = (name: Peer, ...args: readonly string[]) => {
    const result = runPeer(name, args, { cwd: token });
    if (result.status !== 0) throw new Error(`${name} ${args.join(" ")}: ${result.stdout.toString()}${result.stderr}`);
  };
  const tool = (...args: readonly string[]) =>
    peer("pkcs11-tool", "--module", SOFTHSM_MODULE, "--login", "--pin", PIN, ...args);

  beforeAll(() => {
    token = mkdtempSync(join(tmpdir(), "seal-token-"));
    mkdirSync(join(token, "tokens"));
    writeFileSync(join(token, "softhsm2.conf"), `directories.tokendir = ${token}/tokens\nlog.level = ERROR\n`);
    // The module reads it with getenv, in this process.
    process.env["SOFTHSM2_CONF"] = join(token, "softhsm2.conf");
    for (const name of ["signer", "db3072", "other", "ec"]) {
      for (const end of ["key", "crt"])
        writeFileSync(join(token, `${name}.${end}`), vector(`authenticode/keys/${name}.${end}`));
    }
    for (const label of ["seal test", "second"]) {
      peer("softhsm2-util", "--init-token", "--free", "--label", label, "--so-pin", "1111", "--pin", PIN);
    }
    const put = (name: string, id: string, label: string, ...more: readonly string[]) =>
      tool("--token-label", "seal test", "--write-object", name, "--id", id, "--label", label, ...more);
    put("signer.key", "01ab", "db", "--type", "privkey");
    put("signer.crt", "01ab", "db", "--type", "cert");
    put("db3072.key", "02", "big", "--type", "privkey", "--always-auth");
    put("other.key", "03", "twin", "--type", "privkey");
    put("other.key", "04", "twin", "--type", "privkey");
    put("ec.key", "05", "curve", "--type", "privkey");
    writeFileSync(join(token, "pin"), `${PIN}\n`);
    return () => {
      delete process.env["SOFTHSM2_CONF"];
      rmSync(token, { recursive: true, force: true });
    };
  });

  function workDir(): string {
    const cwd = tempDir();
    writeFileSync(join(cwd, "x.efi"), plain);
    return cwd;
  }
  const ENV = { PKCS11_MODULE_PATH: SOFTHSM_MODULE, PIN, WRONG: "2223" };
  const run = (cwd: string, key: string, ...args: readonly string[]) =>
    seal(["sign", "x.efi", "--key", key, ...args], { cwd, env: ENV });

  it.each([
    ["by its label, PIN in the environment", "object=db", ["--passphrase-env", "PIN"]],
    ["by its ID, PIN in the URI's file", "id=%01%ab?pin-source=TOKEN/pin", []],
    [
      "by both, with the module's path",
      `id=%01%ab;object=db;type=private?module-path=${SOFTHSM_MODULE}&pin-source=file:TOKEN/pin`,
      [],
    ],
  ])("sign %s: the same file as with a key file", async (_, uri, args) => {
    const cwd = workDir();
    const result = await run(cwd, `pkcs11:token=seal%20test;${uri.replace("TOKEN", token)}`, ...args, ...TIME);
    expect(result).toMatchObject({ code: 0, stderr: "" });
    expect(result.stdout).toBe("x.efi: signed by CN=seal test db rsa2048 (RSA-2048, SHA-256)\n");
    expect(readFileSync(join(cwd, "x.efi"))).toEqual(vector("authenticode/signed/plain.systemd-sbsign.signer.efi.gz"));
    const verified = runPeer("sbverify", ["--cert", join(token, "signer.crt"), "x.efi"], { cwd });
    expect(verified).toMatchObject({ status: 0 });
    expect(runPeer("osslsigncode", ["verify", "-CAfile", join(token, "signer.crt"), "x.efi"], { cwd }).status).toBe(0);
  });

  it("sign with a key that wants the PIN each time, and a certificate in a file", async () => {
    const cwd = workDir();
    const cert = ["--cert", join(token, "db3072.crt")];
    const result = await run(cwd, "pkcs11:token=seal%20test;object=big", "--passphrase-env", "PIN", ...cert, ...TIME);
    expect(result).toMatchObject({ code: 0, stderr: "" });
    expect(readFileSync(join(cwd, "x.efi"))).toEqual(vector("authenticode/signed/plain.systemd-sbsign.db3072.efi.gz"));
  });

  it("sign with a PIN in the URI, but say that others see it", async () => {
    const cwd = workDir();
    const result = await run(cwd, `pkcs11:token=seal%20test;object=db?pin-value=${PIN}`);
    expect(result.code).toBe(0);
    expect(result.stderr).toMatch(/^warning: pkcs11:token=seal%20test;object=db\?pin-value=…: other users can see/);
    expect(result.stderr).not.toContain(PIN);
  });

  it.each<[string, string, string[], number, RegExp]>([
    ["a wrong PIN", "token=seal%20test;object=db", ["--passphrase-env", "WRONG"], 3, /: the PIN is wrong\n/],
    ["no PIN", "token=seal%20test;object=db", [], 3, /: the token requires a PIN\. Give it with --passphrase-file/],
    [
      "two PINs",
      "object=db?pin-value=1",
      ["--passphrase-env", "PIN"],
      2,
      /: give the PIN there or with .*, not both\n/,
    ],
    ["no such token", "token=seal;object=db", ["--passphrase-env", "PIN"], 3, /: there is no such token/],
    [
      "several tokens",
      "object=db",
      ["--passphrase-env", "PIN"],
      3,
      /: several tokens match \((seal test, second|second, seal test)\)/,
    ],
    ["no such key", "token=second;object=db", ["--passphrase-env", "PIN"], 3, /: the token has no such private key/],
    [
      "several keys",
      "token=seal%20test;object=twin",
      ["--passphrase-env", "PIN"],
      3,
      /: the token has several such private keys\. Choose/,
    ],
    ["an EC key", "token=seal%20test;id=%05", ["--passphrase-env", "PIN"], 3, /: this is not an RSA key/],
    [
      "no certificate",
      "token=seal%20test;id=%03",
      ["--passphrase-env", "PIN"],
      2,
      /^seal: --cert: give the certificate of pkcs11:/,
    ],
    [
      "no module",
      "object=db?module-path=/no/such.so",
      [],
      4,
      /: the PKCS#11 module \/no\/such\.so can't be loaded\. Give/,
    ],
    ["no PKCS#11 module", "object=db?module-path=libm.so.6", [], 4, /: the PKCS#11 module libm\.so\.6 can't be loaded/],
    ["a bad URI", "objekt=db", [], 2, /^seal: pkcs11:objekt=db: "objekt" is not one of/],
  ])("are refused with %s, and nothing is written", async (_, uri, args, code, message) => {
    const cwd = workDir();
    const result = await run(cwd, `pkcs11:${uri}`, ...args);
    expect(result.stderr).toMatch(message);
    expect(result).toMatchObject({ code, stdout: "" });
    expect(result.stderr.split("\n")).toHaveLength(2);
    expect(readdirSync(cwd)).toEqual(["x.efi"]);
    expect(readFileSync(join(cwd, "x.efi"))).toEqual(plain);
  });

  it("are refused with a certificate of another key", async () => {
    const cwd = workDir();
    const cert = ["--cert", join(token, "other.crt")];
    const result = await run(cwd, "pkcs11:token=seal%20test;object=db", "--passphrase-env", "PIN", ...cert);
    expect(result).toMatchObject({
      code: 4,
      stderr: expect.stringMatching(/does not verify with .*other\.crt\. Give/),
    });
    expect(readFileSync(join(cwd, "x.efi"))).toEqual(plain);
  });

  it.each(["curve", "db"])("sign attestations with the key %s, in the form that openssl checks", async (label) => {
    const { cwd } = await attestLab();
    const source = label === "db" ? "signer" : "ec";
    const key = createPublicKey(readFileSync(join(token, `${source}.key`)));
    writeFileSync(join(cwd, "token.pub"), key.export({ type: "spki", format: "pem" }));
    const args = [
      "attest",
      "--from",
      "oci:image:1",
      "--attest-key",
      `pkcs11:token=seal%20test;object=${label}`,
      "--bundle",
      "b",
    ];
    const pin = ["--attest-passphrase-env", "PIN"];
    const { code, stderr } = await seal([...args, ...pin, "--attest-cert", "token.pub"], { cwd, env: ENV });
    expect(code, stderr).toBe(0);
    const verify = ["verify", "oci:image:1", "--attest-cert", "token.pub", "--bundle", "b/sealed-image.sigstore.json"];
    expect((await seal(verify, { cwd })).code).toBe(0);
    const wrong = await seal([...args.slice(0, -1), "c", ...pin, "--attest-cert", "other.pub"], { cwd, env: ENV });
    expect(wrong.code).toBe(4);
    expect(wrong.stderr).toMatch(/the signature does not verify with other\.pub/);
  });
});
