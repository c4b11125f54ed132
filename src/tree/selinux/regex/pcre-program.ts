/** Compiles a PCRE2 pattern to instructions for the backtracking matcher. */
import type { ByteSet } from "./byteset.ts";
import { type PcreAst, type PcreLook, widthOf } from "./pcre-ast.ts";
import type { PcrePattern } from "./pcre-parse.ts";
import { RegexSyntaxError } from "./scanner.ts";

/** Longest look-behind, as in PCRE2. */
const BEHIND_LIMIT = 255;

/** `next` is the index of the instruction that follows; the first of several is tried first. */
export type PcreInstruction =
  | { readonly op: "match" }
  | { readonly op: "set"; readonly set: ByteSet; readonly next: number }
  | { readonly op: "look"; readonly look: PcreLook; readonly next: number }
  | { readonly op: "split"; readonly next: readonly number[] }
  /** Puts the position into a slot. */
  | { readonly op: "save"; readonly slot: number; readonly next: number }
  /** Ends a loop whose body took nothing. */
  | { readonly op: "progress"; readonly slot: number; readonly next: number; readonly exit: number }
  | { readonly op: "reference"; readonly slot: number; readonly ignoreCase: boolean; readonly next: number }
  /**
   * Opens a group that is decided as a whole: puts the height of the stack into a slot and the position
   * into the one after it.
   */
  | { readonly op: "enter"; readonly slot: number; readonly otherwise: number | null; readonly next: number }
  /** Steps back for a look-behind. */
  | { readonly op: "back"; readonly min: number; readonly max: number; readonly next: number }
  /** The look-behind ended where it should. */
  | { readonly op: "arrived"; readonly slot: number; readonly next: number }
  | {
      readonly op: "leave";
      readonly slot: number;
      readonly kind: "atomic" | "around" | "negative";
      readonly next: number;
    };

export interface PcreProgram {
  readonly instructions: readonly PcreInstruction[];
  readonly start: number;
  readonly slots: number;
}

/** @throws RegexSyntaxError for too large a pattern, an unbounded look-behind or a reference to no group */
export function compilePcreProgram(pattern: PcrePattern, sizeLimit: number): PcreProgram {
  const instructions: PcreInstruction[] = [{ op: "match" }];
  // Two slots for every capture, numbered from 1.
  let slots = 2 * pattern.captures + 2;

  const emit = (instruction: PcreInstruction): number => {
    if (instructions.length >= sizeLimit) throw new RegexSyntaxError("it repeats too much");
    return instructions.push(instruction) - 1;
  };

  const build = (node: PcreAst, next: number): number => {
    switch (node.kind) {
      case "set":
        return emit({ op: "set", set: node.set, next });
      case "look":
        return emit({ op: "look", look: node.look, next });
      case "concat":
        return node.parts.reduceRight((after, part) => build(part, after), next);
      case "alternate":
        return emit({ op: "split", next: node.branches.map((branch) => build(branch, next)) });
      case "repeat":
        return repeat(node, next);
      case "capture": {
        const slot = 2 * node.index;
        return emit({ op: "save", slot, next: build(node.body, emit({ op: "save", slot: slot + 1, next })) });
      }
      case "reference": {
        const index = typeof node.to === "number" ? node.to : (pattern.names.get(node.to) ?? 0);
        if (index < 1 || index > pattern.captures) throw new RegexSyntaxError(`there is no group ${node.to}`);
        return emit({ op: "reference", slot: 2 * index, ignoreCase: node.ignoreCase, next });
      }
      case "atomic":
        return atomic(node.body, next);
      case "around":
        return around(node, next);
    }
  };

  const atomic = (body: PcreAst, next: number): number => {
    const slot = takeSlots(2);
    const leave = emit({ op: "leave", slot, kind: "atomic", next });
    return emit({ op: "enter", slot, otherwise: null, next: build(body, leave) });
  };

  const around = (node: PcreAst & { kind: "around" }, next: number): number => {
    const slot = takeSlots(2);
    const leave = emit({ op: "leave", slot, kind: node.negative ? "negative" : "around", next });
    const otherwise = node.negative ? next : null;
    if (!node.behind) return emit({ op: "enter", slot, otherwise, next: build(node.body, leave) });
    const { min, max } = widthOf(node.body);
    if (max === null || max > BEHIND_LIMIT) throw new RegexSyntaxError("a look-behind without a bound");
    const body = build(node.body, emit({ op: "arrived", slot, next: leave }));
    return emit({ op: "enter", slot, otherwise, next: emit({ op: "back", min, max, next: body }) });
  };

  const repeat = (node: PcreAst & { kind: "repeat" }, next: number): number => {
    const { body, min, max, mode } = node;
    if (mode === "possessive") return atomic({ ...node, mode: "greedy" }, next);
    const choose = (more: number) => (mode === "greedy" ? [more, next] : [next, more]);
    let entry = next;
    if (max === null) {
      const slot = takeSlots(1);
      const head = emit({ op: "split", next: [] });
      const check = emit({ op: "progress", slot, next: head, exit: next });
      instructions[head] = { op: "split", next: choose(emit({ op: "save", slot, next: build(body, check) })) };
      entry = head;
    } else {
      for (let i = min; i < max; i++) entry = emit({ op: "split", next: choose(build(body, entry)) });
    }
    for (let i = 0; i < min; i++) entry = build(body, entry);
    return entry;
  };

  const takeSlots = (count: number): number => {
    slots += count;
    return slots - count;
  };

  return { instructions, start: build(pattern.ast, 0), slots };
}
