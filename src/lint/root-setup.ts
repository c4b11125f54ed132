/** Which program of an initramfs mounts the composefs root, what starts it, and which digests of a command line it looks up. */
import {
  type CmdlineDigest,
  findComposefsDigests,
  findComposefsWords,
  isMalformed,
  parseCmdline,
} from "../boot/cmdline.ts";
import { type Initramfs as InitramfsReader, readDigest } from "../boot/hosts.ts";
import type { Initramfs, InitramfsFile } from "../boot/initramfs.ts";
import { displayBytes, latin1 } from "../bytes.ts";

export interface RootSetup {
  /** For people: `composefs-setup-root`, `bootc's initramfs-setup`. */
  readonly name: string;
  /** In the initramfs, readable. */
  readonly path: string;
  /** Which words of the command line it goes by. */
  readonly reads: InitramfsReader;
  /** What calls it; none: nothing does. */
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
 * Of composefs-rs, and of bootc from 1.7 on, as their makefiles and the modules for dracut and mkinitcpio place them; people who make an
 * initramfs by hand put them elsewhere.
 */
const PROGRAMS: readonly {
  readonly name: string;
  readonly pattern: RegExp;
  readonly reads: (program: Uint8Array) => InitramfsReader;
}[] = [
  { name: "composefs-setup-root", pattern: /(?:^|\/)composefs-setup-root$/, reads: () => "all" },
  {
    name: "bootc's initramfs-setup",
    pattern: /(?:^|\/)(?:bootc\/|bootc-)initramfs-setup$/,
    // Up to bootc 1.16.2 it does not know the long form, and has no name for it.
    reads: (program) => (Buffer.from(program).includes("composefs.digest") ? "composefs.digest" : "composefs"),
  },
];

/** Scripts and units are smaller. */
const TEXT_LIMIT = 256 << 10;
const ELF = "\x7fELF";
const TYPE_MASK = 0o170000;
const REGULAR = 0o100000;
const ANY_EXECUTE = 0o111;

/** All programs of an initramfs that can mount a composefs root. */
export function findRootSetups({ files }: Pick<Initramfs, "files">): RootSetup[] {
  return PROGRAMS.flatMap(({ name, pattern, reads }) => {
    const found = [...files].find(([path, { mode }]) => pattern.test(path) && isProgram(mode));
    if (found === undefined) return [];
    const [path, { content }] = found;
    const call = pattern.exec(path)?.[0].replace(/^\//, "") ?? path;
    const shown = displayBytes(Buffer.from(path, "latin1"));
    return [{ name, path: shown, reads: reads(content), starters: startersOf(call, files) }];
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
 * The condition on the kernel command line that keeps systemd from starting a unit (systemd.unit(5), "ConditionKernelCommandLine="); null when
 * it is started as far as that goes.
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
    // An empty assignment takes back what came before.
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
  // systemd takes quotes off, and unlike the kernel tells - and _ apart here.
  const found = parseCmdline(cmdline).some(({ text, name }) =>
    word.includes("=") ? text.replaceAll('"', "") === word : name === word,
  );
  return { isTrigger: trigger !== "", holds: found !== (negation !== "") };
}

/** The digests of a command line that a program looks up, in its order; none where it can't read its word. */
export function triedDigests({ reads }: Pick<RootSetup, "reads">, cmdline: string): readonly CmdlineDigest[] {
  if (reads === "all") return findComposefsDigests(cmdline).digests;
  const word = readDigest(findComposefsWords(cmdline), reads);
  return word === null || isMalformed(word) || word.algorithm !== "sha512" ? [] : [word];
}
