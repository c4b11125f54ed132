/** The programs that make disks and run machines: found, or told how they are installed. */
import { SealError } from "../../errors.ts";
import { type Environment, findProgram } from "../exec.ts";
import { MACHINE_TYPES, type Packages } from "./machine-types.ts";

/**
 * Looks for programs.
 * @param programs names or paths, by what the caller calls them
 * @returns absolute paths, and what is not there, as {@link missingTools} takes it
 */
export async function findPrograms<Key extends string>(
  programs: Readonly<Record<Key, string>>,
  env: Environment,
  cwd: string,
): Promise<{ readonly found: Record<Key, string>; readonly missing: readonly string[] }> {
  const found: Record<Key, string> = { ...programs };
  const missing: string[] = [];
  for (const key of Object.keys(programs) as Key[]) {
    const path = await findProgram(programs[key], env, cwd);
    if (path === null) missing.push(programs[key]);
    else found[key] = path;
  }
  return { found, missing };
}

/** Packages that have what may be missing; `cfsctl` is in none. */
const PACKAGES: Readonly<Record<string, Packages>> = {
  "mkfs.vfat": ["dosfstools", "dosfstools"],
  mcopy: ["mtools", "mtools"],
  mdeltree: ["mtools", "mtools"],
  sfdisk: ["fdisk", "util-linux"],
  "mkfs.ext4": ["e2fsprogs", "e2fsprogs"],
  debugfs: ["e2fsprogs", "e2fsprogs"],
  swtpm: ["swtpm", "swtpm"],
  ...Object.fromEntries(
    Object.values(MACHINE_TYPES).flatMap(({ qemu, qemuPackages, firmwareName, firmwarePackages }) => [
      [qemu, qemuPackages],
      [firmwareName, firmwarePackages],
    ]),
  ),
};
const CFSCTL = "cfsctl";

/**
 * `external`: what is missing, and the packages that have it.
 * @param names of programs and firmware; one that is not known was given by the user, who knows where it is from
 */
export function missingTools(names: readonly string[]): SealError {
  const packages = names.flatMap((name) => (PACKAGES[name] === undefined ? [] : [PACKAGES[name]]));
  const of = (system: 0 | 1) => [...new Set(packages.map((pair) => pair[system]))].join(" ");
  const ways = [
    ...(packages.length === 0 ? [] : [`${of(0)} (Debian, Ubuntu) or ${of(1)} (Fedora)`]),
    ...(names.includes(CFSCTL) ? ["cfsctl with cargo install composefs-ctl --features oci"] : []),
  ];
  const advice = ways.length === 0 ? "Give a program that is there" : `Install ${ways.join("; ")}`;
  return new SealError("external", `not installed: ${names.join(", ")}. ${advice}`);
}
