/** The programs that make disks and run machines: finds them, or says how to install them. */
import { SealError } from "../../errors.ts";
import { type Environment, findProgram } from "../exec.ts";
import { CFSCTL, CFSCTL_INSTALL, type Family, type Packages, PROGRAM_PACKAGES } from "../packages.ts";
import { MACHINE_TYPES } from "./machine-types.ts";

/**
 * Looks for programs.
 * @param programs names or paths, by what the caller calls them
 * @returns absolute paths, and what is not there, as {@link missingTools} takes it
 */
export async function locatePrograms<Key extends string>(
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

/** Packages that have what may be missing. */
const PACKAGES: Readonly<Record<string, Packages>> = {
  ...PROGRAM_PACKAGES,
  ...Object.fromEntries(
    Object.values(MACHINE_TYPES).flatMap(({ qemu, qemuPackages, firmwareName, firmwarePackages }) => [
      [qemu, qemuPackages],
      [firmwareName, firmwarePackages],
    ]),
  ),
};

/**
 * `external`: what is missing, and the packages that have it.
 * @param names of programs and firmware; one that is not known was given by the user, who knows where it is from
 */
export function missingTools(names: readonly string[]): SealError {
  const packages = names.flatMap((name) => (PACKAGES[name] === undefined ? [] : [PACKAGES[name]]));
  const of = (family: Family) => [...new Set(packages.map((each) => each[family]))].join(" ");
  const ways = [
    ...(packages.length === 0 ? [] : [`${of("debian")} (Debian, Ubuntu) or ${of("fedora")} (Fedora)`]),
    ...(names.includes(CFSCTL) ? [`cfsctl with ${CFSCTL_INSTALL}`] : []),
  ];
  const advice = ways.length === 0 ? "Give a program that exists" : `Install ${ways.join("; ")}`;
  return new SealError("external", `not installed: ${names.join(", ")}. ${advice}`);
}
