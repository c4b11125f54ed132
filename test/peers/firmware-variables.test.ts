/**
 * What firmware trusts, made and read by seal, against efitools, sbsigntool, openssl and
 * virt-fw-vars with Debian's OVMF.
 */
import { spawnSync } from "node:child_process";
import { cpSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { equalBytes, toHex } from "../../src/bytes.ts";
import { type KeysShowReport, keysShowReportSchema } from "../../src/cli/keys/show-report.ts";
import { authentihash, firmwareImageHash } from "../../src/pe/authentihash.ts";
import { parsePe } from "../../src/pe/headers.ts";
import { parseVariableUpdate } from "../../src/sign/authvar.ts";
import { encodeTime } from "../../src/sign/efi-time.ts";
import { parseVariableStore, type StoredVariable } from "../../src/sign/ovmf.ts";
import { parseSignatureLists } from "../../src/sign/siglist.ts";
import { identifyUpdate } from "../../src/sign/update-signature.ts";
import { seal } from "../support/cli.ts";
import { describeWith, inTree, type Peer, peerTree, runPeer } from "../support/peers.ts";
import { tempDir } from "../support/temp.ts";
import { vector } from "../support/vectors.ts";

const OWNER = "11111111-2222-3333-4444-123456789abc";
const OVMF = join(peerTree("trixie"), "usr/share/OVMF");
const MICROSOFT = join(peerTree("trixie"), "usr/lib/python3/dist-packages/virt/firmware/certs");
const BOOT_LOADER = join(peerTree("trixie"), "usr/lib/systemd/boot/efi/systemd-bootx64.efi");
const EPOCH = { SOURCE_DATE_EPOCH: String(Date.UTC(2026, 0, 2, 3, 4, 5) / 1000) };

function ok(peer: Peer, args: readonly string[], cwd?: string): string {
  const result = runPeer(peer, args, cwd === undefined ? {} : { cwd });
  expect(result, `${peer} ${args.join(" ")}: ${result.stderr}`).toMatchObject({ status: 0 });
  return result.stdout.toString();
}

async function run(cwd: string, ...args: readonly string[]): Promise<string> {
  const { code, stdout, stderr } = await seal(args, { cwd, env: EPOCH });
  expect(code, stderr).toBe(0);
  return stdout;
}

async function show(cwd: string, file: string): Promise<KeysShowReport> {
  return keysShowReportSchema.parse(JSON.parse(await run(cwd, "keys", "show", file, "--json")));
}

/** A directory with keys in `keys`, the variable stores of OVMF, and boot.efi. */
async function lab(): Promise<string> {
  const cwd = tempDir();
  await run(cwd, "keys", "generate", "--output", "keys", "--owner", OWNER);
  for (const file of ["OVMF_VARS_4M.fd", "OVMF_VARS_4M.ms.fd", "OVMF_VARS_4M.snakeoil.fd"]) {
    cpSync(join(OVMF, file), join(cwd, file));
  }
  cpSync(BOOT_LOADER, join(cwd, "boot.efi"));
  return cwd;
}

interface PeerVariable {
  readonly name: string;
  readonly guid: string;
  readonly attr: number;
  readonly data: string;
  /** Hex of the EFI_TIME. */
  readonly time?: string;
}

/** What virt-fw-vars reads out of a store, by name. */
function peerVariables(cwd: string, file: string): Map<string, PeerVariable> {
  ok("virt-fw-vars", ["--input", join(cwd, file), "--output-json", join(cwd, "vars.json")]);
  const { variables } = JSON.parse(readFileSync(join(cwd, "vars.json"), "utf8")) as { variables: PeerVariable[] };
  return new Map(variables.map((variable) => [variable.name, variable]));
}

function ours(cwd: string, file: string): Map<string, PeerVariable> {
  const { variables } = parseVariableStore(readFileSync(join(cwd, file)), file);
  return new Map(variables.map((variable) => [variable.name, comparable(variable)]));
}

function comparable({ name, vendor, attributes, value, time }: StoredVariable): PeerVariable {
  const zero = time.every((byte) => byte === 0);
  return { name, guid: vendor, attr: attributes, data: toHex(value), ...(zero ? {} : { time: toHex(time) }) };
}

describeWith(["virt-fw-vars", "trees"], "variable stores and virt-fw-vars", () => {
  it.each(["OVMF_VARS_4M.fd", "OVMF_VARS_4M.ms.fd", "OVMF_VARS_4M.snakeoil.fd"])(
    "read the same out of %s",
    async (file) => {
      const cwd = await lab();
      expect(ours(cwd, file)).toEqual(peerVariables(cwd, file));
    },
  );

  it("enrol the same", async () => {
    const cwd = await lab();
    const at = (name: string) => join(cwd, "keys", name);
    const certificates = [
      "--set-pk",
      OWNER,
      at("PK.crt"),
      "--add-kek",
      OWNER,
      at("KEK.crt"),
      "--add-db",
      OWNER,
      at("db.crt"),
    ];
    ok("virt-fw-vars", [
      "--input",
      join(cwd, "OVMF_VARS_4M.fd"),
      "--output",
      join(cwd, "theirs.fd"),
      ...certificates,
      "--sb",
    ]);
    await run(cwd, "keys", "enroll", "--vars", "OVMF_VARS_4M.fd", "--keys", "keys", "--output", "ours.fd");
    const theirs = peerVariables(cwd, "theirs.fd");
    expect(ours(cwd, "theirs.fd")).toEqual(theirs);
    // It adds a dbx that revokes the empty file, which no firmware starts anyway.
    expect(theirs.get("dbx")?.data).toMatch(/e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855$/);
    theirs.delete("dbx");
    expect([...theirs.keys()].toSorted()).toEqual(["CustomMode", "KEK", "PK", "SecureBootEnable", "db"]);
    expect(peerVariables(cwd, "ours.fd")).toEqual(theirs);
    expect(ours(cwd, "ours.fd")).toEqual(theirs);
    expect(await show(cwd, "theirs.fd")).toMatchObject({ type: "variable-store", secureBoot: true, setupMode: false });
    // Of the file, nothing but the variables changed.
    const [before, after] = [readFileSync(join(cwd, "OVMF_VARS_4M.fd")), readFileSync(join(cwd, "ours.fd"))];
    expect(after.length).toBe(before.length);
    expect(after.subarray(0x40000).equals(before.subarray(0x40000))).toBe(true);
    expect(ok("virt-fw-vars", ["--input", join(cwd, "ours.fd"), "--print"])).toMatch(/SecureBootEnable +: bool: ON/);
  });

  it("enrol the same with hashes and Microsoft's certificates", async () => {
    const cwd = await lab();
    const kek = ["MicrosoftCorporationKEKCA2011.pem", "MicrosoftCorporationKEK2KCA2023.pem"];
    const db = [
      "MicrosoftWindowsProductionPCA2011.pem",
      "MicrosoftCorporationUEFICA2011.pem",
      "WindowsUEFICA2023.pem",
      "MicrosoftUEFICA2023.pem",
    ];
    const microsoft = [...kek, ...db].flatMap((name) => ["--microsoft", join(MICROSOFT, name)]);
    await run(
      cwd,
      "keys",
      "enroll",
      "--vars",
      "OVMF_VARS_4M.fd",
      "--keys",
      "keys",
      "--db",
      "boot.efi",
      "--owner",
      OWNER,
      ...microsoft,
      "--output",
      "ours.fd",
    );
    for (const name of [...kek, ...db]) cpSync(join(MICROSOFT, name), join(cwd, name));
    const owner = "77fa9abd-0359-4d32-bd60-28f4e78f784b";
    const at = (name: string) => join(cwd, "keys", name);
    const hash = (await run(cwd, "inspect", "boot.efi", "--authenticode-hash")).trim();
    ok("virt-fw-vars", [
      ...["--input", join(cwd, "OVMF_VARS_4M.fd"), "--output", join(cwd, "theirs.fd"), "--sb"],
      ...["--set-pk", OWNER, at("PK.crt"), "--add-kek", OWNER, at("KEK.crt"), "--add-db", OWNER, at("db.crt")],
      ...["--add-db-hash", OWNER, hash],
      ...kek.flatMap((name) => ["--add-kek", owner, join(cwd, name)]),
      ...db.flatMap((name) => ["--add-db", owner, join(cwd, name)]),
    ]);
    const entries = (file: string, name: string) =>
      parseSignatureLists(Buffer.from(peerVariables(cwd, file).get(name)?.data ?? "", "hex"), name)
        .flatMap(({ type, signatures }) => signatures.map(({ owner: who, data }) => `${type} ${who} ${toHex(data)}`))
        .toSorted();
    for (const name of ["PK", "KEK", "db"]) expect(entries("ours.fd", name)).toEqual(entries("theirs.fd", name));
    expect(entries("ours.fd", "db")).toHaveLength(6);
  });

  it("add to a store that firmware has written, and lose nothing of it", async () => {
    const cwd = await lab();
    await run(
      cwd,
      "keys",
      "enroll",
      "--vars",
      "OVMF_VARS_4M.ms.fd",
      "--db",
      "keys/db.auth",
      "--append",
      "--output",
      "ours.fd",
    );
    const [before, after] = [peerVariables(cwd, "OVMF_VARS_4M.ms.fd"), peerVariables(cwd, "ours.fd")];
    expect(after.get("db")?.data).toBe(
      `${before.get("db")?.data}${readFileSync(join(cwd, "keys/db.esl")).toString("hex")}`,
    );
    for (const [name, variable] of before) if (name !== "db") expect(after.get(name)).toEqual(variable);
    expect(after.size).toBe(before.size);
  });

  it("take seal's updates of dbx", async () => {
    const cwd = await lab();
    const key = ["--key", "keys/KEK.key", "--cert", "keys/KEK.crt"];
    await run(cwd, "keys", "auth", "dbx", "boot.efi", "--append", ...key, "--output", "dbx.auth");
    const store = ["--input", join(cwd, "OVMF_VARS_4M.fd"), "--output", join(cwd, "dbx.fd")];
    ok("virt-fw-vars", [...store, "--set-dbx", join(cwd, "dbx.auth")]);
    const { value, time } = parseVariableUpdate(readFileSync(join(cwd, "dbx.auth")), "dbx.auth");
    expect(peerVariables(cwd, "dbx.fd").get("dbx")).toMatchObject({
      data: toHex(value),
      time: toHex(encodeTime(time)),
    });
  });
});

describeWith(
  ["cert-to-efi-sig-list", "sig-list-to-certs", "sign-efi-sig-list", "sbsiglist", "openssl"],
  "lists and updates of other tools",
  () => {
    it("are what keys esl and keys auth write", async () => {
      const cwd = await lab();
      const at = (name: string) => join(cwd, name);
      await run(cwd, "keys", "esl", "keys/db.crt", "boot.efi", "--owner", OWNER, "--output", "ours.esl");
      ok("cert-to-efi-sig-list", ["-g", OWNER, at("keys/db.crt"), at("cert.esl")]);
      const hash = (await run(cwd, "inspect", "boot.efi", "--authenticode-hash")).trim();
      writeFileSync(at("hash"), Buffer.from(hash, "hex"));
      ok("sbsiglist", ["--owner", OWNER, "--type", "sha256", "--output", at("hash.esl"), at("hash")]);
      expect(
        readFileSync(at("ours.esl")).equals(
          Buffer.concat([readFileSync(at("cert.esl")), readFileSync(at("hash.esl"))]),
        ),
      ).toBe(true);
      expect(ok("sig-list-to-certs", [at("ours.esl"), at("out")])).toContain(OWNER);
      for (const [variable, options, append] of [
        ["dbx", ["--append"], ["-a"]],
        ["db", [], []],
        ["KEK", ["--append"], ["-a"]],
      ] as const) {
        const key = (name: string) => [at(`keys/KEK.${name}`)];
        await run(
          cwd,
          "keys",
          "auth",
          variable,
          "ours.esl",
          ...options,
          "--key",
          ...key("key"),
          "--cert",
          ...key("crt"),
          "--output",
          "ours.auth",
        );
        ok("sign-efi-sig-list", [
          ...append,
          "-t",
          "2026-01-02 03:04:05",
          "-g",
          OWNER,
          "-k",
          ...key("key"),
          "-c",
          ...key("crt"),
          variable,
          at("ours.esl"),
          at("theirs.auth"),
        ]);
        expect(equalBytes(readFileSync(at("ours.auth")), readFileSync(at("theirs.auth")))).toBe(true);
        const update = parseVariableUpdate(readFileSync(at("theirs.auth")), "theirs.auth");
        expect(identifyUpdate(update, "theirs.auth").purpose).toEqual({
          variable,
          write: append.length > 0 ? "append" : "replace",
        });
      }
    });

    it("name revoked certificates by the hash that efitools computes", async () => {
      const cwd = await lab();
      await run(cwd, "keys", "esl", "keys/db.crt", "--by-hash", "--output", "hash.esl");
      const [list] = parseSignatureLists(readFileSync(join(cwd, "hash.esl")), "hash.esl");
      const der = join(cwd, "keys/db.cer");
      // TBSCertificate is the first value inside of the certificate's SEQUENCE.
      const parsed = ok("openssl", [
        "asn1parse",
        "-inform",
        "DER",
        "-in",
        der,
        "-strparse",
        "4",
        "-noout",
        "-out",
        join(cwd, "tbs"),
      ]);
      expect(parsed).toBe("");
      const digest = ok("openssl", ["dgst", "-sha256", "-r", join(cwd, "tbs")]).slice(0, 64);
      expect(toHex(list?.signatures[0]?.data ?? new Uint8Array()).slice(0, 64)).toBe(digest);
    });
  },
);

describeWith(["virt-fw-vars", "sbsign", "trees"], "verify by the databases of a variable store", () => {
  it("decides by Debian's and Microsoft's certificates as firmware would", async () => {
    const cwd = await lab();
    await run(cwd, "sign", "boot.efi", "--key", "keys/db.key", "--cert", "keys/db.crt", "--output", "signed.efi");
    await run(
      cwd,
      "keys",
      "enroll",
      "--vars",
      "OVMF_VARS_4M.ms.fd",
      "--db",
      "keys/db.auth",
      "--append",
      "--output",
      "both.fd",
    );
    for (const [file, name] of [
      ["OVMF_VARS_4M.ms.fd", "ms.db"],
      ["both.fd", "both.db"],
    ] as const) {
      writeFileSync(join(cwd, name), Buffer.from(peerVariables(cwd, file).get("db")?.data ?? "", "hex"));
    }
    writeFileSync(join(cwd, "dbx"), Buffer.from(peerVariables(cwd, "both.fd").get("dbx")?.data ?? "", "hex"));
    const code = async (...args: string[]) => (await seal(["verify", "signed.efi", ...args], { cwd })).code;
    expect(await code("--db", "both.db", "--dbx", "dbx")).toBe(0);
    expect(await code("--db", "ms.db", "--dbx", "dbx")).toBe(1);
  });
});

describeWith(["openssl", "trees"], "verify by certificate paths", () => {
  it("an issuer between that is revoked makes the signature worthless, by its hash without forbidding the file", async () => {
    const cwd = await lab();
    const openssl = (...args: string[]) => ok("openssl", args, cwd);
    const request = ["req", "-new", "-newkey", "rsa:2048", "-nodes"];
    openssl(...request, "-x509", "-subj", "/CN=root", "-keyout", "root.key", "-out", "root.crt");
    writeFileSync(join(cwd, "ca.ext"), "basicConstraints=critical,CA:true\n");
    for (const [name, issuer, more] of [
      ["middle", "root", ["-extfile", "ca.ext"]],
      ["leaf", "middle", []],
    ] as const) {
      openssl(...request, "-subj", `/CN=${name}`, "-keyout", `${name}.key`, "-out", `${name}.csr`);
      const by = ["-CA", `${issuer}.crt`, "-CAkey", `${issuer}.key`];
      openssl("x509", "-req", "-in", `${name}.csr`, ...by, ...more, "-out", `${name}.crt`);
    }
    const sign = ["--key", "leaf.key", "--cert", "leaf.crt", "--chain", "middle.crt"];
    await run(cwd, "sign", "boot.efi", ...sign, "--output", "leaf.efi");
    await run(
      cwd,
      "sign",
      "leaf.efi",
      "--append",
      "--key",
      "keys/db.key",
      "--cert",
      "keys/db.crt",
      "--output",
      "both.efi",
    );
    for (const name of ["root", "middle", "leaf"]) {
      await run(cwd, "keys", "esl", `${name}.crt`, "--output", `${name}.esl`);
      await run(cwd, "keys", "esl", `${name}.crt`, "--by-hash", "--output", `${name}.hash`);
    }
    const verify = async (file: string, db: string, dbx: string) =>
      seal(["verify", file, "--db", db, "--db", "keys/db.esl", "--dbx", dbx], { cwd });
    // What Debian's OVMF does was seen in QEMU; it differs in the first case only, as the verdict says.
    expect(await verify("leaf.efi", "root.esl", "middle.hash")).toMatchObject({
      code: 1,
      stdout: expect.stringMatching(
        /trusted through CN=middle, .*; EDK II does not look there and still starts the file$/m,
      ),
    });
    for (const [file, db, dbx, code] of [
      ["leaf.efi", "leaf.esl", "root.hash", 0],
      ["leaf.efi", "root.esl", "root.hash", 1],
      ["leaf.efi", "root.esl", "middle.esl", 1],
      ["leaf.efi", "leaf.esl", "root.esl", 1],
      ["both.efi", "root.esl", "root.hash", 0],
      ["both.efi", "root.esl", "middle.hash", 0],
      ["both.efi", "root.esl", "middle.esl", 1],
      ["both.efi", "root.esl", "leaf.hash", 1],
    ] as const) {
      const result = await verify(file, db, dbx);
      expect({ file, db, dbx, code: result.code }).toEqual({ file, db, dbx, code });
      if (code === 1) expect(result.stdout).not.toContain("EDK II");
    }
  });
});

/** Those of efitools that have no command of their own among the peers. */
function inTrixie(cwd: string, ...args: readonly string[]): void {
  const [command = "", ...enter] = inTree(peerTree("trixie"));
  const { status, stderr } = spawnSync(command, [...enter, ...args], { cwd, encoding: "utf8" });
  expect(status, stderr).toBe(0);
}

describeWith(["trees", "root"], "hashes of programs and hash-to-efi-sig-list", () => {
  it.each([
    ["plain", 0],
    ["unaligned-end", 1],
    ["tail3", 1],
  ])("%s: seal lists the one that it lists, and the one that firmware computes", async (name, others) => {
    const cwd = tempDir();
    writeFileSync(join(cwd, "x.efi"), vector(`authenticode/pe/${name}.efi.gz`));
    inTrixie(cwd, "hash-to-efi-sig-list", join(cwd, "x.efi"), join(cwd, "theirs.esl"));
    await run(cwd, "keys", "esl", "x.efi", "--output", "ours.esl");
    const digests = (file: string) =>
      parseSignatureLists(readFileSync(join(cwd, file)), file).flatMap(({ signatures }) =>
        signatures.map(({ data }) => toHex(data)),
      );
    const pe = parsePe([readFileSync(join(cwd, "x.efi"))], "x.efi");
    const [padded, unpadded] = [authentihash(pe, "sha256"), firmwareImageHash(pe, "sha256")].map(toHex);
    expect(digests("theirs.esl")).toEqual([padded]);
    expect(digests("ours.esl")).toEqual(others === 0 ? [padded] : [unpadded, padded]);
    expect(unpadded === padded).toBe(others === 0);
  });
});
