import { createPrivateKey, createPublicKey, generateKeyPairSync } from "node:crypto";
import { expect, it } from "vitest";
import { isSameKey } from "../../src/sign/same-key.ts";

it("tells keys apart, of one kind and of two, and leaves no error for the next call", () => {
  const rsa = generateKeyPairSync("rsa", { modulusLength: 2048 });
  const ec = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const other = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const larger = generateKeyPairSync("ec", { namedCurve: "P-384" });
  const pem = ec.privateKey.export({ type: "pkcs8", format: "pem" });
  for (const { publicKey } of [rsa, other, larger]) {
    expect(isSameKey(ec.publicKey, publicKey)).toBe(false);
    expect(isSameKey(createPublicKey(createPrivateKey(pem)), ec.publicKey)).toBe(true);
  }
});
