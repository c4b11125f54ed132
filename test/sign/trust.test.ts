/** Extensions of certificates that decide whether a path counts. */
import { createPrivateKey, createPublicKey, type KeyObject, sign } from "node:crypto";
import { describe, expect, it } from "vitest";
import { parsePe } from "../../src/pe/headers.ts";
import { algorithm } from "../../src/sign/algorithms.ts";
import { signPe } from "../../src/sign/authenticode.ts";
import { type Certificate, parseCertificate } from "../../src/sign/certificate.ts";
import * as der from "../../src/sign/der.ts";
import { OID } from "../../src/sign/oids.ts";
import { createRsaSigner } from "../../src/sign/rsa-signer.ts";
import { verifyPe } from "../../src/sign/verify.ts";
import { vector } from "../support/vectors.ts";

const keyOf = (name: string) => createPrivateKey(vector(`authenticode/keys/${name}.key`));
const PLAIN = vector("authenticode/pe/plain.efi.gz");
const NOW = new Date("2026-06-01T00:00:00Z");

const extension = (type: string, critical: boolean, value: Uint8Array) =>
  der.sequence(der.objectIdentifier(type), ...(critical ? [der.boolean(true)] : []), der.octetString(value));
const CA = extension(OID.basicConstraints, true, der.sequence(der.boolean(true)));
const UNKNOWN = "1.3.6.1.4.1.99999.1";
const DNS_NAME = der.encodeValue(der.primitiveContextTag(2), Buffer.from("example.org"));
const nameConstraints = (critical: boolean) =>
  extension(OID.nameConstraints, critical, der.sequence(der.context(0, der.sequence(DNS_NAME))));

const name = (text: string) =>
  der.sequence(der.setOf(der.sequence(der.objectIdentifier(OID.commonName), der.utf8String(text))));

function certificate(
  subject: string,
  key: KeyObject,
  extensions: readonly Uint8Array[],
  issuer: { readonly name: string; readonly key: KeyObject } = { name: subject, key },
): Certificate {
  const tbs = der.sequence(
    der.context(0, der.integer(2)),
    der.integer(7),
    algorithm(OID.sha256WithRsa),
    name(issuer.name),
    der.sequence(der.time(new Date("2025-01-01T00:00:00Z")), der.time(new Date("2045-01-01T00:00:00Z"))),
    name(subject),
    createPublicKey(key).export({ type: "spki", format: "der" }),
    ...(extensions.length === 0 ? [] : [der.context(3, der.sequence(...extensions))]),
  );
  const signature = der.bitString(sign("sha256", tbs, issuer.key));
  return { der: der.sequence(tbs, algorithm(OID.sha256WithRsa), signature), label: `${subject}.crt` };
}

async function verdict(signer: Certificate, keyName: string, trusted: readonly Certificate[]) {
  const rsa = createRsaSigner({ key: keyOf(keyName), label: "k" }, parseCertificate(signer), []);
  const file = await signPe(parsePe([PLAIN], "x.efi"), rsa, { append: false, signingTime: null });
  const report = verifyPe(file, { certificates: trusted.map(parseCertificate), now: NOW });
  return { valid: report.valid, reason: report.signatures[0]?.reason };
}

describe("certificates", () => {
  it.each<[string, Uint8Array[]]>([
    ["none", []],
    ["one that is unknown but not critical", [extension(UNKNOWN, false, der.nullValue())]],
    ["critical ones that verifiers know", [CA, extension("2.5.29.17", true, der.sequence())]],
  ])("count with %s of the extensions that change their meaning", async (_, extensions) => {
    const signer = certificate("db", keyOf("signer"), extensions);
    expect(await verdict(signer, "signer", [signer])).toEqual({ valid: true, reason: null });
  });

  it("count with name constraints in the signer's own, which has none below", async () => {
    const signer = certificate("db", keyOf("signer"), [nameConstraints(true)]);
    expect(await verdict(signer, "signer", [signer])).toEqual({ valid: true, reason: null });
  });

  it.each<[string, Uint8Array, RegExp]>([
    [
      "an unknown critical extension",
      extension(UNKNOWN, true, der.nullValue()),
      /critical extension 1\.3\.6\.1\.4\.1\.99999\.1, which/,
    ],
    [
      "a critical key identifier",
      extension(OID.authorityKeyIdentifier, true, der.sequence()),
      /critical extension 2\.5\.29\.35/,
    ],
  ])("do not count with %s in the signer's", async (_, bad, message) => {
    const alone = certificate("db", keyOf("signer"), [bad]);
    const own = await verdict(alone, "signer", [alone]);
    expect(own).toEqual({ valid: false, reason: expect.stringMatching(message) });
    expect(own.reason).toMatch(/^the certificate CN=db has /);
  });

  it.each<[string, Uint8Array, RegExp]>([
    [
      "an unknown critical extension",
      extension(UNKNOWN, true, der.nullValue()),
      /^the certificate CN=ca has the critical extension 1\.3\.6\.1\.4\.1\.99999\.1, which/,
    ],
    [
      "name constraints",
      nameConstraints(false),
      /^the certificate CN=ca has name constraints, which seal does not eval/,
    ],
    ["critical name constraints", nameConstraints(true), /^the certificate CN=ca has name constraints/],
  ])("do not count with %s in the issuer's", async (_, bad, message) => {
    const issuer = { name: "ca", key: keyOf("ca") };
    const ca = certificate("ca", keyOf("ca"), [CA, bad]);
    const leaf = certificate("leaf", keyOf("signer"), [], issuer);
    expect(await verdict(leaf, "signer", [ca])).toEqual({ valid: false, reason: expect.stringMatching(message) });
    // Another trusted certificate may lead to the signer all the same.
    expect(await verdict(leaf, "signer", [ca, leaf])).toEqual({ valid: true, reason: null });
  });
});
