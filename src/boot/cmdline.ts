/**
 * The kernel command line: split as Linux does it (`next_arg()` in lib/cmdline.c), joined as bootc does it, and the
 * composefs digests on it as the programs in the initramfs read them (composefs-rs, bootc).
 */

import { utf8 } from "../bytes.ts";
import type { ErofsVersion, VerityAlgorithm } from "../composefs/series.ts";
import { inputError, SealError } from "../errors.ts";
import type { EfiArch } from "../pe/arch.ts";

/** One word of a command line. */
export interface CmdlineArgument {
  /** The argument as written, quotes included. */
  readonly text: string;
  /** The part before the first `=`, without its opening quote. */
  readonly name: string;
  /** The part after the first `=`, without the quotes around it; null if there is no `=`. */
  readonly value: string | null;
}

/**
 * White space between arguments. Linux counts the byte 0xa0 too, which {@link checkCmdline} refuses, because other
 * readers do not, and because it is a part of many characters in UTF-8.
 */
const SPACE = /[ \t\n\v\f\r]/;

/**
 * Splits a command line at white space outside of double quotes. There is no way to escape a quote; one that is not
 * closed reaches to the end of the line.
 */
export function parseCmdline(cmdline: string): CmdlineArgument[] {
  return splitWords(cmdline).map(parseArgument);
}

function splitWords(cmdline: string): string[] {
  const words: string[] = [];
  let start = -1;
  let quoted = false;
  for (let index = 0; index < cmdline.length; index++) {
    const char = cmdline.charAt(index);
    if (!quoted && SPACE.test(char)) {
      if (start >= 0) words.push(cmdline.slice(start, index));
      start = -1;
      continue;
    }
    if (start < 0) start = index;
    if (char === '"') quoted = !quoted;
  }
  if (start >= 0) words.push(cmdline.slice(start));
  return words;
}

function parseArgument(text: string): CmdlineArgument {
  const body = text.startsWith('"') ? text.slice(1) : text;
  // Linux looks for `=` from the second character on: `=x` is a name.
  const equals = body.indexOf("=", 1);
  if (equals < 0) {
    return { text, name: body === text ? body : withoutFinalQuote(body), value: null };
  }
  const raw = body.slice(equals + 1);
  const value = raw.startsWith('"') ? withoutFinalQuote(raw.slice(1)) : raw;
  return { text, name: body.slice(0, equals), value: body === text ? value : withoutFinalQuote(value) };
}

function withoutFinalQuote(text: string): string {
  return text.endsWith('"') ? text.slice(0, -1) : text;
}

/**
 * A key that two arguments share if they are the same to the kernel, which treats `-` and `_` in names alike
 * (`parameq()` in kernel/params.c) and removes the quotes first: `"foo-bar=a b"` and `foo_bar="a b"` have one key. In
 * values every byte counts.
 */
export function argumentKey({ name, value }: Pick<CmdlineArgument, "name" | "value">): string {
  return JSON.stringify([name.replaceAll("-", "_"), value]);
}

/**
 * One command line with the arguments of all parts in order, single blanks between them. An argument that is there
 * already (`argumentKey`) is not repeated, as bootc does; the same name with several values stays.
 */
export function joinCmdline(parts: readonly string[]): string {
  const words = new Map<string, string>();
  for (const argument of parts.flatMap(parseCmdline)) {
    const key = argumentKey(argument);
    if (!words.has(key)) words.set(key, argument.text);
  }
  return [...words.values()].join(" ");
}

/**
 * Size of the kernel's buffer for the command line with its final NUL: `COMMAND_LINE_SIZE` in
 * arch/…/include/…/asm/setup.h of Linux 6.12. A longer one is truncated without an error. systemd-stub has no limit.
 */
const COMMAND_LINE_SIZE: Readonly<Record<EfiArch, number>> = {
  x64: 2048,
  ia32: 2048,
  aa64: 2048,
  arm: 1024,
  riscv32: 1024,
  riscv64: 1024,
  loongarch32: 4096,
  loongarch64: 4096,
};

/**
 * Checks that every program reads a command line, or a part of one, the same way: the EFI stub of Linux stops at the
 * first newline or NUL, systemd-stub turns control characters into blanks, and an open quote swallows the rest. White
 * space at the end does no harm.
 * @param subject what the user knows the command line by: `--cmdline`, a file
 * @throws SealError `input`
 */
export function checkArguments(cmdline: string, subject: string): void {
  const text = withoutFinalSpace(cmdline);
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is looked for
  const control = /[\x00-\x08\x0a-\x1f\x7f]/.exec(text);
  if (control !== null) {
    throw inputError(
      subject,
      `the kernel command line has ${controlName(control[0])} at character ${control.index + 1}; the kernel would read only what comes before it. Remove it`,
    );
  }
  if (text.split('"').length % 2 === 0) {
    const index = text.lastIndexOf('"') + 1;
    throw inputError(subject, `the quote at character ${index} of the kernel command line is not closed. Close it`);
  }
  if (utf8(text).includes(0xa0)) {
    const char = [...text].find((candidate) => utf8(candidate).includes(0xa0));
    throw inputError(
      subject,
      `the kernel command line has "${char}", which in UTF-8 contains the byte 0xa0, white space to the kernel. Use another spelling`,
    );
  }
}

/**
 * Checks a whole command line as `checkArguments` does, and that it fits into the kernel's buffer.
 * @throws SealError `input`
 */
export function checkCmdline(cmdline: string, subject: string, arch: EfiArch): void {
  checkArguments(cmdline, subject);
  const { length } = utf8(withoutFinalSpace(cmdline));
  const limit = COMMAND_LINE_SIZE[arch] - 1;
  if (length > limit) {
    throw inputError(
      subject,
      `the kernel command line has ${length} bytes; Linux on ${arch} takes ${limit} and ignores the rest. Shorten it`,
    );
  }
}

function withoutFinalSpace(text: string): string {
  return text.replace(/[ \t\n\v\f\r]+$/, "");
}

function controlName(char: string): string {
  if (char === "\0") return "a NUL";
  if (char === "\n") return "a newline";
  return `the control character 0x${char.charCodeAt(0).toString(16).padStart(2, "0")}`;
}

/** How a digest is written on the command line: only its value, or with its format. */
export const KARG_STYLES = ["composefs", "composefs.digest"] as const;
/** The form of the kernel argument that names a digest. */
export type KargStyle = (typeof KARG_STYLES)[number];

/**
 * The kernel argument that names the root filesystem: `composefs=<hex>`, or `composefs.digest=v1-sha512-12:<hex>`.
 * @param digest the fs-verity digest of the EROFS image, in lower-case hex
 * @param options.allowMissingVerity writes `?` after the `=`: fs-verity on the disk is not required
 * @throws SealError `usage` for v0 in the long form, which has no name for it
 */
export function composefsKarg(
  digest: { readonly erofs: ErofsVersion; readonly algorithm: VerityAlgorithm; readonly digest: string },
  style: KargStyle,
  { allowMissingVerity = false }: { readonly allowMissingVerity?: boolean | undefined } = {},
): string {
  const mark = allowMissingVerity ? "?" : "";
  if (style === "composefs") return `composefs=${mark}${digest.digest}`;
  if (digest.erofs === "v0") {
    throw new SealError(
      "usage",
      "composefs.digest= has no name for EROFS v0. Use --karg-style composefs, or --erofs v1",
    );
  }
  return `composefs.digest=${mark}${digest.erofs}-${digest.algorithm}-12:${digest.digest}`;
}

/** A composefs digest on a command line. */
export interface CmdlineDigest {
  readonly form: KargStyle;
  /** Whether there is a `?`: fs-verity on the disk is not required. */
  readonly insecure: boolean;
  /** Null in the short form, which does not name it. */
  readonly erofs: "v1" | "v2" | null;
  readonly algorithm: VerityAlgorithm;
  /** Lower-case hex. */
  readonly digest: string;
}

/**
 * A word that looks like a digest but is not a valid one: programs in the initramfs stop at it or look for another
 * root.
 */
export interface MalformedDigest {
  readonly text: string;
  readonly reason: string;
}

/** The composefs digests that a command line names. */
export interface ComposefsDigests {
  /** In the order of the command line. */
  readonly digests: readonly CmdlineDigest[];
  readonly malformed: readonly MalformedDigest[];
}

/** A word that names a digest, or is meant to. */
export type ComposefsWord = CmdlineDigest | MalformedWord;
/** A word of a command line that looks like a digest and can't be read. */
export interface MalformedWord extends MalformedDigest {
  readonly form: KargStyle;
}

export function isMalformed(word: ComposefsWord): word is MalformedWord {
  return "reason" in word;
}

/** Hex digits of a digest, by algorithm. */
const HEX_LENGTHS: Readonly<Record<VerityAlgorithm, number>> = { sha256: 64, sha512: 128 };

/** The words that name a valid digest. */
export function digestsOf(words: readonly ComposefsWord[]): readonly CmdlineDigest[] {
  return words.filter((word): word is CmdlineDigest => !isMalformed(word));
}

/** All composefs digests on a command line. */
export function findComposefsDigests(cmdline: string): ComposefsDigests {
  const words = findComposefsWords(cmdline);
  return {
    digests: digestsOf(words),
    malformed: words.filter(isMalformed).map(({ text, reason }) => ({ text, reason })),
  };
}

/**
 * The same in the order of the command line. A word counts by how it starts; quotes around a digest make it malformed.
 */
export function findComposefsWords(cmdline: string): readonly ComposefsWord[] {
  const words: ComposefsWord[] = [];
  for (const { text, name } of parseCmdline(cmdline)) {
    const form = KARG_STYLES.find((style) => style === name);
    if (form === undefined) continue;
    const result = parseDigest(text, form);
    words.push(typeof result === "string" ? { form, text, reason: result } : result);
  }
  return words;
}

/** @returns the digest, or what is wrong with it */
function parseDigest(text: string, form: KargStyle): CmdlineDigest | string {
  if (text.includes('"')) return "it is in quotes, which not every initramfs removes";
  if (!text.startsWith(`${form}=`)) return "it has no value";
  let value = text.slice(form.length + 1);
  const insecure = value.startsWith("?");
  if (insecure) value = value.slice(1);
  let erofs: CmdlineDigest["erofs"] = null;
  let algorithm = (["sha256", "sha512"] as const).find((name) => HEX_LENGTHS[name] === value.length);
  if (form === "composefs.digest") {
    const parts = /^(v[12])-(sha256|sha512)-12:(.*)$/s.exec(value);
    if (parts === null) return "its value is not of the form v1-sha512-12:DIGEST (v1 or v2; sha256 or sha512)";
    erofs = parts[1] === "v1" ? "v1" : "v2";
    algorithm = parts[2] === "sha256" ? "sha256" : "sha512";
    value = parts[3] ?? "";
  }
  if (algorithm === undefined || value.length !== HEX_LENGTHS[algorithm]) {
    const expected = algorithm === undefined ? "64 or 128" : HEX_LENGTHS[algorithm];
    return `its digest has ${value.length} characters, not ${expected}`;
  }
  if (!/^[0-9a-f]*$/.test(value)) return "its digest is not in lower-case hex";
  return { form, insecure, erofs, algorithm, digest: value };
}
