/**
 * Finds the last line of a policy that matches a path. Policies have thousands of lines, nearly all of which begin with
 * a literal path, so lines are looked up by that: whole literal paths and `path(/.*)?` in a map, and the rest by the
 * directory that their literal prefix is in. A path is matched against the few patterns that remain for its directory.
 */
import { utf8 } from "../../bytes.ts";
import type { TransformRules } from "../transform.ts";
import { plainPattern } from "./common.ts";
import {
  type Bucket,
  DirectoryIndex,
  type DirectoryLabels,
  exactLine,
  holds,
  type Line,
  type PatternLine,
  STEPS_PER_PATH,
} from "./directory-index.ts";
import type { FileType, SpecLine } from "./lines.ts";
import { compileLine } from "./pattern.ts";
import type { WorkBudget } from "./regex/budget.ts";

export interface LabelLookup {
  alias(path: string): string | undefined;
  lookup(path: string, type: FileType): Uint8Array | null;
  /**
   * For the entries of a directory.
   * @param path without a slash at its end
   * @param parent those of its parent, where they are at hand
   * @returns null: each entry must be looked up by its path
   */
  directory(path: string, parent: DirectoryLabels | null): DirectoryLabels | null;
}

/**
 * Directories whose patterns are remembered; walks are depth first, so the ancestors and a few more are what is needed.
 */
const MEMORY = 4096;
const NONE = "<<none>>";

export class ContextIndex {
  readonly #buckets = new Map<string, Bucket>();
  /** Patterns that may start with anything. */
  readonly #loose: PatternLine[] = [];
  /** Lines that name a path without a slash. */
  readonly #looseExact = new Map<string, Line[]>();
  readonly #directories = new Map<string, DirectoryIndex>();
  readonly #budget: WorkBudget;
  /** Whether some line is read by PCRE2 only. */
  hasPcre = false;

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
    const slash = path.lastIndexOf("/");
    if (slash >= 0) return this.directory(path.slice(0, slash)).find(path.slice(slash + 1), type);
    this.#budget.allow(STEPS_PER_PATH);
    this.#budget.spend(this.#loose.length);
    const key = path + type;
    let best = exactLine(this.#looseExact, path, type);
    for (const line of this.#loose) {
      if (best !== undefined && line.order < best.order) break;
      if (line.type !== null && line.type !== type) continue;
      if (!path.startsWith(line.prefix) || !holds(line, key)) continue;
      best = line;
      break;
    }
    return best?.label ?? null;
  }

  /** The lines that count in a directory. @param path latin1 text, without a slash at its end */
  directory(path: string): DirectoryIndex {
    const missing: string[] = [];
    let known: DirectoryIndex | undefined;
    let at = path;
    for (;;) {
      known = this.#directories.get(at);
      if (known !== undefined) break;
      missing.push(at);
      const slash = at.lastIndexOf("/");
      if (slash < 0) break;
      at = at.slice(0, slash);
    }
    for (let step = missing.pop(); step !== undefined; step = missing.pop()) {
      known = this.#enter(known, step);
      if (this.#directories.size >= MEMORY) this.#directories.clear();
      this.#directories.set(step, known);
    }
    // One of both was there.
    return known as DirectoryIndex;
  }

  #add(line: Line, spec: SpecLine, lookaround: TransformRules["lookaround"], budget: WorkBudget): void {
    const plain = plainPattern(spec.pattern);
    if (plain === null) {
      const pattern = compileLine(spec, lookaround, budget);
      this.hasPcre ||= pattern.isPcre;
      this.#addPattern({ ...line, prefix: pattern.prefix, pattern });
      return;
    }
    if (plain.exact !== null) this.#addExact(plain.exact, line);
    if (plain.prefix !== null) this.#addPattern({ ...line, prefix: plain.prefix, pattern: null });
  }

  #addExact(path: string, line: Line): void {
    const slash = path.lastIndexOf("/");
    const lines = slash < 0 ? this.#looseExact : this.#bucket(path.slice(0, slash)).exact;
    const name = path.slice(slash + 1);
    const known = lines.get(name);
    if (known === undefined) lines.set(name, [line]);
    else known.push(line);
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
      bucket = { exact: new Map(), patterns: [], byCharacter: new Map() };
      this.#buckets.set(key, bucket);
    }
    return bucket;
  }

  /**
   * The lines that count in a directory whose parent is known.
   * @param directory undefined parent: the first component of a path
   */
  #enter(parent: DirectoryIndex | undefined, directory: string): DirectoryIndex {
    if (parent !== undefined) return parent.enter(directory.slice(directory.lastIndexOf("/") + 1));
    const inherited = { candidates: [], waiting: new Map() };
    return new DirectoryIndex(this.#buckets, this.#budget, `${directory}/`, inherited, this.#loose);
  }
}
