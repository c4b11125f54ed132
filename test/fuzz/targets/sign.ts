/** Certificates, keys, and what firmware keeps. */
import { createHash } from "node:crypto";
import { isDeepStrictEqual } from "node:util";
import { expect } from "vitest";
import { namedVariable, parseVariableUpdate, SECURE_BOOT_ATTRIBUTES } from "../../../src/sign/authvar.ts";
import { publicKeyOf } from "../../../src/sign/certificate.ts";
import { readDatabase } from "../../../src/sign/database.ts";
import { openKeyFile, readCertificateFile } from "../../../src/sign/key-file.ts";
import { parseVariableStore, writeVariableStore } from "../../../src/sign/ovmf.ts";
import { encodeSignatureLists, parseSignatureLists } from "../../../src/sign/siglist.ts";
import { identifyUpdate, signUpdate } from "../../../src/sign/update-signature.ts";
import {
  ALGORITHMS,
  certificateEsl,
  certificateHashEsl,
  esl,
  IMAGE_HASH_TYPES,
  ODD_LISTS,
} from "../../support/databases.ts";
import { vectorCertificate, vectorSigner } from "../../support/signing.ts";
import { usedStore } from "../../support/variable-store.ts";
import { vector } from "../../support/vectors.ts";
import type { FuzzTarget } from "../target.ts";

const PASSPHRASE = Buffer.from("seal");
const CERTIFICATES = ["signer", "ca", "leaf", "ec"] as const;

function lists(): Uint8Array[] {
  const hash = esl(IMAGE_HASH_TYPES.sha256, Buffer.alloc(32, 7));
  return [
    certificateEsl("signer", "ca"),
    certificateHashEsl("leaf"),
    ODD_LISTS,
    Buffer.concat([
      hash,
      certificateEsl("other"),
      ...ALGORITHMS.map((name) => esl(IMAGE_HASH_TYPES[name], createHash(name).digest())),
    ]),
  ];
}

/** A store in which PK and db are enrolled. */
function enrolledStore(): Uint8Array {
  const store = parseVariableStore(usedStore(), "x");
  const variable = (name: "PK" | "db", value: Uint8Array) => ({
    ...namedVariable(name),
    attributes: SECURE_BOOT_ATTRIBUTES,
    time: Buffer.from("ea07010203040500000000000000000000", "hex").subarray(0, 16),
    monotonicCount: 0n,
    publicKeyIndex: 0,
    value,
  });
  const variables = [variable("PK", certificateEsl("ca")), variable("db", certificateEsl("signer"))];
  return writeVariableStore(store, [...store.variables, ...variables]);
}

export const signTargets: readonly FuzzTarget[] = [
  {
    name: "x509",
    seeds: () => CERTIFICATES.flatMap((name) => [vectorCertificate(name).der, vector(`authenticode/keys/${name}.crt`)]),
    tokens: [
      "-----BEGIN CERTIFICATE-----",
      "-----END CERTIFICATE-----",
      "-----BEGIN TRUSTED CERTIFICATE-----",
      "\x30\x80",
    ],
    read: (bytes) => {
      for (const certificate of readCertificateFile(bytes, "x")) publicKeyOf(certificate);
    },
  },
  {
    name: "keys",
    seeds: () => [vector("authenticode/keys/signer.key"), vector("authenticode/keys/ec.key")],
    tokens: ["-----BEGIN PRIVATE KEY-----", "-----END PRIVATE KEY-----", "Proc-Type: 4,ENCRYPTED\n", "\x30\x80"],
    // Four million rounds of key derivation are allowed, whatever the size of the file.
    seconds: 20,
    read: async (bytes) => {
      await openKeyFile(bytes, "x", PASSPHRASE);
    },
  },
  {
    name: "signature-lists",
    seeds: lists,
    read: (bytes) => {
      const read = parseSignatureLists(bytes, "x");
      expect(isDeepStrictEqual(parseSignatureLists(encodeSignatureLists(read), "x"), read)).toBe(true);
      readDatabase(bytes, "x");
    },
  },
  {
    name: "variable-update",
    seeds: () =>
      Promise.all(
        (["PK", "db"] as const).map((variable) =>
          signUpdate(
            { variable, write: "replace", time: new Date("2026-01-02T03:04:05Z"), value: certificateEsl("signer") },
            vectorSigner("signer"),
          ),
        ),
      ),
    read: (bytes) => {
      identifyUpdate(parseVariableUpdate(bytes, "x"), "x");
    },
  },
  {
    name: "variable-store",
    seeds: () => [usedStore(), enrolledStore()],
    read: (bytes) => {
      const store = parseVariableStore(bytes, "x");
      const written = parseVariableStore(writeVariableStore(store, store.variables), "x");
      expect(isDeepStrictEqual(written.variables, store.variables)).toBe(true);
    },
  },
];
