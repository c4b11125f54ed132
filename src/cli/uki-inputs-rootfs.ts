/**
 * Collects what goes into a UKI from a root filesystem: kernel, initramfs, os-release, stub and kargs.d lie in it, and its composefs
 * digest goes onto the command line, in the order of `bootc container ukify`: kargs.d, digests, `--karg`.
 */
import { basename, join, resolve } from "node:path";
import { checkArguments, checkCmdline, composefsKarg, findComposefsDigests, joinCmdline } from "../boot/cmdline.ts";
import { KARGS_DIRECTORY, kargsFor, RUST_ARCHES, readKargs } from "../boot/kargs.ts";
import { chooseKernel, INITRAMFS_NAME, KERNEL_NAME, type KernelFiles, readKernel } from "../boot/kernel.ts";
import { menuTitle, OS_RELEASE_PATHS, parseOsRelease } from "../boot/os-release.ts";
import { utf8 } from "../bytes.ts";
import { inputError, SealError } from "../errors.ts";
import { readInput } from "../io/files.ts";
import { openRootfs } from "../io/rootfs.ts";
import { isFile, listDirectories } from "../io/split-kernel.ts";
import { type EfiArch, efiArchOfMachine } from "../pe/arch.ts";
import { type PeImage, parsePe } from "../pe/headers.ts";
import type { UkiInputs } from "../pe/uki-sections.ts";
import { type Rootfs, readTreeFile } from "../tree/rootfs.ts";
import { type Context, userPath } from "./context.ts";
import { computeDigests } from "./digests.ts";
import { digestChoices } from "./options/digest.ts";
import type { UkiOptions } from "./options/uki.ts";
import type { UkiRootfsOptions } from "./options/uki-rootfs.ts";
import { collectExtras, parseKernel, readStub, textOrFile } from "./uki-inputs.ts";

type Options = UkiOptions & UkiRootfsOptions;

/**
 * @param spec ROOTFS argument
 * @throws SealError `input` for a root filesystem without (one) kernel, initramfs or os-release, or a command line that not every reader
 *   takes alike; `usage` for options that contradict each other
 */
export async function collectRootfsInputs(context: Context, options: Options, spec: string): Promise<UkiInputs> {
  if (options.linux !== undefined) {
    throw new SealError(
      "usage",
      "--linux: with --rootfs give --kernel-dir, a directory <kver> with vmlinuz and initramfs.img",
    );
  }
  const { rootfs, kargs } = await openWithDigests(context, options, spec);
  const files = await kernelFiles(context, options, rootfs);
  const kernel = parseKernel(context, files.kernel, `${KERNEL_NAME} ${files.version}`);
  const arch = options.efiArch ?? efiArchOfMachine(kernel.machine);
  if (arch === null) throw inputError(kernel.subject, "is for an architecture that UEFI does not know");
  const extras = await collectExtras(context, options);
  return {
    ...extras,
    stub: await treeStub(context, options, rootfs, kernel, arch),
    kernel,
    osRelease: await treeOsRelease(context, options, rootfs),
    cmdline: utf8(await cmdline(context, options, rootfs, kargs, arch)),
    uname: options.uname === undefined ? files.version : options.uname || null,
    initrds: [files.initramfs, ...extras.initrds],
  };
}

/** The root filesystem and the kernel arguments that name its digests. */
async function openWithDigests(
  context: Context,
  options: Options,
  spec: string,
): Promise<{ rootfs: Rootfs; kargs: string[] }> {
  const choices = digestChoices(options);
  const { kargStyle, targets } = choices;
  if (options.digest === undefined) {
    const { rootfs, digests } = await computeDigests(context, spec, choices);
    return { rootfs, kargs: digests.map((digest) => composefsKarg(digest, kargStyle, options.allowMissingVerity)) };
  }
  const [target, second] = targets;
  if (target === undefined || second !== undefined) {
    throw new SealError("usage", "--digest: is one digest; give one --erofs and one --bootc only");
  }
  const algorithm = options.digest.length === 64 ? "sha256" : "sha512";
  // Nothing needs to be hashed.
  const { rootfs } = await openRootfs(spec, { algorithm: null, xattrs: [], cwd: context.host.cwd });
  const { erofs } = target;
  return {
    rootfs,
    kargs: [composefsKarg({ erofs, algorithm, digest: options.digest }, kargStyle, options.allowMissingVerity)],
  };
}

async function kernelFiles(context: Context, options: Options, rootfs: Rootfs): Promise<KernelFiles> {
  const version = options.kver ?? null;
  if (options.kernelDir === undefined) return readKernel(rootfs, version);
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
  const chosen = chooseKernel(candidates, options.kernelDir, version);
  return {
    version: chosen.version,
    kernel: await readInput(join(chosen.directory, KERNEL_NAME)),
    initramfs: await readInput(join(chosen.directory, INITRAMFS_NAME)),
  };
}

/** The stub that was given, else the tree's, else this machine's. */
async function treeStub(
  context: Context,
  options: Options,
  rootfs: Rootfs,
  kernel: PeImage,
  arch: EfiArch,
): Promise<PeImage> {
  if (options.stub === undefined) {
    const path = `usr/lib/systemd/boot/efi/linux${arch}.efi.stub`;
    const bytes = await readTreeFile(rootfs, path);
    if (bytes !== null) return parsePe([bytes], `${rootfs.label}: ${path}`);
  }
  return readStub(context, { ...options, efiArch: arch }, kernel);
}

async function treeOsRelease(context: Context, options: Options, rootfs: Rootfs): Promise<Uint8Array | null> {
  if (options.osRelease !== undefined) return textOrFile(context, options.osRelease);
  for (const path of OS_RELEASE_PATHS) {
    const bytes = await readTreeFile(rootfs, path);
    if (bytes === null) continue;
    if (menuTitle(parseOsRelease(bytes)) === null) {
      context.ui.warn(
        `${rootfs.label}: ${path} names no system (PRETTY_NAME, NAME or ID); systemd-boot will not show this UKI`,
      );
    }
    return bytes;
  }
  throw inputError(
    rootfs.label,
    `has no ${OS_RELEASE_PATHS[0]}; systemd-boot shows no UKI without one. Give --os-release`,
  );
}

async function cmdline(
  context: Context,
  options: Options,
  rootfs: Rootfs,
  digests: readonly string[],
  arch: EfiArch,
): Promise<string> {
  const given = await givenCmdline(context, options.cmdline);
  const files = options.kargsD ? await readKargs(rootfs) : [];
  for (const { path, architectures } of files) {
    const unknown = (architectures ?? []).filter((name) => !RUST_ARCHES.includes(name));
    if (unknown.length === 0) continue;
    context.ui.warn(
      `${rootfs.label}: ${path}: match-architectures has ${unknown.join(", ")}, which no machine is called`,
    );
  }
  for (const karg of options.karg) checkArguments(karg, "--karg");
  const kargs = kargsFor(files, arch);
  refuseOtherDigests([given, ...kargs, ...options.karg]);
  const text = joinCmdline([given, ...kargs, ...digests, ...options.karg]);
  checkCmdline(text, rootfs.label, arch);
  return text;
}

async function givenCmdline(context: Context, given: string | undefined): Promise<string> {
  if (given === undefined) return "";
  const bytes = (await textOrFile(context, given)) ?? new Uint8Array();
  const text = new TextDecoder().decode(bytes);
  checkArguments(text, given.startsWith("@") ? given.slice(1) : "--cmdline");
  return text;
}

/** Another digest would be tried first, or instead. */
function refuseOtherDigests(parts: readonly string[]): void {
  for (const part of parts) {
    const { digests, malformed } = findComposefsDigests(part);
    if (digests.length + malformed.length === 0) continue;
    throw new SealError(
      "input",
      `${part} can't stand on the command line (--cmdline, --karg or ${KARGS_DIRECTORY}): seal adds the digest itself. Remove it, or give --digest`,
    );
  }
}
