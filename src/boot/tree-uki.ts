/**
 * Collects the inputs of the UKI of a root filesystem: kernel, initramfs, os-release, stub and kargs.d come from it,
 * and its composefs digest goes on the command line, in the order of `bootc container ukify`: kargs.d, digests, further
 * arguments.
 */
import { utf8 } from "../bytes.ts";
import { concat } from "../chunks.ts";
import { inputError, SealError } from "../errors.ts";
import { type EfiArch, efiArchOfMachine, stubStartsKernel } from "../pe/arch.ts";
import { type PeImage, parsePe } from "../pe/headers.ts";
import { openKernel, unpackedNote } from "../pe/kernel.ts";
import { profileId } from "../pe/profiles.ts";
import type { UkiInputs } from "../pe/uki-sections.ts";
import { PROGRAM_LIMIT, type Rootfs, readTreeFile } from "../tree/rootfs.ts";
import {
  type ComposefsWord,
  checkArguments,
  checkCmdline,
  findComposefsDigests,
  findComposefsWords,
  joinCmdline,
} from "./cmdline.ts";
import { KARGS_DIRECTORY, kargsFor, RUST_ARCHES, readKargs } from "./kargs.ts";
import { type KernelFiles, readKernel } from "./kernel.ts";
import { menuTitle, OS_RELEASE_PATHS, parseOsRelease } from "./os-release.ts";

/** The inputs that do not depend on the root filesystem. */
export type UkiExtras = Omit<UkiInputs, "stub" | "kernel" | "osRelease" | "cmdline" | "uname">;

/** The options of a UKI with nothing but what the root filesystem has. */
export const NO_EXTRAS: UkiExtras = {
  devicetree: null,
  automaticDevicetrees: [],
  hwids: null,
  splash: null,
  pcrPublicKey: null,
  initrds: [],
  efiFirmware: [],
  microcode: null,
  custom: [],
  sbat: [],
  profile: null,
  joinedProfiles: [],
};

/** Where the content of a section comes from; `none`: there is no such section. */
export type SectionSource<Content> =
  | { readonly kind: "tree" }
  | { readonly kind: "none" }
  | { readonly kind: "given"; readonly content: Content };

/** What goes into the UKI of a root filesystem. */
export interface TreeUkiOptions {
  /** Kernel and initramfs from elsewhere; null: the tree's. */
  readonly kernel: KernelFiles | null;
  /** The tree's, where it has been read already. */
  readonly treeKernel?: KernelFiles | null;
  /** Which kernel of the tree; null: the only one. */
  readonly kver: string | null;
  /** Null: the kernel's architecture. */
  readonly arch: EfiArch | null;
  /** The architecture that the kernel must have; absent: any. */
  readonly kernelArch?: EfiArch | undefined;
  /** The content of `.uname`; `tree`: the kernel's version. */
  readonly uname: SectionSource<string>;
  /** The content of `.osrel`; `tree`: the os-release of the tree. */
  readonly osRelease: SectionSource<Uint8Array>;
  /** The stub to use; null: the tree's, or if it has none, what `otherStub` finds. */
  readonly stub: PeImage | null;
  readonly otherStub: (arch: EfiArch) => Promise<PeImage>;
  /** Comes first on the command line. */
  readonly cmdline: string;
  /** Whether the arguments in kargs.d count. */
  readonly kargsD: boolean;
  /** Kernel arguments that name the digests. */
  readonly digests: readonly string[];
  /** Come last. */
  readonly kargs: readonly string[];
  readonly extras: UkiExtras;
}

/** The inputs of a UKI that were found in a root filesystem. */
export interface TreeUki {
  readonly inputs: UkiInputs;
  readonly kver: string;
  readonly arch: EfiArch;
  readonly cmdline: string;
  /** What names digests on the command line, in its order. */
  readonly words: readonly ComposefsWord[];
  /** Size of the initramfs in bytes. */
  readonly initramfsBytes: number;
  /** Files in kargs.d. */
  readonly kargsFiles: number;
  /** PRETTY_NAME of the system, or what comes next; null when it has no name. */
  readonly title: string | null;
  /** One line each. */
  readonly warnings: readonly string[];
}

/**
 * Finds the inputs of a UKI in a root filesystem.
 * @throws SealError `input` for a root filesystem without (one) kernel, initramfs, stub or os-release, a stub for
 *   another architecture, or a command line that programs read in different ways
 */
export async function treeUki(rootfs: Rootfs, options: TreeUkiOptions): Promise<TreeUki> {
  const files = options.kernel ?? options.treeKernel ?? (await readKernel(rootfs, options.kver));
  const { subject } = files;
  const kernel = openKernel(files.kernel, subject);
  const { kernelArch } = options;
  if (kernelArch !== undefined && efiArchOfMachine(kernel.pe.machine) !== kernelArch) {
    throw inputError(subject, `is a kernel for ${archName(kernel.pe)}, but the image is for ${kernelArch}`);
  }
  const arch = options.arch ?? efiArchOfMachine(kernel.pe.machine);
  if (arch === null) throw inputError(subject, "is for an architecture that UEFI does not know");
  const stub = await chooseStub(rootfs, options, arch);
  const problem = architectureProblem(stub, kernel.pe);
  if (problem !== null) throw new SealError("input", `${problem}; give a --stub for that kernel`);
  const osRelease = await contentOf(options.osRelease, () => treeOsRelease(rootfs));
  const title = osRelease === null ? null : menuTitle(parseOsRelease(osRelease));
  const nameless = `${rootfs.subject}: its os-release names no system (PRETTY_NAME, NAME or ID); systemd-boot will not show this UKI`;
  const { cmdline, kargsFiles, warnings } = await treeCmdline(rootfs, options, arch);
  const { extras } = options;
  return {
    inputs: {
      ...extras,
      stub,
      kernel: kernel.pe,
      osRelease,
      cmdline: utf8(cmdline),
      uname: await contentOf(options.uname, () => files.version),
      initrds: [files.initramfs, ...extras.initrds],
    },
    kver: files.version,
    arch,
    cmdline,
    words: findComposefsWords(cmdline),
    initramfsBytes: files.initramfs.length,
    kargsFiles,
    title,
    warnings: [
      ...(kernel.unpacked ? [unpackedNote(subject)] : []),
      ...(title === null ? [nameless] : []),
      ...warnings,
      ...profileWarnings(extras.joinedProfiles, options.digests),
    ],
  };
}

/** A profile's command line replaces that of the base, with its digest. */
function profileWarnings(profiles: UkiExtras["joinedProfiles"], kargs: readonly string[]): string[] {
  if (profiles.length === 0) return [];
  const wanted = findComposefsDigests(kargs.join(" ")).digests;
  return profiles.flatMap((sections) => {
    const [cmdline, description] = [".cmdline", ".profile"].map((name) => sections.find((one) => one.name === name));
    if (cmdline === undefined || description === undefined) return [];
    const { digests } = findComposefsDigests(new TextDecoder().decode(concat(cmdline.content)));
    if (digests.some(({ digest }) => wanted.some((one) => one.digest === digest))) return [];
    const id = profileId(description, "--join-profile");
    return [
      `the profile ${id ?? "without ID"} has a command line of its own without the digest of this root filesystem, and does not mount it. Give the digest there too (seal compute-digest --karg), or make the profile without --cmdline`,
    ];
  });
}

/** Why a stub can't start a kernel, in words; null when it can. */
export function architectureProblem(stub: PeImage, kernel: PeImage | null): string | null {
  if (kernel === null || stubStartsKernel(stub.machine, kernel.machine)) return null;
  return `${kernel.subject} is a kernel for ${archName(kernel)}, but the stub ${stub.subject} is for ${archName(stub)}`;
}

function archName({ machine }: PeImage): string {
  return efiArchOfMachine(machine) ?? `machine type 0x${machine.toString(16)}`;
}

async function contentOf<Content>(
  source: SectionSource<Content>,
  ofTree: () => Content | null | Promise<Content | null>,
): Promise<Content | null> {
  switch (source.kind) {
    case "tree":
      return ofTree();
    case "none":
      return null;
    case "given":
      return source.content;
  }
}

async function chooseStub(rootfs: Rootfs, options: TreeUkiOptions, arch: EfiArch): Promise<PeImage> {
  if (options.stub !== null) return options.stub;
  const path = `usr/lib/systemd/boot/efi/linux${arch}.efi.stub`;
  const bytes = await readTreeFile(rootfs, path, PROGRAM_LIMIT);
  return bytes === null ? options.otherStub(arch) : parsePe([bytes], `${rootfs.subject}: ${path}`);
}

async function treeOsRelease(rootfs: Rootfs): Promise<Uint8Array> {
  for (const path of OS_RELEASE_PATHS) {
    const bytes = await readTreeFile(rootfs, path);
    if (bytes !== null) return bytes;
  }
  throw inputError(
    rootfs.subject,
    `has no ${OS_RELEASE_PATHS[0]}; systemd-boot does not show a UKI without one. Give --os-release`,
  );
}

async function treeCmdline(
  rootfs: Rootfs,
  options: TreeUkiOptions,
  arch: EfiArch,
): Promise<{ cmdline: string; kargsFiles: number; warnings: string[] }> {
  const files = options.kargsD ? await readKargs(rootfs) : [];
  const warnings = files.flatMap(({ path, architectures }) => {
    const unknown = (architectures ?? []).filter((name) => !RUST_ARCHES.includes(name));
    if (unknown.length === 0) return [];
    return [`${rootfs.subject}: ${path}: match-architectures has ${unknown.join(", ")}, which is not an architecture`];
  });
  for (const karg of options.kargs) checkArguments(karg, "--karg");
  const kargs = kargsFor(files, arch);
  refuseOtherDigests([options.cmdline, ...kargs, ...options.kargs]);
  const cmdline = joinCmdline([options.cmdline, ...kargs, ...options.digests, ...options.kargs]);
  checkCmdline(cmdline, rootfs.subject, arch);
  return { cmdline, kargsFiles: files.length, warnings };
}

/** Another digest would be tried first, or instead. */
function refuseOtherDigests(parts: readonly string[]): void {
  for (const part of parts) {
    const { digests, malformed } = findComposefsDigests(part);
    if (digests.length + malformed.length === 0) continue;
    throw new SealError(
      "input",
      `${part} can't be on the command line (--cmdline, --karg or ${KARGS_DIRECTORY}): seal adds the digest itself. Remove it (build-uki and rootfs take another one with --digest)`,
    );
  }
}
