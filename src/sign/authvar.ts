/**
 * Signed updates of UEFI variables, `.auth` files (UEFI specification 8.2.2, time-based authenticated variables):
 *
 *     EFI_VARIABLE_AUTHENTICATION_2
 *       EFI_TIME                     16 bytes
 *       WIN_CERTIFICATE_UEFI_GUID    dwLength, wRevision 0x0200, wCertificateType 0x0EF1, EFI_CERT_TYPE_PKCS7_GUID
 *         PKCS#7 SignedData          detached
 *     the new value of the variable, for PK, KEK, db and dbx signature lists
 *
 * The signature is over name, vendor, attributes, time and value. SignedData is bare, without the ContentInfo
 * around it that PKCS#7 files have: EDK II looks for SHA-256 at a fixed offset and for long refused everything else.
 */
import { Cursor, equalBytes } from "../bytes.ts";
import { concat } from "../chunks.ts";
import { inputError } from "../errors.ts";
import { DerReader, TAG } from "./der.ts";
import { decodeTime, EFI_TIME_BYTES, type EfiTime, encodeTime, timeFields } from "./efi-time.ts";
import { decodeGuid, encodeGuid, GUID_BYTES, type Guid, knownGuid } from "./guid.ts";
import { OID } from "./oids.ts";
import { signedData } from "./pkcs7.ts";
import type { Signer } from "./signer.ts";

/** EFI_GLOBAL_VARIABLE and EFI_IMAGE_SECURITY_DATABASE_GUID. */
const GLOBAL_VARIABLE = knownGuid("8be4df61-93ca-11d2-aa0d-00e098032b8c");
const IMAGE_SECURITY_DATABASE = knownGuid("d719b2cb-3d3a-4596-a3bc-dad00e67656f");

/** The variables of Secure Boot (UEFI specification 3.3 and 32.4.1) with their vendors. */
export const VARIABLE_VENDORS = {
  PK: GLOBAL_VARIABLE,
  KEK: GLOBAL_VARIABLE,
  db: IMAGE_SECURITY_DATABASE,
  dbx: IMAGE_SECURITY_DATABASE,
} as const;

/** The name of a Secure Boot variable. */
export type SecureBootVariable = keyof typeof VARIABLE_VENDORS;
export const SECURE_BOOT_VARIABLES = ["PK", "KEK", "db", "dbx"] as const satisfies readonly SecureBootVariable[];

/** A variable by its name, one of the four or any other. */
export type Variable = SecureBootVariable | OtherVariable;

/** A variable that is not one of Secure Boot. */
export interface OtherVariable {
  /** Of characters that UCS-2 has, without NUL. */
  readonly name: string;
  readonly vendor: Guid;
}

/**
 * EFI_VARIABLE_… bits that go with TIME_BASED_AUTHENTICATED_WRITE_ACCESS (UEFI specification 8.2.1),
 * without their prefix.
 */
export const VARIABLE_ATTRIBUTES = { NON_VOLATILE: 0x01, BOOTSERVICE_ACCESS: 0x02, RUNTIME_ACCESS: 0x04 } as const;
/** The name of an attribute of an EFI variable. */
export type VariableAttribute = keyof typeof VARIABLE_ATTRIBUTES;

/** TIME_BASED_AUTHENTICATED_WRITE_ACCESS: what makes a variable one that signed updates change. */
const TIME_BASED = 0x20;

/** NON_VOLATILE, BOOTSERVICE_ACCESS, RUNTIME_ACCESS, TIME_BASED_AUTHENTICATED_WRITE_ACCESS: what all four have. */
export const SECURE_BOOT_ATTRIBUTES = 0x27;
/** EFI_VARIABLE_APPEND_WRITE: add to the value instead of replacing it. It is signed too. */
const APPEND_WRITE = 0x40;

/** EFI_CERT_TYPE_PKCS7_GUID */
const PKCS7_TYPE = knownGuid("4aafd29d-68df-49ee-8aa9-347d375665a7");
const REVISION = 0x0200;
/** WIN_CERT_TYPE_EFI_GUID */
const CERTIFICATE_TYPE = 0x0ef1;

const CERTIFICATE_HEADER_BYTES = 8 + GUID_BYTES;

/** What is to become of a variable. */
export interface VariableChange {
  readonly variable: Variable;
  readonly write: "replace" | "append";
  /** Of a variable other than the four, besides time-based authentication; default: all of them. */
  readonly attributes?: readonly VariableAttribute[];
  /** In whole seconds of UTC. Firmware refuses to replace a value by one that is not newer. */
  readonly time: Date | EfiTime;
  /** Signature lists; empty with `replace` deletes the variable. */
  readonly value: Uint8Array;
}

/**
 * Signs a change of a variable: of PK and KEK with the PK, of db and dbx with a KEK.
 * @returns the bytes of an `.auth` file; its attributes are not in it, whoever writes it must give the signed ones
 */
export async function signVariableChange(change: VariableChange, signer: Signer): Promise<Uint8Array> {
  const signature = await signedData({
    contentType: OID.data,
    content: null,
    signedOctets: signedOctets(change),
    attributes: null,
    signer,
  });
  const header = new DataView(new ArrayBuffer(8));
  header.setUint32(0, CERTIFICATE_HEADER_BYTES + signature.length, true);
  header.setUint16(4, REVISION, true);
  header.setUint16(6, CERTIFICATE_TYPE, true);
  return concat([
    encodeTime(change.time),
    new Uint8Array(header.buffer),
    encodeGuid(PKCS7_TYPE),
    signature,
    change.value,
  ]);
}

/** What the signature of a change is over: the name in UTF-16 without a final NUL, vendor, attributes, time, value. */
export function signedOctets({ variable, write, attributes: names, time, value }: VariableChange): Uint8Array {
  const { name, vendor } = typeof variable === "string" ? namedVariable(variable) : variable;
  const attributes = new DataView(new ArrayBuffer(4));
  const bits =
    names?.reduce((sum, attribute) => sum | VARIABLE_ATTRIBUTES[attribute], TIME_BASED) ?? SECURE_BOOT_ATTRIBUTES;
  attributes.setUint32(0, write === "append" ? bits | APPEND_WRITE : bits, true);
  return concat([
    Buffer.from(name, "utf16le"),
    encodeGuid(vendor),
    new Uint8Array(attributes.buffer),
    encodeTime(time),
    value,
  ]);
}

/** One of the four with its vendor. */
export function namedVariable(name: SecureBootVariable): OtherVariable {
  return { name, vendor: VARIABLE_VENDORS[name] };
}

/** An `.auth` file that has been read. It does not say which variable it is for. */
export interface VariableUpdate {
  readonly time: EfiTime;
  /** DER of SignedData. */
  readonly signature: Uint8Array;
  readonly value: Uint8Array;
}

/** Whether bytes begin like an `.auth` file, as opposed to the signature lists that may be in it. */
export function isVariableUpdate(bytes: Uint8Array): boolean {
  const header = bytes.subarray(EFI_TIME_BYTES, EFI_TIME_BYTES + CERTIFICATE_HEADER_BYTES);
  return (
    header.length === CERTIFICATE_HEADER_BYTES &&
    equalBytes(header.subarray(8), encodeGuid(PKCS7_TYPE)) &&
    header[6] === (CERTIFICATE_TYPE & 0xff) &&
    header[7] === CERTIFICATE_TYPE >> 8
  );
}

/**
 * The EFI_TIME of a revocation, to the second (its zone is UTC, UEFI specification 32.4.1); null
 * when it is zero: always.
 */
export function decodeRevocationTime(bytes: Uint8Array): EfiTime | null {
  return bytes.every((byte) => byte === 0) ? null : timeFields(bytes);
}

/**
 * Takes an `.auth` file apart; both arrays are views of it. Nothing is verified.
 * @throws SealError `input` when it is not one
 */
export function parseVariableUpdate(bytes: Uint8Array, subject: string): VariableUpdate {
  const cursor = new Cursor(bytes, subject);
  const time = decodeTime(cursor.slice(0, EFI_TIME_BYTES, "the time"), subject);
  const length = cursor.u32(EFI_TIME_BYTES, "the certificate's length");
  const revision = cursor.u16(EFI_TIME_BYTES + 4, "the certificate's revision");
  const type = cursor.u16(EFI_TIME_BYTES + 6, "the certificate's type");
  if (revision !== REVISION || type !== CERTIFICATE_TYPE) {
    throw inputError(subject, "this is not a signed variable update (no certificate of a GUID type after the time)");
  }
  if (length < CERTIFICATE_HEADER_BYTES) throw inputError(subject, `impossible certificate length ${length}`);
  const certificate = cursor.slice(EFI_TIME_BYTES, length, "the certificate");
  const kind = decodeGuid(certificate.subarray(8, CERTIFICATE_HEADER_BYTES));
  if (kind !== PKCS7_TYPE) throw inputError(subject, `the update is signed in an unknown way (${kind}, not PKCS#7)`);
  const signature = certificate.subarray(CERTIFICATE_HEADER_BYTES);
  const reader = new DerReader(signature, subject);
  reader.value(TAG.sequence, "SignedData");
  reader.end("SignedData");
  return { time, signature, value: bytes.subarray(EFI_TIME_BYTES + length) };
}
