/** Keys made by `seal keys generate`, given to the tools that read, make, sign and enrol such keys. */
import { cpSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { equalBytes, utf8 } from "../../src/bytes.ts";
import { concat } from "../../src/chunks.ts";
import { parseVariableUpdate, signedOctets, type VariableUpdate } from "../../src/sign/authvar.ts";
import { knownGuid } from "../../src/sign/guid.ts";
import { contentInfo } from "../../src/sign/pkcs7.ts";
import { encodeSignatureLists, parseSignatureLists, SHA256_TYPE } from "../../src/sign/siglist.ts";
import { seal } from "../support/cli.ts";
import { describeWith, type Peer, type PeerResult, peerTree, runPeer } from "../support/peers.ts";
import { tempDir } from "../support/temp.ts";

const ROLES = ["PK", "KEK", "db"] as const;
const SIGNER = { PK: "PK", KEK: "PK", db: "KEK" } as const;
const OWNER = knownGuid("11111111-2222-3333-4444-123456789abc");

/** Runs a peer that must succeed. */
function ok(peer: Peer, args: readonly string[], cwd?: string): PeerResult {
  const result = runPeer(peer, args, cwd === undefined ? {} : { cwd });
  expect(result, `${peer} ${args.join(" ")}: ${result.stderr}`).toMatchObject({ status: 0 });
  return result;
}

async function generate(type = "rsa2048"): Promise<string> {
  const directory = join(tempDir(), "keys");
  const { code, stderr } = await seal(
    ["keys", "generate", "--output", directory, "--owner", OWNER, "--common-name", "Example", "--type", type],
    { env: { SOURCE_DATE_EPOCH: String(Date.UTC(2026, 0, 2, 3, 4, 5) / 1000) } },
  );
  expect(code, stderr).toBe(0);
  return directory;
}

describeWith(["openssl"], "keys and openssl", () => {
  it("certificates are valid in the strict sense, and say what they are for", async () => {
    const keys = await generate();
    for (const role of ROLES) {
      const certificate = join(keys, `${role}.crt`);
      const strict = ["-x509_strict", "-check_ss_sig", "-CAfile", certificate, certificate];
      ok("openssl", ["verify", "-attime", String(Date.UTC(2026, 5, 1) / 1000), ...strict]);
      ok("openssl", ["x509", "-inform", "DER", "-in", join(keys, `${role}.cer`), "-noout"]);
    }
    const text = (role: string) =>
      ok("openssl", ["x509", "-in", join(keys, `${role}.crt`), "-noout", "-text"]).stdout.toString();
    expect(text("PK")).toMatch(/CA:TRUE[\s\S]*Digital Signature, Certificate Sign/);
    expect(text("db")).toMatch(/CA:FALSE[\s\S]*Digital Signature[\s\S]*Code Signing/);
    expect(text("db")).toMatch(/Not Before: Jan {2}2 03:04:05 2026 GMT\s+Not After : Dec 31 03:04:05 2035 GMT/);
  });

  it("updates are signatures over what the firmware puts together", async () => {
    const keys = await generate();
    for (const variable of ROLES) {
      const update = parseVariableUpdate(readFileSync(join(keys, `${variable}.auth`)), `${variable}.auth`);
      const octets = (write: "replace" | "append") =>
        signedOctets({ variable, write, time: update.time, value: readFileSync(join(keys, `${variable}.esl`)) });
      expect(verifies(keys, update, octets("replace"), SIGNER[variable])).toBe(true);
      expect(verifies(keys, update, octets("append"), SIGNER[variable])).toBe(false);
    }
  });
});

/** Whether openssl takes the signature of an update for one by this key over these octets. */
function verifies(keys: string, update: VariableUpdate, octets: Uint8Array, signer: "PK" | "KEK"): boolean {
  const message = join(keys, "message.p7");
  const content = join(keys, "content");
  writeFileSync(message, contentInfo(update.signature));
  writeFileSync(content, octets);
  const trust = ["-purpose", "any", "-no_check_time", "-CAfile", join(keys, `${signer}.crt`)];
  const input = ["-inform", "DER", "-in", message, "-content", content];
  return runPeer("openssl", ["cms", "-verify", "-binary", ...input, ...trust, "-out", "/dev/null"]).status === 0;
}

describeWith(["cert-to-efi-sig-list", "sbsiglist", "sig-list-to-certs"], "signature lists", () => {
  it("have the bytes that efitools and sbsigntool give them", async () => {
    const keys = await generate();
    for (const role of ROLES) {
      const ours = readFileSync(join(keys, `${role}.esl`));
      const theirs = join(keys, "theirs.esl");
      ok("cert-to-efi-sig-list", ["-g", OWNER, join(keys, `${role}.crt`), theirs]);
      expect(readFileSync(theirs).equals(ours)).toBe(true);
      ok("sbsiglist", ["--owner", OWNER, "--type", "x509", "--output", theirs, join(keys, `${role}.cer`)]);
      expect(readFileSync(theirs).equals(ours)).toBe(true);
    }
  });

  it("of hashes are those of sbsiglist, and are read back", () => {
    const directory = tempDir();
    const hash = new Uint8Array(32).fill(0xa5);
    writeFileSync(join(directory, "hash"), hash);
    ok("sbsiglist", [
      "--owner",
      OWNER,
      "--type",
      "sha256",
      "--output",
      join(directory, "esl"),
      join(directory, "hash"),
    ]);
    const theirs = new Uint8Array(readFileSync(join(directory, "esl")));
    const lists = [{ type: SHA256_TYPE, signatures: [{ owner: OWNER, data: hash }] }];
    expect(parseSignatureLists(theirs, "esl")).toEqual(lists);
    expect(encodeSignatureLists(lists)).toEqual(theirs);
  });

  it("give efitools the certificates back", async () => {
    const keys = await generate();
    writeFileSync(join(keys, "all.esl"), Buffer.concat(ROLES.map((role) => readFileSync(join(keys, `${role}.esl`)))));
    const { stdout } = ok("sig-list-to-certs", [join(keys, "all.esl"), join(keys, "out")]);
    expect(stdout.toString()).toContain(OWNER);
    for (const [index, role] of ROLES.entries()) {
      expect(readFileSync(join(keys, `out-${index}.der`)).equals(readFileSync(join(keys, `${role}.cer`)))).toBe(true);
    }
  });
});

describeWith(["sign-efi-sig-list", "sbvarsign", "openssl"], "signed updates", () => {
  it.each(["rsa2048", "rsa3072", "rsa4096"])("%s: have the bytes that sign-efi-sig-list gives them", async (type) => {
    const keys = await generate(type);
    const sign = (variable: "PK" | "KEK" | "db", time: string, list: string): Buffer => {
      const signer = SIGNER[variable];
      const key = ["-k", join(keys, `${signer}.key`), "-c", join(keys, `${signer}.crt`)];
      ok("sign-efi-sig-list", ["-t", time, "-g", OWNER, ...key, variable, list, join(keys, "theirs.auth")]);
      return readFileSync(join(keys, "theirs.auth"));
    };
    for (const variable of ROLES) {
      const theirs = sign(variable, "2026-01-02 03:04:05", join(keys, `${variable}.esl`));
      expect(theirs.equals(readFileSync(join(keys, `${variable}.auth`)))).toBe(true);
    }
    writeFileSync(join(keys, "empty.esl"), "");
    const removal = sign("PK", "2026-01-02 03:04:06", join(keys, "empty.esl"));
    expect(removal.equals(readFileSync(join(keys, "noPK.auth")))).toBe(true);
  });

  it("by sbvarsign are read; it signs the name in four bytes a letter, which no firmware does", async () => {
    const keys = await generate();
    const key = ["--key", join(keys, "KEK.key"), "--cert", join(keys, "KEK.crt")];
    const attributes = ["--attr", "NON_VOLATILE,BOOTSERVICE_ACCESS,RUNTIME_ACCESS"];
    ok("sbvarsign", [...key, ...attributes, "--output", join(keys, "their.auth"), "db", join(keys, "db.esl")]);
    const update = parseVariableUpdate(readFileSync(join(keys, "their.auth")), "their.auth");
    expect(equalBytes(update.value, readFileSync(join(keys, "db.esl")))).toBe(true);
    const { time, value } = update;
    const octets = signedOctets({ variable: "db", write: "replace", time, value });
    const theirs = concat([utf8("d\0\0\0b\0\0\0"), octets.subarray(4)]);
    expect([verifies(keys, update, octets, "KEK"), verifies(keys, update, theirs, "KEK")]).toEqual([false, true]);
  });
});

describeWith(["virt-fw-vars"], "virt-fw-vars", () => {
  it("enrols the certificates, and takes a signed update apart", async () => {
    const keys = await generate();
    const at = (name: string) => join(keys, name);
    const trust = ["--set-pk", OWNER, at("PK.crt"), "--add-kek", OWNER, at("KEK.crt"), "--add-db", OWNER, at("db.crt")];
    ok("virt-fw-vars", [...trust, "--set-dbx", at("db.auth"), "--sb", "--output-json", at("vars.json")]);
    const { variables } = JSON.parse(readFileSync(at("vars.json"), "utf8")) as {
      variables: { name: string; data: string; time?: string }[];
    };
    const value = (name: string) => variables.find((variable) => variable.name === name);
    for (const role of ROLES) expect(value(role)?.data).toBe(readFileSync(at(`${role}.esl`)).toString("hex"));
    // The only way to give it an .auth file is as a new dbx.
    expect(value("dbx")).toMatchObject({ data: readFileSync(at("db.esl")).toString("hex"), time: expect.anything() });
  });
});

describeWith(["sbsign", "sbverify", "osslsigncode", "systemd-sbsign", "trees"], "the db key", () => {
  it.each(["rsa2048", "rsa4096"])("%s: signs for sbsign and systemd-sbsign, and verifies", async (type) => {
    const keys = await generate(type);
    const at = (name: string) => join(keys, name);
    cpSync(join(peerTree("trixie"), "usr/lib/systemd/boot/efi/systemd-bootx64.efi"), at("boot.efi"));
    ok("sbsign", ["--key", at("db.key"), "--cert", at("db.crt"), "--output", at("a.efi"), at("boot.efi")]);
    const key = ["--private-key", at("db.key"), "--certificate", at("db.crt")];
    ok("systemd-sbsign", ["sign", ...key, "--output", at("b.efi"), at("boot.efi")]);
    for (const file of ["a.efi", "b.efi"]) {
      ok("sbverify", ["--cert", at("db.crt"), at(file)]);
      ok("osslsigncode", ["verify", "-in", at(file), "-CAfile", at("db.crt")]);
    }
  });
});
