/**
 * UKI addons: EFI programs without code that systemd-stub looks for next to a UKI (`<uki>.efi.extra.d/*.addon.efi`) or
 * for all UKIs (`loader/addons/*.addon.efi`), and whose sections it adds to the UKI's (systemd-stub(7), "Companion
 * files"). Firmware checks their signatures as it checks a UKI's, so whoever can sign one can also change the command
 * line.
 */
import { type Chunks, concat } from "../chunks.ts";
import { inputError } from "../errors.ts";
import type { EfiArch } from "../pe/arch.ts";
import { findSection, type PeImage, sectionData } from "../pe/headers.ts";
import { checkArguments, checkCmdline, findComposefsDigests } from "./cmdline.ts";
import { ADDON_SECTIONS, isUki, programArch, programKind, ukiVersion } from "./efi-program.ts";

/** An addon of systemd-stub: a PE file with a command line or other sections that is added to UKIs. */
export interface BootAddon {
  readonly pe: PeImage;
  /** `NAME.addon.efi`, what it will be called. */
  readonly fileName: string;
  /** For the UKIs of this plan, or for all that the machine has and will have. */
  readonly scope: "uki" | "global";
}

/** What systemd-stub looks for, in either case. */
export const ADDON_SUFFIX = ".addon.efi";
/** Anything in ASCII may precede that ending; FAT allows neither control characters nor those that this excludes. */
const ADDON_NAME = /^[ !#-)+-.0-9;=@-[\]-{}~]+$/;
/** The longest name that it looks at. */
const NAME_MAX = 255;
/** Relative to `/boot`. */
export const GLOBAL_ADDONS = "loader/addons";

/** Relative to `/boot`, for the path of a UKI there. The stub ignores a boot counter in its name (`+3`, `+2-1`). */
export function addonDirectory(ukiPath: string): string {
  return `${ukiPath.replace(/^([^+]*)\+\d+(?:-\d+)?(?=\.|$)/, "$1")}.extra.d`;
}

/** Whether a PE file has a section that addons have, and no kernel. Boot loaders have neither. */
export function isAddon(pe: PeImage): boolean {
  return programKind(pe) === "addon";
}

/**
 * The command lines in a UKI, one for each profile that has one, or that of an addon; without white space at the end.
 */
export function cmdlinesOf(pe: PeImage): string[] {
  return pe.sections
    .filter(({ name }) => name === ".cmdline")
    .map((section) => new TextDecoder().decode(concat(sectionData(pe, section))).replace(/[\0\s]+$/, ""));
}

/** Why systemd-stub would ignore a file that is where addons are; null if it would not. */
export function addonProblem(pe: PeImage): string | null {
  if (isUki(pe)) return "is a UKI, not an addon: it has a kernel";
  return isAddon(pe) ? null : `has none of the sections that an addon adds (${ADDON_SECTIONS.join(" ")})`;
}

/**
 * Whether systemd-stub gives an addon to a UKI: one that states a kernel version (`.uname`) is for that kernel only. It
 * compares as many characters as the addon has, so `6.1` fits all versions that begin so, unless a NUL ends it. A UKI
 * that does not state its version takes any addon.
 */
export function addonFits(addon: PeImage, uki: PeImage): boolean {
  const [wanted, version] = [unameText(addon), unameText(uki)];
  if (wanted === null || version === null) return true;
  const [own = ""] = version.split("\0", 1);
  const end = wanted.indexOf("\0");
  return end === -1 ? own.startsWith(wanted) : own === wanted.slice(0, end);
}

/** `.uname` byte by byte. */
function unameText(pe: PeImage): string | null {
  const section = findSection(pe, ".uname");
  return section === null ? null : Buffer.from(concat(sectionData(pe, section))).toString("latin1");
}

/**
 * A digest that an addon adds to a UKI's command line, in words; null if it adds none, or the UKI's own. Which of two
 * digests counts depends on the program that reads them.
 * @param uki null: an addon for all UKIs
 */
export function foreignDigest(addon: PeImage, uki: PeImage | null): string | null {
  const own = uki === null ? [] : cmdlinesOf(uki).flatMap((cmdline) => findComposefsDigests(cmdline).digests);
  const { digests, malformed } = findComposefsDigests(cmdlinesOf(addon).join(" "));
  const foreign = digests.find(
    ({ digest, insecure }) => !own.some((one) => one.digest === digest && one.insecure === insecure),
  );
  if (foreign !== undefined) return `${foreign.form}=${foreign.insecure ? "?" : ""}${foreign.digest.slice(0, 8)}…`;
  return malformed[0]?.text ?? null;
}

interface PlacedUki {
  readonly pe: PeImage;
  /** Relative to `/boot`. */
  readonly path: string;
}

/**
 * Where addons go.
 * @throws SealError `input` for a file that is not an addon, has another architecture, or belongs to no UKI of the
 *   plan; for names that systemd-stub ignores or that two share; for a digest that is not the UKI's; for a command
 *   line that gets too long
 */
export function planAddons(
  addons: readonly BootAddon[],
  ukis: readonly PlacedUki[],
  arch: EfiArch,
): { readonly files: readonly { path: string; content: Chunks }[]; readonly warnings: readonly string[] } {
  const files = new Map<string, { path: string; addon: BootAddon }>();
  const warnings: string[] = [];
  for (const addon of addons) {
    checkAddon(addon, arch);
    const takers = ukis.filter((uki) => addonFits(addon.pe, uki.pe));
    if (takers.length === 0) {
      const versions = ukis.map(({ pe }) => ukiVersion(pe) ?? "?").join(", ");
      throw inputError(addon.pe.subject, `is for kernel ${ukiVersion(addon.pe)}, the UKI has ${versions}`);
    }
    for (const directory of directoriesOf(addon, takers)) {
      const path = `${directory}/${addon.fileName}`;
      const other = files.get(path.toLowerCase());
      if (other !== undefined) {
        throw inputError(
          addon.pe.subject,
          `would become ${path}, as ${other.addon.pe.subject} would. Rename one of them`,
        );
      }
      files.set(path.toLowerCase(), { path, addon });
    }
    warnings.push(...digestWarnings(addon, takers));
  }
  for (const uki of ukis) checkWholeCmdlines(uki, addons, arch);
  return { files: Array.from(files.values(), ({ path, addon }) => ({ path, content: addon.pe.file })), warnings };
}

function directoriesOf({ scope }: BootAddon, takers: readonly PlacedUki[]): string[] {
  return scope === "global" ? [GLOBAL_ADDONS] : takers.map(({ path }) => addonDirectory(path));
}

function checkAddon({ pe, fileName }: BootAddon, arch: EfiArch): void {
  const problem = addonProblem(pe);
  if (problem !== null) throw inputError(pe.subject, `${problem}. Make one with seal build-uki without --linux`);
  const own = programArch(pe);
  if (own !== arch)
    throw inputError(pe.subject, `is for ${own}, the boot loader for ${arch}. Give files of one architecture`);
  if (!fileName.toLowerCase().endsWith(ADDON_SUFFIX) || fileName.startsWith(".")) {
    throw inputError(pe.subject, `systemd-stub finds addons only by their name. Call it NAME${ADDON_SUFFIX}`);
  }
  if (!ADDON_NAME.test(fileName) || fileName.length > NAME_MAX) {
    throw inputError(
      pe.subject,
      `can't be called ${JSON.stringify(fileName)}: systemd-stub takes up to ${NAME_MAX} ASCII characters, and FAT none of "*/:<>?\\|`,
    );
  }
  for (const cmdline of cmdlinesOf(pe)) checkArguments(cmdline, pe.subject);
}

/** @throws SealError `input` for a digest that competes with one on a UKI's command line */
function digestWarnings({ pe, scope }: BootAddon, takers: readonly PlacedUki[]): string[] {
  if (scope === "global") {
    const digest = foreignDigest(pe, null);
    if (digest === null) return [];
    throw inputError(pe.subject, `adds ${digest} to every UKI, whatever its root filesystem is. Remove the digest`);
  }
  const warnings: string[] = [];
  for (const uki of takers) {
    const digest = foreignDigest(pe, uki.pe);
    if (digest === null) continue;
    const { digests, malformed } = findComposefsDigests(cmdlinesOf(uki.pe).join(" "));
    if (digests.length + malformed.length > 0) {
      throw inputError(
        pe.subject,
        `adds ${digest} to a UKI with another digest (${uki.pe.subject}). Remove it from the addon`,
      );
    }
    warnings.push(`${pe.subject} has the digest ${digest}; bootc looks for it only in the UKI`);
  }
  return warnings;
}

/** What the kernel gets: the UKI's command line, then the global addons', then its own addons', each by name. */
function checkWholeCmdlines({ pe, path }: PlacedUki, addons: readonly BootAddon[], arch: EfiArch): void {
  const byName = addons
    .toSorted((a, b) => (a.fileName < b.fileName ? -1 : 1))
    .filter((addon) => addonFits(addon.pe, pe));
  const added = (["global", "uki"] as const).flatMap((scope) =>
    byName.filter((addon) => addon.scope === scope).flatMap((addon) => cmdlinesOf(addon.pe)),
  );
  if (added.length === 0) return;
  const own = cmdlinesOf(pe);
  for (const cmdline of own.length === 0 ? [""] : own) {
    checkCmdline([cmdline, ...added].join(" "), `${path} with its addons`, arch);
  }
}
