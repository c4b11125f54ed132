import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { verifyAttestationReportSchema } from "../../../src/cli/attest/verify.ts";
import { attestLab, type Document, ok, parseParts, readBlob, readIndex, signAgain } from "../../support/attest-lab.ts";
import { seal } from "../../support/cli.ts";
import { expectRefusal } from "../../support/inputs.ts";

async function attested() {
  const lab = await attestLab();
  await ok(["attest", "--from", "oci:image:1", "--attest-key", "attest.key", "--bundle", "b"], lab.cwd);
  const good = readFileSync(join(lab.cwd, "b/sealed-image.sigstore.json"));
  return { ...lab, good, parts: parseParts(good) };
}

/** The verdict on the image with these bundles. */
async function verdict(cwd: string, ...bundles: readonly (Uint8Array | string)[]) {
  const files = bundles.flatMap((bytes, index) => {
    writeFileSync(join(cwd, `given-${index}`), bytes);
    return ["--bundle", `given-${index}`];
  });
  const args = ["verify-attestation", "oci:image:1", "--attest-cert", "attest.pub", ...files, "--json"];
  const { stdout, stderr, code } = await seal(args, { cwd });
  expect(stderr).toBe("");
  const [image] = verifyAttestationReportSchema.parse(JSON.parse(stdout)).images;
  if (image === undefined) throw new Error("no image");
  expect(code).toBe(image.verified ? 0 : 1);
  return image;
}

describe("seal verify of an image", () => {
  it("says what is true, claim by claim", async () => {
    const { cwd, good } = await attested();
    const image = await verdict(cwd, good);
    expect(image.verified).toBe(true);
    const [one] = image.attestations;
    expect(one).toMatchObject({
      predicateType: "tag:seal,2026:sealed-image/v1",
      signer: "attest.pub",
      outcome: "true",
    });
    expect(one?.claims.every(({ result }) => result === "true")).toBe(true);
    expect(one?.claims.map(({ about }) => about)).toEqual(
      expect.arrayContaining([
        "boot/EFI/Linux/6.1-test.efi: command line",
        "boot/EFI/Linux/6.1-test.efi: verdicts of bootc releases",
        "PCR 11 of EFI/Linux/6.1-test.efi, by EFI/BOOT/BOOTX64.EFI",
      ]),
    );
  });

  it("is never content with nothing, or with what somebody else signed", async () => {
    const { cwd, good } = await attested();
    const nothing = await seal(["verify", "oci:image:1", "--attest-cert", "attest.pub"], { cwd });
    expect(nothing.stdout).toMatch(
      /✗ oci:image:1 {2}sha256:\S+ {2}not verified: there is no attestation of this image/,
    );
    expect(nothing.code).toBe(1);
    writeFileSync(join(cwd, "good"), good);
    const other = await seal(["verify", "oci:image:1", "--attest-cert", "other.pub", "--bundle", "good"], { cwd });
    expect(other.stdout).toMatch(/none of its attestations is signed by the given keys\n {2}– good {2}skipped/);
    expect(other.code).toBe(1);
    const provenance = readFileSync(join(cwd, "b/provenance.sigstore.json"));
    expect(await verdict(cwd, provenance)).toMatchObject({
      verified: false,
      reason: "nothing signed by the given keys states what the image is",
    });
    await ok(
      ["verify", "oci:image:1", "--attest-cert", "other.pub", "--attest-cert", "attest.pub", "--bundle", "good"],
      cwd,
    );
  });

  it("refuses an attestation of another image", async () => {
    const { cwd, parts, key } = await attested();
    const { statement, bundle } = parts;
    const hex = "12".repeat(32);
    const other = { ...statement, subject: [{ name: `sha256:${hex}`, digest: { sha256: hex } }] };
    const image = await verdict(cwd, signAgain({ bundle, statement: other }, key));
    expect(image.attestations[0]).toMatchObject({
      outcome: "false",
      reason: expect.stringMatching(/^it is about sha256:1212\S+, not about this image, sha256:/),
    });
    const both = { ...statement, subject: [...statement.subject, ...other.subject] };
    expect((await verdict(cwd, signAgain({ bundle, statement: both }, key))).verified).toBe(false);
  });

  it("refuses an image of which one attestation is true and another one false", async () => {
    const { cwd, good, parts, key } = await attested();
    const statement = structuredClone(parts.statement);
    statement.predicate.ukis[0].cmdlines[0] += " init=/bin/sh";
    const image = await verdict(cwd, good, signAgain({ ...parts, statement }, key));
    expect(image.verified).toBe(false);
    expect(image.attestations.map(({ outcome }) => outcome)).toEqual(["true", "false"]);
    expect(image.attestations[1]?.claims.filter(({ result }) => result === "false")).toEqual([
      {
        about: "boot/EFI/Linux/6.1-test.efi: command line",
        result: "false",
        reason: expect.stringMatching(/^0: stated "composefs=.*, found "composefs=/),
      },
    ]);
  });

  it("passes over predicates and versions that it does not know, with a line", async () => {
    const { cwd, good, parts, key } = await attested();
    const ofType = (predicateType: string) =>
      signAgain({ ...parts, statement: { ...parts.statement, predicateType } }, key);
    const next = await verdict(cwd, ofType("tag:seal,2026:sealed-image/v2"));
    expect(next).toMatchObject({
      verified: false,
      reason: "nothing signed by the given keys states what the image is",
    });
    expect(next.attestations[0]).toMatchObject({
      outcome: "ignored",
      reason: "it is of another version, tag:seal,2026:sealed-image/v2; this seal knows tag:seal,2026:sealed-image/v1",
    });
    const more = await verdict(
      cwd,
      good,
      ofType("https://spdx.dev/Document"),
      ofType("https://slsa.dev/provenance/v1"),
    );
    expect(more.verified).toBe(true);
    expect(more.attestations.map(({ outcome }) => outcome)).toEqual(["true", "ignored", "ignored"]);
  });

  it("takes a statement without a predicate for one whose predicate is empty", async () => {
    const { cwd, good, parts, key } = await attested();
    const ofType = (predicateType: string) =>
      signAgain({ ...parts, statement: { ...parts.statement, predicateType, predicate: undefined } }, key);
    const other = await verdict(cwd, good, ofType("https://example.org/tested/v1"));
    expect(other.verified).toBe(true);
    expect(other.attestations[1]).toMatchObject({
      outcome: "ignored",
      reason: "it states something else, https://example.org/tested/v1",
    });
    const own = await verdict(cwd, good, ofType("tag:seal,2026:sealed-image/v1"));
    expect(own.verified).toBe(false);
    expect(own.attestations[1]).toMatchObject({
      outcome: "false",
      reason: expect.stringMatching(/^its predicate does not have the form of its type/),
    });
  });

  it("takes the older name of a statement, which cosign writes", async () => {
    const { cwd, parts, key } = await attested();
    const statement = { ...parts.statement, _type: "https://in-toto.io/Statement/v0.1" };
    expect((await verdict(cwd, signAgain({ ...parts, statement }, key))).verified).toBe(true);
  });

  it.each<[string, (bundle: Document) => unknown, RegExp]>([
    ["two signatures, one of them bad", (b) => b.dsseEnvelope.signatures.push({ sig: "AAAA" }), /^it has 2 signatures/],
    [
      "a bad signature before the good one",
      (b) => b.dsseEnvelope.signatures.unshift({ sig: "AAAA" }),
      /^it has 2 signatures/,
    ],
    [
      "no signature",
      (b) => b.dsseEnvelope.signatures.pop(),
      /^it is not a Sigstore bundle \(content\.dsseEnvelope\.signatures\)/,
    ],
    ["an unknown field", (b) => Object.assign(b, { more: 1 }), /^it has more, which bundles don't have/],
    [
      "an unknown field deep inside",
      (b) => Object.assign(b.dsseEnvelope.signatures[0], { cert: "x" }),
      /^it has dsseEnvelope\.signatures\.0\.cert/,
    ],
    [
      "base64 with a blank in it",
      (b) => Object.assign(b.dsseEnvelope, { payload: ` ${b.dsseEnvelope.payload}` }),
      /dsseEnvelope\.payload/,
    ],
    [
      "another payload type",
      (b) => Object.assign(b.dsseEnvelope, { payloadType: "text/plain" }),
      /"text\/plain", which is not an in-toto statement/,
    ],
    ["two keys", (b) => Object.assign(b.dsseEnvelope.signatures[0], { keyid: "other" }), /^it names two keys/],
    [
      "the signature of a file",
      (b) =>
        Object.assign(b, {
          dsseEnvelope: undefined,
          messageSignature: { messageDigest: { algorithm: "SHA2_256", digest: "AAAA" }, signature: "AAAA" },
        }),
      /^it signs a file/,
    ],
    [
      "another version of bundles",
      (b) => Object.assign(b, { mediaType: "application/json" }),
      /^it is not a Sigstore bundle \(mediaType\)/,
    ],
  ])("refuses a bundle with %s", async (_, change, reason) => {
    const { cwd, good, parts } = await attested();
    const bundle = structuredClone(parts.bundle);
    change(bundle);
    const image = await verdict(cwd, good, JSON.stringify(bundle));
    expect(image.verified).toBe(false);
    expect(image.attestations[1]).toMatchObject({ outcome: "false", reason: expect.stringMatching(reason) });
  });

  it.each<[string, string | Uint8Array, RegExp]>([
    ["nothing", "", /^it is not valid JSON/],
    ["a bundle that was cut off", '{"mediaType": "application/vnd', /^it is not valid JSON/],
    ["what is not valid UTF-8", Uint8Array.of(0x22, 0xff, 0x22), /^it is not valid JSON/],
    ["a number", "7", /^it is not a Sigstore bundle/],
    ["null", "null", /^it is not a Sigstore bundle/],
    ["a list", "[]", /^it is not a Sigstore bundle/],
    ["brackets without an end", "[".repeat(1_000_000), /^it is nested too deeply/],
    ["objects without an end", '{"a":'.repeat(100_000), /^it is nested too deeply/],
  ])("refuses %s in place of a bundle", async (_, bytes, reason) => {
    const { cwd } = await attested();
    const image = await verdict(cwd, bytes);
    expect(image.attestations[0]).toMatchObject({ outcome: "false", reason: expect.stringMatching(reason) });
  });

  it.each<[string, (statement: Document) => unknown, RegExp]>([
    ["unknown fields", (s) => Object.assign(s, { more: 1 }), /^it is not an in-toto statement: /],
    ["no subject", (s) => Object.assign(s, { subject: [] }), /^it is not an in-toto statement: subject/],
    ["another type", (s) => Object.assign(s, { _type: "https://in-toto.io/Statement/v9" }), /_type/],
    [
      "an unknown claim",
      (s) => Object.assign(s.predicate, { secure: true }),
      /^its predicate does not have the form of its type/,
    ],
    ["one program twice", (s) => s.predicate.programs.push(s.predicate.programs[0]), /^$/],
    ["an unknown bank", (s) => Object.assign(s.predicate.boots[0].pcrs[0].values, { md5: "00" }), /^its predicate/],
    [
      "a predicate that is nested deeply",
      (s) => Object.assign(s, { predicate: JSON.parse(`${"[".repeat(100)}${"]".repeat(100)}`) }),
      /nested too deeply/,
    ],
  ])("refuses a statement with %s", async (_, change, reason) => {
    const { cwd, parts, key } = await attested();
    const statement = structuredClone(parts.statement);
    change(statement);
    const image = await verdict(cwd, signAgain({ ...parts, statement }, key));
    expect(image.attestations[0]?.outcome).toBe("false");
    expect(image.attestations[0]?.reason ?? "").toMatch(reason);
  });

  it("reads no bundle that is too large", async () => {
    const { cwd } = await attested();
    writeFileSync(join(cwd, "huge"), Buffer.alloc((16 << 20) + 1, 0x20));
    const { code, stderr } = await seal(["verify", "oci:image:1", "--attest-cert", "attest.pub", "--bundle", "huge"], {
      cwd,
    });
    expect(code).toBe(3);
    expect(stderr).toMatch(/huge: can't be read: too large: 16777217 bytes/);
  });

  it("finds an image that was changed after it was attested", async () => {
    const { cwd } = await attestLab();
    await ok(["attest", "--from", "oci:image:1", "--attest-key", "attest.key"], cwd);
    const [image, ...others] = readIndex(cwd, "image").manifests;
    const manifest = JSON.parse(readBlob(cwd, "image", image?.digest ?? "").toString());
    const layer = join(cwd, "image/blobs", manifest.layers.at(-1).digest.replace(":", "/"));
    const bytes = readFileSync(layer);
    const place = bytes.indexOf("composefs=") + 12;
    bytes.writeUInt8(bytes.readUInt8(place) ^ 1, place);
    writeFileSync(layer, bytes);
    expectRefusal(await seal(["verify", "oci:image:1", "--attest-cert", "attest.pub"], { cwd }), 3, /sha256/);
    // With nothing but attestations of another image in the layout there is none of this one.
    writeFileSync(join(cwd, "image/index.json"), JSON.stringify({ schemaVersion: 2, manifests: others }));
    const gone = await seal(["verify", "oci:image:1", "--attest-cert", "attest.pub"], { cwd });
    expectRefusal(gone, 3, /no image with the tag "1"/);
  });

  it("has no use for options of EFI programs, nor these for its own", async () => {
    const { cwd } = await attestLab();
    const verify = (...args: readonly string[]) => seal(["verify", ...args], { cwd });
    expectRefusal(await verify("oci:image:1"), 2, /--attest-cert: give the certificate or public key/);
    expectRefusal(
      await verify("oci:image:1", "--cert", "db.crt"),
      2,
      /--cert, --db, --dbx and --list are for EFI programs/,
    );
    expectRefusal(await verify("oci:image:1", "db.crt", "--attest-cert", "attest.pub"), 2, /verified alone/);
    expectRefusal(await verify("db.crt", "--attest-cert", "attest.pub"), 2, /is for the attestations of an image/);
    expectRefusal(
      await verify("oci:image:1", "--attest-cert", "image/index.json"),
      3,
      /neither a certificate nor a public key/,
    );
    expectRefusal(await verify("docker-archive:x.tar", "--attest-cert", "attest.pub"), 3, /has no (?:manifest|index)/);
  });
});
