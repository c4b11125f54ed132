/**
 * The part of PCRE2's syntax (pcre2pattern(3), no options, no UTF) that file_contexts lines have a use for:
 * look-around, atomic groups, possessive repetition and back references on top of the usual. Recursion, conditions,
 * verbs, callouts and Unicode properties are refused.
 */
import { addRange, type ByteSet, byteSet, foldCase } from "./byteset.ts";
import type { PcreAst } from "./pcre-ast.ts";
import { parsePcreClass } from "./pcre-class.ts";
import { parsePcreEscape, readName } from "./pcre-escape.ts";
import { RegexSyntaxError, Scanner } from "./scanner.ts";

/** PCRE2's own default limit on parentheses. */
const NEST_LIMIT = 250;
const COUNT_LIMIT = 65_535;

interface Flags {
  ignoreCase: boolean;
  multiLine: boolean;
  dotAll: boolean;
  ignoreSpace: boolean;
  lazy: boolean;
}
const FLAG_NAMES: Readonly<Record<string, keyof Flags>> = {
  i: "ignoreCase",
  m: "multiLine",
  s: "dotAll",
  x: "ignoreSpace",
  U: "lazy",
};

export interface PcrePattern {
  readonly ast: PcreAst;
  /** Number of capturing groups. */
  readonly captures: number;
  readonly names: ReadonlyMap<string, number>;
}

/**
 * @param pattern latin1 text of the pattern's bytes
 * @throws RegexSyntaxError when it is wrong or uses what is not supported
 */
export function parsePcre(pattern: string): PcrePattern {
  const parser = new Parser(pattern);
  const ast = parser.parse();
  return { ast, captures: parser.captures, names: parser.names };
}

class Parser {
  readonly #scanner: Scanner;
  readonly names = new Map<string, number>();
  captures = 0;
  #depth = 0;
  #flags: Flags = { ignoreCase: false, multiLine: false, dotAll: false, ignoreSpace: false, lazy: false };

  constructor(pattern: string) {
    this.#scanner = new Scanner(pattern);
  }

  parse(): PcreAst {
    const ast = this.#alternation();
    if (!this.#scanner.atEnd) throw new RegexSyntaxError("unmatched closing parenthesis");
    return ast;
  }

  #alternation(): PcreAst {
    const branches = [this.#sequence()];
    while (this.#scanner.take("|")) branches.push(this.#sequence());
    return branches.length === 1 ? (branches[0] as PcreAst) : { kind: "alternate", branches };
  }

  #sequence(): PcreAst {
    const scanner = this.#scanner;
    const parts: PcreAst[] = [];
    for (;;) {
      scanner.ignoreSpace = this.#flags.ignoreSpace;
      scanner.skipComment();
      if (scanner.atEnd || scanner.current() === "|" || scanner.current() === ")") break;
      const item = this.#item();
      if (item !== null) parts.push(item.repeatable ? this.#quantified(item.ast) : item.ast);
    }
    return { kind: "concat", parts };
  }

  /** One item without what repeats it; null for what only sets flags or comments. */
  #item(): { ast: PcreAst; repeatable: boolean } | null {
    const scanner = this.#scanner;
    const char = scanner.current();
    if (char === "(") return this.#group();
    if (char === "[") return this.#set(parsePcreClass(scanner, this.#flags.ignoreCase));
    if (char === "\\") {
      if (scanner.take("\\Q")) return this.#quoted();
      if (scanner.take("\\E")) return null;
      if (scanner.take("\\R")) return { ast: NEWLINE, repeatable: true };
      const escaped = parsePcreEscape(scanner, this.captures);
      if (escaped.kind === "look") return { ast: escaped, repeatable: false };
      if (escaped.kind === "set") return this.#set(escaped.set);
      if (escaped.kind === "byte") return this.#set(this.#literal(escaped.byte));
      return { ast: { ...escaped, ignoreCase: this.#flags.ignoreCase }, repeatable: true };
    }
    if (char === "*" || char === "+" || char === "?" || (char === "{" && this.#count() !== null)) {
      throw new RegexSyntaxError("nothing to repeat");
    }
    scanner.bump();
    const { multiLine, dotAll } = this.#flags;
    if (char === "^") return { ast: { kind: "look", look: multiLine ? "startLine" : "start" }, repeatable: false };
    if (char === "$") return { ast: { kind: "look", look: multiLine ? "endLine" : "endOrNewline" }, repeatable: false };
    if (char === ".") return this.#set(dotAll ? byteSet(0, 255) : byteSet(0, 9, 11, 255));
    return this.#set(this.#literal(char.charCodeAt(0)));
  }

  #set(set: ByteSet): { ast: PcreAst; repeatable: boolean } {
    return { ast: { kind: "set", set }, repeatable: true };
  }

  #literal(byte: number): ByteSet {
    const set = byteSet();
    addRange(set, byte, byte);
    if (this.#flags.ignoreCase) foldCase(set);
    return set;
  }

  /** `\Q…\E`. What repeats it repeats its last character, which is refused here. */
  #quoted(): { ast: PcreAst; repeatable: boolean } {
    const scanner = this.#scanner;
    const parts: PcreAst[] = [];
    while (!scanner.atEnd && !scanner.take("\\E")) {
      parts.push({ kind: "set", set: this.#literal(scanner.current().charCodeAt(0)) });
      scanner.bump();
    }
    return { ast: { kind: "concat", parts }, repeatable: false };
  }

  #quantified(body: PcreAst): PcreAst {
    const scanner = this.#scanner;
    scanner.skipComment();
    if (scanner.atEnd) return body;
    let range: { min: number; max: number | null } | null = null;
    if (scanner.take("*")) range = { min: 0, max: null };
    else if (scanner.take("+")) range = { min: 1, max: null };
    else if (scanner.take("?")) range = { min: 0, max: 1 };
    else if (scanner.current() === "{") range = this.#count();
    if (range === null) return body;
    let mode: "greedy" | "lazy" | "possessive" = this.#flags.lazy ? "lazy" : "greedy";
    if (scanner.take("+")) mode = "possessive";
    else if (scanner.take("?")) mode = this.#flags.lazy ? "greedy" : "lazy";
    return { kind: "repeat", body, ...range, mode };
  }

  /** `{n}`, `{n,}`, `{n,m}`, `{,m}`; null and nothing read when the brace is a literal. */
  #count(): { min: number; max: number | null } | null {
    const scanner = this.#scanner;
    let ahead = 1;
    const digits = () => {
      let text = "";
      for (let char = scanner.peek(ahead); char !== undefined && /^\d$/.test(char); char = scanner.peek(++ahead))
        text += char;
      return text;
    };
    const low = digits();
    let high = low;
    if (scanner.peek(ahead) === ",") {
      ahead++;
      high = digits();
      if (low === "" && high === "") return null;
    }
    if (scanner.peek(ahead) !== "}" || (low === "" && high === "")) return null;
    scanner.reset(scanner.position + ahead + 1);
    const min = Number(low);
    const max = high === "" ? null : Number(high);
    if (min > COUNT_LIMIT || (max ?? 0) > COUNT_LIMIT || (max !== null && min > max)) {
      throw new RegexSyntaxError("repetition count");
    }
    return { min, max };
  }

  #group(): { ast: PcreAst; repeatable: boolean } | null {
    const scanner = this.#scanner;
    scanner.bump();
    if (++this.#depth > NEST_LIMIT) throw new RegexSyntaxError("nested too deeply");
    const outer = this.#flags;
    this.#flags = { ...outer };
    const result = this.#groupBody();
    if (result === "flags") {
      // They last until the group around them ends.
      this.#depth--;
      return null;
    }
    if (result !== "comment" && !scanner.take(")")) throw new RegexSyntaxError("missing closing parenthesis");
    this.#flags = outer;
    this.#depth--;
    return result === "comment" ? null : { ast: result, repeatable: true };
  }

  #groupBody(): PcreAst | "flags" | "comment" {
    const scanner = this.#scanner;
    if (scanner.startsWith("*")) throw new RegexSyntaxError("verbs are not supported");
    if (!scanner.take("?")) return this.#capture();
    if (scanner.take("#")) {
      while (scanner.current() !== ")") scanner.bump();
      scanner.bump();
      return "comment";
    }
    if (scanner.take(">")) return { kind: "atomic", body: this.#alternation() };
    for (const [prefix, behind, negative] of AROUNDS) {
      if (scanner.take(prefix)) return { kind: "around", body: this.#alternation(), behind, negative };
    }
    if (scanner.take("P="))
      return { kind: "reference", to: readName(scanner, ")", false), ignoreCase: this.#flags.ignoreCase };
    if (scanner.take("P<") || scanner.take("<")) return this.#capture(readName(scanner, ">"));
    if (scanner.take("'")) return this.#capture(readName(scanner, "'"));
    if (this.#takeFlags() === ")") return "flags";
    return this.#alternation();
  }

  #capture(name?: string): PcreAst {
    const index = ++this.captures;
    if (name !== undefined) {
      if (this.names.has(name)) throw new RegexSyntaxError("group name twice");
      this.names.set(name, index);
    }
    return { kind: "capture", index, body: this.#alternation() };
  }

  /** Reads flags and the character that ends them. */
  #takeFlags(): ")" | ":" {
    const scanner = this.#scanner;
    let on = true;
    for (;;) {
      const char = scanner.current();
      scanner.bump();
      if (char === ")" || char === ":") return char;
      const name = FLAG_NAMES[char];
      if (char === "-" && on) on = false;
      else if (name !== undefined) this.#flags[name] = on;
      else throw new RegexSyntaxError(`(?${char} is not supported`);
    }
  }
}

/** `\R`: one end of a line, never half of `\r\n`. */
const NEWLINE: PcreAst = {
  kind: "atomic",
  body: {
    kind: "alternate",
    branches: [
      {
        kind: "concat",
        parts: [
          { kind: "set", set: byteSet(0x0d, 0x0d) },
          { kind: "set", set: byteSet(0x0a, 0x0a) },
        ],
      },
      { kind: "set", set: byteSet(0x0a, 0x0d, 0x85, 0x85) },
    ],
  },
};

const AROUNDS = [
  ["=", false, false],
  ["!", false, true],
  ["<=", true, false],
  ["<!", true, true],
] as const;
