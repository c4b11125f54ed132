/** Matches patterns in PCRE2's syntax by backtracking, on its own stack and with a bound on the work. */
import { latin1, utf8 } from "../../../bytes.ts";
import { inputError } from "../../../errors.ts";
import type { WorkBudget } from "./budget.ts";
import { hasByte, PERL_CLASSES } from "./byteset.ts";
import type { PcreLook } from "./pcre-ast.ts";
import { parsePcre } from "./pcre-parse.ts";
import { compilePcreProgram, type PcreInstruction, type PcreProgram } from "./pcre-program.ts";
import { RegexSyntaxError } from "./scanner.ts";

/** The budget is charged for so many steps at a time. */
const CHARGE = 4096;

/**
 * @param pattern as written in the policy
 * @param subject the line in messages
 * @param sizeLimit most instructions of the compiled pattern
 * @returns whether a latin1 text contains a match
 * @throws SealError `input` when the pattern is wrong, too large or uses what is not supported
 */
export function compilePcre(
  pattern: string,
  subject: string,
  sizeLimit: number,
  budget: WorkBudget,
): (text: string) => boolean {
  try {
    const program = compilePcreProgram(parsePcre(latin1(utf8(pattern))), sizeLimit);
    return (text) => {
      for (let start = 0; start <= text.length; start++) if (matchAt(program, text, start, budget)) return true;
      return false;
    };
  } catch (error) {
    if (!(error instanceof RegexSyntaxError)) throw error;
    throw inputError(subject, `the pattern can't be read: ${pattern}: ${error.message}`, error);
  }
}

/**
 * The stack holds pairs of numbers: places to go back to (instruction, position) and slots to set back
 * (-1 - slot, old value).
 */
function matchAt(program: PcreProgram, text: string, start: number, budget: WorkBudget): boolean {
  const slots = new Int32Array(program.slots).fill(-1);
  const stack: number[] = [];
  const setSlot = (slot: number, value: number) => {
    stack.push(-1 - slot, slots[slot] as number);
    slots[slot] = value;
  };
  /** Sets slots back until there is a place to go back to, but not below `floor`; null when there is none. */
  const backtrack = (floor: number): [number, number] | null => {
    while (stack.length > floor) {
      const value = stack.pop() as number;
      const target = stack.pop() as number;
      if (target >= 0) return [target, value];
      slots[-1 - target] = value;
    }
    return null;
  };

  let at = program.start;
  let position = start;
  for (let steps = 1; ; steps++) {
    if (steps % CHARGE === 0) budget.spend(CHARGE);
    const instruction = program.instructions[at] as PcreInstruction;
    let failed = false;
    switch (instruction.op) {
      case "match":
        budget.spend(steps % CHARGE);
        return true;
      case "set":
        failed = position >= text.length || !hasByte(instruction.set, text.charCodeAt(position));
        position++;
        at = instruction.next;
        break;
      case "look":
        failed = !holds(instruction.look, text, position);
        at = instruction.next;
        break;
      case "split":
        for (let i = instruction.next.length - 1; i > 0; i--) stack.push(instruction.next[i] as number, position);
        at = instruction.next[0] as number;
        break;
      case "save":
        setSlot(instruction.slot, position);
        at = instruction.next;
        break;
      case "progress":
        at = slots[instruction.slot] === position ? instruction.exit : instruction.next;
        break;
      case "reference": {
        const [from, to] = [slots[instruction.slot] as number, slots[instruction.slot + 1] as number];
        const length = to - from;
        failed = from < 0 || to < 0 || !sameText(text, from, position, length, instruction.ignoreCase);
        position += length;
        at = instruction.next;
        break;
      }
      case "enter":
        // A negative look-around succeeds when its body fails: the way on is the place to go back to.
        setSlot(instruction.slot + 1, position);
        setSlot(instruction.slot, stack.length);
        if (instruction.otherwise !== null) stack.push(instruction.otherwise, position);
        at = instruction.next;
        break;
      case "back": {
        const most = Math.min(instruction.max, position);
        failed = most < instruction.min;
        for (let width = most; width > instruction.min; width--) stack.push(instruction.next, position - width);
        position -= instruction.min;
        at = instruction.next;
        break;
      }
      case "arrived":
        failed = position !== slots[instruction.slot + 1];
        at = instruction.next;
        break;
      case "leave": {
        const floor = slots[instruction.slot] as number;
        if (instruction.kind === "negative") {
          while (backtrack(floor) !== null);
          failed = true;
          break;
        }
        if (instruction.kind === "around") position = slots[instruction.slot + 1] as number;
        dropPlaces(stack, floor);
        at = instruction.next;
        break;
      }
    }
    if (failed) {
      const place = backtrack(0);
      if (place === null) {
        budget.spend(steps % CHARGE);
        return false;
      }
      [at, position] = place;
    }
  }
}

/** What was decided stays decided: forgets the places above `floor`, but not what set slots back. */
function dropPlaces(stack: number[], floor: number): void {
  let end = floor;
  for (let i = floor; i < stack.length; i += 2) {
    if ((stack[i] as number) >= 0) continue;
    stack[end] = stack[i] as number;
    stack[end + 1] = stack[i + 1] as number;
    end += 2;
  }
  stack.length = end;
}

function sameText(text: string, a: number, b: number, length: number, ignoreCase: boolean): boolean {
  if (b + length > text.length) return false;
  const [left, right] = [text.slice(a, a + length), text.slice(b, b + length)];
  return ignoreCase ? asciiLower(left) === asciiLower(right) : left === right;
}

function asciiLower(text: string): string {
  return text.replace(/[A-Z]/g, (letter) => letter.toLowerCase());
}

function isWord(text: string, position: number): boolean {
  return position >= 0 && position < text.length && hasByte(PERL_CLASSES.w, text.charCodeAt(position));
}

function holds(look: PcreLook, text: string, position: number): boolean {
  switch (look) {
    case "start":
      return position === 0;
    case "end":
      return position === text.length;
    case "endOrNewline":
      return position === text.length || (position === text.length - 1 && text[position] === "\n");
    case "startLine":
      return position === 0 || (text[position - 1] === "\n" && position < text.length);
    case "endLine":
      return position === text.length || text[position] === "\n";
    case "wordEdge":
      return isWord(text, position - 1) !== isWord(text, position);
    case "notWordEdge":
      return isWord(text, position - 1) === isWord(text, position);
  }
}
