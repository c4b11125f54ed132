/**
 * Finds the last line of a policy that matches a path. Policies have thousands of lines, nearly all of which begin with a literal
 * path, so lines are looked up by that: whole literal paths and `path(/.*)?` in a map, and the rest by the directory that
 * their literal prefix lies in. A path is matched against the few patterns that its directory leaves over.
 */
import { utf8 } from "../../bytes.ts";
import type { TransformRules } from "../transform.ts";
import { plainPattern } from "./common.ts";
import type { FileType, SpecLine } from "./lines.ts";
import { type CompiledLine, compileLine } from "./pattern.ts";
import type { WorkBudget } from "./regex/budget.ts";

export interface LabelLookup {
  alias(path: string): string | undefined;
  lookup(path: string, type: FileType): Uint8Array | null;
}

/** A line ready to be matched; a later line has a greater `order`. */
interface Line {
  readonly order: number;
  readonly type: FileType | null;
  readonly label: Uint8Array | null;
}

interface PatternLine extends Line {
  /** What every path that matches starts with. */
  readonly prefix: string;
  /** null: the prefix says it all. */
  readonly pattern: CompiledLine | null;
}

/** Lines by the literal path they name or the directory they start in; all lists with the last line first. */
interface Bucket {
  readonly exact: Line[];
  /** Those whose prefix ends with the directory's slash. */
  readonly patterns: PatternLine[];
  /** Those whose prefix goes on with a name, by its first character. */
  readonly byCharacter: Map<number, PatternLine[]>;
}

/** The patterns that may match in a directory. */
interface Candidates {
  /** Those whose prefix the directory's path has. */
  readonly everywhere: readonly PatternLine[];
  /** Those whose prefix goes on in the name, by its first character. */
  readonly byCharacter: ReadonlyMap<number, readonly PatternLine[]>;
}

const NO_LINES: readonly PatternLine[] = [];
const NO_CHARACTERS: ReadonlyMap<number, readonly PatternLine[]> = new Map();

/** Directories whose patterns are remembered; walks are depth first, so the ancestors and a few more are what is needed. */
const MEMORY = 4096;
/** Steps that a path may cost on average; with a real policy it is some hundred. */
const STEPS_PER_PATH = 10_000;
const NONE = "<<none>>";

export class ContextIndex {
  readonly #buckets = new Map<string, Bucket>();
  /** Patterns that may start with anything. */
  readonly #loose: PatternLine[] = [];
  readonly #candidates = new Map<string, Candidates>();
  readonly #budget: WorkBudget;

  /** @throws SealError `input` for a line whose pattern is wrong, whether or not a path will need it */
  constructor(lines: readonly SpecLine[], lookaround: TransformRules["lookaround"], budget: WorkBudget) {
    this.#budget = budget;
    const labels = new Map<string, Uint8Array | null>([[NONE, null]]);
    for (let order = lines.length - 1; order >= 0; order--) {
      const line = lines[order] as SpecLine;
      let label = labels.get(line.context);
      if (label === undefined) {
        label = utf8(line.context);
        labels.set(line.context, label);
      }
      this.#add({ order, type: line.type, label }, line, lookaround, budget);
    }
  }

  /**
   * @param path latin1 text
   * @returns null when the line says so, and when no line matches
   */
  lookup(path: string, type: FileType): Uint8Array | null {
    const exact = this.#buckets.get(path)?.exact.find((line) => line.type === null || line.type === type);
    const slash = path.lastIndexOf("/");
    this.#budget.allow(STEPS_PER_PATH);
    let best: Line | undefined = exact;
    if (slash < 0) {
      best = this.#lastMatch(this.#loose, path, type, best);
    } else {
      const { everywhere, byCharacter } = this.#candidatesOf(path.slice(0, slash));
      best = this.#lastMatch(byCharacter.get(path.charCodeAt(slash + 1)) ?? NO_LINES, path, type, best);
      best = this.#lastMatch(everywhere, path, type, best);
    }
    return best?.label ?? null;
  }

  /** The last of these lines that matches, if it comes after the best one so far. */
  #lastMatch(lines: readonly PatternLine[], path: string, type: FileType, best: Line | undefined): Line | undefined {
    const after = best?.order ?? -1;
    const key = path + type;
    this.#budget.spend(lines.length);
    for (const line of lines) {
      if (line.order < after) break;
      if (line.type !== null && line.type !== type) continue;
      if (path.startsWith(line.prefix) && (line.pattern === null || line.pattern.test(key))) return line;
    }
    return best;
  }

  #add(line: Line, spec: SpecLine, lookaround: TransformRules["lookaround"], budget: WorkBudget): void {
    const plain = plainPattern(spec.pattern);
    if (plain === null) {
      const pattern = compileLine(spec, lookaround, budget);
      this.#addPattern({ ...line, prefix: pattern.prefix, pattern });
      return;
    }
    if (plain.exact !== null) this.#bucket(plain.exact).exact.push(line);
    if (plain.prefix !== null) this.#addPattern({ ...line, prefix: plain.prefix, pattern: null });
  }

  #addPattern(line: PatternLine): void {
    const { prefix } = line;
    const slash = prefix.lastIndexOf("/");
    if (slash < 0) {
      this.#loose.push(line);
      return;
    }
    const { patterns, byCharacter } = this.#bucket(prefix.slice(0, slash));
    if (slash === prefix.length - 1) {
      patterns.push(line);
      return;
    }
    const character = prefix.charCodeAt(slash + 1);
    const list = byCharacter.get(character);
    if (list === undefined) byCharacter.set(character, [line]);
    else list.push(line);
  }

  /** @param key latin1 text */
  #bucket(key: string): Bucket {
    let bucket = this.#buckets.get(key);
    if (bucket === undefined) {
      bucket = { exact: [], patterns: [], byCharacter: new Map() };
      this.#buckets.set(key, bucket);
    }
    return bucket;
  }

  /** The patterns that may match a path in this directory, last line first. */
  #candidatesOf(directory: string): Candidates {
    const missing: string[] = [];
    let known: Candidates | undefined;
    let path = directory;
    for (;;) {
      known = this.#candidates.get(path);
      if (known !== undefined) break;
      missing.push(path);
      const slash = path.lastIndexOf("/");
      if (slash < 0) break;
      path = path.slice(0, slash);
    }
    let candidates = known ?? { everywhere: this.#loose, byCharacter: NO_CHARACTERS };
    for (let step = missing.pop(); step !== undefined; step = missing.pop()) {
      candidates = this.#enter(candidates, step);
      if (this.#candidates.size >= MEMORY) this.#candidates.clear();
      this.#candidates.set(step, candidates);
    }
    return candidates;
  }

  /** What of the parent's patterns can still match in `directory`, and those that start in it. */
  #enter(parent: Candidates, directory: string): Candidates {
    const inside = `${directory}/`;
    const own = this.#buckets.get(directory);
    const begun = parent.byCharacter.get(directory.charCodeAt(directory.lastIndexOf("/") + 1)) ?? NO_LINES;
    const added = [...begun.filter(({ prefix }) => inside.startsWith(prefix)), ...(own?.patterns ?? NO_LINES)];
    return {
      everywhere: added.length === 0 ? parent.everywhere : [...parent.everywhere, ...added].sort(byOrder),
      byCharacter: own?.byCharacter ?? NO_CHARACTERS,
    };
  }
}

/** Last line first. */
function byOrder(a: Line, b: Line): number {
  return b.order - a.order;
}
