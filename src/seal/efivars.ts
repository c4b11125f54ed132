/** Reads the variables of Secure Boot and of shim that Linux shows for this machine. */
import { stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import { inputError } from "../errors.ts";
import { isSystemError, reasonOf } from "../io/files.ts";
import { thisPlatform } from "../io/oci/image.ts";
import { readInput, SMALL_FILE } from "../io/read-input.ts";
import { type EfiArch, efiArchOfGo } from "../pe/arch.ts";
import { namedVariable, SECURE_BOOT_VARIABLES } from "../sign/authvar.ts";
import { efivarName, parseEfivar } from "../sign/efivars.ts";
import type { StoredVariable } from "../sign/ovmf.ts";
import { SECURE_BOOT, TIME_STAMPS } from "../sign/secure-boot-policy.ts";
import { runtimeCopy, SHIM_VARIABLES } from "../sign/shim.ts";

/** Where Linux has them; the environment variable is that of libefivar. */
const EFIVARS = "/sys/firmware/efi/efivars";
const ELSEWHERE = "EFIVARFS_PATH";

const READ = [
  ...SECURE_BOOT_VARIABLES.map(namedVariable),
  TIME_STAMPS,
  SECURE_BOOT,
  ...Object.values(SHIM_VARIABLES).map(runtimeCopy),
] as const;

/** The directory of this machine's variables, whether or not it is there. */
export function ownEfivars(env: Readonly<Record<string, string | undefined>>): string {
  return env[ELSEWHERE] || EFIVARS;
}

/**
 * The variables in such a directory that decide what may start.
 * @param directory absolute
 * @returns null where there is none of them: the machine was not started by UEFI firmware, or the variables are hidden
 *   from this container
 * @throws SealError `input` for a file that can't be read
 */
export async function readEfivars(directory: string, subject: string): Promise<readonly StoredVariable[] | null> {
  const variables: StoredVariable[] = [];
  for (const id of READ) {
    const file = efivarName(id);
    const bytes = await readVariable(join(directory, file), join(subject, file));
    if (bytes !== null) variables.push(parseEfivar(bytes, id, join(subject, file)));
  }
  return variables.length === 0 ? null : variables;
}

/** Null if there is none, or if it is just being created. */
async function readVariable(path: string, subject: string): Promise<Uint8Array | null> {
  try {
    // A pipe would never end.
    if (!(await stat(path)).isFile()) throw new Error("it is not a regular file");
  } catch (error) {
    if (isSystemError(error) && (error.code === "ENOENT" || error.code === "ENOTDIR")) return null;
    throw inputError(subject, `can't be read: ${reasonOf(error)}`, error);
  }
  const bytes = await readInput(path, SMALL_FILE);
  return bytes.length === 0 ? null : bytes;
}

/**
 * The architecture of this machine's firmware, which may have 32 bits where Linux has 64.
 * @param directory of its variables
 */
export async function firmwareArch(directory: string): Promise<EfiArch | null> {
  const arch = efiArchOfGo(thisPlatform().architecture);
  if (arch !== "x64") return arch;
  const bits = await readInput(join(dirname(directory), "fw_platform_size"), SMALL_FILE).catch(() => null);
  return bits !== null && Buffer.from(bits).toString("latin1").trim() === "32" ? "ia32" : "x64";
}
