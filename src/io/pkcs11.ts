/**
 * Signs with a key in a PKCS#11 token (OASIS PKCS#11 2.40): a smart card, an HSM, a software token. The token's module is
 * loaded into this process; each operation opens a session and leaves nothing open. 64-bit systems.
 */
import { createHash } from "node:crypto";
import koffi from "koffi";
import { concat } from "../bytes.ts";
import { inputError, SealError } from "../errors.ts";

export interface Pkcs11Key {
  /** What the user knows it by, without a PIN in it. */
  readonly label: string;
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

/** Places of functions in CK_FUNCTION_LIST, behind its version, and their parameters. */
const FUNCTIONS = {
  C_Initialize: [0, "void *"],
  C_Finalize: [1, "void *"],
  C_GetSlotList: [4, "uint8_t, uint64_t *, uint64_t *"],
  C_GetTokenInfo: [6, "uint64_t, uint8_t *"],
  C_OpenSession: [12, "uint64_t, uint64_t, void *, void *, uint64_t *"],
  C_Login: [18, "uint64_t, uint64_t, const uint8_t *, uint64_t"],
  C_GetAttributeValue: [24, "uint64_t, uint64_t, uint64_t *, uint64_t"],
  C_FindObjectsInit: [26, "uint64_t, uint64_t *, uint64_t"],
  C_FindObjects: [27, "uint64_t, uint64_t *, uint64_t, uint64_t *"],
  C_FindObjectsFinal: [28, "uint64_t"],
  C_SignInit: [42, "uint64_t, uint64_t *, uint64_t"],
  C_Sign: [43, "uint64_t, const uint8_t *, uint64_t, uint8_t *, uint64_t *"],
} as const;
type FunctionName = keyof typeof FUNCTIONS;

const CKF = { loginRequired: 0x4n, protectedPath: 0x100n, tokenInitialized: 0x400n, serialSession: 4n };
const CKA = { class: 0n, label: 3n, value: 0x11n, keyType: 0x100n, id: 0x102n, alwaysAuthenticate: 0x202n };
const CKO = { certificate: 1n, privateKey: 3n };
const CKM = { rsaPkcs: 0x1n, sha256RsaPkcs: 0x40n };
const CKU = { user: 1n, contextSpecific: 2n };
const CKR = { ok: 0, mechanismInvalid: 0x70, alreadyLoggedIn: 0x100, alreadyInitialized: 0x191 };
const CKR_PIN: Readonly<Record<number, string>> = {
  160: "the PIN is wrong",
  161: "the PIN has characters that the token does not take",
  162: "the PIN has a length that the token does not take",
  163: "the PIN has expired",
  164: "the PIN is locked after too many wrong ones",
  258: "the token has no PIN yet",
};

/** RFC 8017 9.2: what stands before a SHA-256 digest when a token only does the RSA part. */
const DIGEST_INFO = Buffer.from("3031300d060960864801650304020105000420", "hex");
const UNAVAILABLE = 0xffffffffffffffffn;
const MAX_OBJECTS = 16;
/** Of RSA keys with 16384 bits. */
const MAX_SIGNATURE = 2048;
const MAX_CERTIFICATE = 1 << 16;

/**
 * The certificates that lie in the token with the key's CKA_ID, DER.
 * @throws SealError as {@link signWithToken}
 */
export function tokenCertificates(key: Pkcs11Key): Uint8Array[] {
  return withSession(key, (session) => {
    const id = session.read(findKey(session, key), CKA.id, 1024);
    const template = [attribute(CKA.class, number(CKO.certificate)), attribute(CKA.id, id ?? new Uint8Array())];
    if (id === null || id.length === 0) return [];
    return session.find(template).flatMap((found) => session.read(found, CKA.value, MAX_CERTIFICATE) ?? []);
  });
}

/**
 * Signs with RSA PKCS#1 v1.5 and SHA-256.
 * @returns the raw signature; it has not been checked
 * @throws SealError `input` when no or several tokens or keys are what is looked for, or the PIN is missing or wrong;
 *   `external` when the module can't be loaded or fails
 */
export function signWithToken(key: Pkcs11Key, data: Uint8Array): Uint8Array {
  return withSession(key, (session) => {
    const handle = findKey(session, key);
    const digest = createHash("sha256").update(data).digest();
    // All tokens do the RSA part alone, but for some HSMs, which insist on hashing themselves.
    if (session.signInit(CKM.rsaPkcs, handle)) return session.sign(concat([DIGEST_INFO, digest]), handle);
    if (session.signInit(CKM.sha256RsaPkcs, handle)) return session.sign(data, handle);
    throw session.error("this key or token does not sign with RSA PKCS#1 v1.5");
  });
}

function findKey(session: Session, key: Pkcs11Key): bigint {
  const template = [attribute(CKA.class, number(CKO.privateKey))];
  if (key.id !== null) template.push(attribute(CKA.id, key.id));
  if (key.object !== null) template.push(attribute(CKA.label, key.object));
  const [found, second] = session.find(template);
  if (found === undefined) {
    throw inputError(key.label, "the token has no such private key. List what is there with: pkcs11-tool -O --login");
  }
  if (second !== undefined) {
    throw inputError(key.label, "the token has several such private keys. Say which one with id= or object=");
  }
  const type = session.read(found, CKA.keyType, 8);
  if (type?.some((byte) => byte !== 0)) {
    throw inputError(key.label, "this is no RSA key, and Secure Boot firmware accepts no others");
  }
  return found;
}

interface Attribute {
  readonly type: bigint;
  readonly value: Uint8Array;
}

function attribute(type: bigint, value: Uint8Array): Attribute {
  return { type, value };
}

/** A CK_ULONG in memory. */
function number(value: bigint): Uint8Array {
  return new Uint8Array(BigUint64Array.of(value).buffer);
}

/** CK_ATTRIBUTE[]: type, address and length of each; whoever calls keeps the values alive. */
function attributeArray(attributes: readonly Attribute[]): BigUint64Array {
  return BigUint64Array.from(
    attributes.flatMap(({ type, value }) => [
      type,
      value.length === 0 ? 0n : koffi.address(value),
      BigInt(value.length),
    ]),
  );
}

function withSession<Result>(key: Pkcs11Key, work: (session: Session) => Result): Result {
  const module = new Module(key);
  const initialized = module.call("C_Initialize", null);
  if (initialized !== CKR.alreadyInitialized) module.check("C_Initialize", initialized);
  try {
    const { slot, flags } = findToken(module, key);
    const session = new Session(module, slot, key);
    session.login(flags);
    return work(session);
  } finally {
    // Closes sessions and ends the login too.
    if (initialized === CKR.ok) module.call("C_Finalize", null);
  }
}

/** A module and its functions. */
class Module {
  readonly label: string;
  readonly #list: bigint;

  constructor({ modules, label }: Pkcs11Key) {
    this.label = label;
    if (koffi.sizeof("void *") !== 8 || koffi.sizeof("long") !== 8) throw this.error("needs a 64-bit system");
    const library = this.#load(modules);
    const list: [bigint | null] = [null];
    const getFunctionList: (list: [bigint | null]) => number = library.func(
      "uint64_t C_GetFunctionList(_Out_ void **list)",
    );
    this.check("C_GetFunctionList", Number(getFunctionList(list)));
    const [address] = list;
    if (address === null) throw this.error("the module has no functions");
    this.#list = address;
  }

  #load(modules: readonly string[]): ReturnType<typeof koffi.load> {
    let cause: unknown;
    for (const name of modules) {
      try {
        const library = koffi.load(name);
        library.func("uint64_t C_GetFunctionList(void *list)");
        return library;
      } catch (error) {
        cause = error;
      }
    }
    const names = modules.join(" or ");
    throw this.error(`the PKCS#11 module ${names} can't be loaded. Give its path: ?module-path=/usr/lib/…/….so`, cause);
  }

  call(name: FunctionName, ...parameters: readonly unknown[]): number {
    const [place, types] = FUNCTIONS[name];
    const pointer = koffi.decode(this.#list, 8 * (1 + place), "void *");
    return Number(koffi.call(pointer, PROTOTYPES[name] ?? prototype(name, types), ...parameters));
  }

  check(name: string, result: number): void {
    if (result !== CKR.ok) throw this.error(`${name} failed with code 0x${result.toString(16)}`);
  }

  error(reason: string, cause?: unknown): SealError {
    return new SealError("external", `${this.label}: ${reason}`, { cause });
  }
}

const PROTOTYPES: Partial<Record<FunctionName, ReturnType<typeof koffi.proto>>> = {};
function prototype(name: FunctionName, types: string): ReturnType<typeof koffi.proto> {
  const made = koffi.proto(`uint64_t ${name}(${types})`);
  PROTOTYPES[name] = made;
  return made;
}

/** CK_TOKEN_INFO begins with label, manufacturer, model and serial number, padded with blanks, and flags. */
const TOKEN_FIELDS = { token: [0, 32], manufacturer: [32, 64], model: [64, 80], serial: [80, 96] } as const;

function findToken(module: Module, key: Pkcs11Key): { readonly slot: bigint; readonly flags: bigint } {
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
  if (token === undefined) throw inputError(key.label, "there is no such token. Is it plugged in?");
  if (second !== undefined) {
    const names = tokens.map(({ name }) => name.replace(/[^ -~]/g, "?")).join(", ");
    throw inputError(key.label, `several tokens fit (${names}). Say which one with token= or serial=`);
  }
  return token;
}

class Session {
  readonly #module: Module;
  readonly #key: Pkcs11Key;
  readonly #handle: bigint;
  /** Keeps what the module reads and writes from being collected as garbage: it sees addresses only. */
  #inUse: readonly Attribute[] = [];

  constructor(module: Module, slot: bigint, key: Pkcs11Key) {
    this.#module = module;
    this.#key = key;
    const handle = new BigUint64Array(1);
    this.#check("C_OpenSession", slot, CKF.serialSession, null, null, handle);
    this.#handle = handle[0] ?? 0n;
  }

  /** As the user, when the token wants it. A token with a keypad of its own asks there. */
  login(flags: bigint): void {
    if ((flags & CKF.loginRequired) === 0n) return;
    if (this.#key.pin === null && (flags & CKF.protectedPath) === 0n) {
      throw inputError(
        this.#key.label,
        "the token wants a PIN. Give it with --passphrase-file FILE or --passphrase-env NAME",
      );
    }
    this.#login(CKU.user);
  }

  #login(user: bigint): void {
    const { pin, label } = this.#key;
    const result = this.#module.call("C_Login", this.#handle, user, pin, pin?.length ?? 0);
    if (result === CKR.alreadyLoggedIn) return;
    const reason = CKR_PIN[result];
    if (reason !== undefined) throw inputError(label, reason);
    this.#module.check("C_Login", result);
  }

  find(attributes: readonly Attribute[]): bigint[] {
    this.#inUse = attributes;
    this.#check("C_FindObjectsInit", this.#handle, attributeArray(this.#inUse), attributes.length);
    const found = new BigUint64Array(MAX_OBJECTS);
    const count = new BigUint64Array(1);
    this.#check("C_FindObjects", this.#handle, found, found.length, count);
    this.#check("C_FindObjectsFinal", this.#handle);
    return [...found.subarray(0, Number(count[0]))];
  }

  /** The value of an attribute; null when the token does not tell. */
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
