/**
 * How far a machine came, by what its serial console said: lines of EDK II's boot manager (BdsDxe), systemd-boot and Linux. What a guest
 * prints is not trusted: there is no line that it can't write itself, so this answers for images that are meant to boot, not for hostile ones.
 */

/** In the order in which a machine gets to them; `expected` is the text that was waited for. */
export const BOOT_STAGES = ["nothing", "firmware", "boot-loader", "kernel", "expected"] as const;
export type BootStage = (typeof BOOT_STAGES)[number];

/** Why a machine can't come any further. */
export type BootStop =
  /** Secure Boot: the signature of a program is missing, wrong, or by a key that is not trusted. */
  | { readonly kind: "refused"; readonly by: "firmware" | "boot-loader"; readonly file: string }
  /** The firmware or the boot loader could not start a program, for another reason. */
  | { readonly kind: "failed"; readonly reason: string }
  /** The kernel gave up. */
  | { readonly kind: "panic"; readonly reason: string };

export interface BootState {
  readonly stage: BootStage;
  /** Null as long as it may come further. */
  readonly stop: BootStop | null;
}

export interface BootWatch {
  /** Takes what came next over the serial console, cut anywhere. */
  push(bytes: Uint8Array): BootState;
  /** The last lines as plain text, without control characters. */
  lastLines(): readonly string[];
}

/** What firmware starts by itself on a disk (UEFI specification 3.5.1.1); the console does not say its name. */
const DEFAULT_LOADER = "EFI/BOOT/BOOTX64.EFI";

/** Lines longer than this are looked at in parts, which overlap by half of it. */
const MAX_LINE = 1 << 13;
const KEPT_LINES = 30;
const KEPT_LINE_LENGTH = 240;

// biome-ignore lint/suspicious/noControlCharactersInRegex: terminals are steered by them
const CURSOR_MOVE = /\x1b\[[\d;]*[Hf]/g;
// biome-ignore lint/suspicious/noControlCharactersInRegex: ECMA-48: CSI sequences, other escape sequences, control characters
const CONTROLS = /\x1b\[[0-?]*[ -/]*[@-~]|\x1b[ -/]*[0-Z\\-~]|[\x00-\x1f\x7f-\x9f]/g;

const LOADING = /^BdsDxe: loading Boot/;
const STARTING = /^BdsDxe: starting Boot/;
const NOT_LOADED = /^BdsDxe: failed to (?:load|start) Boot.*: ([^:]*)$/;
const NOTHING_TO_BOOT = /^BdsDxe: No bootable option or device was found/;
const LOADER_ERROR = /(?:^|: )Error (?:loading|opening|preparing|executing|starting) (\S.*): ([^:]+)$/;
const KERNEL = /^(?:EFI stub: |\[ *\d+\.\d{6}\] )/;
const PANIC = /^\[ *\d+\.\d{6}\] (Kernel panic - not syncing.*)$/;
/** What EFI_ACCESS_DENIED and EFI_SECURITY_VIOLATION are called. */
const REFUSED = /^(?:access denied|security (?:policy )?violation)$/i;

/**
 * @param expect text that proves that the image runs; null: the kernel's first line is enough. It may stand anywhere in a line, but not
 *   go over the end of one
 */
export function watchBoot(expect: string | null): BootWatch {
  const decoder = new TextDecoder();
  const lines: string[] = [];
  let state: BootState = { stage: "nothing", stop: null };
  let pending = "";

  const look = (line: string) => {
    state = nextState(state, line, expect);
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

function nextState(state: BootState, line: string, expect: string | null): BootState {
  if (state.stage === "expected") return state;
  if (expect !== null && line.includes(expect)) return { stage: "expected", stop: null };
  if (state.stop !== null) return state;
  const stop = stopOf(line);
  if (stop !== null) return { ...state, stop };
  const stage = stageOf(line);
  return stage === null || BOOT_STAGES.indexOf(stage) <= BOOT_STAGES.indexOf(state.stage)
    ? state
    : { stage, stop: null };
}

function stageOf(line: string): BootStage | null {
  if (LOADING.test(line)) return "firmware";
  if (STARTING.test(line)) return "boot-loader";
  return KERNEL.test(line) ? "kernel" : null;
}

function stopOf(line: string): BootStop | null {
  const byFirmware = NOT_LOADED.exec(line);
  if (byFirmware !== null) {
    if (REFUSED.test(byFirmware[1] ?? "")) return { kind: "refused", by: "firmware", file: DEFAULT_LOADER };
    return { kind: "failed", reason: line };
  }
  if (NOTHING_TO_BOOT.test(line)) return { kind: "failed", reason: line };
  const byLoader = LOADER_ERROR.exec(line);
  if (byLoader !== null) {
    const [, file = "", reason = ""] = byLoader;
    if (REFUSED.test(reason)) return { kind: "refused", by: "boot-loader", file: unixPath(file) };
    return { kind: "failed", reason: line };
  }
  const panic = PANIC.exec(line);
  return panic === null ? null : { kind: "panic", reason: panic[1] ?? "" };
}

/** Firmware writes `\EFI\Linux\x.efi`. */
function unixPath(path: string): string {
  return path.replaceAll("\\", "/").replace(/^\/+/, "");
}
