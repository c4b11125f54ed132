/**
 * A PKCS#11 module (OASIS PKCS#11 2.40): the shared library of a token, loaded into this process, and the functions
 * in it. 64-bit systems.
 */
import koffi from "koffi";
import { SealError } from "../../errors.ts";

/** Places of functions in CK_FUNCTION_LIST, after its version, and their parameters. */
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
export type FunctionName = keyof typeof FUNCTIONS;

/** Codes that functions end with. */
export const CKR = { ok: 0, mechanismInvalid: 0x70, alreadyLoggedIn: 0x100, alreadyInitialized: 0x191 };

/** A module and its functions. */
export class Module {
  readonly subject: string;
  readonly #list: bigint;

  /**
   * @param modules paths or names; the first that loads is used
   * @param subject what the key is called in messages
   * @throws SealError `external` when none can be loaded
   */
  constructor(modules: readonly string[], subject: string) {
    this.subject = subject;
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

  /** @returns the code that the function ended with */
  call(name: FunctionName, ...parameters: readonly unknown[]): number {
    const [place, types] = FUNCTIONS[name];
    const pointer = koffi.decode(this.#list, 8 * (1 + place), "void *");
    return Number(koffi.call(pointer, PROTOTYPES[name] ?? prototype(name, types), ...parameters));
  }

  /** @throws SealError `external` for any code but success */
  check(name: string, result: number): void {
    if (result !== CKR.ok) throw this.error(`${name} failed with code 0x${result.toString(16)}`);
  }

  error(reason: string, cause?: unknown): SealError {
    return new SealError("external", `${this.subject}: ${reason}`, { cause });
  }
}

const PROTOTYPES: Partial<Record<FunctionName, ReturnType<typeof koffi.proto>>> = {};
function prototype(name: FunctionName, types: string): ReturnType<typeof koffi.proto> {
  const made = koffi.proto(`uint64_t ${name}(${types})`);
  PROTOTYPES[name] = made;
  return made;
}
