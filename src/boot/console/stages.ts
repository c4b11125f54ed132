/**
 * How far a machine got, by what its serial console said. What a guest prints is not trusted: it can write any line
 * itself, so this answers for images that are meant to boot, not for hostile ones.
 */

import type { GuestRoot } from "./guest-units.ts";
import { BOOT_STAGES, type BootStage, type BootStop, type LineMeaning, lineMeaning } from "./lines.ts";

export interface BootState {
  /** The furthest. */
  readonly stage: BootStage;
  /** All that were seen, in that order. */
  readonly seen: readonly BootStage[];
  /** Null as long as it may get further. */
  readonly stop: BootStop | null;
  /** What the running system said of its root filesystem; null when it has not, or can't. */
  readonly root: GuestRoot | null;
  /** Whether the running system has said all that it was asked. */
  readonly answered: boolean;
  /** The kernel's first complaint of a file that differs from its digest. */
  readonly corrupted: string | null;
}

export const BOOT_START: BootState = {
  stage: "nothing",
  seen: [],
  stop: null,
  root: null,
  answered: false,
  corrupted: null,
};

export interface BootWatch {
  /** Takes the next piece of the serial console's output, cut anywhere. */
  push(bytes: Uint8Array): BootState;
  /** The last lines as plain text, without control characters. */
  lastLines(): readonly string[];
}

/** Lines longer than this are looked at in parts, which overlap by half of it. */
const MAX_LINE = 1 << 13;
const KEPT_LINES = 30;
const KEPT_LINE_LENGTH = 240;

// biome-ignore lint/suspicious/noControlCharactersInRegex: terminals are steered by them
const CURSOR_MOVE = /\x1b\[[\d;]*[Hf]/g;
/** ECMA-48: control sequences, control strings, other escape sequences, control characters. */
const CONTROLS =
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is looked for
  /\x1b\[[0-?]*[ -/]*[@-~]|\x1b[P\]X^_][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b[ -/]*[0-Z\\-~]|[\x00-\x1f\x7f-\x9f]/g;

/**
 * @param expect text that proves that the image runs; null: do not wait for any. It may be anywhere in a
 *   line, but not span lines
 * @param loader what the firmware starts by itself on a disk, a path; the console does not say it
 */
export function watchBoot(expect: string | null, loader: string): BootWatch {
  const decoder = new TextDecoder();
  const lines: string[] = [];
  let state = BOOT_START;
  let pending = "";

  const look = (line: string) => {
    state = nextState(state, line, expect, loader);
  };
  return {
    push: (bytes) => {
      pending += decoder.decode(bytes, { stream: true }).replaceAll("\r", "\n");
      // A terminal sequence that is cut is completed by what comes next.
      const parts = pending.replace(CURSOR_MOVE, "\n").split("\n");
      pending = parts.pop() ?? "";
      for (const part of parts) {
        const line = plain(part);
        if (line === "") continue;
        look(line);
        lines.push(line.slice(0, KEPT_LINE_LENGTH));
      }
      lines.splice(0, lines.length - KEPT_LINES);
      // A prompt has no end of line.
      if (expect !== null && plain(pending).includes(expect)) look(plain(pending));
      if (pending.length > MAX_LINE) pending = pending.slice(-MAX_LINE / 2);
      return state;
    },
    lastLines: () => [...lines, plain(pending).slice(0, KEPT_LINE_LENGTH)].filter((line) => line !== ""),
  };
}

/** A line as a person would see it. */
function plain(line: string): string {
  return line.replace(CONTROLS, "").trim();
}

function nextState(state: BootState, line: string, expect: string | null, loader: string): BootState {
  if (expect !== null && line.includes(expect)) return { ...seen(state, "expected"), stop: null };
  const meaning = lineMeaning(line, loader);
  return meaning === null ? state : withMeaning(state, meaning);
}

function withMeaning(state: BootState, meaning: LineMeaning): BootState {
  switch (meaning.kind) {
    case "corrupted":
      return { ...state, corrupted: state.corrupted ?? meaning.reason };
    case "stop":
      // Anything after the expected text does not undo it.
      return state.stop === null && state.stage !== "expected" ? { ...state, stop: meaning.stop } : state;
    case "stage":
      return state.stop === null ? seen(state, meaning.stage) : state;
    case "answer":
      if (meaning.answer.kind === "up") return { ...seen(state, "system"), answered: true };
      return { ...seen(state, "root"), root: meaning.answer.root };
  }
}

/** A machine does not go back. */
function seen(state: BootState, stage: BootStage): BootState {
  if (state.seen.includes(stage)) return state;
  const isFurther = BOOT_STAGES.indexOf(stage) > BOOT_STAGES.indexOf(state.stage);
  return { ...state, stage: isFurther ? stage : state.stage, seen: [...state.seen, stage] };
}
