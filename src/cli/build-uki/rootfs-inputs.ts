/** Collects what goes into the UKI of a root filesystem from the options: the tree, its digests, files from elsewhere. */
import { basename, join, resolve } from "node:path";
import { checkArguments, composefsKarg } from "../../boot/cmdline.ts";
import { chooseKernel, INITRAMFS_NAME, KERNEL_NAME, type KernelFiles } from "../../boot/kernel.ts";
import type { TreeUkiOptions } from "../../boot/tree-uki.ts";
import { inputError, SealError } from "../../errors.ts";
import { isFile, listDirectories } from "../../io/paths.ts";
import { readInput } from "../../io/read-input.ts";
import { openRootfs } from "../../io/rootfs.ts";
import { parsePe } from "../../pe/headers.ts";
import { computeDigests, nameDigests, type Reading, type RootfsDigests } from "../../seal/digest.ts";
import type { Rootfs } from "../../tree/rootfs.ts";
import { type Context, userPath } from "../context.ts";
import { digestChoices } from "../options/digest.ts";
import type { UkiOptions } from "../options/uki.ts";
import type { UkiRootfsOptions } from "../options/uki-rootfs.ts";
import { collectExtras, readDefaultStub, textOrFile } from "./inputs.ts";

type Options = Omit<UkiOptions, "linux" | "policyDigest"> & UkiRootfsOptions;

export interface RootfsInputs {
  readonly rootfs: Rootfs;
  /** Null: `--digest` gave the digest, so that nothing was hashed. */
  readonly computed: RootfsDigests | null;
  readonly treeOptions: TreeUkiOptions;
}

/**
 * @param spec ROOTFS argument
 * @param pcrPublicKey content of `.pcrpkey` without `--pcrpkey`; null: no such section
 * @param reading only with a digest that is computed
 * @throws SealError `input` for what can't be read, `usage` for options that contradict each other
 */
export async function collectRootfsInputs(
  context: Context,
  options: Options,
  spec: string,
  pcrPublicKey: Uint8Array | null,
  reading: Reading = {},
): Promise<RootfsInputs> {
  const { rootfs, computed, kargs } = await openWithDigests(context, options, spec, reading);
  const { stub, osRelease } = options;
  return {
    rootfs,
    computed,
    treeOptions: {
      kernel: await kernelFiles(context, options),
      kver: options.kver ?? null,
      arch: options.efiArch ?? null,
      uname: options.uname === "" ? null : options.uname,
      osRelease: osRelease === undefined ? undefined : await textOrFile(context, osRelease),
      stub: stub === undefined ? null : parsePe([await readInput(userPath(context, stub))], stub),
      otherStub: (arch) => readDefaultStub(`linux${arch}`),
      cmdline: await givenCmdline(context, options.cmdline),
      kargsD: options.kargsD,
      digests: kargs,
      kargs: options.karg,
      extras: await collectExtras(context, options, { withOsRelease: osRelease !== "", pcrPublicKey }),
    },
  };
}

/** The root filesystem and the kernel arguments that name its digests. */
async function openWithDigests(
  context: Context,
  options: Options,
  spec: string,
  reading: Reading,
): Promise<Pick<RootfsInputs, "rootfs" | "computed"> & { kargs: string[] }> {
  const choices = digestChoices(options);
  const { kargStyle, targets } = choices;
  const { allowMissingVerity } = options;
  if (options.digest === undefined) {
    const computed = await computeDigests(context, spec, choices, reading);
    const kargs = nameDigests(computed.digests, choices, allowMissingVerity).map(({ karg }) => karg);
    return { rootfs: computed.rootfs, computed, kargs };
  }
  const [target, second] = targets;
  if (target === undefined || second !== undefined) {
    throw new SealError("usage", "--digest: is one digest; give one --erofs and one --bootc only");
  }
  const algorithm = options.digest.length === 64 ? "sha256" : "sha512";
  const platform = options.platform === undefined ? {} : { platform: options.platform };
  const { host, remote } = context;
  const { rootfs } = await openRootfs(spec, { algorithm: null, xattrs: [], cwd: host.cwd, remote, ...platform });
  const digest = { erofs: target.erofs, algorithm, digest: options.digest } as const;
  return { rootfs, computed: null, kargs: [composefsKarg(digest, kargStyle ?? "composefs", allowMissingVerity)] };
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
