/**
 * Everything that must be in a root filesystem before its digest is taken: systemd-boot signed as `bootctl install` wants it, keys where
 * `bootc install` looks for them, the kernel taken out. Running it again changes nothing.
 */
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { bootloaderPaths, EFI_DIRECTORY } from "../boot/bootloader.ts";
import { AUTO_KEYS, loaderArch, SECUREBOOT_KEYS } from "../boot/esp-sources.ts";
import { equalBytes } from "../bytes.ts";
import { inputError, SealError } from "../errors.ts";
import { isSystemError, reasonOf } from "../io/files.ts";
import { type PlacedFile, placeFiles } from "../io/place-files.ts";
import { readBelow } from "../io/read-below.ts";
import type { EfiArch } from "../pe/arch.ts";
import { authentihash } from "../pe/authentihash.ts";
import { type PeImage, parsePe } from "../pe/headers.ts";
import { loaderInfo } from "../pe/loader-info.ts";
import { SECURE_BOOT_VARIABLES } from "../sign/authvar.ts";
import { type EnrollKeys, enrollFileName, enrollFiles } from "../sign/enroll-keys.ts";
import { verifyPe } from "../sign/verify.ts";
import { checkProgramsEnrolled, checkSignerEnrolled } from "./enrolled.ts";
import { type KernelMove, moveKernel, planKernelMove } from "./split-kernel.ts";
import { type SignedProgram, type Signing, signProgram } from "./tree.ts";

export interface PrepareOptions {
  /** What the user knows the root filesystem by. */
  readonly label: string;
  /** Null: systemd-boot stays as it is. */
  readonly signing: Signing | null;
  /** Null: no keys are put there. */
  readonly keys: EnrollKeys | null;
  /** Where the kernel goes; null: it stays. */
  readonly kernel: { readonly directory: string; readonly version: string | null } | null;
  /** Of new files and directories, in seconds since 1970. */
  readonly mtime: bigint;
  readonly now: Date;
}

/** What became of a file: it is there as it shall be, it was written, it was removed. */
export type Change = "kept" | "written" | "removed";

export interface PreparedLoader extends Pick<SignedProgram, "pe" | "signed"> {
  /** The file that `bootctl install` takes, relative to the root. */
  readonly path: string;
  readonly arch: EfiArch;
}

export interface Prepared {
  readonly loaders: readonly PreparedLoader[];
  /** The files of {@link AUTO_KEYS}. */
  readonly keys: readonly { readonly path: string; readonly change: Change }[];
  /** Null: it stays where it is. */
  readonly kernel: KernelMove | null;
  /** One line each. */
  readonly warnings: readonly string[];
}

/**
 * Changes a root filesystem that lies in a directory.
 * @param root its real path
 * @throws SealError `input` for what can't be signed, enrolled or written; nothing has changed then
 */
export async function prepareTree(root: string, options: PrepareOptions): Promise<Prepared> {
  const { label, signing, keys, kernel, mtime, now } = options;
  if (keys !== null && signing !== null) checkSignerEnrolled(keys, signing);
  const warnings: string[] = [];
  const found = await findLoaders(root, label);
  if (found.length === 0) warnings.push(...missingLoader(label, signing));
  const loaders: (PreparedLoader & { readonly write: PlacedFile | null })[] = [];
  for (const pair of found) loaders.push(await prepareLoader(pair, signing, warnings));
  if (keys !== null)
    checkProgramsEnrolled(
      keys,
      loaders.map(({ pe }) => pe),
      now,
    );
  const enrolled = await planKeys(root, keys, label);
  const write = [...loaders.flatMap((loader) => loader.write ?? []), ...enrolled.flatMap((one) => one.write ?? [])];
  const remove = enrolled.filter(({ change }) => change === "removed").map(({ path }) => path);
  const move =
    kernel === null
      ? null
      : await planKernelMove({ root, label, ...kernel, option: "--kernel-dir", again: true, inside: false });
  const placement = { write, remove, mtime };
  if (move === null) await placeFiles(root, placement);
  else await moveKernel(root, move, placement);
  return {
    loaders: loaders.map(({ pe, signed, path, arch }) => ({ pe, signed, path, arch })),
    keys: enrolled.map(({ path, change }) => ({ path, change })),
    kernel: move,
    warnings,
  };
}

function missingLoader(label: string, signing: Signing | null): string[] {
  const what = `${label}: has no systemd-boot in ${EFI_DIRECTORY}`;
  if (signing !== null) {
    throw new SealError(
      "input",
      `${what}. Install it (package systemd-boot-efi, systemd-boot-unsigned or systemd), or leave --key out`,
    );
  }
  return [`${what}: bootc install finds none to put onto the disk`];
}

/** A systemd-boot of a tree: as systemd brings it, and signed. */
interface LoaderPair {
  readonly arch: EfiArch;
  readonly plain: PeImage | null;
  readonly signed: PeImage | null;
}

async function findLoaders(root: string, label: string): Promise<LoaderPair[]> {
  const arches = new Set((await namesIn(join(root, EFI_DIRECTORY), label)).map(loaderArch));
  const pairs: LoaderPair[] = [];
  for (const arch of [...arches].sort()) {
    if (arch === null) continue;
    const [signed, plain] = await Promise.all(
      bootloaderPaths(arch).map(async (path) => {
        const bytes = await readBelow(root, path);
        return bytes === null ? null : parsePe([bytes], `${label}: ${path}`);
      }),
    );
    pairs.push({ arch, plain: plain ?? null, signed: signed ?? null });
  }
  return pairs;
}

async function prepareLoader(
  { arch, plain, signed }: LoaderPair,
  signing: Signing | null,
  warnings: string[],
): Promise<PreparedLoader & { readonly write: PlacedFile | null }> {
  const [signedPath = "", plainPath = ""] = bootloaderPaths(arch);
  const source = chooseSource(plain, signed, signing, warnings);
  if (source === null) throw new Error(`no systemd-boot for ${arch}`);
  const program = await signProgram(source, signing);
  warnings.push(...program.warnings);
  if (signing === null) {
    return { arch, pe: source, signed: program.signed, path: signed === null ? plainPath : signedPath, write: null };
  }
  const isThere = signed !== null && program.pe === signed;
  const write = isThere ? null : { path: signedPath, content: program.pe.file };
  return { arch, pe: program.pe, signed: program.signed, path: signedPath, write };
}

/**
 * Which of two files gets signed. `bootctl install` takes the signed one, whatever is in it: where it is another program than the plain one, it is that
 * of an older package and signed by an earlier run, which is replaced, or somebody else's, which stays.
 */
function chooseSource(
  plain: PeImage | null,
  signed: PeImage | null,
  signing: Signing | null,
  warnings: string[],
): PeImage | null {
  if (plain === null || signed === null || equalBytes(authentihash(plain, "sha256"), authentihash(signed, "sha256"))) {
    return signed ?? plain;
  }
  const versions = `${loaderInfo(signed) ?? "no systemd-boot"}, not ${loaderInfo(plain) ?? "no systemd-boot"} as the file without .signed`;
  const certificates = signing === null ? [] : [signing.signer.certificate];
  const now = signing?.now ?? new Date(0);
  if (signing !== null && verifyPe(signed, { certificates, now }).valid) {
    warnings.push(`${signed.subject}: is ${versions}; it is signed anew`);
    return plain;
  }
  warnings.push(`${signed.subject}: is ${versions}; bootc install takes the signed one`);
  return signed;
}

interface PlannedKey {
  readonly path: string;
  readonly change: Change;
  readonly write: PlacedFile | null;
}

/** What becomes of the keys; a dbx from before that is not among the new ones goes away, for it would be enrolled with them. */
async function planKeys(root: string, keys: EnrollKeys | null, label: string): Promise<PlannedKey[]> {
  for (const name of await namesIn(join(root, SECUREBOOT_KEYS), label)) {
    await namesIn(join(root, SECUREBOOT_KEYS, name), label, true);
  }
  if (keys === null) return [];
  const files = enrollFiles(keys);
  const planned: PlannedKey[] = [];
  for (const variable of SECURE_BOOT_VARIABLES) {
    const path = `${AUTO_KEYS}/${enrollFileName(variable)}`;
    const old = await readBelow(root, path);
    const bytes = files.get(enrollFileName(variable));
    if (bytes === undefined) {
      if (old !== null) planned.push({ path, change: "removed", write: null });
    } else if (old !== null && equalBytes(old, bytes)) planned.push({ path, change: "kept", write: null });
    else planned.push({ path, change: "written", write: { path, content: [bytes] } });
  }
  return planned;
}

/** The names in a directory, sorted; none where it is missing. @throws SealError `input` where something else is in its place */
async function namesIn(path: string, label: string, mustBe = false): Promise<string[]> {
  try {
    return (await readdir(path)).sort();
  } catch (error) {
    if (!isSystemError(error)) throw error;
    if (error.code === "ENOENT" && !mustBe) return [];
    if (error.code === "ENOTDIR") throw inputError(path, "is a file where bootc wants a directory; remove it");
    throw inputError(label, `${path} can't be read: ${reasonOf(error)}`, error);
  }
}
