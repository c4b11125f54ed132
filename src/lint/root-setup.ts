/** Which program of an initramfs mounts the composefs root, and what starts it. */
import { parseCmdline } from "../boot/cmdline.ts";
import type { Initramfs, InitramfsFile } from "../boot/initramfs.ts";
import { displayBytes, latin1 } from "../bytes.ts";

/** The programs in an initramfs that mount a composefs root. */
export const ROOT_PROGRAMS = ["composefs-setup-root", "bootc's initramfs-setup"] as const;

/** The program in an initramfs that mounts the root, and its configuration. */
export interface RootSetup {
  readonly name: (typeof ROOT_PROGRAMS)[number];
  /** In the initramfs, readable. */
  readonly path: string;
  /** The version or revision of composefs-rs that it was built with, from the source paths in it; null: unknown. */
  readonly composefs: string | null;
  /** Whether it knows `composefs.digest=`; the one of bootc up to 1.16.2 does not contain that name. */
  readonly knowsLongForm: boolean;
  /** The scripts and units that start it. */
  readonly starters: readonly Starter[];
}

/** A script, or a service of systemd. */
export interface Starter {
  readonly path: string;
  /** For services: whether another unit pulls it in. */
  readonly isWanted: boolean;
  /** Its text. */
  readonly text: string;
}

/**
 * Of composefs-rs, and of bootc from 1.7 on, as their makefiles and the modules for dracut and mkinitcpio place them;
 * hand-made initramfs images may have them elsewhere.
 */
const PROGRAMS: readonly { readonly name: RootSetup["name"]; readonly pattern: RegExp }[] = [
  { name: "composefs-setup-root", pattern: /(?:^|\/)composefs-setup-root$/ },
  { name: "bootc's initramfs-setup", pattern: /(?:^|\/)(?:bootc\/|bootc-)initramfs-setup$/ },
];

/**
 * Rust programs contain the paths of their sources, for panic messages: of a registry's crate, or of a git checkout.
 */
const SOURCES = /\/(?:composefs-(\d+\.\d+\.\d+)|composefs-rs-[0-9a-f]+\/([0-9a-f]{7}))\//;

/** Scripts and units are smaller. */
const TEXT_LIMIT = 256 << 10;
const ELF = "\x7fELF";
const TYPE_MASK = 0o170000;
const REGULAR = 0o100000;
const ANY_EXECUTE = 0o111;

/** All programs of an initramfs that can mount a composefs root. */
export function findRootSetups({ files }: Pick<Initramfs, "files">): RootSetup[] {
  return PROGRAMS.flatMap(({ name, pattern }) => {
    const found = [...files].find(([path, { mode }]) => pattern.test(path) && isProgram(mode));
    if (found === undefined) return [];
    const [path, { content }] = found;
    const call = pattern.exec(path)?.[0].replace(/^\//, "") ?? path;
    const shown = displayBytes(Buffer.from(path, "latin1"));
    const [, version, revision] = SOURCES.exec(latin1(content)) ?? [];
    return [
      {
        name,
        path: shown,
        composefs: version ?? revision ?? null,
        knowsLongForm: Buffer.from(content).includes("composefs.digest"),
        starters: startersOf(call, files),
      },
    ];
  });
}

function isProgram(mode: number): boolean {
  return (mode & TYPE_MASK) === REGULAR && (mode & ANY_EXECUTE) !== 0;
}

function startersOf(call: string, files: ReadonlyMap<string, InitramfsFile>): Starter[] {
  const starters: Starter[] = [];
  for (const [path, { mode, content }] of files) {
    if ((mode & TYPE_MASK) !== REGULAR || content.length > TEXT_LIMIT) continue;
    const text = latin1(content);
    if (text.startsWith(ELF) || !text.includes(call)) continue;
    const unit = /[^/]+\.service$/.exec(path)?.[0];
    const isWanted = unit === undefined || [...files.keys()].some((other) => isLinkTo(unit, other));
    starters.push({ path: displayBytes(Buffer.from(path, "latin1")), isWanted, text });
  }
  return starters;
}

/** `initrd-root-fs.target.wants/x.service`, as systemctl enable makes it. */
function isLinkTo(unit: string, path: string): boolean {
  return path.endsWith(`/${unit}`) && /\.(?:wants|requires|upholds)\/[^/]+$/.test(path);
}

/**
 * The condition on the kernel command line that keeps systemd from starting a unit (systemd.unit(5),
 * "ConditionKernelCommandLine="); null if no such condition does.
 */
export function failingCondition(unit: string, cmdline: string): string | null {
  let conditions: { text: string; isTrigger: boolean; holds: boolean }[] = [];
  let otherTriggers = false;
  for (const line of unit.split("\n")) {
    const [, name = "", value = ""] = /^\s*(Condition\w+)\s*=\s*(.*?)\s*$/.exec(line) ?? [];
    if (name !== "ConditionKernelCommandLine") {
      otherTriggers ||= value.startsWith("|");
      continue;
    }
    // An empty assignment resets what came before.
    if (value === "") conditions = [];
    else conditions.push({ text: `${name}=${value}`, ...evaluate(value, cmdline) });
  }
  const failed = conditions.find(({ isTrigger, holds }) => !isTrigger && !holds);
  if (failed !== undefined) return failed.text;
  const triggers = conditions.filter(({ isTrigger }) => isTrigger);
  if (triggers.length === 0 || otherTriggers || triggers.some(({ holds }) => holds)) return null;
  return triggers.map(({ text }) => text).join(" and ");
}

function evaluate(value: string, cmdline: string): { isTrigger: boolean; holds: boolean } {
  const [, trigger = "", negation = "", word = ""] = /^(\|?)\s*(!?)\s*(.*)$/.exec(value) ?? [];
  // systemd removes quotes, and unlike the kernel distinguishes - and _ here.
  const found = parseCmdline(cmdline).some(({ text, name }) =>
    word.includes("=") ? text.replaceAll('"', "") === word : name === word,
  );
  return { isTrigger: trigger !== "", holds: found !== (negation !== "") };
}
