/** The lines of a policy that can match entries of one directory, and which of them is the last that does. */
import { latin1 } from "../../bytes.ts";
import type { FileType } from "./lines.ts";
import type { CompiledLine } from "./pattern.ts";
import type { WorkBudget } from "./regex/budget.ts";

/** What the policy says of the entries of one directory. */
export interface DirectoryLabels {
  lookup(name: Uint8Array, type: FileType): Uint8Array | null;
  /** For the entries of a directory in this one. @param name latin1 text */
  enter(name: string): DirectoryLabels;
}

/** A line ready to be matched; a later line has a greater `order`. */
export interface Line {
  readonly order: number;
  readonly type: FileType | null;
  readonly label: Uint8Array | null;
}

/** A line that more paths than one may match. */
export interface PatternLine extends Line {
  /** What every path that matches starts with. */
  readonly prefix: string;
  /** null: the prefix says it all. */
  readonly pattern: CompiledLine | null;
}

/** The lines that begin in a directory; all lists with the last line first. */
export interface Bucket {
  /** Those that name a path in it, by the name. */
  readonly exact: Map<string, Line[]>;
  /** Those whose prefix ends with the directory's slash. */
  readonly patterns: PatternLine[];
  /** Those whose prefix goes on with a name, by its first character. */
  readonly byCharacter: Map<number, PatternLine[]>;
}

/** A pattern that may match entries of a directory. */
interface Candidate {
  readonly line: PatternLine;
  /**
   * What a name must hold, or start with, its type's character appended; empty: what the line wants is in the
   * path of the directory.
   */
  readonly text: string;
  readonly isStart: boolean;
}

/**
 * A pattern that wants a text with a slash in it, and not as the first character only: few directories end in
 * what is before that.
 */
interface Waiting {
  readonly line: PatternLine;
  /** Up to the last slash. */
  readonly directory: string;
  /** Behind it. */
  readonly name: string;
}

/** What counts in a directory and mostly is what counts in its parent. Lists are shared as long as nothing changes. */
interface Inherited {
  /** Last line first. */
  readonly candidates: readonly Candidate[];
  /** By the character before the last slash. */
  readonly waiting: ReadonlyMap<number, readonly Waiting[]>;
}

const NO_LINES: readonly PatternLine[] = [];

/** Steps that a path may cost on average; with a real policy it is some hundred. */
export const STEPS_PER_PATH = 10_000;

/**
 * The lines for the entries of one directory. Most patterns want a text that neither its path has nor any name could
 * complete: that is found out for all entries at once, and what was found of a directory goes on to those in it.
 */
export class DirectoryIndex implements DirectoryLabels {
  readonly #buckets: ReadonlyMap<string, Bucket>;
  readonly #budget: WorkBudget;
  /** The path with a slash at its end. */
  readonly #path: string;
  readonly #own: Bucket | undefined;
  readonly #inherited: Inherited;
  /** Patterns that can't wait longer, as they need text before the names here; last line first. */
  readonly #starts: readonly Candidate[];

  /** @param added patterns whose prefix the parent's path did not have; those that begin here are added to them */
  constructor(
    buckets: ReadonlyMap<string, Bucket>,
    budget: WorkBudget,
    path: string,
    inherited: Inherited,
    added: readonly PatternLine[],
  ) {
    this.#buckets = buckets;
    this.#budget = budget;
    this.#path = path;
    this.#own = buckets.get(path.slice(0, -1));
    const patterns = this.#own?.patterns ?? NO_LINES;
    budget.allow(STEPS_PER_PATH);
    budget.spend(added.length + patterns.length);
    this.#inherited = withLines(inherited, [...added, ...patterns], path);
    this.#starts = this.#findStarts();
  }

  /** The lines for the entries of a directory in this one. */
  enter(name: string): DirectoryIndex {
    const path = `${this.#path}${name}/`;
    const begun = this.#own?.byCharacter.get(name.charCodeAt(0)) ?? NO_LINES;
    this.#budget.spend(begun.length + this.#inherited.candidates.length);
    const added = begun.filter(({ prefix }) => path.startsWith(prefix));
    return new DirectoryIndex(this.#buckets, this.#budget, path, this.#inheritance(name, path), added);
  }

  /** What entries of a directory in this one get from it: a text that its path has is not looked for again. */
  #inheritance(name: string, path: string): Inherited {
    const { candidates, waiting } = this.#inherited;
    const found = this.#starts.filter((candidate) => fits(candidate, name)).map(({ line }) => line);
    for (const { line, directory, name: rest } of waiting.get(name.charCodeAt(name.length - 1)) ?? []) {
      if (rest === "" && path.endsWith(directory)) found.push(line);
    }
    const isChanged = found.length > 0 || candidates.some((one) => one.text !== "" && fits(one, name));
    if (!isChanged) return this.#inherited;
    const settled = candidates.map((one) => (one.text !== "" && fits(one, name) ? settle(one.line) : one));
    return { candidates: [...settled, ...found.map(settle)].sort(byLine), waiting };
  }

  #findStarts(): readonly Candidate[] {
    const character = this.#path.charCodeAt(this.#path.length - 2);
    const starts: Candidate[] = [];
    for (const { line, directory, name } of this.#inherited.waiting.get(character) ?? []) {
      if (name !== "" && this.#path.endsWith(directory)) starts.push({ line, text: name, isStart: true });
    }
    return starts.sort(byLine);
  }

  lookup(name: Uint8Array, type: FileType): Uint8Array | null {
    return this.find(latin1(name), type);
  }

  /** {@link lookup} of a name as latin1 text. */
  find(name: string, type: FileType): Uint8Array | null {
    this.#budget.allow(STEPS_PER_PATH);
    const key = name + type;
    let best: Line | undefined;
    if (this.#own !== undefined) best = this.#lastOwn(this.#own, name, type, key);
    if (this.#starts.length > 0) best = this.#lastMatch(this.#starts, type, key, best);
    return this.#lastMatch(this.#inherited.candidates, type, key, best)?.label ?? null;
  }

  /** The last of the lines that name an entry or begin in its name. */
  #lastOwn({ exact, byCharacter }: Bucket, name: string, type: FileType, key: string): Line | undefined {
    const best = exactLine(exact, name, type);
    const lines = byCharacter.get(name.charCodeAt(0));
    if (lines === undefined) return best;
    this.#budget.spend(lines.length);
    const after = best?.order ?? -1;
    const path = this.#path + name;
    for (const line of lines) {
      if (line.order < after) break;
      if (line.type !== null && line.type !== type) continue;
      if (path.startsWith(line.prefix) && holds(line, this.#path + key)) return line;
    }
    return best;
  }

  /** The last of the lines that begin in the path, if it comes after the best one so far. */
  #lastMatch(candidates: readonly Candidate[], type: FileType, key: string, best: Line | undefined): Line | undefined {
    this.#budget.spend(candidates.length);
    const after = best?.order ?? -1;
    for (const candidate of candidates) {
      const { line } = candidate;
      if (line.order < after) break;
      if ((line.type !== null && line.type !== type) || !fits(candidate, key)) continue;
      if (line.pattern === null || line.pattern.test(this.#path + key)) return line;
    }
    return best;
  }
}

/** Adds lines to what counts in a directory. @param path with a slash at its end */
function withLines(inherited: Inherited, lines: readonly PatternLine[], path: string): Inherited {
  if (lines.length === 0) return inherited;
  const candidates = [...inherited.candidates];
  const waiting = new Map(inherited.waiting);
  for (const line of lines) {
    const literal = line.pattern?.literal() ?? "";
    // A name has no slash: where the text has one, the last one is that before the name.
    const slash = literal.lastIndexOf("/");
    if (path.includes(literal)) candidates.push(settle(line));
    else if (slash < 0) candidates.push({ line, text: literal, isStart: false });
    else if (slash === 0 && literal !== "/") candidates.push({ line, text: literal.slice(1), isStart: true });
    else {
      const character = literal.charCodeAt(slash - 1);
      const one = { line, directory: literal.slice(0, slash + 1), name: literal.slice(slash + 1) };
      waiting.set(character, [...(waiting.get(character) ?? []), one]);
    }
  }
  return { candidates: candidates.sort(byLine), waiting };
}

/** A pattern that wants nothing of a name. */
function settle(line: PatternLine): Candidate {
  return { line, text: "", isStart: false };
}

/** Whether a name, with or without its type's character, has what a candidate wants of it. */
function fits({ text, isStart }: Candidate, name: string): boolean {
  return text === "" || (isStart ? name.startsWith(text) : name.includes(text));
}

/** Whether a path that has the prefix of a line matches it. @param key the path with its type's character appended */
export function holds({ pattern }: PatternLine, key: string): boolean {
  return pattern === null || (key.includes(pattern.literal()) && pattern.test(key));
}

/** The last of the lines that name an entry, of those that are for its type. */
export function exactLine(lines: ReadonlyMap<string, readonly Line[]>, name: string, type: FileType): Line | undefined {
  return lines.get(name)?.find((line) => line.type === null || line.type === type);
}

/** Last line first. */
function byLine(a: Candidate, b: Candidate): number {
  return b.line.order - a.line.order;
}
