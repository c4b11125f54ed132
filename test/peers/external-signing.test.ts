/**
 * Keys that are elsewhere, with the tools that sign there: each side takes over from the other in every
 * step that both know.
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { beforeEach, expect, it } from "vitest";
import { seal } from "../support/cli.ts";
import { describeWith, type Peer, runPeer } from "../support/peers.ts";
import { tempDir } from "../support/temp.ts";
import { vector } from "../support/vectors.ts";

const VERIFIERS = ["sbverify", "osslsigncode"] as const;
const PROGRAMS = ["plain", "tail3", "kernel"] as const;

let cwd: string;

/** Runs a peer that must succeed. */
function peer(name: Peer, ...args: readonly string[]): string {
  const result = runPeer(name, args, { cwd });
  if (result.status !== 0) throw new Error(`${name} ${args.join(" ")}: ${result.stdout.toString()}${result.stderr}`);
  return result.stdout.toString() + result.stderr;
}

async function run(...args: readonly string[]): Promise<void> {
  const env = { PATH: process.env["PATH"] ?? "" };
  expect(await seal(args, { cwd, env, now: new Date() })).toMatchObject({ code: 0, stderr: "" });
}

/** All that verify accept `x.efi`. */
async function expectAccepted(): Promise<void> {
  expect(peer("sbverify", "--cert", "k.crt", "x.efi")).toContain("Signature verification OK");
  expect(peer("osslsigncode", "verify", "-CAfile", "k.crt", "x.efi")).toContain("Signature verification: ok");
  await run("verify", "x.efi", "--cert", "k.crt");
}

function inDirectory(program: string): void {
  cwd = tempDir();
  writeFileSync(join(cwd, "x.efi"), vector(`authenticode/pe/${program}.efi.gz`));
  for (const end of ["key", "crt"]) writeFileSync(join(cwd, `k.${end}`), vector(`authenticode/keys/signer.${end}`));
}

describeWith([...VERIFIERS, "openssl"], "openssl has the key", () => {
  it.each(PROGRAMS)("and signs what --export-tbs wrote: %s", async (program) => {
    inDirectory(program);
    await run("sign", "x.efi", "--export-tbs", "x.tbs", "--signing-time", "now");
    peer("openssl", "dgst", "-sha256", "-sign", "k.key", "-out", "x.sig", "x.tbs");
    await run("sign", "x.efi", "--attach-signature", "x.sig", "--tbs", "x.tbs", "--cert", "k.crt");
    await expectAccepted();
  });
});

describeWith([...VERIFIERS], "osslsigncode has the key", () => {
  const sign = ["sign", "-h", "sha256", "-certs", "k.crt", "-key", "k.key"];

  it.each(PROGRAMS)("and answers its own request: %s", async (program) => {
    inDirectory(program);
    peer("osslsigncode", "extract-data", "-h", "sha256", "-in", "x.efi", "-out", "x.req");
    peer("osslsigncode", ...sign, "-in", "x.req", "-out", "x.sig");
    await run("sign", "x.efi", "--attach-pkcs7", "x.sig", "--cert", "k.crt");
    await expectAccepted();
  });

  it.each([
    ["DER", []],
    ["PEM", ["-pem"]],
  ])("and answers seal's request in %s", async (_, options) => {
    inDirectory("tail3");
    await run("sign", "x.efi", "--export-request", "x.req");
    peer("osslsigncode", ...sign, ...options, "-in", "x.req", "-out", "x.sig");
    await run("sign", "x.efi", "--attach-pkcs7", "x.sig");
    await expectAccepted();
  });

  it("and attaches what seal signed", async () => {
    inDirectory("plain");
    await run("sign", "x.efi", "--key", "k.key", "--cert", "k.crt", "--output", "signed.efi");
    peer("osslsigncode", "extract-signature", "-in", "signed.efi", "-out", "x.sig");
    peer("osslsigncode", "attach-signature", "-CAfile", "k.crt", "-sigin", "x.sig", "-in", "x.efi", "-out", "y.efi");
    await run("verify", "y.efi", "--cert", "k.crt");
    await run("sign", "x.efi", "--attach-pkcs7", "x.sig");
    await expectAccepted();
  });
});

describeWith([...VERIFIERS, "sbsign", "sbattach"], "sbsign has the key", () => {
  it.each(PROGRAMS)("and seal attaches: %s", async (program) => {
    inDirectory(program);
    peer("sbsign", "--detached", "--key", "k.key", "--cert", "k.crt", "--output", "x.p7", "x.efi");
    await run("sign", "x.efi", "--attach-pkcs7", "x.p7", "--cert", "k.crt");
    await expectAccepted();
  });

  it("and sbattach takes off and puts on what seal signed", async () => {
    inDirectory("plain");
    await run("sign", "x.efi", "--key", "k.key", "--cert", "k.crt", "--output", "signed.efi");
    peer("sbattach", "--detach", "x.p7", "signed.efi");
    expect(peer("sbverify", "--cert", "k.crt", "--detached", "x.p7", "x.efi")).toContain("verification OK");
    peer("sbattach", "--attach", "x.p7", "x.efi");
    await expectAccepted();
    await run("sign", "x.efi", "--attach-pkcs7", "x.p7", "--cert", "k.crt");
    await expectAccepted();
  });
});

describeWith([...VERIFIERS, "pesign", "certutil", "pk12util", "openssl"], "pesign has the key", () => {
  beforeEach(() => {
    inDirectory("plain");
    mkdirSync(join(cwd, "nss"));
    peer("certutil", "-N", "-d", "nss", "--empty-password");
  });
  const withKey = () => {
    peer(
      "openssl",
      "pkcs12",
      "-export",
      "-inkey",
      "k.key",
      "-in",
      "k.crt",
      "-name",
      "k",
      "-out",
      "k.p12",
      "-passout",
      "pass:x",
    );
    peer("pk12util", "-i", "k.p12", "-d", "nss", "-W", "x");
  };

  it("or exports the attributes, and seal attaches a raw signature over them", async () => {
    peer("certutil", "-A", "-d", "nss", "-n", "k", "-t", ",,", "-i", "k.crt");
    peer("pesign", "-n", "nss", "-c", "k", "-i", "x.efi", "-E", "x.tbs");
    peer("openssl", "dgst", "-sha256", "-sign", "k.key", "-out", "x.sig", "x.tbs");
    await run("sign", "x.efi", "--attach-signature", "x.sig", "--tbs", "x.tbs", "--cert", "k.crt");
    await expectAccepted();
  });

  it.each([
    ["DER", []],
    ["PEM", ["-a"]],
  ])("and seal attaches the signature that it exports in %s", async (_, options) => {
    withKey();
    peer("pesign", "-n", "nss", "-c", "k", "-s", "-i", "x.efi", "-o", "signed.efi");
    peer("pesign", ...options, "-i", "signed.efi", "-e", "x.p7", "-u", "0");
    await run("sign", "x.efi", "--attach-pkcs7", "x.p7", "--cert", "k.crt");
    await expectAccepted();
  });

  it("and imports a signature of seal", async () => {
    await run("sign", "x.efi", "--key", "k.key", "--cert", "k.crt", "--output", "signed.efi");
    peer("pesign", "-i", "signed.efi", "-e", "x.p7", "-u", "0");
    peer("pesign", "-n", "nss", "-i", "x.efi", "-m", "x.p7", "-o", "y.efi");
    await run("verify", "y.efi", "--cert", "k.crt");
    await run("sign", "x.efi", "--attach-pkcs7", "x.p7", "--cert", "k.crt");
    await expectAccepted();
  });
});

describeWith([...VERIFIERS, "openssl"], "a command has the key", () => {
  it.each([
    ["digest", "openssl pkeyutl -sign -inkey k.key -pkeyopt digest:sha256"],
    ["data", "openssl dgst -sha256 -sign k.key"],
  ])("and gets the %s", async (input, command) => {
    inDirectory("kernel");
    await run("sign", "x.efi", "--signer", command, "--signer-input", input, "--cert", "k.crt");
    await expectAccepted();
  });

  it("that is the example for a KMS, with openssl in the KMS's place", async () => {
    inDirectory("plain");
    const example = fileURLToPath(new URL("../../examples/external-signing/kms-sign", import.meta.url));
    await run("sign", "x.efi", "--signer", `KMS=local KMS_KEY=k.key '${example}'`, "--cert", "k.crt");
    await expectAccepted();
  });
});
