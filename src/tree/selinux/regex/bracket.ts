/** Character classes in brackets: ranges, classes by name, nested brackets and set operations (`&&`, `--`, `~~`). */
import type { Ast } from "./ast.ts";
import { addRange, type ByteSet, byteSet, combine, foldCase, negate, PERL_CLASSES, POSIX_CLASSES } from "./byteset.ts";
import type { Escapes, Primitive } from "./escapes.ts";
import { RegexSyntaxError, type Scanner } from "./scanner.ts";

const OPERATIONS = { "&&": "intersection", "--": "difference", "~~": "symmetric" } as const;
type Operation = (typeof OPERATIONS)[keyof typeof OPERATIONS];

/** Adjacent items; `depth` as the nesting limit counts it. */
interface Union {
  readonly set: ByteSet;
  items: number;
  depth: number;
}

/** An open bracket. */
interface Level {
  readonly negated: boolean;
  /** The operation that waits for its right side; they associate to the left. */
  pending: { readonly operation: Operation; readonly left: Union } | null;
  union: Union;
}

/** Reads a class; the scanner is at its `[`. */
export function parseBracket(scanner: Scanner, escapes: Escapes, ignoreCase: boolean): { ast: Ast; depth: number } {
  const levels: Level[] = [openLevel(scanner)];
  for (;;) {
    scanner.skipComment();
    const level = levels[levels.length - 1] as Level;
    const char = scanner.current();
    if (char === "[") {
      const set = posixClass(scanner, ignoreCase);
      if (set !== null) addItem(level.union, set, 0);
      else levels.push(openLevel(scanner));
    } else if (char === "]") {
      scanner.bump();
      levels.pop();
      const { set, depth } = closeLevel(level, ignoreCase);
      const parent = levels[levels.length - 1];
      if (parent === undefined) return { ast: { kind: "set", set }, depth };
      addItem(parent.union, set, depth);
    } else if (isOperation(char + (scanner.peek() ?? ""))) {
      const operation = OPERATIONS[`${char}${char}` as keyof typeof OPERATIONS];
      scanner.take(char + char);
      level.pending = { operation, left: settle(level, ignoreCase) };
      level.union = emptyUnion();
    } else {
      addItem(level.union, parseItem(scanner, escapes), 0);
    }
  }
}

function isOperation(text: string): boolean {
  return text in OPERATIONS;
}

function emptyUnion(): Union {
  return { set: byteSet(), items: 0, depth: 0 };
}

function addItem(union: Union, set: ByteSet, depth: number): void {
  combine(union.set, set, "union");
  union.items++;
  union.depth = Math.max(union.depth, depth);
}

function openLevel(scanner: Scanner): Level {
  scanner.bumpAndSkip();
  const negated = scanner.current() === "^";
  if (negated) scanner.bumpAndSkip();
  const union = emptyUnion();
  for (; scanner.current() === "-"; scanner.bumpAndSkip()) addItem(union, byteSet(0x2d, 0x2d), 0);
  if (union.items === 0 && scanner.current() === "]") {
    addItem(union, byteSet(0x5d, 0x5d), 0);
    scanner.bumpAndSkip();
  }
  // An unclosed class shows here already when nothing follows.
  void scanner.current();
  return { negated, pending: null, union };
}

/** The union so far with the operation that waited for it. */
function settle(level: Level, ignoreCase: boolean): Union {
  const { pending, union } = level;
  const depth = union.depth + (union.items > 1 ? 1 : 0);
  if (pending === null) return { set: union.set, items: 1, depth };
  if (ignoreCase) {
    foldCase(pending.left.set);
    foldCase(union.set);
  }
  combine(pending.left.set, union.set, pending.operation);
  return { set: pending.left.set, items: 1, depth: Math.max(pending.left.depth, depth) + 1 };
}

function closeLevel(level: Level, ignoreCase: boolean): { set: ByteSet; depth: number } {
  const { set, depth } = settle(level, ignoreCase);
  if (ignoreCase) foldCase(set);
  if (level.negated) negate(set);
  return { set, depth: depth + 1 };
}

/** `[:name:]` or `[:^name:]`; null and nothing read when it is something else: a nested bracket. */
function posixClass(scanner: Scanner, ignoreCase: boolean): ByteSet | null {
  if (scanner.peek() !== ":") return null;
  const negated = scanner.peek(2) === "^";
  let name = "";
  let ahead = negated ? 3 : 2;
  for (let char = scanner.peek(ahead); char !== undefined && char !== ":"; char = scanner.peek(++ahead)) name += char;
  const known = POSIX_CLASSES.get(name);
  if (known === undefined || scanner.peek(ahead) !== ":" || scanner.peek(ahead + 1) !== "]") return null;
  scanner.reset(scanner.position + ahead + 2);
  const set = byteSet();
  combine(set, known, "union");
  if (ignoreCase) foldCase(set);
  if (negated) negate(set);
  return set;
}

/** A character, an escape or a range. */
function parseItem(scanner: Scanner, escapes: Escapes): ByteSet {
  const first = parsePrimitive(scanner, escapes);
  scanner.skipComment();
  const after = scanner.current() === "-" ? scanner.peekSpace() : "]";
  if (after === "]" || after === "-") return primitiveSet(first);
  scanner.bumpAndSkip();
  const from = rangeEnd(first);
  const to = rangeEnd(parsePrimitive(scanner, escapes));
  if (from > to) throw new RegexSyntaxError("range backwards");
  const set = byteSet();
  addRange(set, from, to);
  return set;
}

function parsePrimitive(scanner: Scanner, escapes: Escapes): Primitive {
  const char = scanner.current();
  if (char === "\\") return escapes.parse();
  scanner.bump();
  return { kind: "char", char };
}

function primitiveSet(primitive: Primitive): ByteSet {
  if (primitive.kind === "perl") {
    const set = byteSet();
    combine(set, PERL_CLASSES[primitive.name], "union");
    if (primitive.negated) negate(set);
    return set;
  }
  const byte = rangeEnd(primitive);
  return byteSet(byte, byte);
}

/** A byte; characters above ASCII have no place in a class of bytes. */
function rangeEnd(primitive: Primitive): number {
  if (primitive.kind === "byte") return primitive.byte;
  if (primitive.kind === "char" && (primitive.char.codePointAt(0) ?? 0x80) < 0x80) return primitive.char.charCodeAt(0);
  throw new RegexSyntaxError("not a byte in a class");
}
