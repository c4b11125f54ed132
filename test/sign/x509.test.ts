import { createPrivateKey, createPublicKey, X509Certificate } from "node:crypto";
import forge from "node-forge";
import { describe, expect, it } from "vitest";
import { toHex } from "../../src/bytes.ts";
import { isIssuedBy, parseCertificate } from "../../src/sign/certificate.ts";
import { type CertificatePurpose, selfSignedCertificate } from "../../src/sign/x509.ts";
import { vector } from "../support/vectors.ts";

const privateKey = createPrivateKey(vector("authenticode/keys/signer.key"));

function make(purpose: CertificatePurpose, commonName = "Example db 2026", days = 3650): Uint8Array {
  const notBefore = new Date("2026-01-02T03:04:05Z");
  return selfSignedCertificate({
    commonName,
    purpose,
    serialNumber: Uint8Array.of(0x80, 1, 2, 3),
    notBefore,
    notAfter: new Date(notBefore.getTime() + days * 86_400_000),
    privateKey,
  });
}

describe("selfSignedCertificate", () => {
  it("says what it was asked to, to node", () => {
    const certificate = new X509Certificate(make("code"));
    expect(certificate.subject).toBe("CN=Example db 2026");
    expect(certificate.issuer).toBe("CN=Example db 2026");
    expect(certificate.serialNumber).toBe("80010203");
    expect(certificate.validFromDate).toEqual(new Date("2026-01-02T03:04:05Z"));
    expect(certificate.validToDate).toEqual(new Date("2035-12-31T03:04:05Z"));
    expect(certificate.publicKey.equals(createPublicKey(privateKey))).toBe(true);
    expect(certificate.ca).toBe(false);
    expect(certificate.keyUsage).toEqual(["1.3.6.1.5.5.7.3.3"]);
    expect(certificate.verify(certificate.publicKey)).toBe(true);
  });

  it("is read by seal itself, also beyond 2049 and in other scripts", () => {
    const der = make("authority", "Schlüssel 鍵", 36_500);
    const certificate = parseCertificate({ der, label: "x.crt" });
    expect(certificate.subjectText).toBe("CN=Schlüssel 鍵");
    expect(certificate.notAfter.toISOString()).toBe("2125-12-09T03:04:05.000Z");
    expect(isIssuedBy(certificate, certificate)).toBe(true);
  });

  it("authority: a CA that may sign and certify", () => {
    expect(extensions(make("authority"))).toMatchObject({
      basicConstraints: { critical: true, cA: true },
      keyUsage: { critical: true, digitalSignature: true, keyCertSign: true, cRLSign: false, keyEncipherment: false },
    });
  });

  it("code: no CA, signs code and nothing else", () => {
    expect(extensions(make("code"))).toMatchObject({
      basicConstraints: { critical: true, cA: false },
      keyUsage: { critical: true, digitalSignature: true, keyCertSign: false },
      extKeyUsage: { critical: false, codeSigning: true },
    });
  });

  it("names its key by the SHA-1 of the public key's bits, for itself and its issuer", () => {
    const { subjectKeyIdentifier, authorityKeyIdentifier } = extensions(make("code"));
    const publicKey = forge.pki.publicKeyFromPem(
      createPublicKey(privateKey).export({ type: "spki", format: "pem" }).toString(),
    );
    const expected = forge.pki.getPublicKeyFingerprint(publicKey, { type: "RSAPublicKey", encoding: "hex" });
    expect(subjectKeyIdentifier["subjectKeyIdentifier"]).toBe(expected);
    const value = toHex(Buffer.from(String(authorityKeyIdentifier["value"]), "latin1"));
    expect(value).toBe(`30168014${expected}`);
  });

  it("is the same for the same input", () => {
    expect(make("code")).toEqual(make("code"));
    expect(make("code")).not.toEqual(make("authority"));
  });
});

/** As an independent reader sees them, by name. */
function extensions(der: Uint8Array): Record<string, Record<string, unknown>> & {
  subjectKeyIdentifier: Record<string, unknown>;
  authorityKeyIdentifier: Record<string, unknown>;
} {
  const asn1 = forge.asn1.fromDer(forge.util.createBuffer(Buffer.from(der)));
  const list = forge.pki.certificateFromAsn1(asn1).extensions as Record<string, unknown>[];
  const byName = Object.fromEntries(list.map((extension) => [String(extension["name"]), extension]));
  return { subjectKeyIdentifier: {}, authorityKeyIdentifier: {}, ...byName };
}
