/**
 * Prepares what must be in a root filesystem before its digest is computed: systemd-boot signed as `bootctl install`
 * expects it, keys where `bootc install` looks for them. Files that are right already stay, so a second run changes
 * nothing.
 */
import { bootloaderPaths, EFI_DIRECTORY } from "../boot/bootloader.ts";
import { programArch } from "../boot/efi-program.ts";
import { AUTO_KEYS, loaderArch, SECUREBOOT_KEYS } from "../boot/esp-sources.ts";
import { equalBytes } from "../bytes.ts";
import { inputError, SealError } from "../errors.ts";
import { isSameFile, isSameProgram } from "../lint/same-program.ts";
import type { EfiArch } from "../pe/arch.ts";
import { readCertificateTable } from "../pe/certtable.ts";
import { type PeImage, parsePe } from "../pe/headers.ts";
import { loaderInfo } from "../pe/loader-info.ts";
import { SECURE_BOOT_VARIABLES } from "../sign/authvar.ts";
import { type EnrollKeys, enrollFileName, enrollFiles } from "../sign/enroll-keys.ts";
import { type Trust, verifyPe } from "../sign/verify.ts";
import type { FileChanges, PlacedFile } from "../tree/file-changes.ts";
import { checkProgramsEnrolled } from "./enrolled.ts";
import { checkSigned } from "./signed-programs.ts";
import { type SignedProgram, type Signing, signProgram } from "./tree.ts";

/** Reads a root filesystem, wherever it is. Paths are relative to its root. */
export interface TreeFiles {
  /** Its name in messages. */
  readonly subject: string;
  /**
   * The names in a directory, sorted; null if nothing is there.
   * @throws SealError `input` if something else is there
   */
  readonly names: (path: string) => Promise<readonly string[] | null>;
  /** A file; null where there is none. @throws SealError `input` when it can't be read */
  readonly read: (path: string) => Promise<Uint8Array | null>;
}

/** What is there instead of a directory, for messages. */
export const BOOTC_WANTS_DIRECTORY = "is a file where bootc wants a directory; remove it";

/** What happened to a file: it was right already, it was written, or it was removed. */
export type Change = "kept" | "written" | "removed";

/** A boot loader that was signed in a root filesystem. */
export interface PreparedLoader extends SignedProgram {
  /** The file that `bootctl install` takes, relative to the root. */
  readonly path: string;
  readonly arch: EfiArch;
}

/** A key to enrol that was put into a root filesystem. */
export interface PreparedKey {
  readonly path: string;
  readonly change: Change;
}

/** The plan for a root filesystem; nothing is written yet. */
export interface Preparation {
  readonly loaders: readonly PreparedLoader[];
  /** The files of `AUTO_KEYS`. */
  readonly keys: readonly PreparedKey[];
  readonly changes: Pick<FileChanges, "write" | "remove">;
}

export interface PreparationOptions {
  /** Null: systemd-boot stays as it is, unless one is given. */
  readonly signing: Signing | null;
  /**
   * The systemd-boot of the tree as someone else signed it, one for an architecture at most; see
   * {@link checkGivenLoaders}. Default: none.
   */
  readonly given?: readonly PeImage[];
  /** Null: no keys are put there. */
  readonly keys: EnrollKeys | null;
  readonly now: Date;
}

/**
 * Refuses signed boot loaders that can't belong to any tree, and those that firmware would not start.
 * @param trust without certificates and hashes any good signature will do
 * @throws SealError `input`; `usage` for two of one architecture
 */
export function checkGivenLoaders(given: readonly PeImage[], trust: Trust): void {
  const arches = new Map<EfiArch, PeImage>();
  for (const pe of given) {
    const arch = programArch(pe);
    checkSigned(pe, trust);
    const other = arches.get(arch);
    if (other !== undefined) {
      const both = `${other.subject} and ${pe.subject} are both for ${arch}`;
      throw new SealError("usage", `--signed-bootloader: ${both}; give one file for each architecture`);
    }
    arches.set(arch, pe);
  }
}

/**
 * Decides what is written to a root filesystem, and signs systemd-boot for all architectures.
 * @throws SealError `input` for what can't be signed or enrolled, and for a given boot loader that is
 *   not that of the tree
 */
export async function planPreparation(tree: TreeFiles, options: PreparationOptions): Promise<Preparation> {
  const { signing, given = [], keys, now } = options;
  const pairs = await findLoaders(tree);
  for (const pe of given) {
    const arch = programArch(pe);
    if (pairs.some((pair) => pair.arch === arch)) continue;
    const reason = `is for ${arch}, but ${tree.subject} has no systemd-boot for that in ${EFI_DIRECTORY}`;
    throw inputError(pe.subject, `${reason}; for /boot alone give it to seal with-uki with --bootloader`);
  }
  const loaders: PlannedLoader[] = [];
  for (const pair of pairs) {
    const own = given.find((pe) => programArch(pe) === pair.arch);
    loaders.push(own === undefined ? await prepareLoader(pair, signing) : takeLoader(pair, own, tree));
  }
  const programs = loaders.map(({ pe }) => pe);
  if (keys !== null) checkProgramsEnrolled(keys, programs, now);
  const enrolled = await planKeys(tree, keys);
  return {
    loaders: loaders.map(({ write, ...loader }) => loader),
    keys: enrolled.map(({ path, change }) => ({ path, change })),
    changes: {
      write: [...loaders, ...enrolled].flatMap((one) => one.write ?? []),
      remove: enrolled.filter(({ change }) => change === "removed").map(({ path }) => path),
    },
  };
}

/** A systemd-boot of a tree: as systemd brings it, and signed. */
interface LoaderPair {
  readonly arch: EfiArch;
  readonly plain: PeImage | null;
  readonly signed: PeImage | null;
}

async function findLoaders(tree: TreeFiles): Promise<LoaderPair[]> {
  const arches = new Set((await tree.names(EFI_DIRECTORY))?.map(loaderArch));
  const pairs: LoaderPair[] = [];
  for (const arch of [...arches].sort()) {
    if (arch === null) continue;
    const [signed, plain] = await Promise.all(
      bootloaderPaths(arch).map(async (path) => {
        const bytes = await tree.read(path);
        return bytes === null ? null : parsePe([bytes], `${tree.subject}: ${path}`);
      }),
    );
    pairs.push({ arch, plain: plain ?? null, signed: signed ?? null });
  }
  return pairs;
}

interface PlannedLoader extends PreparedLoader {
  readonly write: PlacedFile | null;
}

async function prepareLoader({ arch, plain, signed }: LoaderPair, signing: Signing | null): Promise<PlannedLoader> {
  const [signedPath = "", plainPath = ""] = bootloaderPaths(arch);
  const { source, warnings } = chooseSource(plain, signed, signing);
  if (source === null) throw new Error(`no systemd-boot for ${arch}`);
  const program = await signProgram(source, signing);
  const loader = { ...program, arch, warnings: [...warnings, ...program.warnings] };
  if (signing === null) return { ...loader, path: signed === null ? plainPath : signedPath, write: null };
  const isThere = signed !== null && program.pe === signed;
  return { ...loader, path: signedPath, write: isThere ? null : { path: signedPath, content: program.pe.file } };
}

/** A boot loader that someone else signed, if it is that of the tree: firmware hashes all of it but its signatures. */
function takeLoader({ arch, plain, signed }: LoaderPair, pe: PeImage, tree: TreeFiles): PlannedLoader {
  const [path = ""] = bootloaderPaths(arch);
  const own = [signed, plain].find((one) => one !== null && isSameProgram(one, pe));
  if (own === undefined) {
    const version = loaderInfo(signed ?? plain ?? pe);
    const reason = `is not a signed copy of the systemd-boot of ${tree.subject}: the program differs`;
    const versions = `${loaderInfo(pe) ?? "without a version"}; there ${version ?? "without one"}`;
    const wayOut = "sign what seal build-uki --from … --print-unsigned DIR prints";
    throw inputError(pe.subject, `${reason} (${versions}); ${wayOut}`);
  }
  const isThere = signed !== null && isSameFile(signed, pe);
  const warnings =
    signed === null || hasSignaturesOf(pe, signed)
      ? []
      : [`${pe.subject}: does not have all signatures of ${signed.subject}, which it replaces`];
  return { arch, pe, signed: "already", warnings, path, write: isThere ? null : { path, content: pe.file } };
}

/** Whether all signatures of one file are on the other. */
function hasSignaturesOf(pe: PeImage, other: PeImage): boolean {
  const own = readCertificateTable(pe);
  return readCertificateTable(other).every(({ data }) => own.some((entry) => equalBytes(entry.data, data)));
}

/**
 * Which of two files gets signed. `bootctl install` takes the signed one, whatever is in it: if it differs from the
 * plain one, it was either signed by an earlier run from an older package, and is replaced, or is someone else's, and
 * stays.
 */
function chooseSource(
  plain: PeImage | null,
  signed: PeImage | null,
  signing: Signing | null,
): { readonly source: PeImage | null; readonly warnings: readonly string[] } {
  if (plain === null || signed === null || isSameProgram(plain, signed))
    return { source: signed ?? plain, warnings: [] };
  const versions = `${loaderInfo(signed) ?? "no systemd-boot"}, not ${loaderInfo(plain) ?? "no systemd-boot"} as the file without .signed`;
  const certificates = signing === null ? [] : [signing.signer.certificate];
  const now = signing?.now ?? new Date(0);
  if (signing !== null && verifyPe(signed, { certificates, now }).valid) {
    return { source: plain, warnings: [`${signed.subject}: is ${versions}; it is signed again`] };
  }
  return { source: signed, warnings: [`${signed.subject}: is ${versions}; bootc install takes the signed one`] };
}

interface PlannedKey extends PreparedKey {
  readonly write: PlacedFile | null;
}

/** Plans the keys; an old dbx that is not among the new ones is removed, because it would be enrolled with them. */
async function planKeys(tree: TreeFiles, keys: EnrollKeys | null): Promise<PlannedKey[]> {
  for (const name of (await tree.names(SECUREBOOT_KEYS)) ?? []) {
    const path = `${SECUREBOOT_KEYS}/${name}`;
    if ((await tree.names(path)) === null) throw inputError(`${tree.subject}: ${path}`, BOOTC_WANTS_DIRECTORY);
  }
  if (keys === null) return [];
  const files = enrollFiles(keys);
  const planned: PlannedKey[] = [];
  for (const variable of SECURE_BOOT_VARIABLES) {
    const path = `${AUTO_KEYS}/${enrollFileName(variable)}`;
    const old = await tree.read(path);
    const bytes = files.get(enrollFileName(variable));
    if (bytes === undefined) {
      if (old !== null) planned.push({ path, change: "removed", write: null });
    } else if (old !== null && equalBytes(old, bytes)) planned.push({ path, change: "kept", write: null });
    else planned.push({ path, change: "written", write: { path, content: [bytes] } });
  }
  return planned;
}
