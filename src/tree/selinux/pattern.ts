/** The pattern of one file_contexts line, in the syntax that it is in. */

import { inputError } from "../../errors.ts";
import { excerpt } from "../../text.ts";
import type { TransformRules } from "../transform.ts";
import { commonLiteral, commonPrefix, isCommon } from "./common.ts";
import type { SpecLine } from "./lines.ts";
import { type Ast, literalPrefix, programSize, requiredLiteral } from "./regex/ast.ts";
import { Automaton } from "./regex/automaton.ts";
import type { WorkBudget } from "./regex/budget.ts";
import { parseRegex } from "./regex/parse.ts";
import { compilePcre } from "./regex/pcre.ts";
import { compile } from "./regex/program.ts";
import { RegexSyntaxError } from "./regex/scanner.ts";

/** Largest program of one line. The patterns of real policies have under a thousand instructions. */
const SIZE_LIMIT = 50_000;

export interface CompiledLine {
  /** Latin1 text that every path which matches starts with. */
  readonly prefix: string;
  /**
   * Latin1 text that occurs in every path which matches, its type's character appended; empty: none is known. Found
   * when it is asked for.
   */
  readonly literal: () => string;
  /** Whether a path that holds the literal matches. @param key the path with its type's character appended */
  readonly test: (key: string) => boolean;
  /** Whether Rust's syntax rejects it. */
  readonly isPcre: boolean;
}

/**
 * Reads the pattern as `^(pattern)X$`, X being the type's character or any byte. What Rust's syntax rejects
 * (look-around, back references, atomic groups) is PCRE2.
 * @throws SealError `input` when it is wrong in both, too large, or PCRE2 is not wanted
 */
export function compileLine(
  line: SpecLine,
  lookaround: TransformRules["lookaround"],
  budget: WorkBudget,
): CompiledLine {
  const text = `^(${line.pattern})${line.type ?? "."}$`;
  if (isCommon(line.pattern)) {
    const prefix = commonPrefix(line.pattern);
    return {
      prefix,
      literal: once(() => commonLiteral(line.pattern, prefix)),
      test: lazyTest(() => new Automaton(compile(parseRegex(text, line.where)), budget)),
      isPcre: false,
    };
  }
  let ast: Ast;
  try {
    ast = parseRegex(text, line.where);
  } catch (error) {
    if (!(error instanceof RegexSyntaxError)) throw error;
    if (lookaround === "refuse") {
      throw inputError(
        line.where,
        `"${excerpt(line.pattern)}" is not a pattern that the chosen bootc release can read: ${error.message}`,
        error,
      );
    }
    const test = compilePcre(text, line.where, SIZE_LIMIT, budget);
    return { prefix: "", literal: () => "", test, isPcre: true };
  }
  if (programSize(ast) > SIZE_LIMIT) {
    throw inputError(line.where, `"${excerpt(line.pattern)}" repeats too much: the pattern is too large`);
  }
  const prefix = pathPrefix(ast);
  return {
    prefix,
    literal: once(() => requiredLiteral(ast, prefix)),
    test: lazyTest(() => new Automaton(compile(ast), budget)),
    isPcre: false,
  };
}

/**
 * Most patterns are never tried, and most that are lack the literal: what a test needs is made when the
 * first path asks for it.
 */
function lazyTest(makeAutomaton: () => Automaton): CompiledLine["test"] {
  let automaton: Automaton | null = null;
  return (key) => {
    automaton ??= makeAutomaton();
    return automaton.test(key);
  };
}

function once(find: () => string): () => string {
  let found: string | null = null;
  return () => {
    found ??= find();
    return found;
  };
}

/** The part of the literal prefix that surely belongs to the path and not to the type's character after it. */
function pathPrefix(ast: Ast): string {
  if (ast.kind === "concat") {
    const [type, end] = ast.parts.slice(-2);
    // `^(pattern)X$` as it is meant; a stray parenthesis can make something else of it.
    if (end?.kind === "look" && end.look === "end" && (type?.kind === "byte" || type?.kind === "set")) {
      return literalPrefix({ kind: "concat", parts: ast.parts.slice(0, -2) });
    }
  }
  return literalPrefix(ast).slice(0, -1);
}
