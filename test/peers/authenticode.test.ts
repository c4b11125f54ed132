/** Both ways with the tools that sign EFI programs: they accept what seal signs, and seal what they sign. */
import { createHash } from "node:crypto";
import { copyFileSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { beforeAll, expect, it } from "vitest";
import { toHex } from "../../src/bytes.ts";
import { authentihash } from "../../src/pe/authentihash.ts";
import { readCertificateTable } from "../../src/pe/certtable.ts";
import { parsePe } from "../../src/pe/headers.ts";
import { PePass } from "../../src/pe/pe-pass.ts";
import { seal } from "../support/cli.ts";
import { oldPesignAttributes } from "../support/old-pesign.ts";
import { describeWith, type Peer, peerTree, runPeer } from "../support/peers.ts";
import { AUTHENTICODE_VECTORS } from "../support/signing.ts";
import { tempDir } from "../support/temp.ts";
import { vector } from "../support/vectors.ts";

const TOOLS = ["sbsign", "sbverify", "sbattach", "osslsigncode", "pesign", "certutil", "pk12util", "openssl"] as const;
const PASS = "correct horse";
const SIZES = [2048, 3072, 4096] as const;
const EFI = "usr/lib/systemd/boot/efi";

/** Runs a peer that must succeed. */
function peer(name: Peer, args: readonly string[], cwd: string): string {
  const result = runPeer(name, args, { cwd });
  if (result.status !== 0) throw new Error(`${name} ${args.join(" ")}: ${result.stdout.toString()}${result.stderr}`);
  return result.stdout.toString() + result.stderr;
}

async function run(args: readonly string[], cwd: string) {
  const result = await seal(args, { cwd, now: new Date() });
  expect(result).toMatchObject({ code: 0, stderr: "" });
  return result;
}

/** RSA keys with self-signed certificates, one under a CA, and an NSS database with all of them. */
function makeKeys(dir: string): void {
  for (const bits of SIZES) {
    const request = ["req", "-new", "-x509", "-newkey", `rsa:${bits}`, "-sha256", "-noenc", "-days", "3650"];
    peer("openssl", [...request, "-subj", `/CN=live ${bits}`, "-keyout", `${bits}.key`, "-out", `${bits}.crt`], dir);
  }
  peer(
    "openssl",
    [
      "req",
      "-new",
      "-newkey",
      "rsa:2048",
      "-noenc",
      "-subj",
      "/CN=live leaf",
      "-keyout",
      "leaf.key",
      "-out",
      "leaf.csr",
    ],
    dir,
  );
  peer(
    "openssl",
    ["x509", "-req", "-in", "leaf.csr", "-CA", "2048.crt", "-CAkey", "2048.key", "-days", "3650", "-out", "leaf.crt"],
    dir,
  );
  mkdirSync(join(dir, "nss"));
  peer("certutil", ["-N", "-d", "nss", "--empty-password"], dir);
  for (const bits of SIZES) {
    const export12 = ["pkcs12", "-export", "-inkey", `${bits}.key`, "-in", `${bits}.crt`, "-name", `live${bits}`];
    peer("openssl", [...export12, "-out", `${bits}.p12`, "-passout", `pass:${PASS}`], dir);
    peer("pk12util", ["-i", `${bits}.p12`, "-d", "nss", "-W", PASS], dir);
  }
}

describeWith([...TOOLS, "trees"], "Authenticode with the live tools", () => {
  let keys: string;
  beforeAll(() => {
    keys = mkdtempSync(join(tmpdir(), "seal-keys-"));
    makeKeys(keys);
    return () => rmSync(keys, { recursive: true, force: true });
  });
  const key = (name: number | string) => join(keys, `${name}.key`);
  const cert = (name: number | string) => join(keys, `${name}.crt`);

  /** A directory with unsigned programs: the plain vector, and a real boot loader and stub of systemd. */
  function programs(): string {
    const dir = tempDir();
    writeFileSync(join(dir, "plain.efi"), vector("authenticode/pe/plain.efi.gz"));
    writeFileSync(join(dir, "tail.efi"), vector("authenticode/pe/tail3.efi.gz"));
    copyFileSync(join(peerTree("trixie"), EFI, "systemd-bootx64.efi"), join(dir, "boot.efi"));
    copyFileSync(join(peerTree("trixie"), "srv/arm64", EFI, "systemd-bootaa64.efi"), join(dir, "aa64.efi"));
    copyFileSync(join(peerTree("trixie"), "srv/riscv64", EFI, "systemd-bootriscv64.efi"), join(dir, "riscv64.efi"));
    return dir;
  }
  const NAMES = ["plain.efi", "tail.efi", "boot.efi", "aa64.efi", "riscv64.efi"] as const;

  it.each(SIZES)("RSA-%d: all of them accept what seal signs", async (bits) => {
    const dir = programs();
    await run(["sign", ...NAMES, "--key", key(bits), "--cert", cert(bits), "--signing-time", "now"], dir);
    for (const name of NAMES) {
      expect(peer("sbverify", ["--cert", cert(bits), name], dir)).toContain("Signature verification OK");
      const verified = peer("osslsigncode", ["verify", "-CAfile", cert(bits), name], dir);
      expect(verified).toContain("Signature verification: ok");
      expect(verified).not.toMatch(/checksum.*(mismatch|invalid)/i);
      expect(peer("pesign", ["-S", "-i", name], dir)).toContain(`live ${bits}`);
      peer("sbattach", ["--detach", `${name}.p7`, name], dir);
      expect(readFileSync(join(dir, `${name}.p7`))[0]).toBe(0x30);
      expect(runPeer("sbverify", ["--cert", cert(bits === 2048 ? 3072 : 2048), name], { cwd: dir }).status).not.toBe(0);
    }
  });

  it.each(SIZES)("RSA-%d: seal accepts what they sign", async (bits) => {
    const dir = programs();
    for (const name of NAMES) {
      peer("sbsign", ["--key", key(bits), "--cert", cert(bits), "--output", `sbsign.${name}`, name], dir);
      peer(
        "osslsigncode",
        ["sign", "-h", "sha256", "-certs", cert(bits), "-key", key(bits), "-in", name, "-out", `ossl.${name}`],
        dir,
      );
      peer("pesign", ["-n", join(keys, "nss"), "-c", `live${bits}`, "-s", "-i", name, "-o", `pesign.${name}`], dir);
    }
    const signed = readdirSync(dir).filter((name) => name.includes(".") && name.split(".").length === 3);
    expect(signed).toHaveLength(15);
    await run(["verify", ...signed, "--cert", cert(bits)], dir);
    expect((await seal(["verify", ...signed, "--cert", cert(bits === 2048 ? 3072 : 2048)], { cwd: dir })).code).toBe(1);
  });

  it("the same file, key and time: the PKCS#7 of sbsign", async () => {
    const dir = programs();
    peer(
      "sbsign",
      ["--key", key(3072), "--cert", cert(3072), "--addcert", cert(2048), "--output", "theirs.efi", "boot.efi"],
      dir,
    );
    const report = await run(["verify", "theirs.efi", "--cert", cert(3072)], dir);
    const time = /(\d{4}-\d\d-\d\d) (\d\d:\d\d:\d\d) UTC/.exec(report.stdout);
    const options = ["--chain", cert(2048), "--signing-time", `${time?.[1]}T${time?.[2]}Z`];
    await run(["sign", "boot.efi", "--key", key(3072), "--cert", cert(3072), ...options], dir);
    const [ours, theirs] = ["boot.efi", "theirs.efi"].map((name) => {
      const [entry] = readCertificateTable(parsePe([readFileSync(join(dir, name))], name));
      return entry?.data ?? new Uint8Array();
    });
    expect(toHex(ours?.subarray(0, theirs?.length) ?? new Uint8Array())).toBe(toHex(theirs ?? new Uint8Array()));
  });

  it("append: both signatures count for both sides", async () => {
    const dir = programs();
    peer("sbsign", ["--key", key(2048), "--cert", cert(2048), "--output", "boot.efi", "boot.efi"], dir);
    await run(["sign", "boot.efi", "--append", "--key", key(4096), "--cert", cert(4096)], dir);
    for (const bits of [2048, 4096]) {
      expect(peer("sbverify", ["--cert", cert(bits), "boot.efi"], dir)).toContain("Signature verification OK");
      await run(["verify", "boot.efi", "--cert", cert(bits)], dir);
    }
    peer("sbsign", ["--key", key(3072), "--cert", cert(3072), "--output", "boot.efi", "boot.efi"], dir);
    for (const bits of SIZES) await run(["verify", "boot.efi", "--cert", cert(bits)], dir);
    expect(
      (await run(["verify", "boot.efi", "--json", "--cert", cert(2048)], dir)).stdout.match(/"subject"/g),
    ).toHaveLength(3);
  });

  it("a leaf under a CA, with and without the CA in the signature", async () => {
    const dir = programs();
    for (const chain of [[], ["--chain", cert(2048)]]) {
      await run(["sign", "boot.efi", "--key", key("leaf"), "--cert", cert("leaf"), ...chain], dir);
      await run(["verify", "boot.efi", "--cert", cert(2048)], dir);
      expect(peer("sbverify", ["--cert", cert(2048), "boot.efi"], dir)).toContain("Signature verification OK");
      expect(peer("osslsigncode", ["verify", "-CAfile", cert(2048), "boot.efi"], dir)).toContain(
        "Signature verification: ok",
      );
    }
    expect((await seal(["verify", "boot.efi", "--cert", cert(3072)], { cwd: dir })).code).toBe(1);
  });

  it("a certificate with an extension that nobody knows, critical: OpenSSL refuses it too", async () => {
    const dir = programs();
    const request = ["req", "-new", "-x509", "-key", key(2048), "-days", "3650", "-subj", "/CN=odd"];
    for (const [name, critical] of [
      ["critical", "critical,"],
      ["harmless", ""],
    ] as const) {
      peer("openssl", [...request, "-addext", `1.3.6.1.4.1.99999.1=${critical}ASN1:NULL`, "-out", `${name}.crt`], dir);
      await run(["sign", "plain.efi", "--key", key(2048), "--cert", `${name}.crt`], dir);
      const ours = await seal(["verify", "plain.efi", "--cert", `${name}.crt`], { cwd: dir, now: new Date() });
      const path = ["verify", "-partial_chain", "-trusted", `${name}.crt`, `${name}.crt`];
      const theirs = runPeer("openssl", path, { cwd: dir });
      expect([ours.code, theirs.status === 0]).toEqual(critical === "" ? [0, true] : [1, false]);
      if (critical !== "") expect(theirs.stderr).toContain("unhandled critical extension");
    }
  });

  it.each([
    ["CA:TRUE", 0],
    ["CA:TRUE,pathlen:1", 0],
    ["CA:TRUE,pathlen:0", 1],
    ["CA:FALSE", 1],
  ])("a leaf under an intermediate under a root with %s: the verdict of sbverify", async (constraints, code) => {
    const dir = programs();
    const openssl = (...args: string[]) => peer("openssl", args, dir);
    const request = ["req", "-new", "-newkey", "rsa:2048", "-noenc"];
    const extension = `basicConstraints=critical,${constraints}`;
    openssl(...request, "-x509", "-subj", "/CN=root", "-keyout", "r.key", "-out", "r.crt", "-addext", extension);
    openssl(...request, "-subj", "/CN=middle", "-keyout", "m.key", "-out", "m.csr");
    writeFileSync(join(dir, "ca.ext"), "basicConstraints=critical,CA:TRUE\n");
    openssl("x509", "-req", "-in", "m.csr", "-CA", "r.crt", "-CAkey", "r.key", "-extfile", "ca.ext", "-out", "m.crt");
    openssl("x509", "-req", "-in", join(keys, "leaf.csr"), "-CA", "m.crt", "-CAkey", "m.key", "-out", "l.crt");
    await run(["sign", "boot.efi", "--key", key("leaf"), "--cert", "l.crt", "--chain", "m.crt"], dir);
    expect((await seal(["verify", "boot.efi", "--cert", "r.crt"], { cwd: dir })).code).toBe(code);
    expect(runPeer("sbverify", ["--cert", "r.crt", "boot.efi"], { cwd: dir }).status === 0).toBe(code === 0);
  });

  it("osslsigncode's other kinds: nested, page hashes, SHA-1, SHA-512", async () => {
    const dir = programs();
    const sign = (output: string, bits: number, input: string, ...options: string[]) =>
      peer(
        "osslsigncode",
        ["sign", ...options, "-certs", cert(bits), "-key", key(bits), "-in", input, "-out", output],
        dir,
      );
    const verify = (name: string, bits: number) => seal(["verify", name, "--cert", cert(bits)], { cwd: dir });
    sign("outer.efi", 2048, "boot.efi", "-h", "sha256");
    sign("nested.efi", 3072, "outer.efi", "-h", "sha256", "-nest");
    const nested = await verify("nested.efi", 2048);
    expect(nested).toMatchObject({
      code: 0,
      stdout: expect.stringContaining("nested in this one; firmware ignores it"),
    });
    expect((await verify("nested.efi", 3072)).code).toBe(1);
    sign("pages.efi", 2048, "boot.efi", "-h", "sha256", "-ph");
    expect((await verify("pages.efi", 2048)).code).toBe(0);
    sign("sha512.efi", 2048, "boot.efi", "-h", "sha512");
    expect((await verify("sha512.efi", 2048)).code).toBe(0);
    sign("sha1.efi", 2048, "boot.efi", "-h", "sha1");
    expect(await verify("sha1.efi", 2048)).toMatchObject({ code: 1, stdout: expect.stringContaining("SHA-1") });
  });

  it("accepts as they do what pesign up to 0.112 signed", async () => {
    const dir = programs();
    const image = new PePass(parsePe([readFileSync(join(dir, "plain.efi"))], "plain.efi"), "sign");
    writeFileSync(join(dir, "attributes"), oldPesignAttributes(image.hash("sha256")));
    peer("openssl", ["dgst", "-sha256", "-sign", key(2048), "-out", "raw", "attributes"], dir);
    const attach = ["--attach-signature", "raw", "--tbs", "attributes"];
    await run(["sign", "plain.efi", ...attach, "--cert", cert(2048)], dir);
    expect(peer("sbverify", ["--cert", cert(2048), "plain.efi"], dir)).toContain("Signature verification OK");
    const verified = await seal(["verify", "plain.efi", "--cert", cert(2048)], { cwd: dir, now: new Date() });
    expect(verified).toMatchObject({ code: 0, stdout: expect.stringContaining("individual code signing") });
    const inspected = await seal(["inspect", "plain.efi"], { cwd: dir });
    expect(inspected).toMatchObject({ code: 0, stdout: expect.stringMatching(/intact[\s\S]*individual code signing/) });
  });

  it("signs again what other tools took the signatures off", async () => {
    const dir = programs();
    peer("sbsign", ["--key", key(2048), "--cert", cert(2048), "--output", "boot.efi", "boot.efi"], dir);
    copyFileSync(join(dir, "boot.efi"), join(dir, "b.efi"));
    peer("sbattach", ["--remove", "boot.efi"], dir);
    peer("osslsigncode", ["remove-signature", "-in", "b.efi", "-out", "c.efi"], dir);
    peer("pesign", ["-r", "-u", "0", "-i", "b.efi", "-o", "d.efi"], dir);
    for (const name of ["boot.efi", "c.efi", "d.efi"]) {
      await run(["sign", name, "--key", key(3072), "--cert", cert(3072)], dir);
      await run(["verify", name, "--cert", cert(3072)], dir);
      expect(peer("sbverify", ["--cert", cert(3072), name], dir)).toContain("Signature verification OK");
    }
  });

  it("opens keys in every container that OpenSSL and NSS make", async () => {
    const dir = programs();
    const openssl = (...args: string[]) => peer("openssl", args, dir);
    openssl("rsa", "-in", key(2048), "-traditional", "-out", "pkcs1.pem");
    openssl("rsa", "-in", key(2048), "-traditional", "-outform", "DER", "-out", "pkcs1.der");
    openssl("rsa", "-in", key(2048), "-traditional", "-aes128", "-passout", `pass:${PASS}`, "-out", "pkcs1-aes.pem");
    openssl("pkcs8", "-in", key(2048), "-topk8", "-nocrypt", "-outform", "DER", "-out", "pkcs8.der");
    for (const [name, ...options] of [
      ["aes", "-v2", "aes-256-cbc"],
      ["scrypt", "-scrypt"],
      ["sha1-3des", "-v1", "PBE-SHA1-3DES"],
    ] as const) {
      for (const form of ["PEM", "DER"]) {
        const output = ["-outform", form, "-out", `pkcs8-${name}.${form}`, "-passout", `pass:${PASS}`];
        openssl("pkcs8", "-in", key(2048), "-topk8", ...options, ...output);
      }
    }
    const export12 = ["pkcs12", "-export", "-inkey", key(2048), "-in", cert(2048), "-passout", `pass:${PASS}`];
    openssl(...export12, "-certfile", cert(3072), "-out", "openssl3.p12");
    openssl(
      ...export12,
      "-keypbe",
      "PBE-SHA1-3DES",
      "-certpbe",
      "PBE-SHA1-3DES",
      "-macalg",
      "sha1",
      "-out",
      "openssl1.p12",
    );
    openssl(...export12.slice(0, -1), "pass:", "-out", "empty.p12");
    peer("pk12util", ["-o", "nss.p12", "-n", "live2048", "-d", join(keys, "nss"), "-W", PASS], dir);
    openssl("x509", "-in", cert(2048), "-outform", "DER", "-out", "cert.der");
    writeFileSync(join(dir, "pass"), PASS);

    await run(["sign", "plain.efi", "--key", key(2048), "--cert", cert(2048)], dir);
    const expected = toHex(
      createHash("sha256")
        .update(readFileSync(join(dir, "plain.efi")))
        .digest(),
    );
    const files = readdirSync(dir).filter((name) => /^(pkcs|openssl|nss|empty)/.test(name));
    expect(files).toHaveLength(14);
    for (const file of files) {
      const passphrase = file === "empty.p12" ? [] : ["--passphrase-file", "pass"];
      const own = file.endsWith(".p12") && file !== "openssl3.p12" ? [] : ["--cert", "cert.der"];
      await run(["sign", "plain.efi", "--key", file, ...own, ...passphrase], dir);
      const actual = toHex(
        createHash("sha256")
          .update(readFileSync(join(dir, "plain.efi")))
          .digest(),
      );
      expect([file, actual]).toEqual([file, expected]);
    }
    const umlaut = "größer als ASCII: ключ";
    writeFileSync(join(dir, "umlaut"), `${umlaut}\n`);
    for (const cipher of ["AES-256-CBC", "PBE-SHA1-3DES"]) {
      const options = ["-keypbe", cipher, "-certpbe", cipher, "-out", "umlaut.p12"];
      openssl(...export12.slice(0, -1), `pass:${umlaut}`, ...options);
      await run(["sign", "plain.efi", "--key", "umlaut.p12", "--passphrase-file", "umlaut"], dir);
    }
    // Without --cert the second certificate in the PKCS#12 goes along.
    await run(["sign", "plain.efi", "--key", "openssl3.p12", "--passphrase-file", "pass"], dir);
    expect(readFileSync(join(dir, "plain.efi")).includes("live 3072")).toBe(true);
  });
});

describeWith(["systemd-sbsign", "openssl", "trees"], "Authenticode with systemd-sbsign", () => {
  it("the same file, key and time: the same bytes", async () => {
    const dir = tempDir();
    copyFileSync(join(peerTree("trixie"), EFI, "linuxx64.efi.stub"), join(dir, "x.efi"));
    const request = ["req", "-new", "-x509", "-newkey", "rsa:2048", "-sha256", "-noenc", "-days", "3650"];
    peer("openssl", [...request, "-subj", "/CN=live", "-keyout", "k", "-out", "c"], dir);
    peer(
      "systemd-sbsign",
      [
        "sign",
        "--private-key",
        join(dir, "k"),
        "--certificate",
        join(dir, "c"),
        "--output",
        join(dir, "theirs.efi"),
        join(dir, "x.efi"),
      ],
      dir,
    );
    const report = await run(["verify", "theirs.efi", "--cert", "c"], dir);
    const time = /(\d{4}-\d\d-\d\d) (\d\d:\d\d:\d\d) UTC/.exec(report.stdout);
    await run(["sign", "x.efi", "--key", "k", "--cert", "c", "--signing-time", `${time?.[1]}T${time?.[2]}Z`], dir);
    expect(toHex(readFileSync(join(dir, "x.efi")))).toBe(toHex(readFileSync(join(dir, "theirs.efi"))));
  });
});

const STUBS = {
  "pe/stub-257.efi.gz": join(peerTree("trixie"), EFI, "linuxx64.efi.stub"),
  "pe/addon-257.efi.gz": join(peerTree("trixie"), EFI, "addonx64.efi.stub"),
} as const;

describeWith(["ukify-257"], "Authenticode hashes of systemd's stubs", () => {
  it.each(Object.entries(STUBS))("%s", (name, path) => {
    const entry = AUTHENTICODE_VECTORS.hashes.find((candidate) => candidate.pe === name);
    const bytes = readFileSync(path);
    // Another build of the package has other bytes; then the vector says nothing about it.
    expect(toHex(createHash("sha256").update(bytes).digest())).toBe(entry?.sha256);
    expect(toHex(authentihash(parsePe([bytes], name), "sha256"))).toBe(entry?.authenticode_hash);
  });
});
