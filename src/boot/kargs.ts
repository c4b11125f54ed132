/**
 * The kernel arguments of an image: `/usr/lib/bootc/kargs.d/*.toml`, read as bootc does (its documentation, "Kernel
 * arguments"). The files are taken in the order of their names; each has `kargs`, and may restrict them to some
 * architectures.
 */
import { parse, TomlError } from "smol-toml";
import { z } from "zod";
import { displayBytes, equalBytes, escapeControls, latin1, utf8 } from "../bytes.ts";
import { inputError } from "../errors.ts";
import type { EfiArch } from "../pe/arch.ts";
import { type Rootfs, readTreeFile, resolvePath } from "../tree/rootfs.ts";
import { checkArguments } from "./cmdline.ts";

export const KARGS_DIRECTORY = "usr/lib/bootc/kargs.d";

/** What one file of kargs.d says. */
export interface KargsFile {
  /** Path in the tree. */
  readonly path: string;
  /** Each one argument, or several with white space between them. */
  readonly kargs: readonly string[];
  /** Rust's names of architectures; null: it applies to all. */
  readonly architectures: readonly string[] | null;
}

/** Unknown keys are an error in bootc too. */
const schema = z.strictObject({
  kargs: z.array(z.string()),
  "match-architectures": z.array(z.string()).optional(),
});

/** bootc's names for the architectures that UEFI knows: `std::env::consts::ARCH` of Rust. */
const RUST_NAMES: Readonly<Record<EfiArch, string>> = {
  x64: "x86_64",
  ia32: "x86",
  aa64: "aarch64",
  arm: "arm",
  riscv32: "riscv32",
  riscv64: "riscv64",
  loongarch32: "loongarch32",
  loongarch64: "loongarch64",
};

/** All values of `std::env::consts::ARCH` (Rust 1.90). A file that names only others applies nowhere. */
export const RUST_ARCHES: readonly string[] = [
  ...Object.values(RUST_NAMES),
  ...["csky", "hexagon", "m68k", "mips", "mips32r6", "mips64", "mips64r6"],
  ...["powerpc", "powerpc64", "s390x", "sparc", "sparc64"],
];

/**
 * Reads all files of kargs.d, whatever their architecture.
 * @returns in the order of their arguments on the command line; empty if there is no such directory
 * @throws SealError `input` that names the file, and the line where it has one
 */
export async function readKargs(rootfs: Rootfs): Promise<KargsFile[]> {
  const directory = resolvePath(rootfs, KARGS_DIRECTORY)?.node;
  if (directory === undefined) return [];
  if (directory.kind !== "directory") {
    throw inputError(rootfs.subject, `${KARGS_DIRECTORY} is not a directory`);
  }
  const files: KargsFile[] = [];
  for (const { name } of directory.entries) {
    // A name whose only dot is its first character has no extension.
    if (!latin1(name).endsWith(".toml") || name.length === ".toml".length) continue;
    const text = new TextDecoder("utf-8", { ignoreBOM: true }).decode(name);
    if (!equalBytes(utf8(text), name)) {
      const shown = `${KARGS_DIRECTORY}/${displayBytes(name)}`;
      throw inputError(rootfs.subject, `${shown}: the name is not UTF-8, which bootc refuses. Rename the file`);
    }
    const path = `${KARGS_DIRECTORY}/${text}`;
    const bytes = await readTreeFile(rootfs, path);
    if (bytes !== null) files.push(parseKargs(bytes, path, rootfs.subject));
  }
  return files;
}

/** The arguments of the files that apply to an architecture, for `joinCmdline`. */
export function kargsFor(files: readonly KargsFile[], arch: EfiArch): string[] {
  return files
    .filter(({ architectures }) => architectures === null || architectures.includes(RUST_NAMES[arch]))
    .flatMap(({ kargs }) => kargs);
}

/**
 * Parses one file of kargs.d.
 * @param path in the tree
 * @param subject names the tree in messages
 * @throws SealError `input`
 */
export function parseKargs(bytes: Uint8Array, path: string, subject: string): KargsFile {
  const text = decode(bytes, path, subject);
  let table: unknown;
  try {
    table = parse(text);
  } catch (error) {
    const position = error instanceof TomlError ? `:${error.line}:${error.column}` : "";
    throw inputError(subject, `${path}${position}: ${firstLine(error)}`, error);
  }
  const parsed = schema.safeParse(table);
  if (!parsed.success) {
    const problems = parsed.error.issues.map((issue) => describeIssue(issue, text)).join("; ");
    throw inputError(subject, `${path}: ${problems}`);
  }
  const { kargs } = parsed.data;
  for (const karg of kargs) checkArguments(karg, `${subject}: ${path}`);
  return { path, kargs, architectures: parsed.data["match-architectures"] ?? null };
}

function decode(bytes: Uint8Array, path: string, subject: string): string {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch (error) {
    throw inputError(subject, `${path}: is not UTF-8 text`, error);
  }
}

function firstLine(error: unknown): string {
  return String(error instanceof Error ? error.message : error).split("\n")[0] ?? "";
}

/** A problem found by the schema in words, with the line of its key where that is known. */
function describeIssue(issue: z.core.$ZodIssue, text: string): string {
  if (issue.code === "unrecognized_keys") {
    const names = issue.keys.map((key) => `${escapeControls(key)}${lineOf(key, text)}`);
    return `unknown key ${names.join(", ")}; the keys are kargs and match-architectures`;
  }
  const [key, index] = issue.path;
  if (key === undefined) return issue.message;
  const place = index === undefined ? "" : `[${String(index)}]`;
  return `${String(key)}${place}${lineOf(String(key), text)} must be ${index === undefined ? "a list of strings" : "a string"}`;
}

function lineOf(key: string, text: string): string {
  const line = text.split("\n").findIndex((candidate) => candidate.replace(/^[\s["']+/, "").startsWith(key));
  return line < 0 ? "" : ` (line ${line + 1})`;
}
