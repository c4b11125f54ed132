import { createPublicKey, verify } from "node:crypto";
import forge from "node-forge";
import { describe, expect, it } from "vitest";
import { toHex, utf8 } from "../../src/bytes.ts";
import { signingTimeAttribute } from "../../src/sign/attributes.ts";
import { octetString } from "../../src/sign/der.ts";
import { OID } from "../../src/sign/oids.ts";
import { contentInfo, signedData } from "../../src/sign/pkcs7.ts";
import { vectorCertificate, vectorSigner } from "../support/signing.ts";
import { vector } from "../support/vectors.ts";

const publicKey = createPublicKey(vector("authenticode/keys/signer.crt"));
const octets = utf8("what is signed");

/** An independent reader. */
function parse(der: Uint8Array): forge.asn1.Asn1 {
  return forge.asn1.fromDer(forge.util.createBuffer(Buffer.from(der)), { strict: true, parseAllBytes: true } as never);
}

function child(node: forge.asn1.Asn1 | undefined, ...path: readonly number[]): forge.asn1.Asn1 {
  let current = node;
  for (const index of path) {
    if (current === undefined || typeof current.value === "string") throw new Error("no such child");
    current = current.value[index];
  }
  if (current === undefined) throw new Error("no such child");
  return current;
}

const bytesOf = (node: forge.asn1.Asn1) => Buffer.from(forge.asn1.toDer(node).getBytes(), "latin1");
const rawOf = (node: forge.asn1.Asn1) => Buffer.from(String(node.value), "latin1");

describe("signedData", () => {
  it("detached and without attributes: the signature is over the octets themselves", async () => {
    const der = await signedData({
      contentType: OID.data,
      content: null,
      signedOctets: octets,
      attributes: null,
      signer: vectorSigner("signer"),
    });
    const message = parse(der);
    expect(child(message, 2).value).toHaveLength(1);
    expect(toHex(bytesOf(child(message, 3, 0)))).toBe(toHex(vectorCertificate("signer").der));
    const info = child(message, 4, 0);
    expect(info.value).toHaveLength(5);
    expect(verify("sha256", octets, publicKey, rawOf(child(info, 4)))).toBe(true);
  });

  it("with attributes: the signature is over them as a SET, in DER order", async () => {
    const der = await signedData({
      contentType: OID.data,
      content: octetString(octets),
      signedOctets: octets,
      attributes: [signingTimeAttribute(new Date("2026-01-02T03:04:05Z"))],
      signer: vectorSigner("signer"),
    });
    const info = child(parse(der), 4, 0);
    const types = [0, 1, 2].map((i) => forge.asn1.derToOid(String(child(info, 3, i, 0).value)));
    expect(types).toEqual([OID.contentType, OID.signingTime, OID.messageDigest]);
    const attributes = bytesOf(child(info, 3));
    attributes[0] = 0x31;
    expect(verify("sha256", attributes, publicKey, rawOf(child(info, 5)))).toBe(true);
  });

  it("adds the chain behind the signer's certificate", async () => {
    const der = await signedData({
      contentType: OID.data,
      content: null,
      signedOctets: octets,
      attributes: null,
      signer: vectorSigner("leaf", ["ca"]),
    });
    const certificates = child(parse(der), 3);
    expect([0, 1].map((i) => toHex(bytesOf(child(certificates, i))))).toEqual([
      toHex(vectorCertificate("leaf").der),
      toHex(vectorCertificate("ca").der),
    ]);
    // Issuer and serial number name the leaf, whose issuer is the CA.
    expect(toHex(bytesOf(child(parse(der), 4, 0, 1, 0)))).toBe(toHex(bytesOf(child(certificates, 1, 0, 5))));
  });

  it("becomes a file by contentInfo, which forge reads", async () => {
    const der = await signedData({
      contentType: OID.data,
      content: octetString(octets),
      signedOctets: octets,
      attributes: [],
      signer: vectorSigner("db3072"),
    });
    const message = forge.pkcs7.messageFromAsn1(parse(contentInfo(der)));
    expect(message).toMatchObject({ type: OID.signedData });
  });
});

describe("createRsaSigner", () => {
  it("refuses EC keys, which firmware refuses", () => {
    expect(() => vectorSigner("ec")).toThrow(/^ec\.key: EC keys are refused by Secure Boot firmware/);
  });
});
