/**
 * Matches bytes against a program in linear time: the deterministic automaton is built as far as the texts need
 * it, never backtracking.
 */
import type { Look } from "./ast.ts";
import type { WorkBudget } from "./budget.ts";
import { hasByte, PERL_CLASSES } from "./byteset.ts";
import type { Instruction, Program } from "./program.ts";

/** States that are kept; then the automaton starts afresh. Real patterns have some ten. */
const STATE_LIMIT = 512;
const UNKNOWN = -1;
const DEAD = -2;
const MATCHED = -3;
/** Represents the byte before the start and after the end of the text. */
const NONE = -1;

interface State {
  /** Instructions that wait for the next byte, before conditions are looked at. */
  readonly pending: readonly number[];
  /** A byte that represents the preceding one, as far as conditions care; {@link NONE} at the start. */
  readonly before: number;
  /** Next state by byte class, the last one for the end of the text. */
  readonly next: Int32Array;
}

export class Automaton {
  readonly #program: Program;
  readonly #budget: WorkBudget;
  readonly #marks: Uint32Array;
  readonly #stack: number[] = [];
  #generation = 0;
  #states: State[] = [];
  #known = new Map<string, number>();

  constructor(program: Program, budget: WorkBudget) {
    this.#program = program;
    this.#budget = budget;
    this.#marks = new Uint32Array(program.instructions.length);
    this.#reset();
  }

  /**
   * Whether a match starts at the beginning of the text. It may end before the text does: the pattern
   * says where with `$`.
   * @param text latin1: each character is a byte
   */
  test(text: string): boolean {
    this.#budget.spend(text.length);
    let state = 0;
    for (let i = 0; i < text.length && state >= 0; i++) state = this.#next(state, text.charCodeAt(i));
    return state === MATCHED || (state !== DEAD && this.#next(state, NONE) === MATCHED);
  }

  #next(state: number, byte: number): number {
    const { classes, classCount } = this.#program;
    const column = byte === NONE ? classCount : (classes[byte] as number);
    const known = (this.#states[state] as State).next[column] as number;
    if (known !== UNKNOWN) return known;
    const from = this.#states.length >= STATE_LIMIT ? this.#restart(state) : state;
    const next = this.#step(from, byte);
    (this.#states[from] as State).next[column] = next;
    return next;
  }

  #reset(): void {
    this.#states = [];
    this.#known = new Map();
    this.#add([this.#program.start], NONE);
  }

  /** Forgets all states but the start and the given one. */
  #restart(state: number): number {
    const { pending, before } = this.#states[state] as State;
    this.#reset();
    return this.#add(pending, before);
  }

  #add(pending: readonly number[], before: number): number {
    const key = `${before}:${pending.join()}`;
    let index = this.#known.get(key);
    if (index === undefined) {
      index = this.#states.length;
      this.#states.push({ pending, before, next: new Int32Array(this.#program.classCount + 1).fill(UNKNOWN) });
      this.#known.set(key, index);
    }
    return index;
  }

  #step(index: number, byte: number): number {
    const { instructions, looksAtBytes } = this.#program;
    const { pending, before } = this.#states[index] as State;
    const generation = ++this.#generation;
    const stack = this.#stack;
    const result = new Set<number>();
    let steps = 1;
    stack.length = 0;
    for (const start of pending) stack.push(start);
    for (let at = stack.pop(); at !== undefined; at = stack.pop()) {
      if (this.#marks[at] === generation) continue;
      this.#marks[at] = generation;
      steps++;
      const instruction = instructions[at] as Instruction;
      switch (instruction.op) {
        case "match":
          return MATCHED;
        case "byte":
          if (byte === instruction.byte) result.add(instruction.next);
          break;
        case "set":
          if (byte !== NONE && hasByte(instruction.set, byte)) result.add(instruction.next);
          break;
        case "look":
          if (holds(instruction.look, before, byte)) stack.push(instruction.next);
          break;
        case "split":
          for (const next of instruction.next) stack.push(next);
          steps += instruction.next.length;
          break;
      }
    }
    this.#budget.spend(steps);
    if (result.size === 0) return DEAD;
    return this.#add(
      [...result].sort((a, b) => a - b),
      representative(byte, looksAtBytes),
    );
  }
}

/** One byte for all that conditions don't distinguish, so that they share states. */
function representative(byte: number, looksAtBytes: boolean): number {
  if (!looksAtBytes) return 0;
  if (byte === 0x0a || byte === 0x0d) return byte;
  return isWord(byte) ? 0x61 : 0;
}

function isWord(byte: number): boolean {
  return byte !== NONE && hasByte(PERL_CLASSES.w, byte);
}

/** Whether a condition holds between two bytes. */
function holds(look: Look, before: number, after: number): boolean {
  switch (look) {
    case "start":
      return before === NONE;
    case "end":
      return after === NONE;
    case "startLine":
      return before === NONE || before === 0x0a;
    case "endLine":
      return after === NONE || after === 0x0a;
    case "startCrlf":
      return before === NONE || before === 0x0a || (before === 0x0d && after !== 0x0a);
    case "endCrlf":
      return after === NONE || after === 0x0d || (after === 0x0a && before !== 0x0d);
    case "wordEdge":
      return isWord(before) !== isWord(after);
    case "notWordEdge":
      return isWord(before) === isWord(after);
    case "wordStart":
      return !isWord(before) && isWord(after);
    case "wordEnd":
      return isWord(before) && !isWord(after);
    case "wordStartHalf":
      return !isWord(before);
    case "wordEndHalf":
      return !isWord(after);
  }
}
