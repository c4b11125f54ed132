/** What of a root filesystem itself keeps machines from starting it, beside what is written: a part of its digest, so that it can't be mended here. */
import { bootcVersion } from "../boot/bootc-version.ts";
import { SECUREBOOT_KEYS } from "../boot/esp-sources.ts";
import { SealError } from "../errors.ts";
import { OWNER_FIX, ownerMessage, soleOwner } from "../lint/file-owners.ts";
import { nodeAt } from "../lint/files.ts";
import { installedLoaderProblem } from "../lint/installed-loaders.ts";
import type { EfiArch } from "../pe/arch.ts";
import type { ParsedCertificate } from "../sign/certificate.ts";
import type { Rootfs } from "../tree/rootfs.ts";

export interface TreeExpectations {
  /** For the architecture of the kernel. */
  readonly arch: EfiArch;
  /** Whose signatures machines will take; none: nobody said. */
  readonly certificates: readonly ParsedCertificate[];
  /** For the validity of certificates; undefined: signatures are not looked at. */
  readonly now: Date | undefined;
  /** Whether keys to enrol are written to `/boot`. */
  readonly enrolls: boolean;
  /** Whether a systemd-boot that no certificate verifies is an error where there is a bootc in the tree, which would install it. */
  readonly refuse: boolean;
}

/**
 * @returns one line each
 * @throws SealError `input`, see {@link TreeExpectations.refuse}
 */
export async function treeWarnings(
  rootfs: Rootfs,
  { arch, certificates, now, enrolls, refuse }: TreeExpectations,
): Promise<string[]> {
  const warnings: string[] = [];
  const problem = now === undefined ? null : await installedLoaderProblem({ rootfs, certificates, now }, arch);
  if (problem !== null) {
    const text = `${rootfs.label}: ${problem.path}: ${problem.message} ${sentence(problem.fix)}`;
    if (refuse && problem.severity === "error" && (await bootcVersion(rootfs)) !== null)
      throw new SealError("input", text);
    warnings.push(text);
  }
  if (enrolls && nodeAt(rootfs, SECUREBOOT_KEYS) === null) {
    warnings.push(
      `${rootfs.label}: has no ${SECUREBOOT_KEYS}: the keys of --enroll-keys reach no machine that bootc installs. Put them there with seal prepare, in the stage that is sealed`,
    );
  }
  const uid = soleOwner(rootfs.root);
  if (uid !== null) warnings.push(`${rootfs.label}: ${ownerMessage(uid)}. ${sentence(OWNER_FIX)}`);
  return warnings;
}

/** As the last sentence of a line. */
function sentence(text: string): string {
  return `${text.charAt(0).toUpperCase()}${text.slice(1)}`.replace(/\.$/, "");
}
