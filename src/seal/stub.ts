/** The EFI stubs that systemd installs. */
import { inputError, SealError } from "../errors.ts";
import { reasonOf } from "../io/files.ts";
import { readInput } from "../io/read-input.ts";
import { type PeImage, parsePe } from "../pe/headers.ts";

const STUB_DIRECTORY = "/usr/lib/systemd/boot/efi";

/**
 * A stub that systemd installed on this machine, or in this tools image.
 * @param name `linuxx64`, `addonaa64`
 * @throws SealError `input` when there is none
 */
export async function machineStub(name: string): Promise<PeImage> {
  const path = `${STUB_DIRECTORY}/${name}.efi.stub`;
  try {
    return parsePe([await readInput(path)], path);
  } catch (error) {
    if (!(error instanceof SealError) || error.cause === undefined) throw error;
    const reason = `can't read the EFI stub: ${reasonOf(error.cause)}`;
    throw inputError(
      path,
      `${reason}; install systemd's (package systemd-boot-efi, systemd-boot-unsigned or systemd) or give --stub`,
    );
  }
}
