/** The lines of a policy as text: all of them, or those that a path can have something to do with. */
import { latin1, type NamedBytes } from "../../bytes.ts";
import { concat } from "../../chunks.ts";
import type { TransformRules } from "../transform.ts";
import { isCommon } from "./common.ts";
import { ContextIndex } from "./contexts.ts";
import { parseSpecLines } from "./lines.ts";
import type { WorkBudget } from "./regex/budget.ts";

/** Characters that stand for themselves in a pattern, whatever is around them, unless a repetition follows. */
const LITERALS = charactersOf(/[\w\-/:,@%=~!&;<>'"`#]/);
const REPETITIONS = charactersOf(/[*+?{]/);
const SLASH = 0x2f;
const NEWLINE = 0x0a;
const BAR = 0x7c;
const SPACE = /[\t-\r ]/;

/** Of a policy of which so much may match one path, all is read once: the next path would need as much. */
const MUCH = 1 / 16;
/** Reading so few bytes takes no time. */
const LITTLE = 32 << 10;

function charactersOf(pattern: RegExp): Uint8Array {
  return Uint8Array.from({ length: 256 }, (_, code) => Number(code < 0x80 && pattern.test(String.fromCharCode(code))));
}

export class PolicyText {
  /** For all paths that are looked up, whichever lines they are compared with. */
  readonly budget: WorkBudget;
  readonly #files: readonly NamedBytes[];
  readonly #lookaround: TransformRules["lookaround"];
  #whole: ContextIndex | null = null;

  /** @param files `file_contexts` and its companions, in their order */
  constructor(files: readonly NamedBytes[], lookaround: TransformRules["lookaround"], budget: WorkBudget) {
    this.#files = files;
    this.#lookaround = lookaround;
    this.budget = budget;
  }

  get size(): number {
    return this.#files.reduce((sum, { bytes }) => sum + bytes.length, 0);
  }

  /** All lines. @throws SealError `input` for one that is wrong */
  whole(): ContextIndex {
    this.#whole ??= this.#index(this.#files);
    return this.#whole;
  }

  /**
   * Lines that may match a path, for looking up this one. With a real policy that takes a fiftieth of the time of
   * {@link whole}.
   * @param path latin1 text
   * @throws SealError `input` for one of them that is wrong
   */
  of(path: string): ContextIndex {
    if (this.#whole !== null) return this.#whole;
    const files = this.#files.map(({ bytes, subject }) => ({ bytes: linesFor(bytes, path), subject }));
    const kept = files.reduce((sum, { bytes }) => sum + bytes.length, 0);
    return kept > Math.max(LITTLE, this.size * MUCH) ? this.whole() : this.#index(files);
  }

  #index(files: readonly NamedBytes[]): ContextIndex {
    const lines = files.flatMap(({ bytes, subject }) => parseSpecLines(bytes, subject));
    return new ContextIndex(lines, this.#lookaround, this.budget);
  }
}

function linesFor(file: Uint8Array, path: string): Uint8Array {
  const kept: Uint8Array[] = [];
  let bar = file.indexOf(BAR);
  for (let start = 0; start < file.length; ) {
    const newline = file.indexOf(NEWLINE, start);
    const next = newline < 0 ? file.length : newline + 1;
    if (bar >= 0 && bar < start) bar = file.indexOf(BAR, start);
    const isKept = mayMatch(file, start, next, path) || (bar >= 0 && bar < next && mayBranch(file, start, next));
    if (isKept) kept.push(file.subarray(start, next));
    start = next;
  }
  return concat(kept);
}

/** Whether a pattern without `|` can match a path, as far as literals at its beginning show. */
function mayMatch(file: Uint8Array, start: number, end: number, path: string): boolean {
  if (file[start] !== SLASH) return true;
  for (let at = start; at < end; at++) {
    const character = file[at] as number;
    if (LITERALS[character] === 0) return true;
    if (character === path.charCodeAt(at - start)) continue;
    return at + 1 < end && REPETITIONS[file[at + 1] as number] === 1;
  }
  return true;
}

/** Whether the literals at the beginning of a pattern with `|` need not be in what it matches. */
function mayBranch(file: Uint8Array, start: number, end: number): boolean {
  const line = latin1(file.subarray(start, end));
  const space = line.search(SPACE);
  // What is common has branches in groups only.
  return !isCommon(space < 0 ? line : line.slice(0, space));
}
