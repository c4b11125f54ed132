/**
 * What systemd's EFI programs say about themselves in `.sdmagic`:
 * `#### LoaderInfo: systemd-boot 257.13-1~deb13u1 ####`.
 */
import { concat } from "../chunks.ts";
import { findSection, type PeImage, sectionData } from "./headers.ts";

/**
 * Name and version of the program (`systemd-boot 257.13`, `systemd-stub 257.13`); null when it is not one of systemd's.
 */
export function loaderInfo(pe: PeImage): string | null {
  const section = findSection(pe, ".sdmagic");
  if (section === null) return null;
  const text = Buffer.from(concat(sectionData(pe, section))).toString("latin1");
  return /LoaderInfo: ([\x21-\x7e ]*?) ####/.exec(text)?.[1] ?? null;
}

/** The major version of one of systemd's EFI programs; null when it is not that program. */
export function systemdVersion(pe: PeImage, program: "systemd-boot" | "systemd-stub"): number | null {
  const [, name, version] = /^(\S+) (\d+)/.exec(loaderInfo(pe) ?? "") ?? [];
  return name === program ? Number(version) : null;
}
