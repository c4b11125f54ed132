/**
 * Labels that a policy gave to the paths of a tree, as bytes, so that another run need not find them again.
 *
 * All integers are little endian. A byte that is 1 if some line of the policy is read by PCRE2 only; steps that a path
 * took on average (u32, see `WorkBudget`); then three lists, each after the number of what is in it (u32):
 *
 *     labels       length (u32) and bytes of each. They are called by their number, from 1; 0: the path gets no label
 *     paths        that were looked up as a whole: type (u8, a character), label (u16), length (u32) and bytes
 *     directories  that were looked up by their path: place of the directory in these bytes (u32), length (u32) and bytes
 *
 * What follows are directories: the number of their entries (u32), and of each, in the order of names, its label (u16),
 * type (u8, a character), bytes of its name (u8), the place of the directory that it is (u32; 0: none), and its name.
 */
import { Cursor, compareBytes, equalBytes, latin1 } from "../../bytes.ts";
import { SealError } from "../../errors.ts";
import { ByteWriter } from "../byte-writer.ts";
import type { FileType } from "./lines.ts";

/**
 * Which labels the table has. One more whenever the same policy gives another label to some path than before: then
 * none of the older tables is used any more.
 */
export const LABELS_VERSION = 1;

/** The label that a path of a type got; null: it gets none. */
export interface LabelledPath {
  /** Latin1 text. */
  readonly path: string;
  readonly type: FileType;
  readonly label: Uint8Array | null;
}

/** The label that an entry of a directory got. */
export interface LabelledName {
  readonly name: Uint8Array;
  readonly type: FileType;
  readonly label: Uint8Array | null;
}

/** All that was asked of a policy. */
export interface AskedLabels {
  readonly hasPcre: boolean;
  /** That a path took on average, see `WorkBudget`. */
  readonly steps: number;
  /** Those that were looked up as a whole. */
  readonly paths: readonly LabelledPath[];
  /** By their path, latin1 text without a slash at its end. */
  readonly directories: ReadonlyMap<string, readonly LabelledName[]>;
  /** Those of {@link directories} that were looked up by their path, and not from their parent. */
  readonly tops: ReadonlySet<string>;
}

const ENTRY = 8;
const LABELS_MAX = 0xffff;
const STEPS_MAX = 0xffff_ffff;
/** A million names have some 30 MiB. */
const SIZE_LIMIT = 256 << 20;

/** @returns null: there are too many labels, or too much of all */
export function encodeLabels({ hasPcre, steps, paths, directories, tops }: AskedLabels): Uint8Array | null {
  const labels = new LabelNumbers();
  const sorted = new Map([...directories].map(([path, names]) => [path, sortedOnce(names)]));
  for (const { label } of [...paths, ...[...sorted.values()].flat()]) labels.add(label);
  const head = [...labels.all, ...paths.map(({ path }) => path), ...tops];
  // The lengths of the lists, and what stands before each label, path and directory.
  let size = 17 + labels.all.length * 4 + paths.length * 7 + tops.size * 8;
  for (const { length } of head) size += length;
  const places = new Map<string, number>();
  for (const [path, names] of sorted) {
    places.set(path, size);
    size += 4 + names.reduce((sum, { name }) => sum + ENTRY + name.length, 0);
  }
  if (labels.all.length > LABELS_MAX || size > SIZE_LIMIT) return null;
  const writer = new ByteWriter(size);
  writer.u8(Number(hasPcre));
  writer.u32(Math.min(steps, STEPS_MAX));
  writer.u32(labels.all.length);
  for (const label of labels.all) writer.sized(label);
  writer.u32(paths.length);
  for (const { path, type, label } of paths) {
    writer.u8(type.charCodeAt(0));
    writer.u16(labels.of(label));
    writer.sized(Buffer.from(path, "latin1"));
  }
  writer.u32(tops.size);
  for (const path of tops) {
    writer.u32(places.get(path) ?? 0);
    writer.sized(Buffer.from(path, "latin1"));
  }
  for (const [path, names] of sorted) {
    writer.position = places.get(path) as number;
    writer.u32(names.length);
    for (const { name, type, label } of names) {
      writer.u16(labels.of(label));
      writer.u8(type.charCodeAt(0));
      writer.u8(name.length);
      writer.u32((type === "d" ? places.get(`${path}/${latin1(name)}`) : undefined) ?? 0);
      writer.bytes(name);
    }
  }
  return writer.done();
}

/** In the order of names, each with a type once. */
function sortedOnce(names: readonly LabelledName[]): readonly LabelledName[] {
  const sorted = names.toSorted((a, b) => compareBytes(a.name, b.name) || a.type.charCodeAt(0) - b.type.charCodeAt(0));
  return sorted.filter(({ name, type }, index) => {
    const before = sorted[index - 1];
    return before === undefined || before.type !== type || !equalBytes(before.name, name);
  });
}

class LabelNumbers {
  readonly all: Uint8Array[] = [];
  readonly #numbers = new Map<string, number>();

  add(label: Uint8Array | null): void {
    if (label === null || this.#numbers.has(latin1(label))) return;
    this.all.push(label);
    this.#numbers.set(latin1(label), this.all.length);
  }

  of(label: Uint8Array | null): number {
    return label === null ? 0 : (this.#numbers.get(latin1(label)) ?? 0);
  }
}

/** Undefined: nothing is known of a path; null: it gets no label. */
export type KnownLabel = Uint8Array | null | undefined;

/** A table to look labels up in. What is wrong in one is as good as not there. */
export class LabelTable {
  readonly hasPcre: boolean;
  /** See {@link AskedLabels}. */
  readonly steps: number;
  readonly bytes: Uint8Array;
  readonly labels: readonly (Uint8Array | null)[];
  readonly #paths: ReadonlyMap<string, number>;
  readonly #tops: ReadonlyMap<string, number>;

  private constructor(bytes: Uint8Array) {
    this.bytes = bytes;
    const cursor = new Cursor(bytes, "a table of labels");
    this.hasPcre = cursor.u8(0, WHAT) === 1;
    this.steps = cursor.u32(1, WHAT);
    let position = 5;
    const u32 = () => {
      position += 4;
      return cursor.u32(position - 4, WHAT);
    };
    const sized = () => {
      const length = u32();
      position += length;
      return cursor.slice(position - length, length, WHAT);
    };
    const labels: (Uint8Array | null)[] = [null];
    for (let left = u32(); left > 0; left--) labels.push(sized());
    const paths = new Map<string, number>();
    for (let left = u32(); left > 0; left--) {
      const type = String.fromCharCode(cursor.u8(position, WHAT));
      const label = cursor.u16(position + 1, WHAT);
      position += 3;
      paths.set(type + latin1(sized()), label);
    }
    const tops = new Map<string, number>();
    for (let left = u32(); left > 0; left--) {
      const place = u32();
      tops.set(latin1(sized()), place);
    }
    this.labels = labels;
    this.#paths = paths;
    this.#tops = tops;
  }

  /** @returns null: the lists at the beginning are not right */
  static of(bytes: Uint8Array): LabelTable | null {
    try {
      return new LabelTable(bytes);
    } catch (error) {
      if (error instanceof SealError) return null;
      throw error;
    }
  }

  /** The label of a path that was looked up as a whole. @param path latin1 text */
  lookup(path: string, type: FileType): KnownLabel {
    const number = this.#paths.get(type + path);
    return number === undefined ? undefined : this.labels[number];
  }

  /** A directory that was looked up by its path. @param path latin1 text without a slash at its end */
  directory(path: string): TableDirectory | null {
    return this.at(this.#tops.get(path) ?? 0);
  }

  /** The directory at a place. */
  at(place: number): TableDirectory | null {
    return place === 0 || place + 4 > this.bytes.length ? null : new TableDirectory(this, place);
  }
}
const WHAT = "a list";

/** Goes through the entries of one directory as they are asked for: in the order of their names. */
export class TableDirectory {
  readonly #table: LabelTable;
  readonly #bytes: Uint8Array;
  /** Of the entry that is next. */
  #at: number;
  /** Entries from there on. */
  #left: number;

  constructor(table: LabelTable, place: number) {
    const { bytes } = table;
    this.#table = table;
    this.#bytes = bytes;
    this.#left = u32At(bytes, place);
    this.#at = place + 4;
  }

  lookup(name: Uint8Array, type: FileType): KnownLabel {
    if (!this.#seek(name)) return undefined;
    const bytes = this.#bytes;
    const at = this.#at;
    if (bytes[at + 2] !== type.charCodeAt(0)) return undefined;
    return this.#table.labels[(bytes[at] as number) | ((bytes[at + 1] as number) << 8)];
  }

  /** A directory in this one, mostly that whose label was the last to be looked up. @param name latin1 text */
  enter(name: string): TableDirectory | null {
    const isThere = this.#isAt(name) || this.#seek(Buffer.from(name, "latin1"));
    return isThere ? this.#table.at(u32At(this.#bytes, this.#at + 4)) : null;
  }

  /** Whether the next entry has a name, which need not be made bytes for that. */
  #isAt(name: string): boolean {
    const bytes = this.#bytes;
    const start = this.#at + ENTRY;
    if (this.#left === 0 || bytes[this.#at + 3] !== name.length) return false;
    for (let index = 0; index < name.length; index++) {
      if (bytes[start + index] !== name.charCodeAt(index)) return false;
    }
    return true;
  }

  /** Goes on to the first entry that does not come before a name. @returns whether it has that name */
  #seek(name: Uint8Array): boolean {
    const bytes = this.#bytes;
    for (; this.#left > 0; this.#left--) {
      const start = this.#at + ENTRY;
      const length = bytes[this.#at + 3] ?? 0;
      if (start + length > bytes.length) break;
      const order = compareAt(bytes, start, length, name);
      if (order >= 0) return order === 0;
      this.#at = start + length;
    }
    return false;
  }
}

/** Compares names of an entry and of a file: without a view being made of the one, as this is done for each file. */
function compareAt(bytes: Uint8Array, start: number, length: number, name: Uint8Array): number {
  const common = length < name.length ? length : name.length;
  for (let index = 0; index < common; index++) {
    const difference = (bytes[start + index] as number) - (name[index] as number);
    if (difference !== 0) return difference;
  }
  return length - name.length;
}

function u32At(bytes: Uint8Array, at: number): number {
  const [a = 0, b = 0, c = 0, d = 0] = [bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]];
  return (a | (b << 8) | (c << 16) | (d << 24)) >>> 0;
}
