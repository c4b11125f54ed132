/** Collects what the options say about the UKI of a root filesystem: files from elsewhere, arguments, a stub. */
import { basename, join, resolve } from "node:path";
import { checkArguments } from "../../boot/cmdline.ts";
import { chooseKernel, INITRAMFS_NAME, KERNEL_NAME, type KernelFiles } from "../../boot/kernel.ts";
import { refuseSealed } from "../../boot/sealed-layers.ts";
import { type TreeUkiOptions, treeUki } from "../../boot/tree-uki.ts";
import { inputError } from "../../errors.ts";
import { writeOutput } from "../../io/files.ts";
import { isFile, listDirectories } from "../../io/paths.ts";
import { readInput } from "../../io/read-input.ts";
import type { DirectorySource, ImageSource, RootfsSource } from "../../io/rootfs-source.ts";
import { parsePe } from "../../pe/headers.ts";
import { asRead } from "../../seal/image-preparation.ts";
import { imageShape } from "../../seal/image-shape.ts";
import { openNamed } from "../../seal/name-digests.ts";
import { UKI_DEFAULTS } from "../../seal/options.ts";
import { writeDumpfile } from "../../tree/dumpfile.ts";
import { type Context, userPath } from "../context.ts";
import { planFrom } from "../digest/plan.ts";
import type { DigestOptions } from "../options/digest.ts";
import type { UkiOptions } from "../options/uki.ts";
import type { UkiRootfsOptions } from "../options/uki-rootfs.ts";
import { portsOf } from "../ports.ts";
import { collectExtras, type ExtraInputs, textOrFile } from "./inputs.ts";
import type { UkiSource } from "./print-unsigned.ts";

type Options = Omit<UkiOptions, "linux"> & Omit<UkiRootfsOptions, keyof DigestOptions | "digest">;

/**
 * What goes into the UKI of a root filesystem beside what that brings along, and beside the digest.
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
    uname: options.uname === "" ? null : options.uname,
    osRelease: osRelease === undefined ? undefined : await textOrFile(context, osRelease),
    stub: stub === undefined ? null : parsePe([await readInput(userPath(context, stub))], stub),
    otherStub: UKI_DEFAULTS.otherStub,
    cmdline: await givenCmdline(context, options.cmdline),
    kargsD: options.kargsD,
    kargs: options.karg,
    extras: await collectExtras(context, options, { withOsRelease: osRelease !== "", pcrPublicKey }),
  };
}

/** What a UKI is built from, beside the options. */
export interface TreeInputs extends Pick<ExtraInputs, "pcrPublicKey"> {
  readonly source: RootfsSource;
  /** The same where the UKI is for the image that sealing makes of it; undefined: it is for the root filesystem as it is. */
  readonly image: ImageSource | DirectorySource | undefined;
}

/**
 * Reads a root filesystem, with its digests, for a UKI that is not part of a seal.
 * @throws SealError as {@link treeUkiInputs}, `openNamed` and `treeUki`
 */
export async function readTree(
  context: Context,
  options: Options &
    DigestOptions &
    Pick<UkiRootfsOptions, "digest"> & { readonly writeDumpfileTo?: string | undefined },
  { source, image, pcrPublicKey }: TreeInputs,
): Promise<UkiSource> {
  const ports = portsOf(context);
  const plan = planFrom(context, options);
  const uki = await treeUkiInputs(context, options, { pcrPublicKey });
  const { digest, allowMissingVerity } = options;
  const shape = image === undefined ? undefined : imageShape(image, { plan, prepare: asRead }, ports);
  const named = await openNamed(source, { plan, digest, shape, allowMissingVerity, uki }, ports);
  const { rootfs, kargs, treeKernel, computed } = named;
  if (image !== undefined && uki.kernel === null) refuseSealed(rootfs);
  const [first] = computed?.digests ?? [];
  if (first !== undefined && options.writeDumpfileTo !== undefined) {
    await writeOutput(userPath(context, options.writeDumpfileTo), writeDumpfile(first.root));
  }
  return { rootfs, tree: await treeUki(rootfs, { ...uki, treeKernel, digests: kargs }) };
}

/** What lies in `--kernel-dir`; null without it. */
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
    throw inputError(options.kernelDir, `has no ${KERNEL_NAME}. Make it with seal split-kernel`);
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
