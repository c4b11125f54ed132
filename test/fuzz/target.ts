/** What is fuzzed, and what holds for all of it. */
import { readdirSync, readFileSync } from "node:fs";
import { expect } from "vitest";
import { SealError } from "../../src/errors.ts";
import type { Fields } from "./mutate.ts";

export interface FuzzTarget {
  /** Also the folder in `corpus/` whose files are further seeds. */
  readonly name: string;
  /** Files that are accepted, odd ones that real tools wrote among them; so are those in the corpus. */
  readonly seeds: () => readonly Uint8Array[] | Promise<readonly Uint8Array[]>;
  /** Words of the format. */
  readonly tokens?: readonly string[];
  /** References in a seed, each of which may stand for another one. */
  readonly fields?: Fields;
  /**
   * Seconds of CPU that one input may take, beside {@link SECONDS_PER_BYTE}; {@link BASE_SECONDS} unless
   * given, with the reason.
   */
  readonly seconds?: number;
  /** Characters that a message may have; {@link MESSAGE_LENGTH} unless given. */
  readonly messageLength?: number;
  /**
   * Reads a file, and checks what is promised of one that is accepted.
   * @throws SealError for a file that is refused; whatever else is thrown is a fault
   */
  readonly read: (bytes: Uint8Array) => void | Promise<void>;
}

/** The compiler, the garbage collector and other threads count too. */
const BASE_SECONDS = 2;
const MESSAGE_LENGTH = 1000;
/** Of messages that name paths in a tree: two, of 4096 bytes at most, each of them escaped. */
export const PATHS_LENGTH = 2 * 4 * 4096 + 1000;
/** 20 seconds per MiB. */
const SECONDS_PER_BYTE = 20 / 2 ** 20;
/**
 * Memory that a target may add to what the process had at its peak: for the engine, and as a multiple
 * of its largest input.
 */
const BASE_MEMORY = 256 * 2 ** 20;
const MEMORY_FACTOR = 64;

/** The files kept for a target: seeds that no vector has, and what fuzzing found. */
export function corpus(name: string): Buffer[] {
  const directory = new URL(`corpus/${name}/`, import.meta.url);
  try {
    return readdirSync(directory)
      .sort()
      .map((file) => readFileSync(new URL(file, directory)));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return [];
    throw error;
  }
}

/** Reads one file. @throws where one of the promises is broken */
export async function check(target: FuzzTarget, input: Uint8Array): Promise<void> {
  // Not a Buffer: what is compared must not depend on the class of the input.
  const bytes = new Uint8Array(input);
  const before = process.cpuUsage();
  try {
    await target.read(bytes);
  } catch (error) {
    // Anything else would be reported as a bug of seal: exit status 70.
    if (!(error instanceof SealError)) throw error;
    expect(["input", "usage"]).toContain(error.code);
    // One line, in which what the file says does not hide what seal says. The terminal's own characters
    // are escaped in cli/.
    expect(error.message).toMatch(/^[^\n\r]+$/);
    expect(error.message.length).toBeLessThan(target.messageLength ?? MESSAGE_LENGTH);
  }
  const { user, system } = process.cpuUsage(before);
  expect((user + system) / 1e6).toBeLessThan((target.seconds ?? BASE_SECONDS) + SECONDS_PER_BYTE * bytes.length);
  // Inputs are the caller's; views of them go into results.
  expect(Buffer.compare(bytes, input)).toBe(0);
}

/** Watches the memory of the process while a target is run. */
export class MemoryWatch {
  readonly #before = process.resourceUsage().maxRSS;
  #largest = 0;

  saw(bytes: Uint8Array): void {
    this.#largest = Math.max(this.#largest, bytes.length);
  }

  /** @throws when the peak grew by more than was promised */
  check(): void {
    const grown = (process.resourceUsage().maxRSS - this.#before) * 1024;
    expect(grown).toBeLessThan(BASE_MEMORY + MEMORY_FACTOR * this.#largest);
  }
}
