/**
 * What must be in a root filesystem before its digest is taken: systemd-boot signed as `bootctl install` wants it, keys where `bootc install` looks for
 * them. What is there as it shall be stays, so that nothing changes a second time.
 */
import { bootloaderPaths, EFI_DIRECTORY } from "../boot/bootloader.ts";
import { AUTO_KEYS, loaderArch, SECUREBOOT_KEYS } from "../boot/esp-sources.ts";
import { equalBytes } from "../bytes.ts";
import { inputError } from "../errors.ts";
import type { EfiArch } from "../pe/arch.ts";
import { authentihash } from "../pe/authentihash.ts";
import { type PeImage, parsePe } from "../pe/headers.ts";
import { loaderInfo } from "../pe/loader-info.ts";
import { SECURE_BOOT_VARIABLES } from "../sign/authvar.ts";
import { type EnrollKeys, enrollFileName, enrollFiles } from "../sign/enroll-keys.ts";
import { verifyPe } from "../sign/verify.ts";
import type { FileChanges, PlacedFile } from "../tree/file-changes.ts";
import { checkProgramsEnrolled } from "./enrolled.ts";
import { type SignedProgram, type Signing, signProgram } from "./tree.ts";

/** How a root filesystem is looked at, wherever it lies. Paths are relative to its root. */
export interface TreeFiles {
  /** What the user knows it by. */
  readonly label: string;
  /**
   * The names in a directory, sorted; null where nothing is there.
   * @throws SealError `input` where something else is in its place
   */
  readonly names: (path: string) => Promise<readonly string[] | null>;
  /** A file; null where there is none. @throws SealError `input` when it can't be read */
  readonly read: (path: string) => Promise<Uint8Array | null>;
}

/** Said of what stands in the place of a directory. */
export const BOOTC_WANTS_DIRECTORY = "is a file where bootc wants a directory; remove it";

/** What became of a file: it is there as it shall be, it was written, it was removed. */
export type Change = "kept" | "written" | "removed";

export interface PreparedLoader extends Pick<SignedProgram, "pe" | "signed"> {
  /** The file that `bootctl install` takes, relative to the root. */
  readonly path: string;
  readonly arch: EfiArch;
}

export interface PreparedKey {
  readonly path: string;
  readonly change: Change;
}

/** What is made of a root filesystem; nothing is written yet. */
export interface Preparation {
  readonly loaders: readonly PreparedLoader[];
  /** The files of {@link AUTO_KEYS}. */
  readonly keys: readonly PreparedKey[];
  readonly changes: Pick<FileChanges, "write" | "remove">;
  /** One line each. */
  readonly warnings: readonly string[];
}

export interface PreparationOptions {
  /** Null: systemd-boot stays as it is. */
  readonly signing: Signing | null;
  /** Null: no keys are put there. */
  readonly keys: EnrollKeys | null;
  readonly now: Date;
}

/**
 * Decides what is written to a root filesystem, and signs systemd-boot for all architectures.
 * @throws SealError `input` for what can't be signed or enrolled
 */
export async function planPreparation(tree: TreeFiles, options: PreparationOptions): Promise<Preparation> {
  const { signing, keys, now } = options;
  const warnings: string[] = [];
  const loaders: PlannedLoader[] = [];
  for (const pair of await findLoaders(tree)) loaders.push(await prepareLoader(pair, signing, warnings));
  const programs = loaders.map(({ pe }) => pe);
  if (keys !== null) checkProgramsEnrolled(keys, programs, now);
  const enrolled = await planKeys(tree, keys);
  return {
    loaders: loaders.map(({ pe, signed, path, arch }) => ({ pe, signed, path, arch })),
    keys: enrolled.map(({ path, change }) => ({ path, change })),
    changes: {
      write: [...loaders, ...enrolled].flatMap((one) => one.write ?? []),
      remove: enrolled.filter(({ change }) => change === "removed").map(({ path }) => path),
    },
    warnings,
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
        return bytes === null ? null : parsePe([bytes], `${tree.label}: ${path}`);
      }),
    );
    pairs.push({ arch, plain: plain ?? null, signed: signed ?? null });
  }
  return pairs;
}

interface PlannedLoader extends PreparedLoader {
  readonly write: PlacedFile | null;
}

async function prepareLoader(
  { arch, plain, signed }: LoaderPair,
  signing: Signing | null,
  warnings: string[],
): Promise<PlannedLoader> {
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

interface PlannedKey extends PreparedKey {
  readonly write: PlacedFile | null;
}

/** What becomes of the keys; a dbx from before that is not among the new ones goes away, for it would be enrolled with them. */
async function planKeys(tree: TreeFiles, keys: EnrollKeys | null): Promise<PlannedKey[]> {
  for (const name of (await tree.names(SECUREBOOT_KEYS)) ?? []) {
    const path = `${SECUREBOOT_KEYS}/${name}`;
    if ((await tree.names(path)) === null) throw inputError(`${tree.label}: ${path}`, BOOTC_WANTS_DIRECTORY);
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
