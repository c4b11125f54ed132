/** The options that sealing a tree and sealing an image have in common, and their defaults. */
import { NO_EXTRAS, type TreeUkiOptions } from "../boot/tree-uki.ts";
import type { PeImage } from "../pe/headers.ts";
import type { PcrPlan } from "../pe/uki-pcrs.ts";
import type { EnrollKeys } from "../sign/enroll-keys.ts";
import type { Rootfs } from "../tree/rootfs.ts";
import { chooseBootloader } from "./bootloader.ts";
import type { RootfsDigests } from "./digest.ts";
import { type DigestPlan, planDigest } from "./digest-plan.ts";
import { checkProgramsEnrolled, checkSignerEnrolled } from "./enrolled.ts";
import type { NamedDigests } from "./name-digests.ts";
import type { PreparedLoader } from "./preparation.ts";
import { shippedDump } from "./shipped-dump.ts";
import { machineStub } from "./stub.ts";
import { type SealedAhead, type SealTreeOptions, type Signing, sealTreeAhead, signProgram } from "./tree.ts";

/** Keys that a machine enrols, and the time for the validity of certificates. */
export interface Enrolled {
  readonly keys: EnrollKeys;
  readonly now: Date;
}

/** How to seal; all options are optional. */
export interface SealOptions {
  /** Which digests the UKI names; absent: those of `planDigest()`. */
  readonly plan?: DigestPlan | undefined;
  /** See `composefsKarg`. */
  readonly allowMissingVerity?: boolean | undefined;
  /** What goes into the UKI in addition to the files of the root filesystem. */
  readonly uki?: Partial<Omit<TreeUkiOptions, "digests">> | undefined;
  /** systemd-boot, signed or not; absent: the root filesystem's, else this machine's. */
  readonly bootloader?: PeImage | null | undefined;
  /** Absent: nothing is signed. */
  readonly signing?: Signing | null | undefined;
  /** Absent: PCR 11 is not predicted, and no policies are signed. */
  readonly pcrs?: PcrPlan | undefined;
  /** What `/boot` contains in addition to UKI and boot loader. */
  readonly layout?: Partial<Omit<SealTreeOptions["layout"], "dump">> | undefined;
  /** Whether `/boot` gets the root filesystem as a composefs dump file, see `shippedDump`; absent: no. */
  readonly shipDump?: boolean | undefined;
  /**
   * The keys that machines enrol before they boot this: a signer or program that these do not allow is refused. Absent:
   * not checked.
   */
  readonly enrolled?: Enrolled | null | undefined;
  /** For the validity of certificates on programs that are signed already; absent: those in /usr are not checked. */
  readonly now?: Date | undefined;
  /** Called when the digests are known, before sealing; with null if a digest was given. */
  readonly onDigest?: ((computed: RootfsDigests | null) => void) | undefined;
}

/** A UKI with nothing but what the root filesystem has; if it has no stub, this machine's is used. */
export const UKI_DEFAULTS: Omit<TreeUkiOptions, "digests"> = {
  kernel: null,
  kver: null,
  arch: null,
  uname: { kind: "tree" },
  osRelease: { kind: "tree" },
  stub: null,
  otherStub: (arch) => machineStub(`linux${arch}`),
  cmdline: "",
  kargsD: true,
  kargs: [],
  extras: NO_EXTRAS,
};

/** A `/boot` without optional files. */
export const LAYOUT_DEFAULTS: SealTreeOptions["layout"] = {
  entryToken: null,
  enrollKeys: null,
  loader: { timeout: null, enroll: null },
  addons: [],
};

export function planOf({ plan }: Pick<SealOptions, "plan">): DigestPlan {
  return plan ?? planDigest();
}

/**
 * Refuses options that are wrong for any root filesystem, before half a gigabyte is read.
 * @throws SealError `input`
 */
export function checkSealOptions({ enrolled, signing }: Pick<SealOptions, "enrolled" | "signing">): void {
  if (enrolled && signing) checkSignerEnrolled(enrolled.keys, signing);
}

/** Results of the preparation of a root filesystem. */
export interface PreparedTree extends Pick<NamedDigests<RootfsDigests | null>, "kargs" | "treeKernel" | "computed"> {
  /** Boot loaders that have been signed there. */
  readonly loaders?: readonly PreparedLoader[];
}

/**
 * {@link sealTreeAhead} with the defaults of {@link SealOptions}.
 * @param prepared the digests of the root filesystem, and the boot loaders that were put into it
 * @throws SealError as {@link sealTreeAhead}, and `input` for programs that {@link SealOptions.enrolled} does not allow
 */
export async function sealTreeWith(
  options: SealOptions,
  rootfs: Rootfs,
  { kargs, treeKernel, computed, loaders = [] }: PreparedTree,
): Promise<SealedAhead> {
  const { bootloader = null, signing = null, pcrs, uki, layout, shipDump = false, enrolled } = options;
  const sealed = await sealTreeAhead(rootfs, {
    uki: { ...UKI_DEFAULTS, ...uki, treeKernel, digests: kargs },
    bootloader: async ({ arch }) => {
      const own = bootloader === null ? loaders.find((one) => one.arch === arch) : undefined;
      return own === undefined
        ? signProgram(await chooseBootloader(bootloader, rootfs, arch), signing)
        : { ...own, warnings: [] };
    },
    signing,
    pcrs,
    layout: { ...LAYOUT_DEFAULTS, ...layout, dump: shipDump && computed !== null ? await shippedDump(computed) : null },
  });
  if (enrolled) checkProgramsEnrolled(enrolled.keys, sealed.programs, enrolled.now);
  return sealed;
}
