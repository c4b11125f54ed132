/** Tokens that a PKCS#11 module knows, and a session with one: its objects are found, read and signed with. */
import koffi from "koffi";
import { inputError, type SealError } from "../../errors.ts";
import { CKR, type FunctionName, type Module } from "./module.ts";

export interface Pkcs11Key {
  /** What the user knows it by, without a PIN in it. */
  readonly subject: string;
  /** Paths or names of modules; the first that loads is used. */
  readonly modules: readonly string[];
  /** What the token must say of itself; what is not there matches every token. */
  readonly token: Readonly<Partial<Record<"token" | "manufacturer" | "model" | "serial", string>>>;
  readonly slotId: bigint | null;
  /** CKA_ID and CKA_LABEL of the key; null matches all. */
  readonly id: Uint8Array | null;
  readonly object: Uint8Array | null;
  readonly pin: Uint8Array | null;
}

const CKF = { loginRequired: 0x4n, protectedPath: 0x100n, tokenInitialized: 0x400n, serialSession: 4n };
export const CKA = { class: 0n, label: 3n, value: 0x11n, keyType: 0x100n, id: 0x102n, alwaysAuthenticate: 0x202n };
const CKU = { user: 1n, contextSpecific: 2n };
/** What the user can do about, by code. */
const CKR_PIN: Readonly<Record<number, string>> = {
  160: "the PIN is wrong",
  161: "the PIN has characters that the token does not accept",
  162: "the PIN has a length that the token does not accept",
  163: "the PIN has expired",
  164: "the PIN is locked after too many wrong ones",
  258: "the token has no PIN yet",
};

const UNAVAILABLE = 0xffffffffffffffffn;
const MAX_OBJECTS = 16;
/** Of RSA keys with 16384 bits. */
const MAX_SIGNATURE = 2048;

/** CK_ATTRIBUTE: what an object must have, or a place for what it has. */
export interface CkAttribute {
  readonly type: bigint;
  readonly value: Uint8Array;
}

export function attribute(type: bigint, value: Uint8Array): CkAttribute {
  return { type, value };
}

/** A CK_ULONG in memory. */
export function number(value: bigint): Uint8Array {
  return new Uint8Array(BigUint64Array.of(value).buffer);
}

/** CK_ATTRIBUTE[]: type, address and length of each; whoever calls keeps the values alive. */
function attributeArray(attributes: readonly CkAttribute[]): BigUint64Array {
  return BigUint64Array.from(
    attributes.flatMap(({ type, value }) => [
      type,
      value.length === 0 ? 0n : koffi.address(value),
      BigInt(value.length),
    ]),
  );
}

/** CK_TOKEN_INFO begins with label, manufacturer, model and serial number, padded with blanks, and flags. */
const TOKEN_FIELDS = { token: [0, 32], manufacturer: [32, 64], model: [64, 80], serial: [80, 96] } as const;

/**
 * The token that a key is in.
 * @throws SealError `input` when none or several fit
 */
export function findToken(module: Module, key: Pkcs11Key): { readonly slot: bigint; readonly flags: bigint } {
  const slots = new BigUint64Array(256);
  const count = BigUint64Array.of(BigInt(slots.length));
  module.check("C_GetSlotList", module.call("C_GetSlotList", 1, slots, count));
  const tokens = [...slots.subarray(0, Number(count[0]))].flatMap((slot) => {
    const info = new Uint8Array(512);
    // A card may be pulled out at any moment; then it is not there.
    if (module.call("C_GetTokenInfo", slot, info) !== CKR.ok) return [];
    const flags = new DataView(info.buffer).getBigUint64(96, true);
    const field = ([start, end]: readonly [number, number]) =>
      Buffer.from(info.subarray(start, end))
        .toString("utf8")
        .replace(/[ \0]+$/, "");
    const wanted = (Object.keys(TOKEN_FIELDS) as (keyof typeof TOKEN_FIELDS)[]).every(
      (name) => key.token[name] === undefined || key.token[name] === field(TOKEN_FIELDS[name]),
    );
    const fits = wanted && (key.slotId === null || key.slotId === slot) && (flags & CKF.tokenInitialized) !== 0n;
    return fits ? [{ slot, flags, name: field(TOKEN_FIELDS.token) }] : [];
  });
  const [token, second] = tokens;
  if (token === undefined) throw inputError(key.subject, "there is no such token. Is it plugged in?");
  if (second !== undefined) {
    const names = tokens.map(({ name }) => name.replace(/[^ -~]/g, "?")).join(", ");
    throw inputError(key.subject, `several tokens match (${names}). Choose one with token= or serial=`);
  }
  return token;
}

export class Session {
  readonly #module: Module;
  readonly #key: Pkcs11Key;
  readonly #handle: bigint;
  /** Keeps what the module reads and writes from being collected as garbage: it sees addresses only. */
  #inUse: readonly CkAttribute[] = [];

  constructor(module: Module, slot: bigint, key: Pkcs11Key) {
    this.#module = module;
    this.#key = key;
    const handle = new BigUint64Array(1);
    this.#check("C_OpenSession", slot, CKF.serialSession, null, null, handle);
    this.#handle = handle[0] ?? 0n;
  }

  /** Logs in as the user, if the token requires it. A token with its own keypad asks there. */
  login(flags: bigint): void {
    if ((flags & CKF.loginRequired) === 0n) return;
    if (this.#key.pin === null && (flags & CKF.protectedPath) === 0n) {
      throw inputError(
        this.#key.subject,
        "the token requires a PIN. Give it with --passphrase-file FILE or --passphrase-env NAME",
      );
    }
    this.#login(CKU.user);
  }

  #login(user: bigint): void {
    const { pin, subject } = this.#key;
    const result = this.#module.call("C_Login", this.#handle, user, pin, pin?.length ?? 0);
    if (result === CKR.alreadyLoggedIn) return;
    const reason = CKR_PIN[result];
    if (reason !== undefined) throw inputError(subject, reason);
    this.#module.check("C_Login", result);
  }

  find(attributes: readonly CkAttribute[]): bigint[] {
    this.#inUse = attributes;
    this.#check("C_FindObjectsInit", this.#handle, attributeArray(this.#inUse), attributes.length);
    const found = new BigUint64Array(MAX_OBJECTS);
    const count = new BigUint64Array(1);
    this.#check("C_FindObjects", this.#handle, found, found.length, count);
    this.#check("C_FindObjectsFinal", this.#handle);
    return [...found.subarray(0, Number(count[0]))];
  }

  /** The value of an attribute; null when the token does not reveal it. */
  read(object: bigint, type: bigint, maxLength: number): Uint8Array | null {
    const value = new Uint8Array(maxLength);
    this.#inUse = [{ type, value }];
    const array = attributeArray(this.#inUse);
    const result = this.#module.call("C_GetAttributeValue", this.#handle, object, array, 1);
    const length = array[2] ?? UNAVAILABLE;
    return result === CKR.ok && length <= BigInt(maxLength) ? value.subarray(0, Number(length)) : null;
  }

  /** @returns false when key or token don't know the mechanism */
  signInit(mechanism: bigint, key: bigint): boolean {
    const result = this.#module.call("C_SignInit", this.#handle, BigUint64Array.of(mechanism, 0n, 0n), key);
    if (result === CKR.mechanismInvalid) return false;
    this.#module.check("C_SignInit", result);
    return true;
  }

  sign(data: Uint8Array, key: bigint): Uint8Array {
    // Keys for legal signatures and some card slots want the PIN again for each signature.
    if (this.read(key, CKA.alwaysAuthenticate, 1)?.[0] === 1) this.#login(CKU.contextSpecific);
    const signature = new Uint8Array(MAX_SIGNATURE);
    const length = BigUint64Array.of(BigInt(signature.length));
    this.#check("C_Sign", this.#handle, data, data.length, signature, length);
    return signature.subarray(0, Number(length[0]));
  }

  error(reason: string): SealError {
    return this.#module.error(reason);
  }

  #check(name: FunctionName, ...parameters: readonly unknown[]): void {
    this.#module.check(name, this.#module.call(name, ...parameters));
  }
}
