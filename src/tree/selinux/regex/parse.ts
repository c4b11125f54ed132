/**
 * The syntax of Rust's `regex` crate (regex-syntax 0.8) with Unicode off, over bytes, line terminator NUL: what
 * composefs-rs compiles the lines of a SELinux policy with. https://docs.rs/regex/latest/regex/#syntax
 *
 * Nothing in here recurses on the input: groups and brackets are kept on stacks.
 */

import { utf8 } from "../../../bytes.ts";
import { inputError } from "../../../errors.ts";
import { excerpt } from "../../../text.ts";
import { type Ast, concatenation, EMPTY, type Look } from "./ast.ts";
import { parseBracket } from "./bracket.ts";
import { addRange, type ByteSet, byteSet, foldCase, negate, PERL_CLASSES } from "./byteset.ts";
import { Escapes, type Primitive } from "./escapes.ts";
import { type Flags, NO_FLAGS, parseFlags } from "./flags.ts";
import { RegexSyntaxError, Scanner } from "./scanner.ts";

/** Deepest nesting of groups, repetitions, alternations, sequences and brackets; regex-syntax takes no more. */
const NEST_LIMIT = 250;

/** A parsed part; `depth` counts what {@link NEST_LIMIT} bounds. */
interface Item {
  readonly ast: Ast;
  readonly depth: number;
  /** Flags by themselves can't be repeated. */
  readonly repeatable: boolean;
}

interface Group {
  /** What precedes the group in its sequence, and that sequence in its alternation. */
  readonly before: Item[];
  readonly branches: Item[];
  readonly flags: Flags;
}

/**
 * @param subject the line in messages
 * @throws RegexSyntaxError when the crate rejects the pattern
 * @throws SealError `input` for Unicode mode, which is not supported here
 */
export function parseRegex(pattern: string, subject: string): Ast {
  return new Parser(pattern, subject).parse();
}

class Parser {
  readonly #scanner: Scanner;
  readonly #escapes: Escapes;
  readonly #subject: string;
  readonly #groups: Group[] = [];
  readonly #names = new Set<string>();
  #sequence: Item[] = [];
  #branches: Item[] = [];
  #flags: Flags = NO_FLAGS;

  constructor(pattern: string, subject: string) {
    this.#scanner = new Scanner(pattern);
    this.#escapes = new Escapes(this.#scanner);
    this.#subject = subject;
  }

  parse(): Ast {
    const scanner = this.#scanner;
    for (;;) {
      scanner.skipComment();
      if (scanner.atEnd) break;
      switch (scanner.current()) {
        case "(":
          this.#openGroup();
          break;
        case ")":
          this.#closeGroup();
          break;
        case "|":
          scanner.bump();
          this.#branches.push(sequenceItem(this.#sequence));
          this.#sequence = [];
          break;
        case "[":
          this.#push(parseBracket(scanner, this.#escapes, this.#flags.ignoreCase));
          break;
        case "?":
          this.#repeat(0, 1);
          break;
        case "*":
          this.#repeat(0, null);
          break;
        case "+":
          this.#repeat(1, null);
          break;
        case "{":
          this.#repeatCounted();
          break;
        default:
          this.#push({ ast: this.#primitive(), depth: 0 });
      }
    }
    if (this.#groups.length > 0) throw new RegexSyntaxError("unclosed group");
    const whole = this.#alternation();
    if (whole.depth > NEST_LIMIT) throw new RegexSyntaxError("nested too deeply");
    return whole.ast;
  }

  #push(item: { ast: Ast; depth: number }): void {
    this.#sequence.push({ ...item, repeatable: true });
  }

  #alternation(): Item {
    const last = sequenceItem(this.#sequence);
    if (this.#branches.length === 0) return last;
    const branches = [...this.#branches, last];
    const depth = 1 + branches.reduce((max, branch) => Math.max(max, branch.depth), 0);
    return { ast: { kind: "alternate", branches: branches.map((branch) => branch.ast) }, depth, repeatable: true };
  }

  #openGroup(): void {
    const scanner = this.#scanner;
    scanner.bump();
    scanner.skipComment();
    if (["?=", "?!", "?<=", "?<!"].some((prefix) => scanner.startsWith(prefix))) {
      throw new RegexSyntaxError("look-around");
    }
    let inner = this.#flags;
    if (scanner.take("?P<") || scanner.take("?<")) {
      this.#groupName();
    } else if (scanner.take("?")) {
      const { flags, unicode, given } = parseFlags(scanner, this.#flags);
      if (unicode) {
        throw inputError(
          this.#subject,
          `"${excerpt(scanner.text)}" turns on Unicode mode, which seal does not know; remove the flag u`,
        );
      }
      const end = scanner.current();
      scanner.bump();
      if (end === ")") {
        if (!given) throw new RegexSyntaxError("empty flags");
        this.#flags = flags;
        scanner.ignoreSpace = flags.ignoreSpace;
        this.#sequence.push({ ast: EMPTY, depth: 0, repeatable: false });
        return;
      }
      inner = flags;
    }
    this.#groups.push({ before: this.#sequence, branches: this.#branches, flags: this.#flags });
    this.#sequence = [];
    this.#branches = [];
    this.#flags = inner;
    scanner.ignoreSpace = inner.ignoreSpace;
  }

  #groupName(): void {
    const scanner = this.#scanner;
    let name = "";
    while (!scanner.atEnd && scanner.current() !== ">") {
      const valid = name === "" ? /^[\p{Alphabetic}_]$/u : /^[\p{Alphabetic}\p{N}_.[\]]$/u;
      if (!valid.test(scanner.current())) throw new RegexSyntaxError("bad group name");
      name += scanner.current();
      scanner.bump();
    }
    if (scanner.atEnd || name === "") throw new RegexSyntaxError("bad group name");
    scanner.bump();
    if (this.#names.has(name)) throw new RegexSyntaxError("group name twice");
    this.#names.add(name);
  }

  #closeGroup(): void {
    const group = this.#groups.pop();
    if (group === undefined) throw new RegexSyntaxError("unopened group");
    const { ast, depth } = this.#alternation();
    this.#sequence = group.before;
    this.#branches = group.branches;
    this.#flags = group.flags;
    this.#scanner.ignoreSpace = group.flags.ignoreSpace;
    this.#scanner.bump();
    this.#push({ ast, depth: depth + 1 });
  }

  #repeat(min: number, max: number | null): void {
    const body = this.#repeatable();
    this.#scanner.bump();
    this.#finishRepeat(body, min, max);
  }

  #repeatCounted(): void {
    const scanner = this.#scanner;
    const body = this.#repeatable();
    scanner.bumpAndSkip();
    const min = scanner.takeDecimal();
    let max: number | null = min;
    if (!scanner.atEnd && scanner.current() === ",") {
      scanner.bumpAndSkip();
      max = !scanner.atEnd && scanner.current() === "}" ? null : scanner.takeDecimal();
    }
    if (scanner.atEnd || scanner.current() !== "}" || (max !== null && min > max)) {
      throw new RegexSyntaxError("bad repetition count");
    }
    scanner.bumpAndSkip();
    this.#finishRepeat(body, min, max);
  }

  #repeatable(): Item {
    const body = this.#sequence.pop();
    if (body === undefined || !body.repeatable) throw new RegexSyntaxError("nothing to repeat");
    return body;
  }

  #finishRepeat(body: Item, min: number, max: number | null): void {
    this.#scanner.take("?");
    this.#push({ ast: { kind: "repeat", body: body.ast, min, max }, depth: body.depth + 1 });
  }

  #primitive(): Ast {
    const scanner = this.#scanner;
    const char = scanner.current();
    if (char === "\\") return this.#escaped(this.#escapes.parse());
    scanner.bump();
    switch (char) {
      case ".":
        return { kind: "set", set: this.#dot() };
      case "^":
        return this.#look("start");
      case "$":
        return this.#look("end");
      default:
        return this.#literal(char);
    }
  }

  #escaped(primitive: Primitive): Ast {
    switch (primitive.kind) {
      case "byte":
        return primitive.byte < 0x80
          ? this.#literal(String.fromCharCode(primitive.byte))
          : { kind: "byte", byte: primitive.byte };
      case "char":
        return this.#literal(primitive.char);
      case "perl": {
        const set = byteSet();
        set.set(PERL_CLASSES[primitive.name]);
        if (primitive.negated) negate(set);
        return { kind: "set", set };
      }
      case "look":
        return { kind: "look", look: primitive.look };
    }
  }

  /** `.` takes all but the line terminator, which is NUL. */
  #dot(): ByteSet {
    const set = byteSet(0, 255);
    if (this.#flags.dotAll) return set;
    const excluded = this.#flags.crlf ? byteSet(0x0a, 0x0a, 0x0d, 0x0d) : byteSet(0, 0);
    for (let i = 0; i < 8; i++) set[i] = (set[i] as number) & ~(excluded[i] as number);
    return set;
  }

  #look(which: "start" | "end"): Ast {
    const { multiLine, crlf } = this.#flags;
    const look: Look = multiLine ? `${which}${crlf ? "Crlf" : "Line"}` : which;
    return { kind: "look", look };
  }

  #literal(char: string): Ast {
    if (this.#flags.ignoreCase && /^[a-zA-Z]$/.test(char)) {
      const set = byteSet();
      addRange(set, char.charCodeAt(0), char.charCodeAt(0));
      foldCase(set);
      return { kind: "set", set };
    }
    const code = char.codePointAt(0) as number;
    if (code < 0x80) return { kind: "byte", byte: code };
    return concatenation([...utf8(char)].map((byte) => ({ kind: "byte", byte })));
  }
}

function sequenceItem(items: readonly Item[]): Item {
  const [first] = items;
  if (items.length === 1 && first !== undefined) return first;
  const depth = items.length === 0 ? 0 : 1 + items.reduce((max, item) => Math.max(max, item.depth), 0);
  return { ast: concatenation(items.map((item) => item.ast)), depth, repeatable: true };
}
