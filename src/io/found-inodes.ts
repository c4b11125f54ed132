/** Which inodes a walk has found, so that what has several names becomes one node. */
import type { Leaf } from "../tree/node.ts";

/** Non-directories by device and inode number. */
export class FoundInodes {
  readonly #found = new Map<number, Map<number | bigint, Leaf>>();
  /**
   * Those that had one name when they were found: most of a tree, and mostly none of them is looked for. They get
   * into the maps, which take longer than reading their metadata, when something else has several names.
   */
  readonly #single: { readonly devices: number[]; readonly numbers: (number | bigint)[]; readonly leaves: Leaf[] } = {
    devices: [],
    numbers: [],
    leaves: [],
  };

  /** @param links how many names it has */
  add(device: number, inode: number | bigint, links: number, leaf: Leaf): void {
    if (links > 1) {
      this.#add(device, inode, leaf);
      return;
    }
    const { devices, numbers, leaves } = this.#single;
    devices.push(device);
    numbers.push(inode);
    leaves.push(leaf);
  }

  /** The node of an inode, of one, too, that had a single name at first. */
  find(device: number, inode: number | bigint): Leaf | undefined {
    const { devices, numbers, leaves } = this.#single;
    for (const [index, leaf] of leaves.entries()) {
      this.#add(devices[index] as number, numbers[index] as number | bigint, leaf);
    }
    devices.length = 0;
    numbers.length = 0;
    leaves.length = 0;
    return this.#found.get(device)?.get(inode);
  }

  #add(device: number, inode: number | bigint, leaf: Leaf): void {
    let inodes = this.#found.get(device);
    if (inodes === undefined) {
      inodes = new Map();
      this.#found.set(device, inodes);
    }
    inodes.set(inode, leaf);
  }
}
