import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { concat } from "../../src/chunks.ts";
import { SealError } from "../../src/errors.ts";
import { signVariableChange } from "../../src/sign/authvar.ts";
import { joinDatabases, readDatabase } from "../../src/sign/database.ts";
import { knownGuid } from "../../src/sign/guid.ts";
import {
  ALGORITHMS,
  certificateEsl,
  certificateHashEsl,
  esl,
  IMAGE_HASH_TYPES,
  ODD_LISTS,
} from "../support/databases.ts";
import { vectorCertificate, vectorSigner } from "../support/signing.ts";

const lists = concat([
  certificateEsl("signer", "ca"),
  certificateHashEsl("leaf", "sha384", Uint8Array.from([0xea, 7, 1, 2, 3, 4, 5, 0, 0, 0, 0, 0, 0, 0, 0, 0])),
  esl(IMAGE_HASH_TYPES.sha256, new Uint8Array(32).fill(7)),
  esl(knownGuid("3c5766e8-269c-4e34-aa14-ed776e85b3b6"), new Uint8Array(256)),
  esl(knownGuid("11111111-2222-3333-4444-123456789abc"), new Uint8Array(1)),
]);

describe("readDatabase", () => {
  it("sorts entries by what they say about images", () => {
    const database = readDatabase(lists, "db.esl");
    expect(database.certificates.map(({ subjectText, label }) => [subjectText, label])).toEqual([
      ["CN=seal test db rsa2048", "db.esl"],
      [expect.stringMatching(/^CN=/), "db.esl"],
    ]);
    expect(database.certificateHashes).toMatchObject([
      { algorithm: "sha384", since: { year: 2026, month: 1, day: 2, hour: 3, minute: 4, second: 5 } },
    ]);
    expect(database.certificateHashes[0]?.digest).toHaveLength(48);
    expect(database.imageHashes).toEqual([
      { algorithm: "sha256", digest: new Uint8Array(32).fill(7), subject: "db.esl" },
    ]);
    expect(database.ignored).toEqual(["RSA-2048", "11111111-2222-3333-4444-123456789abc"]);
  });

  it("takes a signed update for the lists in it", async () => {
    const time = new Date("2026-01-02T03:04:05Z");
    const update = await signVariableChange(
      { variable: "db", write: "append", time, value: lists },
      vectorSigner("ca"),
    );
    expect(readDatabase(update, "db.esl")).toEqual(readDatabase(lists, "db.esl"));
    const changed = Uint8Array.from(update).fill(0xff, 16, 20);
    expect(() => readDatabase(changed, "db.auth")).toThrow(/^db\.auth: .*certificate/);
  });

  it.each(ALGORITHMS)("refuses %s hashes of the wrong size", (algorithm) => {
    const good = esl(
      IMAGE_HASH_TYPES[algorithm],
      new Uint8Array({ sha1: 20, sha256: 32, sha384: 48, sha512: 64 }[algorithm]),
    );
    const changed = Uint8Array.from(concat([good, new Uint8Array(1)]));
    new DataView(changed.buffer).setUint32(16, changed.length, true);
    new DataView(changed.buffer).setUint32(24, changed.length - 28, true);
    expect(() => readDatabase(changed, "db.esl")).toThrow(/image hash entries of \d+ bytes, expected \d+/);
  });

  it.each(["der", "pem"])("says what to do with a certificate in %s", (form) => {
    const der = Buffer.from(vectorCertificate("signer").der);
    const pem = Buffer.from(`-----BEGIN CERTIFICATE-----\n${der.toString("base64")}\n-----END CERTIFICATE-----\n`);
    expect(() => readDatabase(form === "der" ? der : pem, "db.crt")).toThrow(
      "db.crt: is not a signature list; create one from a certificate with: seal keys esl",
    );
  });

  it("passes over what firmware passes over, and says what it is", () => {
    const none = esl(knownGuid("a5c059a1-94e4-4aa7-87b5-ab155c2bf072"), new Uint8Array(9));
    const database = readDatabase(concat([none, ODD_LISTS, certificateEsl("signer")]), "db.esl");
    expect(database.certificates.map(({ subjectText }) => subjectText)).toEqual([
      "CN=seal test db rsa4096",
      "CN=seal test db rsa2048",
    ]);
    expect(database.ignored).toEqual(["99999999-2222-3333-4444-123456789abc"]);
    expect(database.unreadable).toEqual([
      expect.stringMatching(/^9 bytes that are not a certificate \(a certificate expected/),
      "PEM text instead of a certificate in DER",
    ]);
  });

  it.each([0x27, 0x06, 0x07])(
    "takes Linux' file of a variable with the attributes %i, also with an update in it",
    async (bits) => {
      const attributes = Uint8Array.of(bits, 0, 0, 0);
      expect(readDatabase(concat([attributes, lists]), "db.esl")).toEqual(readDatabase(lists, "db.esl"));
      const change = { variable: "db", write: "append", time: new Date(0), value: lists } as const;
      const update = await signVariableChange(change, vectorSigner("ca"));
      expect(readDatabase(concat([attributes, update]), "db.esl")).toEqual(readDatabase(lists, "db.esl"));
      expect(readDatabase(attributes, "db.esl").certificates).toEqual([]);
    },
  );

  it("joins files in order", () => {
    const joined = joinDatabases([readDatabase(certificateEsl("signer"), "a"), readDatabase(lists, "b")]);
    expect(joined.certificates.map(({ label }) => label)).toEqual(["a", "b", "b"]);
    expect(joined).toMatchObject({ imageHashes: [{ subject: "b" }], certificateHashes: [{ subject: "b" }] });
  });

  it("never fails in any other way than with a reason", () => {
    const edits = fc.array(fc.tuple(fc.nat(lists.length), fc.uint8Array({ maxLength: 6 }), fc.nat(40)), {
      minLength: 1,
    });
    fc.assert(
      fc.property(edits, (list) => {
        try {
          readDatabase(
            list.reduce<Uint8Array>(
              (file, [at, insert, drop]) => concat([file.subarray(0, at), insert, file.subarray(at + drop)]),
              lists,
            ),
            "db.esl",
          );
        } catch (error) {
          expect(error).toBeInstanceOf(SealError);
        }
      }),
      { numRuns: 500 },
    );
  });
});
