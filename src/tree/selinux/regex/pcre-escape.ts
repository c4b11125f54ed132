/** Escapes of PCRE2 outside of and in classes. */
import { type ByteSet, byteSet, negate, PERL_CLASSES } from "./byteset.ts";
import type { PcreLook } from "./pcre-ast.ts";
import { RegexSyntaxError, type Scanner } from "./scanner.ts";

export type PcreEscape =
  | { readonly kind: "byte"; readonly byte: number }
  | { readonly kind: "set"; readonly set: ByteSet }
  | { readonly kind: "look"; readonly look: PcreLook }
  | { readonly kind: "reference"; readonly to: number | string };

const CONTROLS: Readonly<Record<string, number>> = { a: 7, e: 27, f: 12, n: 10, r: 13, t: 9 };
const LOOKS: Readonly<Record<string, PcreLook>> = {
  A: "start",
  Z: "endOrNewline",
  z: "end",
  b: "wordEdge",
  B: "notWordEdge",
};
const SETS: Readonly<Record<string, ByteSet>> = {
  ...PERL_CLASSES,
  h: byteSet(0x09, 0x09, 0x20, 0x20, 0xa0, 0xa0),
  v: byteSet(0x0a, 0x0d, 0x85, 0x85),
};

/** @param captures groups opened so far, which decides whether `\12` is a reference or an octal number */
export function parsePcreEscape(scanner: Scanner, captures: number): PcreEscape {
  scanner.bump();
  const char = scanner.current();
  const look = LOOKS[char];
  if (look !== undefined) {
    scanner.bump();
    return { kind: "look", look };
  }
  if (char === "N" && scanner.peek() !== "{") {
    scanner.bump();
    return { kind: "set", set: byteSet(0, 9, 11, 255) };
  }
  if (char === "g" || char === "k") return reference(scanner, captures);
  if (/^[1-9]$/.test(char)) {
    let digits = "";
    for (let i = 0; /^\d$/.test(scanner.peek(i) ?? ""); i++) digits += scanner.peek(i);
    const number = Number(digits);
    if (number < 10 || number <= captures) {
      scanner.reset(scanner.position + digits.length);
      return { kind: "reference", to: number };
    }
    if (char > "7") throw new RegexSyntaxError(`reference to group ${digits}, which there is not`);
  }
  return parseSharedEscape(scanner);
}

/** What means the same in classes; the scanner is after the backslash. */
export function parseSharedEscape(scanner: Scanner): PcreEscape & { kind: "byte" | "set" } {
  const char = scanner.current();
  if (/^[0-7]$/.test(char)) {
    const digits = takeDigits(scanner, /^[0-7]$/, 3);
    const byte = Number.parseInt(digits, 8);
    if (byte > 255) throw new RegexSyntaxError("octal number over 255");
    return { kind: "byte", byte };
  }
  scanner.bump();
  if (char === "x") return { kind: "byte", byte: hexByte(scanner) };
  const control = CONTROLS[char];
  if (control !== undefined) return { kind: "byte", byte: control };
  const set = SETS[char.toLowerCase()];
  if (set !== undefined) {
    const result = set.slice();
    if (char !== char.toLowerCase()) negate(result);
    return { kind: "set", set: result };
  }
  if (/^[0-9A-Za-z]$/.test(char)) throw new RegexSyntaxError(`\\${char} is not supported`);
  return { kind: "byte", byte: char.charCodeAt(0) };
}

function hexByte(scanner: Scanner): number {
  const braced = scanner.take("{");
  const digits = takeDigits(scanner, /^[0-9A-Fa-f]$/, braced ? 8 : 2);
  if (braced && (digits === "" || !scanner.take("}"))) throw new RegexSyntaxError("hexadecimal number");
  const byte = digits === "" ? 0 : Number.parseInt(digits, 16);
  if (byte > 255) throw new RegexSyntaxError("character above 255");
  return byte;
}

function takeDigits(scanner: Scanner, digit: RegExp, most: number): string {
  let digits = "";
  while (digits.length < most && digit.test(scanner.peek(0) ?? "")) {
    digits += scanner.current();
    scanner.bump();
  }
  return digits;
}

/** `\g1`, `\g{1}`, `\g{-1}`, `\g{name}`, `\k{name}`, `\k<name>`, `\k'name'`. */
function reference(scanner: Scanner, captures: number): PcreEscape {
  const letter = scanner.current();
  scanner.bump();
  const close = { "{": "}", "<": ">", "'": "'" }[scanner.peek(0) ?? ""];
  if (close !== undefined && (letter === "k" || close === "}")) {
    scanner.bump();
    if (letter === "k" || !/^[-\d]$/.test(scanner.current()))
      return { kind: "reference", to: readName(scanner, close) };
    const to = groupNumber(scanner, captures);
    if (!scanner.take(close)) throw new RegexSyntaxError("group number");
    return { kind: "reference", to };
  }
  if (letter === "k" || close !== undefined) throw new RegexSyntaxError(`\\${letter} without a group`);
  return { kind: "reference", to: groupNumber(scanner, captures) };
}

function groupNumber(scanner: Scanner, captures: number): number {
  const relative = scanner.take("-");
  const digits = takeDigits(scanner, /^\d$/, 6);
  if (digits === "") throw new RegexSyntaxError("group number");
  const number = relative ? captures + 1 - Number(digits) : Number(digits);
  if (number < 1) throw new RegexSyntaxError("group number");
  return number;
}

/** A group's name up to `close`, which is read too unless `take` is false. */
export function readName(scanner: Scanner, close: string, take = true): string {
  let name = "";
  for (; scanner.current() !== close; scanner.bump()) name += scanner.current();
  if (take) scanner.bump();
  if (!/^[A-Za-z_]\w{0,31}$/.test(name)) throw new RegexSyntaxError("group name");
  return name;
}
