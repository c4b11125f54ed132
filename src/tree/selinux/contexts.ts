/**
 * Finds the last line of a policy that matches a path. Policies have thousands of lines, nearly all of which begin with a literal
 * path, so lines are looked up by that: whole literal paths and `path(/.*)?` in a map, and the rest by the directory that
 * their literal prefix lies in. A path is matched against the few patterns that its directory leaves over.
 */
import { utf8 } from "../../bytes.ts";
import type { TransformRules } from "../transform.ts";
import type { FileType, SpecLine } from "./lines.ts";
import { toLatin1 } from "./lines.ts";
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
  readonly patterns: PatternLine[];
}

/** The patterns that may match in a directory. */
class Candidates {
  /** Last line first. */
  readonly lines: readonly PatternLine[];
  /** Length of the directory's path with its slash: where names start. */
  readonly #nameAt: number;
  readonly #byCharacter = new Map<number, readonly PatternLine[]>();

  constructor(lines: readonly PatternLine[], nameAt: number) {
    this.lines = lines;
    this.#nameAt = nameAt;
  }

  /** Those whose prefix agrees with the first character of the path's last name. */
  for(path: string): readonly PatternLine[] {
    const at = this.#nameAt;
    const character = path.charCodeAt(at);
    let list = this.#byCharacter.get(character);
    if (list === undefined) {
      list = this.lines.filter(({ prefix }) => prefix.length <= at || prefix.charCodeAt(at) === character);
      this.#byCharacter.set(character, list);
    }
    return list;
  }
}

/** Directories whose patterns are remembered; walks are depth first, so the ancestors and a few more are what is needed. */
const MEMORY = 4096;
/** Steps that a path may cost on average; with a real policy it is some hundred. */
const STEPS_PER_PATH = 10_000;
const NONE = "<<none>>";
/** A pattern without anything special in it, but escaped punctuation, and perhaps everything below the path too. */
const PLAIN = /^((?:[\w\-/:,@%=~!&;<>'"`#]|\\[!-/:;=?@[-`{-~])*)(\(\/\.\*\)\?)?$/;

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
    const patterns = slash < 0 ? this.#loose : this.#candidatesOf(path.slice(0, slash)).for(path);
    const key = path + type;
    this.#budget.allow(STEPS_PER_PATH);
    this.#budget.spend(patterns.length);
    for (const line of patterns) {
      if (exact !== undefined && line.order < exact.order) break;
      if (line.type !== null && line.type !== type) continue;
      if (path.startsWith(line.prefix) && (line.pattern === null || line.pattern.test(key))) return line.label;
    }
    return exact?.label ?? null;
  }

  #add(line: Line, spec: SpecLine, lookaround: TransformRules["lookaround"], budget: WorkBudget): void {
    const plain = PLAIN.exec(spec.pattern);
    if (plain !== null) {
      const path = (plain[1] as string).replace(/\\(.)/g, "$1");
      this.#bucket(path).exact.push(line);
      if (plain[2] !== undefined) this.#bucket(path).patterns.push({ ...line, prefix: `${path}/`, pattern: null });
      return;
    }
    const pattern = compileLine(spec, lookaround, budget);
    const { prefix } = pattern;
    const slash = prefix.lastIndexOf("/");
    const list = slash < 0 ? this.#loose : this.#bucket(prefix.slice(0, slash)).patterns;
    list.push({ ...line, prefix, pattern });
  }

  #bucket(key: string): Bucket {
    const latin1 = toLatin1(key);
    let bucket = this.#buckets.get(latin1);
    if (bucket === undefined) {
      bucket = { exact: [], patterns: [] };
      this.#buckets.set(latin1, bucket);
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
    let candidates = known ?? new Candidates(this.#loose, 0);
    for (let step = missing.pop(); step !== undefined; step = missing.pop()) {
      candidates = new Candidates(this.#narrow(candidates.lines, step), step.length + 1);
      if (this.#candidates.size >= MEMORY) this.#candidates.clear();
      this.#candidates.set(step, candidates);
    }
    return candidates;
  }

  /** What of the parent's patterns can still match below `directory`, and those that start in it. */
  #narrow(parent: readonly PatternLine[], directory: string): readonly PatternLine[] {
    const inside = `${directory}/`;
    const kept = parent.filter(({ prefix, pattern }) =>
      inside.startsWith(prefix) ? (pattern?.canBegin(inside) ?? true) : prefix.startsWith(inside),
    );
    const own = this.#buckets.get(directory)?.patterns ?? [];
    if (own.length === 0) return kept;
    return [...kept, ...own].sort((a, b) => b.order - a.order);
  }
}
