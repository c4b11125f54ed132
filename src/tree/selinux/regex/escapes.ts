/** What a backslash makes of the characters after it. */
import type { Look } from "./ast.ts";
import { RegexSyntaxError, type Scanner } from "./scanner.ts";

export type Primitive =
  | { readonly kind: "char"; readonly char: string }
  /** `\xHH`: a byte, where every other way to name a character above 0x7f means its UTF-8 form. */
  | { readonly kind: "byte"; readonly byte: number }
  | { readonly kind: "perl"; readonly name: "d" | "s" | "w"; readonly negated: boolean }
  | { readonly kind: "look"; readonly look: Look };

const CONTROLS: Readonly<Record<string, string>> = { a: "\x07", f: "\f", t: "\t", n: "\n", r: "\r", v: "\v" };
const LOOKS: Readonly<Record<string, Look>> = {
  A: "start",
  z: "end",
  b: "wordEdge",
  B: "notWordEdge",
  "<": "wordStart",
  ">": "wordEnd",
};
const BRACED_LOOKS: Readonly<Record<string, Look>> = {
  start: "wordStart",
  end: "wordEnd",
  "start-half": "wordStartHalf",
  "end-half": "wordEndHalf",
};
const HEX_DIGITS: Readonly<Record<string, number>> = { x: 2, u: 4, U: 8 };

export class Escapes {
  readonly #scanner: Scanner;

  constructor(scanner: Scanner) {
    this.#scanner = scanner;
  }

  /** Reads one escape; the scanner is at the backslash. */
  parse(): Primitive {
    const scanner = this.#scanner;
    scanner.bump();
    const char = scanner.current();
    const digits = HEX_DIGITS[char];
    if (digits !== undefined) return this.#hex(char, digits);
    scanner.bump();
    if (/^[dswDSW]$/.test(char)) {
      const name = char.toLowerCase() as "d" | "s" | "w";
      return { kind: "perl", name, negated: name !== char };
    }
    const control = CONTROLS[char];
    if (control !== undefined) return { kind: "char", char: control };
    const look = LOOKS[char];
    if (look !== undefined) return { kind: "look", look: (char === "b" ? this.#bracedLook() : null) ?? look };
    // Letters and digits are kept for meanings to come (or are \p, a back reference); other ASCII
    // may always be escaped.
    // biome-ignore lint/suspicious/noControlCharactersInRegex: every ASCII character but letters and digits
    if (/^[\x00-\x7f]$/.test(char) && !/^[0-9A-Za-z]$/.test(char)) return { kind: "char", char };
    throw new RegexSyntaxError(`escape \\${char}`);
  }

  #hex(letter: string, length: number): Primitive {
    const scanner = this.#scanner;
    scanner.bumpAndSkip();
    let digits = "";
    const takeDigit = () => {
      if (!/^[0-9A-Fa-f]$/.test(scanner.current())) throw new RegexSyntaxError("hexadecimal digit");
      digits += scanner.current();
      scanner.bumpAndSkip();
    };
    const braced = scanner.current() === "{";
    if (braced) {
      scanner.bumpAndSkip();
      while (scanner.current() !== "}") takeDigit();
      scanner.bumpAndSkip();
    } else {
      while (digits.length < length) takeDigit();
    }
    const value = Number.parseInt(digits, 16);
    const isScalar = value < 0xd800 || (value > 0xdfff && value <= 0x10ffff);
    if (digits === "" || !isScalar) throw new RegexSyntaxError("character number");
    return letter === "x" && !braced
      ? { kind: "byte", byte: value }
      : { kind: "char", char: String.fromCodePoint(value) };
  }

  /** `{start}` and the like after `\b`; null when a repetition or something else follows. */
  #bracedLook(): Look | null {
    const scanner = this.#scanner;
    if (scanner.atEnd || scanner.current() !== "{") return null;
    const start = scanner.position;
    scanner.bumpAndSkip();
    if (!/^[A-Za-z-]$/.test(scanner.current())) {
      scanner.reset(start);
      return null;
    }
    let name = "";
    for (; /^[A-Za-z-]$/.test(scanner.current()); scanner.bumpAndSkip()) name += scanner.current();
    const look = BRACED_LOOKS[name];
    if (scanner.current() !== "}" || look === undefined) throw new RegexSyntaxError("word boundary");
    scanner.bump();
    return look;
  }
}
