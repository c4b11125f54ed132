/**
 * What systemd-boot reads besides EFI programs: `loader/loader.conf` (loader.conf(5)) and the marker of the Boot Loader
 * Specification. A UKI in EFI/Linux is an entry by itself (type #2) and needs no file in loader/entries.
 */

/**
 * When systemd-boot enrols keys from `loader/keys` in setup mode: only in virtual machines by itself, when
 * asked, always, never.
 */
export const ENROLL_MODES = ["if-safe", "manual", "force", "off"] as const;
/** When systemd-boot enrols keys: `secure-boot-enroll` of loader.conf. */
export type EnrollMode = (typeof ENROLL_MODES)[number];

/** Settings of systemd-boot's loader.conf. */
export interface LoaderOptions {
  /** Seconds that the menu is shown; null: systemd-boot's own default, which is not to show it. */
  readonly timeout: number | null;
  /** Null: systemd-boot's own default, `if-safe`. */
  readonly enroll: EnrollMode | null;
}

/** The text of `loader/loader.conf`. */
export function loaderConf(options: LoaderOptions): string {
  const lines = ["# systemd-boot, see loader.conf(5)"];
  if (options.timeout !== null) lines.push(`timeout ${options.timeout}`);
  if (options.enroll !== null) lines.push(`secure-boot-enroll ${options.enroll}`);
  return `${lines.join("\n")}\n`;
}

/** The text of `loader/entries.srel`: entries here follow the Boot Loader Specification. */
export const ENTRIES_SREL = "type1\n";
