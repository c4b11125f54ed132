/**
 * A set of Secure Boot keys: the platform key (PK), a key exchange key (KEK) and a signature key (db), each with a
 * certificate, its signature list, and the signed update that enrols it. Private keys, serial numbers and the owner
 * come from outside: the same ones and the same time give the same bytes.
 */
import type { KeyObject } from "node:crypto";
import { utf8 } from "../bytes.ts";
import { type SecureBootVariable, signVariableChange } from "./authvar.ts";
import { type ParsedCertificate, parseCertificate } from "./certificate.ts";
import type { Guid } from "./guid.ts";
import { createRsaSigner } from "./rsa-signer.ts";
import { certificateList, encodeSignatureLists } from "./siglist.ts";
import type { Signer } from "./signer.ts";
import { type CertificatePurpose, selfSignedCertificate } from "./x509.ts";

/** In the order in which they trust each other. */
export const KEY_ROLES = ["PK", "KEK", "db"] as const;
/** The Secure Boot variable that a key is for. */
export type KeyRole = (typeof KEY_ROLES)[number];

const PURPOSES: Readonly<Record<KeyRole, CertificatePurpose>> = { PK: "authority", KEK: "authority", db: "code" };
/** Whose signature changes a variable (UEFI specification 32.3). */
const SIGNED_BY: Readonly<Record<KeyRole, KeyRole>> = { PK: "PK", KEK: "PK", db: "KEK" };

/** X.520 allows 64 characters in a common name; the longest suffix is ` KEK`. */
export const MAX_COMMON_NAME = 60;

/** What is random about a key. */
export interface KeyMaterial {
  /** RSA with 2048, 3072 or 4096 bits. */
  readonly privateKey: KeyObject;
  /** Big endian, not zero, at most 20 bytes. */
  readonly serialNumber: Uint8Array;
}

/** What a set of Secure Boot keys is made of. */
export interface KeySetInput {
  /** The certificates are called this, followed by ` PK`, ` KEK` and ` db`; up to `MAX_COMMON_NAME` characters. */
  readonly commonName: string;
  /** Start of validity and time of the updates, in whole seconds. */
  readonly time: Date;
  readonly days: number;
  /** The owner given in the signature lists. */
  readonly owner: Guid;
  readonly keys: Readonly<Record<KeyRole, KeyMaterial>>;
}

/** What is public about one key. */
export interface SecureBootKey {
  readonly role: KeyRole;
  readonly certificate: ParsedCertificate;
  /** The certificate as an EFI signature list. */
  readonly signatureList: Uint8Array;
  /** The signed update that replaces the variable of this name by the list. */
  readonly update: Uint8Array;
}

/** The public part of a set of Secure Boot keys: certificates, lists and signed updates. */
export interface KeySet {
  readonly owner: Guid;
  /** In the order of {@link KEY_ROLES}. */
  readonly keys: readonly SecureBootKey[];
  /** The signed update that deletes the PK and so brings the machine back to setup mode. */
  readonly removePk: Uint8Array;
}

const DAY_MS = 86_400_000;

/** Certificates, signature lists and signed updates for three private keys. */
export async function createKeySet(input: KeySetInput): Promise<KeySet> {
  const signers = { PK: createSigner("PK", input), KEK: createSigner("KEK", input), db: createSigner("db", input) };
  const update = (variable: SecureBootVariable & KeyRole, time: Date, value: Uint8Array) =>
    signVariableChange({ variable, write: "replace", time, value }, signers[SIGNED_BY[variable]]);
  const keys = KEY_ROLES.map(async (role): Promise<SecureBootKey> => {
    const { certificate } = signers[role];
    const signatureList = encodeSignatureLists([certificateList(input.owner, certificate.der)]);
    return {
      role,
      certificate,
      signatureList,
      update: await update(role, input.time, signatureList),
    };
  });
  // Firmware takes an update only when it is newer than what it replaces.
  const later = new Date(input.time.getTime() + 1000);
  return {
    owner: input.owner,
    keys: await Promise.all(keys),
    removePk: await update("PK", later, new Uint8Array()),
  };
}

function createSigner(role: KeyRole, { commonName, time, days, keys }: KeySetInput): Signer {
  const { privateKey, serialNumber } = keys[role];
  const der = selfSignedCertificate({
    commonName: `${commonName} ${role}`,
    purpose: PURPOSES[role],
    serialNumber,
    notBefore: time,
    notAfter: new Date(time.getTime() + days * DAY_MS),
    privateKey,
  });
  const certificate = parseCertificate({ der, label: `${role}.crt` });
  return createRsaSigner({ key: privateKey, label: `${role}.key` }, certificate);
}

/** A file of a key set. */
export interface KeySetFile {
  readonly name: string;
  readonly bytes: Uint8Array;
}

/** The public files of a key set, under the names that other tools' instructions use. */
export function publicKeyFiles({ owner, keys, removePk }: KeySet): KeySetFile[] {
  return [
    ...keys.flatMap(({ role, certificate, signatureList, update }) => [
      { name: `${role}.crt`, bytes: utf8(certificate.x509.toString()) },
      { name: `${role}.cer`, bytes: certificate.der },
      { name: `${role}.esl`, bytes: signatureList },
      { name: `${role}.auth`, bytes: update },
    ]),
    { name: "noPK.auth", bytes: removePk },
    { name: "GUID.txt", bytes: utf8(`${owner}\n`) },
  ];
}
