/**
 * What single lines of a machine's console mean: of EDK II's boot manager (BdsDxe), systemd-boot, Linux, the programs
 * that set up a composefs root in the initramfs (composefs-rs 0.9, bootc 1.16), and systemd.
 */
import { type GuestAnswer, parseGuestLine } from "./guest-units.ts";

/** In the order in which a machine reaches them; `expected` is the text that the caller waits for. */
export const BOOT_STAGES = [
  "nothing",
  "firmware",
  "boot-loader",
  "kernel",
  /** The initramfs has mounted a composefs image. */
  "image",
  /** The system runs from its root filesystem. */
  "root",
  /** systemd has reached its default target. */
  "system",
  "expected",
] as const;
export type BootStage = (typeof BOOT_STAGES)[number];

/** Why the initramfs does not set up the root filesystem. */
export const ROOT_PROBLEMS = [
  "no-digest",
  "malformed-digest",
  "no-image",
  "repository-without-verity",
  "image-without-verity",
  "image-changed",
  "no-repository",
  "no-state",
] as const;
export type RootProblem = (typeof ROOT_PROBLEMS)[number];

/** Why a machine can't get any further. */
export type BootStop =
  /** Secure Boot: the signature of a program is missing, wrong, or by a key that is not trusted. */
  | { readonly kind: "refused"; readonly by: "firmware" | "boot-loader"; readonly file: string }
  /** The firmware or the boot loader could not start a program, for another reason. */
  | { readonly kind: "failed"; readonly reason: string }
  /** The initramfs refuses the root filesystem. */
  | { readonly kind: "no-root"; readonly problem: RootProblem; readonly reason: string }
  /** systemd entered emergency mode. */
  | { readonly kind: "emergency"; readonly reason: string }
  /** The kernel gave up. */
  | { readonly kind: "panic"; readonly reason: string };

/** What one line says. */
export type LineMeaning =
  | { readonly kind: "stage"; readonly stage: BootStage }
  | { readonly kind: "stop"; readonly stop: BootStop }
  | { readonly kind: "answer"; readonly answer: GuestAnswer }
  /** fs-verity: bytes of a file do not match its digest; they can't be read. */
  | { readonly kind: "corrupted"; readonly reason: string };

/** The kernel's time stamp. */
const TIME = String.raw`^\[ *\d+\.\d{6}\] `;

const STAGES: readonly (readonly [RegExp, BootStage])[] = [
  [/^BdsDxe: loading Boot/, "firmware"],
  [/^BdsDxe: starting Boot/, "boot-loader"],
  [new RegExp(`${TIME}erofs:? \\(device .*\\): mounted with root inode`), "image"],
  [new RegExp(`${TIME}systemd\\[1\\]: Switching root\\.`), "root"],
  // Descriptions only before systemd 249.
  [
    /(?:^\[ {2}OK {2}\]|systemd\[1\]:) Reached target (?:multi-user\.target|graphical\.target|Multi-User System|Graphical Interface)/,
    "system",
  ],
  [new RegExp(`^EFI stub: |${TIME}`), "kernel"],
];

const NOT_LOADED = /^BdsDxe: failed to (?:load|start) Boot.*: ([^:]*)$/;
const NOTHING_TO_BOOT = /^BdsDxe: No bootable option or device was found/;
const LOADER_ERROR = /(?:^|: )Error (?:loading|opening|preparing|executing|starting) (\S.*): ([^:]+)$/;
const PANIC = new RegExp(`${TIME}(Kernel panic - not syncing.*)$`);
const CORRUPTED = new RegExp(`${TIME}(fs-verity .*FILE CORRUPTED!.*)$`);
/** Messages for EFI_ACCESS_DENIED and EFI_SECURITY_VIOLATION. */
const REFUSED = /^(?:access denied|security (?:policy )?violation)$/i;

const ROOT_ERRORS: readonly (readonly [RegExp, RootProblem])[] = [
  [/no composefs karg found|No composefs image in cmdline/, "no-digest"],
  [/invalid composefs= digest|parsing composefs(?:\.digest)?= /, "malformed-digest"],
  [/no composefs image found \(tried|image not found: [0-9a-f]/, "no-image"],
  [/repository was not initialized with fs-verity/, "repository-without-verity"],
  [/fs-verity is not (?:enabled on file|supported by filesystem)/, "image-without-verity"],
  [/fs-verity content mismatch/, "image-changed"],
  [/meta\.json not found; this/, "no-repository"],
  [/(?:Failed to open|Opening) dir "(?:state\/deploy|[0-9a-f]{64,128})"/, "no-state"],
];
const EMERGENCY =
  /You are in emergency mode|(?:^\[ {2}OK {2}\]|systemd\[1\]:) Reached target (?:emergency\.target|Emergency Mode)/;

/**
 * @param line as a person would see it
 * @param loader what the firmware starts by itself
 * @returns null for a line without information
 */
export function lineMeaning(line: string, loader: string): LineMeaning | null {
  const answer = parseGuestLine(line);
  if (answer !== null) return { kind: "answer", answer };
  const stop = stopOf(line, loader);
  if (stop !== null) return { kind: "stop", stop };
  const corrupted = CORRUPTED.exec(line);
  if (corrupted !== null) return { kind: "corrupted", reason: corrupted[1] ?? "" };
  const stage = STAGES.find(([pattern]) => pattern.test(line))?.[1];
  return stage === undefined ? null : { kind: "stage", stage };
}

function stopOf(line: string, loader: string): BootStop | null {
  const byFirmware = NOT_LOADED.exec(line);
  if (byFirmware !== null) {
    if (REFUSED.test(byFirmware[1] ?? "")) return { kind: "refused", by: "firmware", file: loader };
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
  if (panic !== null) return { kind: "panic", reason: panic[1] ?? "" };
  const problem = ROOT_ERRORS.find(([pattern]) => pattern.test(line))?.[1];
  if (problem !== undefined) return { kind: "no-root", problem, reason: line };
  return EMERGENCY.test(line) ? { kind: "emergency", reason: line } : null;
}

/** Firmware writes `\EFI\Linux\x.efi`. */
function unixPath(path: string): string {
  return path.replaceAll("\\", "/").replace(/^\/+/, "");
}
