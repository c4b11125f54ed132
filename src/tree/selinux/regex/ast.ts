/** A regular expression over bytes, as far as it decides whether something matches: greediness and captures do not. */
import type { ByteSet } from "./byteset.ts";

/** A condition on the place between two bytes. `…Line` is after or before `\n`, `…Crlf` also knows `\r\n` and `\r`. */
export type Look =
  | "start"
  | "end"
  | "startLine"
  | "endLine"
  | "startCrlf"
  | "endCrlf"
  | "wordEdge"
  | "notWordEdge"
  | "wordStart"
  | "wordEnd"
  | "wordStartHalf"
  | "wordEndHalf";

export type Ast =
  | { readonly kind: "empty" }
  | { readonly kind: "byte"; readonly byte: number }
  | { readonly kind: "set"; readonly set: ByteSet }
  | { readonly kind: "look"; readonly look: Look }
  | { readonly kind: "concat"; readonly parts: readonly Ast[] }
  | { readonly kind: "alternate"; readonly branches: readonly Ast[] }
  /** `max` null: without end. */
  | { readonly kind: "repeat"; readonly body: Ast; readonly min: number; readonly max: number | null };

export const EMPTY: Ast = { kind: "empty" };

export function concatenation(parts: readonly Ast[]): Ast {
  return parts.length === 1 ? (parts[0] as Ast) : parts.length === 0 ? EMPTY : { kind: "concat", parts };
}

/**
 * The instructions that {@link Ast} needs in a program; counted repetition multiplies, so the number can be enormous.
 */
export function programSize(ast: Ast): number {
  switch (ast.kind) {
    case "empty":
      return 0;
    case "byte":
    case "set":
    case "look":
      return 1;
    case "concat":
      return ast.parts.reduce((sum, part) => sum + programSize(part), 0);
    case "alternate":
      return ast.branches.reduce((sum, branch) => sum + programSize(branch) + 2, 0);
    case "repeat": {
      const body = programSize(ast.body) + 2;
      return body * Math.max(ast.max ?? ast.min + 1, 1);
    }
  }
}

/**
 * Bytes, as latin1 text, that everything which matches starts with. What matches may go on differently, so this is a
 * filter, no replacement for matching.
 */
export function literalPrefix(ast: Ast): string {
  return prefixOf(ast).text;
}

/** `whole`: the text is all that the expression takes, so what follows it extends the prefix. */
function prefixOf(ast: Ast): { readonly text: string; readonly whole: boolean } {
  switch (ast.kind) {
    case "empty":
    case "look":
      return { text: "", whole: true };
    case "byte":
      return { text: String.fromCharCode(ast.byte), whole: true };
    case "set":
      return { text: "", whole: false };
    case "concat": {
      let text = "";
      for (const part of ast.parts) {
        const prefix = prefixOf(part);
        text += prefix.text;
        if (!prefix.whole) return { text, whole: false };
      }
      return { text, whole: true };
    }
    case "alternate": {
      const texts = ast.branches.map((branch) => prefixOf(branch).text);
      return { text: texts.reduce(commonPrefix), whole: false };
    }
    case "repeat": {
      if (ast.min === 0) return { text: "", whole: ast.max === 0 };
      const body = prefixOf(ast.body);
      return { text: body.text, whole: body.whole && ast.min === 1 && ast.max === 1 };
    }
  }
}

/**
 * The longest latin1 text that occurs in everything that matches, as far as it is easily seen: a filter that is
 * quicker than matching.
 * @param known what is known to stand there already
 * @returns empty when there is none
 */
export function requiredLiteral(ast: Ast, known: string): string {
  let longest = "";
  let run = "";
  const visit = (node: Ast): void => {
    if (node.kind === "byte") {
      run += String.fromCharCode(node.byte);
      if (run.length > longest.length && !known.includes(run)) longest = run;
    } else if (node.kind === "concat") {
      node.parts.forEach(visit);
    } else if (node.kind !== "look" && node.kind !== "empty") {
      run = "";
    }
  };
  visit(ast);
  return longest;
}

function commonPrefix(a: string, b: string): string {
  let length = 0;
  while (length < a.length && a[length] === b[length]) length++;
  return a.slice(0, length);
}
