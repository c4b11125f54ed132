/** What cosign writes that is not a Sigstore bundle, and no key that others open. */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { attestLab, ok } from "../../support/attest-lab.ts";
import { seal } from "../../support/cli.ts";
import { expectRefusal } from "../../support/inputs.ts";

it("takes envelopes by themselves, and says of other forms that cosign has what they are and the way out", async () => {
  const { cwd } = await attestLab();
  await ok(["attest", "--from", "oci:image:1", "--attest-key", "attest.key", "--bundle", "b"], cwd);
  const bundle = JSON.parse(readFileSync(join(cwd, "b/sealed-image.sigstore.json"), "utf8"));
  const envelope = JSON.stringify(bundle.dsseEnvelope);
  const verify = (content: string) => {
    writeFileSync(join(cwd, "given"), content);
    return seal(["verify", "oci:image:1", "--attest-cert", "attest.pub", "--bundle", "given"], { cwd });
  };
  // As `cosign download attestation` prints one.
  expect((await verify(`${envelope}\n`)).code).toBe(0);
  const [{ sig }] = bundle.dsseEnvelope.signatures;
  const old = { base64Signature: Buffer.from(envelope).toString("base64"), cert: "", rekorBundle: {} };
  const download = { Base64Signature: sig, Payload: "e30=", Cert: null, Chain: null, Bundle: null };
  const forms: readonly (readonly [string, RegExp])[] = [
    [`${sig}\n`, /given {2}false: it is a bare signature \(\.sig\).*cosign attest-blob --bundle$/m],
    [
      JSON.stringify(old),
      /given {2}false: it has the form of cosign before version 3\..*--new-bundle-format --bundle$/m,
    ],
    [JSON.stringify(download), /given {2}false: it has the form of cosign before version 3\./],
    [`${envelope}\n${envelope}\n`, /given {2}false: it is not valid JSON, but 2 documents, one a line; give each/],
  ];
  for (const [content, message] of forms) {
    const { code, stdout } = await verify(content);
    expect(stdout).toMatch(message);
    expect(code).toBe(1);
  }
});

it("takes an envelope whatever it calls its key, and judges it by the signature alone", async () => {
  const { cwd } = await attestLab();
  await ok(["attest", "--from", "oci:image:1", "--attest-key", "attest.key", "--bundle", "b"], cwd);
  const { dsseEnvelope } = JSON.parse(readFileSync(join(cwd, "b/sealed-image.sigstore.json"), "utf8"));
  const [{ sig }] = dsseEnvelope.signatures;
  const verify = (signature: { readonly keyid: unknown; readonly sig: string }) => {
    writeFileSync(join(cwd, "given"), JSON.stringify({ ...dsseEnvelope, signatures: [signature] }));
    return seal(["verify", "oci:image:1", "--attest-cert", "attest.pub", "--bundle", "given"], { cwd });
  };
  for (const keyid of ["SHA256:VcHuEi5KIPWub4QxKe1eY8Sv3jMPQMOlg/zAV757qMA", "release-key-1"]) {
    expect((await verify({ keyid, sig })).code).toBe(0);
    const { stdout } = await verify({ keyid, sig: Buffer.alloc(70, 1).toString("base64") });
    expect(stdout).toMatch(/given {2}skipped: none of the given keys signed it$/m);
  }
  expect((await verify({ keyid: 1, sig })).stdout).toMatch(/given {2}false: it has dsseEnvelope\.signatures\.0\.keyid/);
});

it("says of cosign's keys that nothing else opens them, and of private ones that public ones are wanted", async () => {
  const { cwd } = await attestLab();
  for (const type of ["SIGSTORE", "COSIGN"]) {
    const name = `ENCRYPTED ${type} PRIVATE KEY`;
    // The JSON in it: KDF, cipher, ciphertext.
    const body = Buffer.from('{"kdf":{"name":"scrypt"},"cipher":{"name":"nacl/secretbox"},"ciphertext":""}').toString(
      "base64",
    );
    writeFileSync(join(cwd, "cosign.key"), `-----BEGIN ${name}-----\n${body}\n-----END ${name}-----\n`);
    expectRefusal(
      await seal(["attest", "--from", "oci:image:1", "--attest-key", "cosign.key"], { cwd }),
      3,
      /cosign\.key: is in cosign's own format, .*openssl genpkey, which cosign import-key-pair also accepts; or .*--export-tbs/,
    );
    expectRefusal(
      await seal(["verify", "oci:image:1", "--attest-cert", "cosign.key"], { cwd }),
      3,
      /cosign\.key: is a private key; give the public one: .*\.pub that cosign wrote/,
    );
  }
});
