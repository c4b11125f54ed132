/**
 * Which names are of the same inode. The number of links would say for which it is worth looking, but some filesystems
 * (fuse-overlayfs) report a wrong one, and composefs-rs ignores it. So files that are reported with a single name are
 * only noted while a directory is read, and compared at the end, all at once: to sort their numbers takes less time than
 * to look each of them up in a map that grows.
 */
import type { Leaf } from "../tree/node.ts";
import type { Stat } from "./libc.ts";

/** The inodes of one device. */
class DeviceInodes {
  /** Those that are reported with several names, or have a number that no float64 is. */
  readonly named = new Map<number | bigint, Leaf>();
  /** The numbers of the others, so many, and what they are. */
  numbers = new Float64Array(FIRST_ROOM);
  readonly leaves: Leaf[] = [];

  add(ino: number, leaf: Leaf): void {
    const count = this.leaves.push(leaf);
    if (count > this.numbers.length) {
      const larger = new Float64Array(2 * this.numbers.length);
      larger.set(this.numbers);
      this.numbers = larger;
    }
    this.numbers[count - 1] = ino;
  }

  /** Numbers that occur more than once. */
  repeated(): ReadonlySet<number | bigint> {
    const sorted = this.numbers.slice(0, this.leaves.length).sort();
    const repeated = new Set<number | bigint>();
    for (let index = 1; index < sorted.length; index++) {
      if (sorted[index] === sorted[index - 1]) repeated.add(sorted[index] as number);
    }
    for (const ino of this.named.keys()) if (typeof ino === "number" && holds(sorted, ino)) repeated.add(ino);
    return repeated;
  }
}
const FIRST_ROOM = 1024;

/** Non-directories by device and inode number. */
export class InodeTable {
  readonly #devices = new Map<number, DeviceInodes>();
  /** The device of the file before. */
  #device = -1;
  #inodes = new DeviceInodes();

  /** What is known of an inode that is reported with several names. Undefined: nothing, or it is one of the others. */
  get(stat: Stat): Leaf | undefined {
    const { ino, links } = stat;
    return typeof ino === "number" && links === 1 ? undefined : this.#of(stat).named.get(ino);
  }

  /** Adds an inode that {@link get} does not know, or did not before the file got another name. */
  add(stat: Stat, leaf: Leaf): void {
    const { ino, links } = stat;
    const inodes = this.#of(stat);
    if (typeof ino === "number" && (links === 1 || inodes.named.has(ino))) inodes.add(ino, leaf);
    else inodes.named.set(ino, leaf);
  }

  /** What is known of an inode, whatever number of names is reported. It takes time in proportion to all of them. */
  find(stat: Stat): Leaf | undefined {
    const { named, numbers, leaves } = this.#of(stat);
    const { ino } = stat;
    return named.get(ino) ?? (typeof ino === "number" ? leaves[numbers.indexOf(ino)] : undefined);
  }

  /** What stands for the same inode as another one: each with the one that stays. Nearly always there is none. */
  duplicates(): ReadonlyMap<Leaf, Leaf> {
    const duplicates = new Map<Leaf, Leaf>();
    for (const inodes of this.#devices.values()) {
      const repeated = inodes.repeated();
      if (repeated.size === 0) continue;
      const known = new Map(inodes.named);
      for (const [index, leaf] of inodes.leaves.entries()) {
        const ino = inodes.numbers[index] as number;
        if (!repeated.has(ino)) continue;
        const first = known.get(ino);
        if (first === undefined) known.set(ino, leaf);
        else duplicates.set(leaf, first);
      }
    }
    return duplicates;
  }

  #of({ devMajor, devMinor }: Stat): DeviceInodes {
    const device = devMajor * 2 ** 20 + devMinor;
    if (device === this.#device) return this.#inodes;
    this.#device = device;
    this.#inodes = this.#devices.get(device) ?? new DeviceInodes();
    this.#devices.set(device, this.#inodes);
    return this.#inodes;
  }
}

/** Whether a sorted array has a number. */
function holds(sorted: Float64Array, number: number): boolean {
  let low = 0;
  let high = sorted.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((sorted[middle] as number) < number) low = middle + 1;
    else high = middle;
  }
  return sorted[low] === number;
}
