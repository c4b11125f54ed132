/** Attestations, and what registries and files with logins say. */
import { createPrivateKey, createPublicKey, sign } from "node:crypto";
import { expect } from "vitest";
import {
  formatBundle,
  formatEnvelope,
  parseAttestation,
  parseEnvelope,
  type SignedStatement,
  signedBy,
  toBeSigned,
} from "../../../src/attest/bundle.ts";
import { provenanceOf } from "../../../src/attest/provenance.ts";
import { keyHint } from "../../../src/attest/signer.ts";
import { formatStatement, parseStatement } from "../../../src/attest/statement.ts";
import { utf8 } from "../../../src/bytes.ts";
import { findLogin, parseHelperAnswer, parseLogins, parseToken } from "../../../src/oci/registry-auth.ts";
import { vector } from "../../support/vectors.ts";
import type { FuzzTarget } from "../target.ts";

/** RSA, whose signatures are the same in each run. */
const privateKey = createPrivateKey(Buffer.from(vector("authenticode/keys/signer.key")));
const KEY = { key: createPublicKey(privateKey), label: "key" };

const DIGEST = { algorithm: "sha256", hex: "12".repeat(32) } as const;
const STATEMENTS = [
  formatStatement(DIGEST, "https://example.com/v1", { nested: [{ a: null }, 1e21, "\u2028"] }),
  formatStatement(
    DIGEST,
    "https://slsa.dev/provenance/v1",
    provenanceOf({
      command: "seal attest",
      builder: "https://ci.example/os",
      version: "1",
      base: DIGEST,
      layers: [{ digest: DIGEST, mediaType: "application/vnd.oci.image.layer.v1.tar+gzip" }],
    }),
  ),
];

function signed(): (SignedStatement & { readonly hint: string })[] {
  const hint = keyHint(KEY.key);
  return STATEMENTS.map((statement) => ({
    statement,
    signature: sign("sha256", toBeSigned(statement), privateKey),
    hint,
  }));
}

const TOKENS = [
  '"dsseEnvelope":',
  '"messageSignature":',
  '"payload":',
  '"signatures":[',
  '"sig":""',
  '"keyid":"x",',
  '"__proto__":',
  "null",
  "\\u0000",
  "1e999",
  "[[[[[[[[",
  "application/vnd.dev.sigstore.bundle.v0.3+json",
];

/** Nothing verifies that nobody has signed, and what was read is read again. */
function checkSigned(read: SignedStatement): void {
  const by = signedBy(read, [KEY]);
  if (by.kind === "key") expect(STATEMENTS.map((one) => Buffer.from(one))).toContainEqual(Buffer.from(read.statement));
  const again = parseEnvelope(formatEnvelope(read), "x");
  expect(Buffer.compare(again.statement, read.statement)).toBe(0);
  expect(Buffer.compare(again.signature, read.signature)).toBe(0);
  parseStatement(read.statement, "x");
}

export const attestTargets: readonly FuzzTarget[] = [
  {
    name: "bundle",
    seeds: () => signed().map(({ statement, signature, hint }) => formatBundle(statement, signature, hint)),
    tokens: TOKENS,
    read: (bytes) => checkSigned(parseAttestation(bytes, "x")),
  },
  {
    name: "envelope",
    seeds: () => signed().map(formatEnvelope),
    tokens: TOKENS,
    read: (bytes) => checkSigned(parseEnvelope(bytes, "x")),
  },
  {
    name: "statement",
    seeds: () => STATEMENTS,
    tokens: ['"_type":', '"subject":[', '"digest":{}', '"__proto__":', "null", "[[[[[[[["],
    read: (bytes) => {
      parseStatement(bytes, "x");
    },
  },
  {
    name: "registry-logins",
    seeds: () => [
      utf8(
        '{"auths":{"a.io/me":{"auth":"bWU6cHc="},"https://index.docker.io/v1/":{}},"credHelpers":{"b.io":"ecr-login"}}',
      ),
      utf8('{"auths":{"a.io":{"identitytoken":"x"}},"credsStore":"pass"}'),
    ],
    tokens: ['"auth":', '"a.io":', '"__proto__":', "null", "Og=="],
    read: (bytes) => {
      parseHelperAnswer(bytes);
      parseToken(bytes);
      const logins = parseLogins(bytes, "x");
      for (const name of ["a.io/me/os", "b.io/os", "docker.io/library/os"]) findLogin(logins, name);
    },
  },
];
