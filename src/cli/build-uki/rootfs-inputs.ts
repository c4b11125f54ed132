/** Collects what the options say about the UKI of a root filesystem: files from elsewhere, arguments, a stub. */
import { basename, join, resolve } from "node:path";
import { checkArguments } from "../../boot/cmdline.ts";
import { chooseKernel, INITRAMFS_NAME, KERNEL_NAME, type KernelFiles } from "../../boot/kernel.ts";
import { type SectionSource, type TreeUkiOptions, treeUki } from "../../boot/tree-uki.ts";
import { inputError } from "../../errors.ts";
import { writeOutput } from "../../io/files.ts";
import { isFile, listDirectories } from "../../io/paths.ts";
import { readInput } from "../../io/read-input.ts";
import type { DirectorySource, ImageSource, RootfsSource } from "../../io/rootfs-source.ts";
import { parsePe } from "../../pe/headers.ts";
import { checkProgramsEnrolled, checkSignerEnrolled } from "../../seal/enrolled.ts";
import { asRead, halvesPreparation, preparationWarnings, unlessSealed } from "../../seal/image-preparation.ts";
import { imageTreeToDigest } from "../../seal/image-tree.ts";
import { openNamed } from "../../seal/name-digests.ts";
import { UKI_DEFAULTS } from "../../seal/options.ts";
import { checkGivenLoaders } from "../../seal/preparation.ts";
import type { Signing } from "../../seal/tree.ts";
import { treeWarnings } from "../../seal/tree-warnings.ts";
import { SIGN_ELSEWHERE } from "../../seal/with-uki.ts";
import { writeDumpfile } from "../../tree/dumpfile.ts";
import { type Context, userPath } from "../context.ts";
import { planFrom } from "../digest/plan.ts";
import { readEnrollDirectory } from "../keys/enroll-directory.ts";
import type { DigestValues } from "../options/digest.ts";
import { type HalvesValues, readSignedBootloaders } from "../options/halves.ts";
import type { UkiOptions } from "../options/uki.ts";
import type { UkiRootfsOptions } from "../options/uki-rootfs.ts";
import { portsOf } from "../ports.ts";
import { collectExtras, type ExtraInputs, textOrFile } from "./inputs.ts";
import type { UkiSource } from "./print-unsigned.ts";

type Options = Omit<UkiOptions, "linux"> & Omit<UkiRootfsOptions, keyof DigestValues | "digest">;

/**
 * What goes into the UKI of a root filesystem besides what that contains, and besides the digest.
 * @throws SealError `input` for what can't be read, `usage` for options that contradict each other
 */
export async function treeUkiInputs(
  context: Context,
  options: Options,
  { pcrPublicKey }: Pick<ExtraInputs, "pcrPublicKey">,
): Promise<Omit<TreeUkiOptions, "digests">> {
  const { stub, osRelease } = options;
  return {
    kernel: await kernelFiles(context, options),
    kver: options.kver ?? null,
    arch: options.efiArch ?? null,
    uname: sectionSource(options.uname === "" ? null : options.uname),
    osRelease: sectionSource(osRelease === undefined ? undefined : await textOrFile(context, osRelease)),
    stub: stub === undefined ? null : parsePe([await readInput(userPath(context, stub))], stub),
    otherStub: UKI_DEFAULTS.otherStub,
    cmdline: await givenCmdline(context, options.cmdline),
    kargsD: options.kargsD,
    kargs: options.karg,
    extras: await collectExtras(context, options, { withOsRelease: osRelease !== "", pcrPublicKey }),
  };
}

/** @param given null: an option that is empty; undefined: no option */
function sectionSource<Content>(given: Content | null | undefined): SectionSource<Content> {
  if (given === undefined) return { kind: "tree" };
  return given === null ? { kind: "none" } : { kind: "given", content: given };
}

/** What a UKI is built from, besides the options. */
export interface TreeInputs extends Pick<ExtraInputs, "pcrPublicKey"> {
  readonly source: RootfsSource;
  /**
   * The same where the UKI is for the image that sealing makes of it; undefined: it is for the root
   * filesystem as it is.
   */
  readonly image: ImageSource | DirectorySource | undefined;
  /** Who signs the UKI; null: no one yet. */
  readonly signing: Signing | null;
}

/**
 * Reads a root filesystem, with its digests, for a UKI that is not part of a seal.
 * @throws SealError as {@link treeUkiInputs}, `openNamed` and `treeUki`; of an image also as `treeWarnings`
 */
export async function readTree(
  context: Context,
  options: Options &
    DigestValues &
    HalvesValues &
    Pick<UkiRootfsOptions, "digest"> & { readonly writeDumpfileTo?: string | undefined },
  { source, image, pcrPublicKey, signing }: TreeInputs,
): Promise<UkiSource> {
  const ports = portsOf(context, options);
  const plan = planFrom(context, options);
  const uki = await treeUkiInputs(context, options, { pcrPublicKey });
  const half = image === undefined ? null : await firstHalf(context, options, signing);
  const { digest, allowMissingVerity } = options;
  const prepare =
    half === null ? asRead : unlessSealed(halvesPreparation({ ...half, algorithm: plan.algorithm }), uki.kernel);
  const treeToDigest = image === undefined ? undefined : imageTreeToDigest(image, { plan, prepare }, ports);
  const named = await openNamed(source, { plan, digest, treeToDigest, allowMissingVerity, uki }, ports);
  const { kargs, treeKernel, computed } = named;
  const prepared = await prepare(named.rootfs);
  const { rootfs } = prepared;
  const tree = await treeUki(rootfs, { ...uki, treeKernel, digests: kargs });
  const warnings = [...preparationWarnings(prepared), ...tree.warnings];
  if (half !== null) {
    const { trust, keys } = half;
    const expected = { arch: tree.arch, trust, enrolls: keys !== null, wayOut: SIGN_ELSEWHERE };
    warnings.push(...(await treeWarnings(rootfs, expected)));
  }
  const [first] = computed?.digests ?? [];
  if (first !== undefined && options.writeDumpfileTo !== undefined) {
    await writeOutput(userPath(context, options.writeDumpfileTo), writeDumpfile(first.root));
  }
  return { rootfs, tree, warnings };
}

/**
 * What the first half of a seal puts into `/usr`; wrong files are found before anything is read.
 * @throws SealError `input` for a boot loader or keys that firmware refuses, or that do not go together
 */
async function firstHalf(context: Context, options: HalvesValues, signing: Signing | null) {
  const now = context.process.now();
  const trust = { certificates: signing === null ? [] : [signing.signer.certificate], now };
  const given = await readSignedBootloaders(context, options);
  checkGivenLoaders(given, trust);
  const keys = options.enrollKeys === undefined ? null : await readEnrollDirectory(context, options.enrollKeys);
  if (keys !== null) {
    if (signing !== null) checkSignerEnrolled(keys, signing);
    checkProgramsEnrolled(keys, given, now);
  }
  return { given, keys, now, trust };
}

/** What is in `--kernel-dir`; null without it. */
async function kernelFiles(context: Context, options: Options): Promise<KernelFiles | null> {
  if (options.kernelDir === undefined) return null;
  const given = resolve(userPath(context, options.kernelDir));
  const candidates: { version: string; directory: string }[] = [];
  // One of the directories that split-kernel made, or its `--output` with all of them.
  if (await isFile(join(given, KERNEL_NAME))) candidates.push({ version: basename(given), directory: given });
  for (const name of candidates.length > 0 ? [] : await listDirectories(given, ".")) {
    const directory = join(given, name);
    if (await isFile(join(directory, KERNEL_NAME))) candidates.push({ version: name, directory });
  }
  if (candidates.length === 0)
    throw inputError(options.kernelDir, `has no ${KERNEL_NAME}; create it with seal split-kernel`);
  const { version, directory } = chooseKernel(candidates, options.kernelDir, options.kver ?? null);
  return {
    version,
    subject: join(directory, KERNEL_NAME),
    kernel: await readInput(join(directory, KERNEL_NAME)),
    initramfs: await readInput(join(directory, INITRAMFS_NAME)),
  };
}

async function givenCmdline(context: Context, given: string | undefined): Promise<string> {
  if (given === undefined) return "";
  const bytes = (await textOrFile(context, given)) ?? new Uint8Array();
  const text = new TextDecoder().decode(bytes);
  checkArguments(text, given.startsWith("@") ? given.slice(1) : "--cmdline");
  return text;
}
