import { execFileSync } from "node:child_process";
import { createHash, createPublicKey, verify } from "node:crypto";
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { attestReportSchema } from "../../../src/cli/attest/command.ts";
import {
  attestLab,
  encodePae,
  entryOf,
  ok,
  PLATFORM,
  parseParts,
  readBlob,
  readIndex,
  writeKeyPair,
} from "../../support/attest-lab.ts";
import { seal } from "../../support/cli.ts";
import { expectRefusal, SIGNING, snapshot } from "../../support/inputs.ts";

const ATTEST = ["attest", "--from", "oci:image:1", "--attest-key", "attest.key"];
const VERIFY = ["verify", "oci:image:1", "--attest-cert", "attest.pub"];

/** A command that signs with openssl what it gets: a digest. */
const OPENSSL = "openssl pkeyutl -sign -inkey attest.key";

describe("seal attest", () => {
  it("attaches two statements to an image, whose digest stays", async () => {
    const { cwd, digest } = await attestLab();
    const report = attestReportSchema.parse(JSON.parse(await ok([...ATTEST, "--json"], cwd)));
    expect(entryOf(cwd, "image", "1").digest).toBe(digest);
    expect(report.attestations.map(({ name, image }) => [name, image])).toEqual([
      ["sealed-image", digest],
      ["provenance", digest],
    ]);
    const [image, ...referrers] = readIndex(cwd, "image").manifests;
    expect(referrers.map((one) => one.digest)).toEqual(report.attestations.map(({ referrer }) => referrer));
    for (const entry of referrers) {
      const manifest = JSON.parse(readBlob(cwd, "image", entry.digest).toString());
      expect(manifest).toMatchObject({
        artifactType: "application/vnd.dev.sigstore.bundle.v0.3+json",
        config: { mediaType: "application/vnd.oci.empty.v1+json", size: 2 },
        subject: { mediaType: image?.mediaType, digest, size: image?.size },
      });
    }
    expect((await seal(VERIFY, { cwd })).code).toBe(0);
    // The image is the only one, though other things stand beside it.
    expect((await seal(["inspect", "oci:image"], { cwd })).stderr).not.toMatch(/images/);
    await ok(["compute-digest", "oci:image", "--platform", "linux/amd64"], cwd);
  });

  it("signs the pre-authentication encoding of an in-toto statement with the key that it is given", async () => {
    const { cwd, digest } = await attestLab();
    for (const kind of ["P-256", "P-384", "P-521", "RSA"] as const) {
      const key = createPublicKey(writeKeyPair(cwd, kind, kind));
      await ok(["attest", "--from", "oci:image:1", "--attest-key", `${kind}.key`, "--bundle", `by-${kind}`], cwd);
      const { bundle, statement } = parseParts(readFileSync(join(cwd, `by-${kind}/sealed-image.sigstore.json`)));
      const { payload, payloadType, signatures } = bundle.dsseEnvelope;
      const data = encodePae(payloadType, Buffer.from(payload, "base64"));
      expect(verify("sha256", data, key, Buffer.from(signatures[0].sig, "base64"))).toBe(true);
      const spki = key.export({ type: "spki", format: "der" });
      expect(bundle.verificationMaterial.publicKey.hint).toBe(createHash("sha256").update(spki).digest("base64"));
      expect(statement.subject).toEqual([{ name: digest, digest: { sha256: digest.slice(7) } }]);
      const files = ["--bundle", `by-${kind}/sealed-image.sigstore.json`];
      await ok(["verify-attestation", "oci:image:1", "--attest-cert", `${kind}.pub`, ...files], cwd);
    }
  });

  it("gives an image that was attested twice by the same RSA key the same bytes, once", async () => {
    const { cwd } = await attestLab();
    writeKeyPair(cwd, "rsa", "RSA");
    const args = ["attest", "--from", "oci:image:1", "--attest-key", "rsa.key"];
    await ok(args, cwd);
    const before = snapshot(join(cwd, "image"));
    await ok(args, cwd);
    expect(snapshot(join(cwd, "image"))).toEqual(before);
  });

  it("copies the image with its attestations to another layout or an archive", async () => {
    const { cwd, digest } = await attestLab();
    const before = snapshot(join(cwd, "image"));
    await ok([...ATTEST, "--to", "oci:copy:other"], cwd);
    expect(entryOf(cwd, "copy", "other").digest).toBe(digest);
    await ok(["verify", "oci:copy:other", "--attest-cert", "attest.pub"], cwd);
    await ok([...ATTEST, "--to", "oci-archive:copy.tar:1"], cwd);
    await ok(["verify", "oci-archive:copy.tar:1", "--attest-cert", "attest.pub"], cwd);
    // An archive is written again, whole.
    await ok(["attest", "--from", "oci-archive:copy.tar:1", "--attest-key", "other.key"], cwd);
    await ok(["verify", "oci-archive:copy.tar:1", "--attest-cert", "other.pub"], cwd);
    expect(snapshot(join(cwd, "image"))).toEqual(before);
  });

  it("attests each image of an index", async () => {
    const { cwd, digest } = await attestLab();
    const [entry] = readIndex(cwd, "image").manifests;
    const { writeBlob } = await import("../../support/attest-lab.ts");
    const type = "application/vnd.oci.image.index.v1+json";
    const inner = { schemaVersion: 2, mediaType: type, manifests: [{ ...entry, annotations: undefined }] };
    const blob = writeBlob(cwd, "image", Buffer.from(JSON.stringify(inner)));
    const annotations = { "org.opencontainers.image.ref.name": "all" };
    const manifests = [{ mediaType: type, ...blob, annotations }];
    writeFileSync(join(cwd, "image/index.json"), JSON.stringify({ ...inner, manifests }));
    const report = await ok(["attest", "--from", "oci:image:all", "--attest-key", "attest.key", "--json"], cwd);
    expect(attestReportSchema.parse(JSON.parse(report)).attestations.map(({ image }) => image)).toEqual([
      digest,
      digest,
    ]);
    expect(entryOf(cwd, "image", "all").digest).toBe(blob.digest);
    await ok(["verify", "oci:image:all", "--attest-cert", "attest.pub"], cwd);
    await ok(["verify", "oci:image:all", "--attest-cert", "attest.pub", "--platform", "linux/amd64"], cwd);
    await ok(["attest", "--from", "oci:image:all", "--to", "oci:copy:all", "--attest-key", "attest.key"], cwd);
    await ok(["verify", "oci:copy:all", "--attest-cert", "attest.pub"], cwd);
  });

  it("has another program sign, digest or data, and takes no wrong signature", async () => {
    const { cwd } = await attestLab();
    const args = ["attest", "--from", "oci:image:1", "--attest-cert", "attest.pub", "--bundle"];
    await ok([...args, "b1", "--attest-signer", OPENSSL], cwd);
    const data = "openssl dgst -sha256 -sign attest.key";
    await ok([...args, "b2", "--attest-signer", data, "--attest-signer-input", "data"], cwd);
    for (const name of ["b1", "b2"]) await ok([...VERIFY, "--bundle", `${name}/sealed-image.sigstore.json`], cwd);
    const wrong = await seal([...args, "b3", "--attest-signer", "openssl pkeyutl -sign -inkey other.key"], { cwd });
    expectRefusal(wrong, 4, /the signature does not verify with attest\.pub/);
    expect(existsSync(join(cwd, "b3"))).toBe(false);
  });

  it("writes what is to be signed, and attaches the signatures that come back", async () => {
    const { cwd } = await attestLab();
    await ok(["attest", "--from", "oci:image:1", "--export-tbs", "tbs"], cwd);
    expect(readdirSync(join(cwd, "tbs")).toSorted()).toEqual([
      "provenance.json",
      "provenance.tbs",
      "sealed-image.json",
      "sealed-image.tbs",
    ]);
    const attach = ["attest", "--from", "oci:image:1", "--attach-signature", "tbs", "--attest-cert", "attest.pub"];
    expectRefusal(await seal(attach, { cwd }), 3, /provenance\.sig: /);
    for (const name of ["provenance", "sealed-image"]) {
      execFileSync(
        "openssl",
        ["dgst", "-sha256", "-sign", "attest.key", "-out", `tbs/${name}.sig`, `tbs/${name}.tbs`],
        { cwd },
      );
    }
    await ok(attach, cwd);
    await ok(VERIFY, cwd);
    expectRefusal(
      await seal([...attach.slice(0, -1), "other.pub"], { cwd }),
      3,
      /is not a valid signature of provenance\.tbs by other\.pub/,
    );
  });

  it("warns of a key that signs boot programs too", async () => {
    const { cwd } = await attestLab();
    const { code, stderr } = await seal(
      ["attest", "--from", "oci:image:1", "--attest-key", "db.key", "--bundle", "b"],
      { cwd },
    );
    expect(code).toBe(0);
    expect(stderr).toMatch(/^warning: the attestation key is that of CN=seal test db rsa2048/);
    expect((await seal([...ATTEST, "--bundle", "c"], { cwd })).stderr).toBe("");
  });

  it("states PCR 4 and 7 for keys only, which verify can compare with the same keys", async () => {
    const { cwd } = await attestLab();
    await ok(["keys", "generate", "--output", "keys"], cwd);
    const machine = await seal([...ATTEST, "--keys", "keys"], { cwd });
    expectRefusal(machine, 1, /firmware with these keys does not start it/);
    // The image is signed by another db key: with that one enrolled it starts.
    await ok(
      ["keys", "auth", "db", "db.crt", "--key", "keys/KEK.key", "--cert", "keys/KEK.crt", "--output", "keys/db.auth"],
      cwd,
    );
    await ok([...ATTEST, "--keys", "keys"], cwd);
    const unchecked = await seal(VERIFY, { cwd });
    expect(unchecked.stdout).toMatch(/– PCR 7 of EFI\/Linux\/6\.1-test\.efi, .*: give the keys of the firmware/);
    expect(unchecked.code).toBe(0);
    const checked = await ok([...VERIFY, "--keys", "keys"], cwd);
    expect(checked).toMatch(/✓ PCR 4 of/);
    expect(checked).toMatch(/✓ PCR 7 of/);
    await ok(["keys", "generate", "--output", "new"], cwd);
    await ok(
      ["keys", "auth", "db", "db.crt", "--key", "new/KEK.key", "--cert", "new/KEK.crt", "--output", "new/db.auth"],
      cwd,
    );
    const other = await seal([...VERIFY, "--keys", "new"], { cwd });
    expect(other.stdout).toMatch(/✗ PCR 7 of/);
    expect(other.code).toBe(1);
  });

  it("states them for the keys that an image brings along too, which verify finds there", async () => {
    const { cwd } = await attestLab();
    await ok(["keys", "generate", "--output", "keys"], cwd);
    const enroll = ["keys", "auth", "db", "db.crt", "--key", "keys/KEK.key", "--cert", "keys/KEK.crt"];
    const image = ["image", "--from", "oci:in:1", ...SIGNING, ...PLATFORM, "--attest-key", "attest.key"];
    const bring = [...image, "--enroll-keys", "keys", "--to"];
    // Their db is not what the image is signed by: machines that enrol it do not start the image.
    expectRefusal(await seal([...bring, "oci:none:1"], { cwd }), 3, /db/);
    await ok([...enroll, "--output", "keys/db.auth"], cwd);
    await ok([...bring, "oci:own:1"], cwd);
    const verify = (...more: readonly string[]) =>
      seal(["verify", "oci:own:1", "--attest-cert", "attest.pub", ...more], { cwd });
    for (const more of [[], ["--keys", "keys"]]) {
      const { code, stdout } = await verify(...more);
      expect(stdout).toMatch(/✓ PCR 4 of/);
      expect(stdout).toMatch(/✓ PCR 7 of/);
      expect(stdout).toMatch(/✓ keys of the firmware/);
      expect(code).toBe(0);
    }
    // For other keys the image's own say nothing.
    await ok(["keys", "generate", "--output", "other"], cwd);
    const other = ["keys", "auth", "db", "db.crt", "--key", "other/KEK.key", "--cert", "other/KEK.crt"];
    await ok([...other, "--output", "other/db.auth"], cwd);
    await ok(
      ["attest", "--from", "oci:own:1", "--to", "oci:elsewhere:1", "--attest-key", "attest.key", "--keys", "other"],
      cwd,
    );
    const { code, stdout } = await seal(["verify", "oci:elsewhere:1", "--attest-cert", "attest.pub"], { cwd });
    expect(stdout).toMatch(/– PCR 7 of .*: give the keys of the firmware/);
    expect(code).toBe(0);
    // Without any they are left out, and that is said.
    await ok(["attest", "--from", "oci:image:1", "--export-tbs", "tbs"], cwd);
    const { predicate } = JSON.parse(readFileSync(join(cwd, "tbs/sealed-image.json"), "utf8"));
    const reason = "no keys of the firmware were given, and the image brings none that it starts with";
    expect(predicate.boots[0].omitted).toEqual(expect.arrayContaining([4, 7].map((pcr) => ({ pcr, reason }))));
    expect(predicate.firmware).toBeNull();
  });

  it("states the image that was sealed, where that is named", async () => {
    const { cwd } = await attestLab();
    await ok([...ATTEST, "--base", "oci:in:1", "--builder", "https://ci.example/os", "--bundle", "b"], cwd);
    const { statement } = parseParts(readFileSync(join(cwd, "b/provenance.sigstore.json")));
    const { buildDefinition, runDetails } = statement.predicate;
    expect(buildDefinition.resolvedDependencies[0]).toEqual({
      name: "base image",
      digest: { sha256: entryOf(cwd, "in", "1").digest.slice(7) },
    });
    expect(buildDefinition.resolvedDependencies).toHaveLength(3);
    expect(runDetails.builder.id).toBe("https://ci.example/os");
  });

  it("is done by seal image in the same run, where it is asked to", async () => {
    const { cwd } = await attestLab();
    const image = ["image", "--from", "oci:in:1", ...SIGNING, "--platform", "linux/amd64", "--attest-key"];
    const plain = await ok([...image.slice(0, -1), "--to", "oci:plain:1", "--json"], cwd);
    const attested = await ok([...image, "attest.key", "--to", "oci:new:1", "--json"], cwd);
    expect(JSON.parse(attested).image.digest).toBe(JSON.parse(plain).image.digest);
    await ok(["verify", "oci:new:1", "--attest-cert", "attest.pub"], cwd);
    await ok([...image, "attest.key", "--to", "oci-archive:new.tar"], cwd);
    await ok(["verify", "oci-archive:new.tar", "--attest-cert", "attest.pub"], cwd);
    const [, , provenance] = readIndex(cwd, "new").manifests;
    const manifest = JSON.parse(readBlob(cwd, "new", provenance?.digest ?? "").toString());
    const { statement } = parseParts(readBlob(cwd, "new", manifest.layers[0].digest));
    expect(statement.predicate.buildDefinition).toMatchObject({
      externalParameters: { command: "seal image" },
      resolvedDependencies: [
        { name: "base image", digest: { sha256: entryOf(cwd, "in", "1").digest.slice(7) } },
        { name: "layer 1" },
        { name: "layer 2" },
      ],
    });
    // A key that can't be opened is told before anything is sealed.
    expectRefusal(await seal([...image, "attest.pub", "--to", "oci:none:1"], { cwd }), 3, /attest\.pub: /);
    expect(existsSync(join(cwd, "none"))).toBe(false);
  });

  it("refuses what can't be attested, and leaves everything as it was", async () => {
    const { cwd } = await attestLab();
    const before = snapshot(join(cwd, "image"));
    const attest = (...args: readonly string[]) => seal(["attest", ...args], { cwd });
    expectRefusal(await attest("--from", "oci:image:1"), 2, /--attest-key: give the key/);
    expectRefusal(await attest("--from", "image", "--attest-key", "attest.key"), 2, /give an image/);
    expectRefusal(await attest("--from", "oci:in:1", "--attest-key", "attest.key"), 3, /has no UKI .*not sealed/);
    expectRefusal(await attest("--from", "oci:image:2", "--attest-key", "attest.key"), 3, /no image with the tag "2"/);
    expectRefusal(await attest("--from", "oci:image:1", "--attest-key", "attest.pub"), 3, /attest\.pub: /);
    expectRefusal(
      await attest("--from", "oci:image:1", "--attest-key", "attest.key", "--attest-cert", "other.pub"),
      3,
      /other\.pub: does not belong to attest\.key/,
    );
    writeFileSync(join(cwd, "ed.key"), execFileSync("openssl", ["genpkey", "-algorithm", "ed25519"]));
    expectRefusal(
      await attest("--from", "oci:image:1", "--attest-key", "ed.key"),
      3,
      /ed\.key: a key of the kind ed25519/,
    );
    expect(snapshot(join(cwd, "image"))).toEqual(before);
  });
});
