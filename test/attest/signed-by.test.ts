import { createPrivateKey, createPublicKey, generateKeyPairSync, type KeyObject, sign } from "node:crypto";
import { describe, expect, it } from "vitest";
import { formatBundle, parseBundle, signedBy, toBeSigned } from "../../src/attest/bundle.ts";
import { keyHint } from "../../src/attest/signer.ts";
import { utf8 } from "../../src/bytes.ts";

const STATEMENT = utf8("{}");

interface Signer {
  readonly label: string;
  readonly secret: KeyObject;
  readonly key: KeyObject;
}

const [own, other] = ["own", "other"].map((label) => {
  const pem = generateKeyPairSync("ec", { namedCurve: "P-256" }).privateKey.export({ type: "pkcs8", format: "pem" });
  return { label, secret: createPrivateKey(pem), key: createPublicKey(pem) };
}) as [Signer, Signer];

/** Whose signature a bundle of one key has that names another, or something else. */
function judged(by: Signer, hint: string) {
  const signature = sign("sha256", toBeSigned(STATEMENT), by.secret);
  return signedBy(parseBundle(formatBundle(STATEMENT, signature, hint), "bundle"), [own]);
}

describe("signedBy", () => {
  it.each([
    ["a key that it names", own, keyHint(own.key), { kind: "key", label: "own" }],
    ["a key, without a name", own, "", { kind: "key", label: "own" }],
    ["a key, and names an unknown one", own, "release-key-1", { kind: "misnamed", label: "own" }],
    ["an unknown key, and names a known one", other, keyHint(own.key), { kind: "forged", label: "own" }],
    ["an unknown key that it names", other, keyHint(other.key), { kind: "other" }],
  ] as const)("tells what is signed by %s", (_, by, hint, expected) => {
    expect(judged(by, hint)).toEqual(expected);
  });
});
