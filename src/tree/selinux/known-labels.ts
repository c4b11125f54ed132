/** Labels that are known from an earlier run with the same policy, and the policy itself for what is not. */
import { latin1 } from "../../bytes.ts";
import { type DirectoryLabels, STEPS_PER_PATH } from "./directory-index.ts";
import {
  encodeLabels,
  type KnownLabel,
  type LabelledName,
  type LabelledPath,
  type LabelTable,
  type TableDirectory,
} from "./label-table.ts";
import type { FileType } from "./lines.ts";
import type { PolicyText } from "./policy-text.ts";

/** Paths for each of which the policy is searched; with more, reading all of it is faster. */
const FEW = 32;
/** Nor is a policy searched that is much larger than real ones, which have half a MiB. */
const SEARCHED = 4 << 20;
/** A table is written anew where so much of what was asked is not in it. */
const OUTDATED = 1 / 20;

/** Looks labels up, and notes all that it is asked. */
export class KnownLabels {
  readonly #table: LabelTable | null;
  readonly #policy: PolicyText;
  readonly #paths = new Map<string, LabelledPath>();
  readonly #directories = new Map<string, LabelledName[][]>();
  readonly #tops = new Set<string>();
  #missing = 0;
  #isEncoded = false;

  /**
   * @param table of this very policy; null: nothing is known yet
   * @throws SealError `input` where nothing is known, for a policy that is wrong
   */
  constructor(table: LabelTable | null, policy: PolicyText) {
    this.#table = table;
    this.#policy = policy;
    if (table === null) policy.whole();
  }

  /** See `ContextIndex`. */
  get hasPcre(): boolean {
    return this.#table?.hasPcre ?? this.#policy.whole().hasPcre;
  }

  /** See `ContextIndex`. */
  lookup(path: string, type: FileType): Uint8Array | null {
    const label = this.labelOf(this.#table?.lookup(path, type), path, type);
    this.#paths.set(type + path, { path, type, label });
    return label;
  }

  /** See `ContextIndex`. */
  directory(path: string): DirectoryLabels {
    this.#tops.add(path);
    return this.open(path, this.#table?.directory(path) ?? null);
  }

  /** @internal */
  open(path: string, known: TableDirectory | null): DirectoryLabels {
    const names: LabelledName[] = [];
    const visits = this.#directories.get(path);
    // Two paths may be aliases of one.
    if (visits === undefined) this.#directories.set(path, [names]);
    else visits.push(names);
    return new KnownDirectory(this, path, known, names);
  }

  /**
   * The label that is known, which counts as the work that it was; else what the policy says.
   * @throws SealError `input` as without what is known: where looking all paths up goes beyond all reason
   * @internal
   */
  labelOf(known: KnownLabel, path: string, type: FileType): Uint8Array | null {
    if (known === undefined) return this.#find(path, type);
    const { budget } = this.#policy;
    budget.allow(STEPS_PER_PATH);
    budget.spend(this.#table?.steps ?? 0);
    return known;
  }

  #find(path: string, type: FileType): Uint8Array | null {
    this.#missing++;
    const isSearched = this.#table !== null && this.#missing <= FEW && this.#policy.size <= SEARCHED;
    return (isSearched ? this.#policy.of(path) : this.#policy.whole()).lookup(path, type);
  }

  /** A table of all that was asked, once; null: it would not be worth it, or can't be. */
  encode(): Uint8Array | null {
    if (this.#isEncoded) return null;
    this.#isEncoded = true;
    const directories = new Map([...this.#directories].map(([path, visits]) => [path, visits.flat()]));
    const asked = [...directories.values()].reduce((sum, names) => sum + names.length, this.#paths.size);
    if (this.#table !== null && this.#missing <= asked * OUTDATED) return null;
    const { hasPcre } = this;
    const steps = Math.ceil(this.#policy.budget.spent / Math.max(asked, 1));
    return encodeLabels({ hasPcre, steps, paths: [...this.#paths.values()], directories, tops: this.#tops });
  }
}

class KnownDirectory implements DirectoryLabels {
  readonly #all: KnownLabels;
  readonly #path: string;
  readonly #known: TableDirectory | null;
  readonly #asked: LabelledName[];

  constructor(all: KnownLabels, path: string, known: TableDirectory | null, asked: LabelledName[]) {
    this.#all = all;
    this.#path = path;
    this.#known = known;
    this.#asked = asked;
  }

  lookup(name: Uint8Array, type: FileType): Uint8Array | null {
    const known = this.#known?.lookup(name, type);
    // The path is a text that is made for nothing where it is known.
    const path = known === undefined ? `${this.#path}/${latin1(name)}` : "";
    const label = this.#all.labelOf(known, path, type);
    this.#asked.push({ name, type, label });
    return label;
  }

  enter(name: string): DirectoryLabels {
    return this.#all.open(`${this.#path}/${name}`, this.#known?.enter(name) ?? null);
  }
}
