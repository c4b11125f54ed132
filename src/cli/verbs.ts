/** The table of verbs. Only the verb that is called gets loaded, so that `--version` and `--help` stay instant. */
import type { Command } from "./command.ts";

export interface Verb {
  /** What is typed: one word, or two (`keys generate`). */
  readonly name: string;
  /** Spellings of peers that mean the same. */
  readonly aliases: readonly string[];
  readonly summary: string;
  readonly load: () => Promise<Command>;
}

export const VERBS: readonly Verb[] = [];
