import { createHash, createPrivateKey, privateEncrypt, randomBytes, sign } from "node:crypto";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { concat } from "../../src/chunks.ts";
import { createExternalSigner, type RawSigner } from "../../src/sign/external-signer.ts";
import { vectorCertificate } from "../support/signing.ts";
import { vector } from "../support/vectors.ts";

const key = createPrivateKey(vector("authenticode/keys/signer.key"));
const data = Buffer.from("what is to be signed");
const good = sign("sha256", data, key);

function signer(raw: Partial<RawSigner>, certificate: Parameters<typeof vectorCertificate>[0] = "signer") {
  const { sign: answer = async () => good, ...rest } = raw;
  const whole = { subject: "a token", fault: "external", advice: "Try again", input: "data", ...rest, sign: answer };
  return createExternalSigner(whole as RawSigner, vectorCertificate(certificate));
}

describe("a signer elsewhere", () => {
  it("gets the data and its answer is handed on", async () => {
    const seen: Uint8Array[] = [];
    const answer = async (input: Uint8Array) => {
      seen.push(input);
      return sign("sha256", input, key);
    };
    const signature = await signer({ sign: answer }).sign(data);
    expect(signature).toEqual(good);
    expect(seen).toEqual([data]);
  });

  it("gets the digest alone when that is what it takes", async () => {
    // RFC 8017 9.2: DigestInfo of SHA-256 before the digest.
    const prefix = Buffer.from("3031300d060960864801650304020105000420", "hex");
    const answer = async (digest: Uint8Array) => {
      expect(digest).toEqual(createHash("sha256").update(data).digest());
      return privateEncrypt(key, concat([prefix, digest]));
    };
    expect(await signer({ input: "digest", sign: answer }).sign(data)).toEqual(good);
  });

  it.each<[string, Uint8Array, RegExp]>([
    ["nothing", new Uint8Array(), /^a token: gave 0 bytes; a raw signature for signer\.crt has 256\. Try again$/],
    ["text", Buffer.from(good.toString("base64")), /gave 344 bytes/],
    ["a signature and a newline", concat([good, Buffer.from("\n")]), /gave 257 bytes/],
    ["a signature of other data", sign("sha256", Buffer.from("x"), key), /does not verify with signer\.crt/],
    ["a signature with another hash", sign("sha512", data, key), /does not verify/],
    ["a signature by another key", sign("sha256", data, vector("authenticode/keys/other.key")), /does not verify/],
  ])("is refused when it answers %s", async (_, answer, message) => {
    await expect(signer({ sign: async () => answer }).sign(data)).rejects.toMatchObject({
      code: "external",
      message: expect.stringMatching(message),
    });
    await expect(signer({ fault: "input", sign: async () => answer }).sign(data)).rejects.toMatchObject({
      code: "input",
    });
  });

  it("is refused for any other bytes than the signature", async () => {
    await fc.assert(
      fc.asyncProperty(fc.nat(255), fc.integer({ min: 1, max: 255 }), async (at, flip) => {
        const answer = Buffer.from(good);
        answer[at] = (answer[at] ?? 0) ^ flip;
        await expect(signer({ sign: async () => answer }).sign(data)).rejects.toMatchObject({ code: "external" });
      }),
      { numRuns: 100 },
    );
    await expect(signer({ sign: async () => randomBytes(256) }).sign(data)).rejects.toMatchObject({ code: "external" });
  });

  it("needs a certificate that firmware accepts", () => {
    expect(() => signer({}, "ec")).toThrow(/^ec\.crt: EC keys are refused by Secure Boot firmware/);
  });
});
