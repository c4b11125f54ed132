/** In which packages distributions have the programs that seal runs. */

/** Distributions that share packages and their names. */
export const FAMILIES = ["debian", "fedora", "arch", "suse", "alpine"] as const;
export type Family = (typeof FAMILIES)[number];

/** The package of each; null: it has none. */
export type Packages = Readonly<Record<Family, string | null>>;

function everywhere(name: string): Packages {
  return { debian: name, fedora: name, arch: name, suse: name, alpine: name };
}

const E2FSPROGS = everywhere("e2fsprogs");

/** By program. */
export const PROGRAM_PACKAGES: Readonly<Record<string, Packages>> = {
  skopeo: everywhere("skopeo"),
  "mkfs.vfat": everywhere("dosfstools"),
  mcopy: everywhere("mtools"),
  mdeltree: everywhere("mtools"),
  sfdisk: { ...everywhere("util-linux"), debian: "fdisk", alpine: "sfdisk" },
  "mkfs.ext4": E2FSPROGS,
  debugfs: { ...E2FSPROGS, alpine: "e2fsprogs-extra" },
  swtpm: everywhere("swtpm"),
};

/** Where systemd's EFI stub is. */
export const STUB_PACKAGES: Packages = {
  debian: "systemd-boot-efi",
  fedora: "systemd-boot-unsigned",
  arch: "systemd",
  suse: "systemd-boot",
  alpine: "systemd-efistub",
};

const INSTALL: Readonly<Record<Family, string>> = {
  debian: "apt install",
  fedora: "dnf install",
  arch: "pacman -S",
  suse: "zypper install",
  alpine: "apk add",
};

/**
 * The family of a system.
 * @param osRelease its os-release; `ID` counts before `ID_LIKE` (os-release(5))
 * @returns null for one that is not known
 */
export function familyOf(osRelease: ReadonlyMap<string, string>): Family | null {
  const names = `${osRelease.get("ID") ?? ""} ${osRelease.get("ID_LIKE") ?? ""}`.toLowerCase().split(/\s+/);
  for (const name of names) {
    const known = FAMILIES.find((family) => family === name || ALSO[family].test(name));
    if (known !== undefined) return known;
  }
  return null;
}

/** Names in `ID` of systems without `ID_LIKE`. */
const ALSO: Readonly<Record<Family, RegExp>> = {
  debian: /^ubuntu$/,
  fedora: /^(?:rhel|centos)$/,
  arch: /^archarm$/,
  suse: /^opensuse(?:-|$)|^sles?$/,
  alpine: /^postmarketos$/,
};

/** What installs packages, as it is typed. */
export function installCommand(family: Family, packages: readonly string[]): string {
  return `${INSTALL[family]} ${[...new Set(packages)].join(" ")}`;
}

/** cfsctl is in no package. */
export const CFSCTL = "cfsctl";
export const CFSCTL_INSTALL =
  "cargo install --locked composefs-ctl@0.9.4 --no-default-features --features oci,pre-6.15";
