/**
 * systemd-boot as `bootc install` copies it to the disk: the tree's own in /usr, whatever is in /boot. It is part of
 * what is sealed, so it can't be signed afterwards.
 */
import { bootloaderPaths, readLoader } from "../boot/bootloader.ts";
import { displayBytes } from "../bytes.ts";
import { SealError } from "../errors.ts";
import type { EfiArch } from "../pe/arch.ts";
import type { PeImage } from "../pe/headers.ts";
import type { Rootfs } from "../tree/rootfs.ts";
import type { BootProgram } from "./boot-programs.ts";
import type { LintContext } from "./context.ts";
import { nodeAt } from "./files.ts";
import type { Problem } from "./rule.ts";
import { isSameProgram } from "./same-program.ts";
import { hasShim } from "./shims.ts";
import { programProblem } from "./signatures.ts";

/** Reads the file that `bootctl install` takes for an architecture; null if there is none. */
export async function readInstalledLoader(rootfs: Rootfs, arch: EfiArch): Promise<BootProgram | null> {
  for (const path of bootloaderPaths(arch)) {
    const node = nodeAt(rootfs, path);
    if (node === null) continue;
    const place = { role: "loader" as const, path, name: path.slice(path.lastIndexOf("/") + 1) };
    // bootctl does not follow symlinks.
    if (node.kind === "symlink") return { ...place, kind: "symlink", target: displayBytes(node.target) };
    if (node.kind !== "regular") return { ...place, kind: "broken", reason: `is a ${node.kind}, not a regular file` };
    try {
      const pe = await readLoader(rootfs, path);
      if (pe !== null) return { ...place, kind: "program", pe: { ...pe, subject: path } };
    } catch (error) {
      if (!(error instanceof SealError)) throw error;
      return { ...place, kind: "broken", reason: error.message.replace(`${rootfs.subject}: ${path}: `, "") };
    }
  }
  return null;
}

/**
 * Whether the systemd-boot of /usr is not signed, but a copy of it in /boot is: the state in which seal 0.1 left an
 * image.
 */
export function isUnsignedCopy(installed: PeImage, programs: readonly BootProgram[]): boolean {
  const isSigned = (pe: PeImage) => (pe.certificateTable?.size ?? 0) > 0;
  if (isSigned(installed)) return false;
  return programs.some(
    (program) =>
      program.kind === "program" &&
      program.role === "loader" &&
      isSigned(program.pe) &&
      isSameProgram(program.pe, installed),
  );
}

/**
 * What keeps a machine that bootc installed from starting systemd-boot: an error where there is a certificate to check
 * against, else a warning.
 * @param context with the certificates that the signature must be by
 * @returns null when there is nothing wrong, or no systemd-boot at all
 */
export async function installedLoaderProblem(
  context: Pick<LintContext, "rootfs" | "certificates" | "now">,
  arch: EfiArch,
): Promise<Problem | null> {
  const { rootfs, certificates } = context;
  const program = await readInstalledLoader(rootfs, arch);
  if (program === null) return null;
  const problem = programProblem(program, context);
  if (problem === null) return null;
  const { severity = "error" } = problem;
  const shim = hasShim(rootfs);
  const fact = program.kind === "symlink" ? "It is a symlink, which bootctl does not follow." : problem.message;
  return {
    path: program.path,
    severity: severity !== "error" ? severity : certificates.length > 0 && !shim ? "error" : "warning",
    message: `${fact} bootc install puts this file onto the disk, not the one in /boot${shim ? ", unless bootupd installs shim" : ""}.`,
    fix: "sign it before the digest is computed: seal prepare / --key KEY --cert CERT in the stage that is sealed, or seal image with a key.",
  };
}
