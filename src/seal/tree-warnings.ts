/**
 * Finds problems in a root filesystem itself that prevent machines from booting it: they are part of its digest, so
 * they can't be fixed here.
 */
import { hasBootc } from "../boot/bootc-version.ts";
import { SECUREBOOT_KEYS } from "../boot/esp-sources.ts";
import { SealError } from "../errors.ts";
import { OWNER_FIX, ownerMessage, soleOwner } from "../lint/file-owners.ts";
import { nodeAt } from "../lint/files.ts";
import { installedLoaderProblem, readInstalledLoader } from "../lint/installed-loaders.ts";
import type { Problem } from "../lint/rule.ts";
import { hasShim } from "../lint/shims.ts";
import type { EfiArch } from "../pe/arch.ts";
import { type Trust, verifyPe } from "../sign/verify.ts";
import type { Rootfs } from "../tree/rootfs.ts";

export interface TreeExpectations {
  /** For the architecture of the kernel. */
  readonly arch: EfiArch;
  /**
   * Whose signatures machines will accept; without certificates: unknown. Null: the boot loader in /usr is not checked.
   */
  readonly trust: Trust | null;
  /** Whether keys to enrol are written to `/boot`. */
  readonly enrolls: boolean;
  /**
   * What to do about a boot loader that is not signed, as a full sentence without the final dot;
   * absent: `seal prepare`.
   */
  readonly wayOut?: string;
}

/**
 * @returns one line each
 * @throws SealError `input` for a systemd-boot that the trusted certificates don't verify, where a bootc in the
 *   tree would install it
 */
export async function treeWarnings(
  rootfs: Rootfs,
  { arch, trust, enrolls, wayOut }: TreeExpectations,
): Promise<string[]> {
  const warnings: string[] = [];
  const problem = trust === null ? null : await loaderProblem(rootfs, arch, trust);
  if (problem !== null) {
    const text = `${rootfs.subject}: ${problem.path}: ${problem.message} ${wayOut ?? sentence(problem.fix)}`;
    if (problem.severity === "error" && (await hasBootc(rootfs))) throw new SealError("input", text);
    warnings.push(text);
  }
  if (enrolls && nodeAt(rootfs, SECUREBOOT_KEYS) === null) {
    warnings.push(
      `${rootfs.subject}: has no ${SECUREBOOT_KEYS}: no machine that bootc installs gets the keys of --enroll-keys. Put them there with seal prepare, in the stage that is sealed`,
    );
  }
  const uid = soleOwner(rootfs.root);
  if (uid !== null) warnings.push(`${rootfs.subject}: ${ownerMessage(uid)}. ${sentence(OWNER_FIX)}`);
  return warnings;
}

/**
 * Whether a systemd-boot in `/usr` is what a machine starts: there is a bootc that would install it, and no shim to
 * be installed instead.
 * @throws SealError `input` when a package database can't be read
 */
export async function isInstalledByBootc(rootfs: Rootfs): Promise<boolean> {
  return !hasShim(rootfs) && (await hasBootc(rootfs));
}

/** A warning about the boot loader that bootc would install; null: none. */
async function loaderProblem(rootfs: Rootfs, arch: EfiArch, trust: Trust): Promise<Problem | null> {
  const { certificates, now } = trust;
  const problem = await installedLoaderProblem({ rootfs, certificates, now }, arch);
  if (problem === null || problem.severity === "info") return null;
  const program = await readInstalledLoader(rootfs, arch);
  // A db can allow it by its hash.
  const isListed =
    (trust.imageHashes ?? []).length > 0 && program?.kind === "program" && verifyPe(program.pe, trust).valid;
  return isListed ? null : problem;
}

/** Formats it as the last sentence of a line. */
function sentence(text: string): string {
  return `${text.charAt(0).toUpperCase()}${text.slice(1)}`.replace(/\.$/, "");
}
