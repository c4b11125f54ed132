import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { toHex } from "../../../src/bytes.ts";
import { keysShowReportSchema } from "../../../src/cli/keys/show-report.ts";
import { signVariableChange } from "../../../src/sign/authvar.ts";
import { parseVariableStore, writeVariableStore } from "../../../src/sign/ovmf.ts";
import { type CliOptions, seal } from "../../support/cli.ts";
import { certificateEsl, certificateHashEsl, OWNER } from "../../support/databases.ts";
import { vectorSigner } from "../../support/signing.ts";
import { tempDir } from "../../support/temp.ts";
import { emptyStore } from "../../support/variable-store.ts";

const KEYS = fileURLToPath(new URL("../../vectors/authenticode/keys", import.meta.url));
const cert = (name: string) => join(KEYS, `${name}.crt`);
const ca = vectorSigner("ca");
const leaf = vectorSigner("leaf");
const TIME = new Date("2026-01-02T03:04:05Z");

async function start(): Promise<string> {
  const cwd = tempDir();
  writeFileSync(join(cwd, "in.fd"), emptyStore());
  for (const [variable, key] of [
    ["PK", "ca"],
    ["KEK", "leaf"],
    ["db", "signer"],
  ] as const) {
    const change = { variable, write: "replace", time: TIME, value: certificateEsl(key) } as const;
    writeFileSync(join(cwd, `${variable}.auth`), await signVariableChange(change, variable === "db" ? leaf : ca));
  }
  return cwd;
}

async function enroll(cwd: string, args: readonly string[], options: CliOptions = {}, input = "in.fd") {
  const result = await seal(["keys", "enroll", "--vars", input, "--output", "out.fd", ...args], { cwd, ...options });
  const variables = () => parseVariableStore(readFileSync(join(cwd, "out.fd")), "out.fd").variables;
  return {
    ...result,
    variables,
    value: (name: string) => toHex(variables().find((one) => one.name === name)?.value ?? new Uint8Array()),
  };
}

describe("seal keys enroll", () => {
  it("enrols the signed updates of a directory, with their time, and turns Secure Boot on", async () => {
    const result = await enroll(await start(), ["--keys", "."]);
    expect(result.code, result.stderr).toBe(0);
    expect(result.variables().map(({ name, vendor, attributes }) => [name, vendor, attributes])).toEqual([
      ["PK", "8be4df61-93ca-11d2-aa0d-00e098032b8c", 0x27],
      ["KEK", "8be4df61-93ca-11d2-aa0d-00e098032b8c", 0x27],
      ["db", "d719b2cb-3d3a-4596-a3bc-dad00e67656f", 0x27],
      ["SecureBootEnable", "f0a30bc7-af08-4556-99c4-001009c93a44", 3],
      ["CustomMode", "c076ec0c-7028-4399-a072-71ee5c448b9f", 3],
    ]);
    expect(result.value("db")).toBe(toHex(certificateEsl("signer")));
    expect([result.value("SecureBootEnable"), result.value("CustomMode")]).toEqual(["01", "00"]);
    expect(toHex(result.variables()[0]?.time ?? new Uint8Array())).toBe("ea070102030405000000000000000000");
    expect(result.stdout).toMatch(/^out\.fd {2}variable store, Secure Boot on\n {2}PK {2}dated 2026-01-02T03:04:05Z\n/);
  });

  it("takes certificates, lists and EFI programs, and keeps other variables", async () => {
    const cwd = await start();
    const store = parseVariableStore(emptyStore(), "x");
    const timeout = { ...(await enroll(cwd, ["--keys", "."])).variables()[3], name: "Timeout" };
    writeFileSync(join(cwd, "used.fd"), writeVariableStore(store, [timeout as (typeof store.variables)[number]]));
    writeFileSync(join(cwd, "dbx.esl"), certificateHashEsl("other"));
    const args = ["--pk", cert("ca"), "--kek", cert("leaf"), "--db", cert("signer"), "--db", cert("db3072")];
    const result = await enroll(cwd, [...args, "--dbx", "dbx.esl", "--owner", OWNER, "--json"], {}, "used.fd");
    expect(result.code, result.stderr).toBe(0);
    expect(result.variables()[0]).toMatchObject({ name: "Timeout" });
    expect(result.value("db")).toBe(toHex(certificateEsl("signer", "db3072")));
    expect(result.value("dbx")).toBe(toHex(certificateHashEsl("other")));
    const report = keysShowReportSchema.parse(JSON.parse(result.stdout));
    expect(report).toMatchObject({ type: "variable-store", secureBoot: true, setupMode: false });
    // Without any time given: when the newest certificate became valid; for hashes a time before all.
    const time = (name: string) =>
      toHex((result.variables().find((one) => one.name === name)?.time ?? new Uint8Array()).subarray(0, 4));
    expect([time("db"), time("dbx")]).toEqual(["e9070101", "da070101"]);
  });

  it("is reproducible, and dated as told", async () => {
    const cwd = await start();
    const args = ["--pk", cert("ca"), "--db", cert("signer")];
    const time = async (more: string[], options: CliOptions = {}) =>
      toHex((await enroll(cwd, [...args, ...more], options)).variables()[0]?.time.subarray(0, 7) ?? new Uint8Array());
    expect(await time(["--timestamp", "2027-02-03T04:05:06Z"])).toBe("eb070203040506");
    expect(await time([], { env: { SOURCE_DATE_EPOCH: "1700000000" } })).toBe("e7070b0e160d14");
    const first = readFileSync(join(cwd, "out.fd"));
    await time([], { env: { SOURCE_DATE_EPOCH: "1700000000" }, now: new Date(0) });
    expect(readFileSync(join(cwd, "out.fd")).equals(first)).toBe(true);
  });

  it("adds to what is there with --append, and for updates that are signed to", async () => {
    const cwd = await start();
    await enroll(cwd, ["--keys", "."]);
    const change = { variable: "dbx", write: "append", time: TIME, value: certificateEsl("other") } as const;
    writeFileSync(join(cwd, "dbx.auth"), await signVariableChange(change, ca));
    const added = await enroll(
      cwd,
      ["--db", cert("db3072"), "--db", cert("signer"), "--owner", OWNER, "--append"],
      {},
      "out.fd",
    );
    expect(added.value("db")).toBe(toHex(certificateEsl("signer", "db3072")));
    await enroll(cwd, ["--dbx", cert("db4096"), "--owner", OWNER], {}, "out.fd");
    const twice = await enroll(cwd, ["--dbx", "dbx.auth"], {}, "out.fd");
    expect(twice.value("dbx")).toBe(toHex(certificateEsl("db4096", "other")));
    expect((await enroll(cwd, ["--db", cert("leaf"), "--owner", OWNER], {}, "out.fd")).value("db")).toBe(
      toHex(certificateEsl("leaf")),
    );
  });

  it.each<[string, string[], number, RegExp]>([
    ["no keys", [], 2, /--keys: give keys/],
    ["no platform key", ["--db", cert("signer")], 3, /in\.fd: has no platform key/],
    [
      "two platform keys",
      ["--pk", cert("ca"), "--pk", cert("leaf"), "--db", cert("signer")],
      3,
      /must be one certificate/,
    ],
    ["a platform key that is a hash", ["--pk", "hash.esl", "--db", cert("signer")], 3, /must be one certificate/],
    ["no db", ["--pk", cert("ca")], 3, /has no db/],
    [
      "an update of another variable",
      ["--keys", ".", "--kek", "db.auth"],
      3,
      /db\.auth: is an update of db, not of KEK/,
    ],
    [
      "an update that was changed",
      ["--pk", "bad.auth"],
      3,
      /bad\.auth: its signature is invalid: it does not sign an update/,
    ],
    ["a directory without them", ["--keys", "empty"], 3, /empty: can't be read|PK\.auth: is missing/],
    [
      "a certificate that Microsoft does not have",
      ["--keys", ".", "--microsoft", cert("ca")],
      3,
      /is not a Microsoft certificate/,
    ],
    ["an impossible time", ["--keys", ".", "--timestamp", "now"], 2, /--timestamp: give a time/],
  ])("refuses %s", async (_, args, code, message) => {
    const cwd = await start();
    writeFileSync(join(cwd, "hash.esl"), certificateHashEsl("ca"));
    const bad = readFileSync(join(cwd, "PK.auth"));
    bad[bad.length - 1] = (bad.at(-1) ?? 0) ^ 1;
    writeFileSync(join(cwd, "bad.auth"), bad);
    const result = await enroll(cwd, args);
    expect(result).toMatchObject({ code, stdout: "", stderr: expect.stringMatching(message) });
    expect(() => result.variables()).toThrow(/ENOENT/);
  });

  it("refuses a file that is not a variable store", async () => {
    const cwd = await start();
    expect(await enroll(cwd, ["--keys", "."], {}, "PK.auth")).toMatchObject({
      code: 3,
      stderr: "seal: PK.auth: this is not a variable store of EDK II (OVMF_VARS.fd)\n",
    });
  });
});
