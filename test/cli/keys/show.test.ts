import { createHash, createPublicKey } from "node:crypto";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { concat } from "../../../src/chunks.ts";
import { describeKeys, keysShowReportSchema } from "../../../src/cli/keys/show-report.ts";
import { SealError } from "../../../src/errors.ts";
import { signVariableChange, VARIABLE_VENDORS } from "../../../src/sign/authvar.ts";
import { knownGuid } from "../../../src/sign/guid.ts";
import { parseVariableStore, writeVariableStore } from "../../../src/sign/ovmf.ts";
import { type CliOptions, seal } from "../../support/cli.ts";
import {
  certificateEsl,
  certificateHashEsl,
  esl,
  IMAGE_HASH_TYPES,
  ODD_LISTS,
  OWNER,
} from "../../support/databases.ts";
import { vectorCertificate, vectorSigner } from "../../support/signing.ts";
import { tempDir } from "../../support/temp.ts";
import { emptyStore } from "../../support/variable-store.ts";
import { vector } from "../../support/vectors.ts";

const KEYS = fileURLToPath(new URL("../../vectors/authenticode/keys", import.meta.url));
const TIME = new Date("2026-01-02T03:04:05Z");
const revokedSince = certificateHashEsl(
  "ca",
  "sha512",
  Uint8Array.from([0xea, 7, 1, 2, 3, 4, 5, ...new Array(9).fill(0)]),
);
const lists = concat([
  certificateEsl("signer"),
  esl(IMAGE_HASH_TYPES.sha256, new Uint8Array(32).fill(0xa5)),
  certificateHashEsl("other"),
  revokedSince,
  esl(knownGuid("3c5766e8-269c-4e34-aa14-ed776e85b3b6"), new Uint8Array(256)),
]);

async function show(bytes: Uint8Array, args: readonly string[] = [], options: CliOptions = {}) {
  const cwd = tempDir();
  writeFileSync(join(cwd, "x"), bytes);
  return seal(["keys", "show", "x", ...args], { cwd, ...options });
}
async function json(bytes: Uint8Array, ...args: string[]) {
  const { code, stdout, stderr } = await show(bytes, ["--json", ...args]);
  expect(code, stderr).toBe(0);
  return keysShowReportSchema.parse(JSON.parse(stdout));
}

describe("seal keys show", () => {
  it("lists the entries of signature lists", async () => {
    expect(await json(lists)).toMatchObject({
      type: "signature-lists",
      entries: [
        { type: "certificate", owner: OWNER, certificate: { subject: "CN=seal test db rsa2048", key: "RSA-2048" } },
        { type: "image-hash", algorithm: "sha256", digest: "a5".repeat(32) },
        { type: "certificate-hash", algorithm: "sha256", since: null },
        { type: "certificate-hash", algorithm: "sha512", since: "2026-01-02T03:04:05.000Z" },
        { type: "other", name: "RSA-2048", size: 256 },
      ],
    });
    const { stdout } = await show(lists);
    expect(stdout).toMatch(/^x {2}signature lists, 5 entries\n {2}CN=seal test db rsa2048 /);
    expect(stdout).toMatch(/^ {2}hash of a certificate +SHA-512 +revoked since 2026-01-02 +[0-9a-f]{128} +owner /m);
  });

  it("shows what is not understood beside the rest", async () => {
    expect(await json(concat([ODD_LISTS, certificateEsl("signer")]))).toMatchObject({
      type: "signature-lists",
      entries: [
        { type: "empty-list", name: "SHA-256 hashes of images" },
        { type: "other", name: "99999999-2222-3333-4444-123456789abc", size: 5 },
        { type: "list-header", name: "certificates", size: 16 },
        { type: "certificate", certificate: { subject: "CN=seal test db rsa4096" } },
        { type: "unreadable", reason: "PEM text instead of a certificate in DER" },
        { type: "certificate", certificate: { subject: "CN=seal test db rsa2048" } },
      ],
    });
    const { stdout } = await show(ODD_LISTS);
    expect(stdout).toMatch(/^ {2}a list without entries +SHA-256 hashes of images$/m);
    expect(stdout).toMatch(/^ {2}not understood +\d+ bytes +PEM text/m);
  });

  it("shows updates with times of no calendar, also in Linux' file of a variable", async () => {
    const time = { year: 2026, month: 0, day: 31, hour: 1, minute: 2, second: 3 };
    const update = await signVariableChange(
      { variable: "db", write: "replace", time, value: lists },
      vectorSigner("ca"),
    );
    for (const bytes of [update, concat([Uint8Array.of(6, 0, 0, 0), update])]) {
      expect(await json(bytes)).toMatchObject({
        variable: "db",
        time: "2026-00-31T01:02:03.000Z",
        note: expect.stringContaining("is not a valid time"),
      });
      expect((await show(bytes)).stdout).toMatch(
        /dated 2026-00-31T01:02:03\.000Z\n.*signed by CN=.*\n.*is not a valid time/,
      );
    }
  });

  it("takes the files of Linux for variables, with the attributes in front", async () => {
    expect(await json(concat([Uint8Array.of(0x27, 0, 0, 0), lists]))).toMatchObject({ type: "signature-lists" });
  });

  it("says what a signed update is for, and who signed it", async () => {
    const change = { variable: "dbx", write: "append", time: TIME, value: lists } as const;
    const update = await signVariableChange(change, vectorSigner("ca"));
    expect(await json(update)).toMatchObject({
      type: "variable-update",
      time: TIME.toISOString(),
      variable: "dbx",
      write: "append",
      signer: { subject: expect.stringMatching(/^CN=/) },
      problem: null,
      entries: { length: 5 },
    });
    expect((await show(update)).stdout).toMatch(
      /^x {2}signed update, adds to dbx, dated 2026-01-02T03:04:05\.000Z\n {2}signed by CN=/,
    );
    const changed = Uint8Array.from(update);
    changed[changed.length - 1] = 1;
    expect(await json(changed)).toMatchObject({
      variable: null,
      entries: null,
      problem: expect.stringMatching(/does not sign an update/),
    });
    expect((await show(changed)).stdout).toMatch(
      /of an unknown variable .*\n.*\n {2}bad signature: it does not sign an update of PK/,
    );
    const removal = await signVariableChange(
      { ...change, write: "replace", variable: "PK", value: new Uint8Array() },
      vectorSigner("ca"),
    );
    expect((await show(removal)).stdout).toContain("deletes PK");
  });

  it("shows certificates, and of private keys nothing but the public part", async () => {
    const name = { subject: "CN=seal test db rsa2048", key: "RSA-2048" };
    expect(await json(vector("authenticode/keys/signer.crt"))).toMatchObject({
      type: "certificates",
      certificates: [name],
    });
    expect(await json(vectorCertificate("signer").der)).toMatchObject({ type: "certificates", certificates: [name] });
    const spki = createPublicKey(vector("authenticode/keys/signer.crt")).export({ type: "spki", format: "der" });
    const publicKeySha256 = createHash("sha256").update(spki).digest("hex");
    const key = vector("authenticode/keys/signer.key");
    expect(await json(key)).toEqual({
      file: "x",
      type: "private-key",
      key: "RSA-2048",
      publicKeySha256,
      certificates: [],
    });
    const { stdout } = await show(key);
    expect(stdout).toBe(`x  private key RSA-2048, SHA-256 of the public key ${publicKeySha256}\n`);
    const both = await json(Buffer.concat([key, vector("authenticode/keys/signer.crt")]));
    expect(both).toMatchObject({ type: "private-key", certificates: [name] });
    const der = Buffer.from(key.toString().replace(/-----.*-----|\s/g, ""), "base64");
    expect(await json(der)).toMatchObject({ type: "private-key", publicKeySha256 });
  });

  it("shows variable stores: the switch, the keys, the rest", async () => {
    const store = parseVariableStore(emptyStore(), "x");
    expect(await json(emptyStore())).toEqual({
      file: "x",
      type: "variable-store",
      secureBoot: false,
      setupMode: true,
      variables: [],
    });
    const base = { attributes: 0x27, time: new Uint8Array(16), monotonicCount: 0n, publicKeyIndex: 0 };
    const vendor = knownGuid("8be4df61-93ca-11d2-aa0d-00e098032b8c");
    const switched = knownGuid("f0a30bc7-af08-4556-99c4-001009c93a44");
    const filled = (on: number) =>
      writeVariableStore(store, [
        { ...base, name: "SecureBootEnable", vendor: switched, value: Uint8Array.of(on) },
        { ...base, name: "Boot\u001b[31m", vendor, value: new Uint8Array(20) },
        { ...base, name: "PK", vendor, value: certificateEsl("ca") },
        // The name alone does not make it the db.
        { ...base, name: "db", vendor, value: new Uint8Array(3) },
      ]);
    expect(await json(filled(0))).toMatchObject({ secureBoot: false, setupMode: false });
    expect(await json(filled(1))).toMatchObject({
      secureBoot: true,
      variables: [
        { name: "SecureBootEnable", value: "01", entries: null },
        { size: 20, value: null },
        { name: "PK", attributes: 0x27, time: null, entries: [{ type: "certificate" }] },
        { name: "db", value: "000000", entries: null },
      ],
    });
    const { stdout } = await show(filled(1));
    expect(stdout).toMatch(
      /^x {2}variable store, Secure Boot on\n {2}PK\n {4}CN=.*\n {2}SecureBootEnable +01\n {2}Boot\?\[31m +20 bytes\n/,
    );
  });

  it("reads encrypted keys with their passphrase", async () => {
    const cwd = tempDir();
    const made = await seal(["keys", "generate", "--output", "k", "--passphrase-env", "P"], {
      cwd,
      env: { P: "secret" },
    });
    expect(made.code).toBe(0);
    const file = join("k", "db.key");
    expect(await seal(["keys", "show", file], { cwd })).toMatchObject({
      code: 3,
      stderr: expect.stringMatching(/is encrypted/),
    });
    expect((await seal(["keys", "show", file, "--passphrase-env", "P"], { cwd, env: { P: "secret" } })).code).toBe(0);
  });

  it.each<[string, Uint8Array, RegExp]>([
    ["an EFI program", vector("authenticode/pe/plain.efi.gz"), /x: is an EFI program; see seal inspect/],
    [
      "text",
      Buffer.from("hello\n"),
      /x: is not a signature list, signed update, certificate, key or variable store: .*signature list 1/,
    ],
    ["half a list", lists.subarray(0, 40), /x: truncated or corrupt: signature list 1 needs bytes/],
    ["half a certificate", vectorCertificate("ca").der.subarray(0, 300), /x: is not a certificate or key in DER: .*/],
    ["nothing", new Uint8Array(), /x: is empty/],
    ["a blank variable store", new Uint8Array(1 << 16), /x: is a blank variable store.*start a machine with it once/],
    ["half an update's header", concat([new Uint8Array(30)]), /x: is not a signature list/],
    ["DER of something else", Uint8Array.of(0x30, 0), /x: /],
  ])("refuses %s", async (_, bytes, message) => {
    expect(await show(bytes)).toMatchObject({ code: 3, stdout: "", stderr: expect.stringMatching(message) });
  });

  it("never fails in any other way than with a reason", async () => {
    const change = { variable: "db", write: "replace", time: TIME, value: lists } as const;
    const base = { attributes: 0x27, time: new Uint8Array(16), monotonicCount: 0n, publicKeyIndex: 0 };
    const db = { ...base, name: "db", vendor: VARIABLE_VENDORS.db, value: lists };
    const files: readonly Uint8Array[] = [
      lists,
      await signVariableChange(change, vectorSigner("ca")),
      vectorCertificate("signer").der,
      vector("authenticode/keys/signer.crt"),
      writeVariableStore(parseVariableStore(emptyStore(), "x"), [db]).subarray(0, 0x6000),
    ];
    const edits = fc.array(fc.tuple(fc.nat(3000), fc.uint8Array({ minLength: 1, maxLength: 4 })), { minLength: 1 });
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(...files),
        edits,
        fc.nat(0x6000),
        fc.boolean(),
        async (file, list, length, cut) => {
          const bytes = Uint8Array.from(cut ? file.subarray(0, length) : file);
          for (const [offset, insert] of list) {
            if (bytes.length > insert.length) bytes.set(insert, offset % (bytes.length - insert.length));
          }
          try {
            keysShowReportSchema.parse(await describeKeys(bytes, "x", null));
          } catch (error) {
            expect(error).toBeInstanceOf(SealError);
          }
        },
      ),
      { numRuns: 1000 },
    );
  });

  it("knows the keys beside it", async () => {
    const { code, stdout } = await seal(["keys", "show", join(KEYS, "db3072.crt"), join(KEYS, "ec.key")]);
    expect(code).toBe(0);
    expect(stdout).toMatch(/RSA-3072[\s\S]*private key EC-prime256v1/);
  });
});
