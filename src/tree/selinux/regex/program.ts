/** Compiles a regular expression to a nondeterministic automaton (Thompson's construction). */
import type { Ast, Look } from "./ast.ts";
import { type ByteSet, hasByte, PERL_CLASSES } from "./byteset.ts";

/** `next` is the index of the instruction that follows. */
export type Instruction =
  | { readonly op: "byte"; readonly byte: number; readonly next: number }
  | { readonly op: "set"; readonly set: ByteSet; readonly next: number }
  | { readonly op: "look"; readonly look: Look; readonly next: number }
  | { readonly op: "split"; readonly next: readonly number[] }
  | { readonly op: "match" };

export interface Program {
  readonly instructions: readonly Instruction[];
  readonly start: number;
  /** Class of each byte: bytes that no instruction distinguishes share one. */
  readonly classes: Uint8Array;
  readonly classCount: number;
  /** Whether there is a condition on neighbouring bytes that goes beyond start and end of the text. */
  readonly looksAtBytes: boolean;
}

/** @param ast of at most some ten thousand instructions (`programSize`) */
export function compile(ast: Ast): Program {
  // Built from the end to the start, so that every instruction knows what follows.
  const instructions: Instruction[] = [{ op: "match" }];
  const emit = (instruction: Instruction): number => instructions.push(instruction) - 1;
  let looksAtBytes = false;

  const build = (node: Ast, next: number): number => {
    switch (node.kind) {
      case "empty":
        return next;
      case "byte":
        return emit({ op: "byte", byte: node.byte, next });
      case "set":
        return emit({ op: "set", set: node.set, next });
      case "look":
        if (node.look !== "start" && node.look !== "end") looksAtBytes = true;
        return emit({ op: "look", look: node.look, next });
      case "concat":
        return node.parts.reduceRight((after, part) => build(part, after), next);
      case "alternate":
        return emit({ op: "split", next: node.branches.map((branch) => build(branch, next)) });
      case "repeat":
        return repeat(node.body, node.min, node.max, next);
    }
  };

  const repeat = (body: Ast, min: number, max: number | null, next: number): number => {
    let entry = next;
    if (max === null) {
      // The loop's head is emitted before its body, which leads back to it.
      const head = emit({ op: "split", next: [] });
      instructions[head] = { op: "split", next: [build(body, head), next] };
      entry = head;
    } else {
      for (let i = min; i < max; i++) entry = emit({ op: "split", next: [build(body, entry), next] });
    }
    for (let i = 0; i < min; i++) entry = build(body, entry);
    return entry;
  };

  const start = build(ast, 0);
  return { instructions, start, ...byteClasses(instructions, looksAtBytes), looksAtBytes };
}

function byteClasses(
  instructions: readonly Instruction[],
  looksAtBytes: boolean,
): { classes: Uint8Array; classCount: number } {
  const sets = new Set<ByteSet>();
  const bytes = new Set<number>();
  for (const instruction of instructions) {
    if (instruction.op === "set") sets.add(instruction.set);
    else if (instruction.op === "byte") bytes.add(instruction.byte);
  }
  if (looksAtBytes) {
    sets.add(PERL_CLASSES.w);
    bytes.add(0x0a).add(0x0d);
  }
  const classes = new Uint8Array(256);
  let classCount = 1;
  for (const set of sets) {
    // A class that the set splits gets a new number for the part in the set.
    const inside = new Set<number>();
    const outside = new Set<number>();
    for (let byte = 0; byte < 256; byte++) (hasByte(set, byte) ? inside : outside).add(classes[byte] as number);
    const renamed = new Map<number, number>();
    for (const old of inside) if (outside.has(old)) renamed.set(old, classCount++);
    if (renamed.size === 0) continue;
    for (let byte = 0; byte < 256; byte++) {
      const old = classes[byte] as number;
      if (hasByte(set, byte)) classes[byte] = renamed.get(old) ?? old;
    }
  }
  // A literal byte gets its own class, unless it has one.
  const sizes = new Map<number, number>();
  for (const old of classes) sizes.set(old, (sizes.get(old) ?? 0) + 1);
  for (const byte of bytes) {
    const old = classes[byte] as number;
    const size = sizes.get(old) ?? 0;
    if (size < 2) continue;
    sizes.set(old, size - 1);
    classes[byte] = classCount++;
  }
  return { classes, classCount };
}
