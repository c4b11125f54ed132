/** Character classes of PCRE2: no nesting and no set operations, unlike those of Rust's regex crate. */
import { addRange, type ByteSet, byteSet, combine, foldCase, negate, POSIX_CLASSES } from "./byteset.ts";
import { type PcreEscape, parseSharedEscape } from "./pcre-escape.ts";
import { RegexSyntaxError, type Scanner } from "./scanner.ts";

type Item = PcreEscape & { kind: "byte" | "set" };

/** Reads a class; the scanner is at its `[`. */
export function parsePcreClass(scanner: Scanner, ignoreCase: boolean): ByteSet {
  scanner.bump();
  const negated = scanner.take("^");
  const set = byteSet();
  for (let first = true; first || scanner.current() !== "]"; first = false) {
    const item = parseItem(scanner);
    const isRange = scanner.peek(0) === "-" && scanner.peek() !== "]";
    if (!isRange || item.kind === "set") {
      addTo(set, item);
      continue;
    }
    scanner.bump();
    const end = parseItem(scanner);
    if (end.kind === "set") {
      // The hyphen is a literal then.
      addTo(set, item);
      addRange(set, 0x2d, 0x2d);
      addTo(set, end);
      continue;
    }
    if (item.byte > end.byte) throw new RegexSyntaxError("range backwards");
    addRange(set, item.byte, end.byte);
  }
  scanner.bump();
  if (ignoreCase) foldCase(set);
  if (negated) negate(set);
  return set;
}

function addTo(set: ByteSet, item: Item): void {
  if (item.kind === "byte") addRange(set, item.byte, item.byte);
  else combine(set, item.set, "union");
}

function parseItem(scanner: Scanner): Item {
  const char = scanner.current();
  if (char === "[" && /^[:.=]$/.test(scanner.peek() ?? "")) {
    const posix = posixClass(scanner);
    if (posix !== null) return { kind: "set", set: posix };
  }
  scanner.bump();
  if (char !== "\\") return { kind: "byte", byte: char.charCodeAt(0) };
  if (scanner.take("b")) return { kind: "byte", byte: 8 };
  if (/^[QEN89]$/.test(scanner.current()))
    throw new RegexSyntaxError(`\\${scanner.current()} in a class is not supported`);
  return parseSharedEscape(scanner);
}

/** `[:name:]`; null and nothing read when it does not end like one. */
function posixClass(scanner: Scanner): ByteSet | null {
  const mark = scanner.peek();
  let name = "";
  let ahead = 2;
  for (; /^[a-z^]$/.test(scanner.peek(ahead) ?? ""); ahead++) name += scanner.peek(ahead);
  if (scanner.peek(ahead) !== mark || scanner.peek(ahead + 1) !== "]") return null;
  const known = POSIX_CLASSES.get(name.replace(/^\^/, ""));
  if (mark !== ":" || known === undefined) throw new RegexSyntaxError(`class [${mark}${name}${mark}]`);
  scanner.reset(scanner.position + ahead + 2);
  if (scanner.peek(0) === "-" && scanner.peek() !== "]") throw new RegexSyntaxError("range from a class");
  const set = known.slice();
  if (name.startsWith("^")) negate(set);
  return set;
}
