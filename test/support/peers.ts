/**
 * The real tools that seal is compared with. `test/peers/install` puts one command each into the peers directory; what
 * is not there is looked for on the PATH. A test that needs a peer is skipped where it is missing, and fails under
 * SEAL_REQUIRE_PEERS=1.
 */
import { spawnSync } from "node:child_process";
import { accessSync, constants, existsSync, readdirSync } from "node:fs";
import { homedir } from "node:os";
import { delimiter, join } from "node:path";
import { describe } from "vitest";

export const PEERS_DIR =
  process.env["SEAL_PEERS_DIR"] ?? join(process.env["XDG_CACHE_HOME"] ?? join(homedir(), ".cache"), "seal-peers");

/** All commands that `test/peers/install` installs and tests use. */
export const PEERS = [
  "cfsctl",
  "cfsctl-0.9.0",
  "mkcomposefs",
  "composefs-info",
  "ukify",
  "ukify-257",
  "systemd-measure",
  "systemd-measure-262",
  "systemd-pcrlock",
  "systemd-pcrlock-262",
  "systemd-sbsign",
  "sbsign",
  "sbverify",
  "sbattach",
  "osslsigncode",
  "pesign",
  "certutil",
  "pk12util",
  "openssl",
  "cert-to-efi-sig-list",
  "sign-efi-sig-list",
  "sig-list-to-certs",
  "sbsiglist",
  "sbvarsign",
  "virt-fw-vars",
  "dump.erofs",
  "fsck.erofs",
  "softhsm2-util",
  "pkcs11-tool",
  "qemu-system-x86_64",
  "mkfs.vfat",
  "mcopy",
  "mdeltree",
  "mkfs.ext4",
  "e2fsck",
  "debugfs",
  "sfdisk",
  "swtpm",
  "tpm2_eventlog",
  "verify-event-log",
  "buildah",
  "skopeo",
  "docker-registry",
  "referrers-registry",
  "strace",
  "actionlint",
  "check-jsonschema",
  "jq",
  "shellcheck",
  "mandoc",
  "man",
  "xmllint",
  "junit-validate",
  "cosign",
  "in-toto-python",
  "nfpm",
  "qemu-aarch64",
  "rpm",
  "readelf",
  "slsa-validate",
  "chromium",
  "nitro-tpm-pcr-compute",
  "keylime-python",
] as const;
export type Peer = (typeof PEERS)[number];

/**
 * The PKCS#11 module of SoftHSM, as Debian names it; it is loaded into the process that tests, so it is this machine's.
 */
export const SOFTHSM_MODULE = "/usr/lib/softhsm/libsofthsm2.so";

export const peersRequired = process.env["SEAL_REQUIRE_PEERS"] === "1";

/** Path of a peer's command, or null. */
export function findPeer(name: Peer): string | null {
  // Only what the install script made answers to a name with a version in it, and only its ukify is known to be 262.
  const fixed = ["ukify-257", "ukify", "cfsctl", "cfsctl-0.9.0"].includes(name);
  const directories = [join(PEERS_DIR, "bin"), ...(fixed ? [] : (process.env["PATH"] ?? "").split(delimiter))];
  return directories.map((directory) => join(directory, name)).find(isExecutable) ?? null;
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** The real Debian root filesystem that the install script makes; null where it is missing. */
export function realRootfs(): string | null {
  const path = join(PEERS_DIR, "rootfs");
  return spawnSync("test", ["-d", join(path, "usr/lib/modules")]).status === 0 ? path : null;
}

/** What mounts the root filesystem of a machine, in its initramfs. */
export const SETUP_ROOT = join(PEERS_DIR, "composefs-setup-root-0.9.4/bin/composefs-setup-root");

/**
 * The small Debian root filesystem that the install script makes for machines to boot; null where it or
 * {@link SETUP_ROOT} is missing.
 */
export function machineRootfs(): string | null {
  const path = join(PEERS_DIR, "machine");
  return existsSync(join(path, "usr/lib/modules")) && existsSync(SETUP_ROOT) ? path : null;
}

/**
 * Debian 13 with the packages that docs/tutorial.md has people install; null where it or what the page has
 * them compile is missing.
 */
export function newcomerTree(): string | null {
  const path = join(PEERS_DIR, "newcomer");
  const made = [join(path, ".packages"), ...TUTORIAL_CARGO.map((root) => join(root, ".crates2.json"))];
  return made.every(existsSync) ? path : null;
}

/** What the page has people compile, as `cargo install --root` leaves it. */
export const TUTORIAL_CARGO = ["cfsctl-0.9.4", "composefs-setup-root-0.9.4"].map((name) => join(PEERS_DIR, name));

/**
 * Trees of the Debian releases that the peers run in: their stubs and boot loaders are below
 * `usr/lib/systemd/boot/efi`.
 */
export function peerTree(suite: "trixie" | "sid"): string {
  return join(PEERS_DIR, suite);
}

/**
 * EFI programs and kernels out of Debian packages that the install script takes: `SUITE/ARCH/PACKAGE-NAME`, relative to
 * {@link PROGRAMS_DIR}.
 */
export function debianPrograms(): readonly string[] {
  if (!existsSync(PROGRAMS_DIR)) return [];
  return readdirSync(PROGRAMS_DIR, { recursive: true, encoding: "utf8" })
    .filter((path) => path.split("/").length === 3 && !path.endsWith("/.packages"))
    .sort();
}
export const PROGRAMS_DIR = join(PEERS_DIR, "programs");

/** An initramfs of each generator of Debian, for the kernel of {@link realRootfs}; the install script makes them. */
export function debianInitramfs(generator: "initramfs-tools" | "dracut" | "tiny-initramfs"): string {
  return join(PEERS_DIR, "initramfs", `${generator}.img`);
}

/** Beginning of a command line that runs a program inside a tree, where it sees this machine's `/tmp`. */
export function inTree(tree: string): readonly string[] {
  return ["unshare", "--mount", "--propagation", "private", join(PEERS_DIR, "enter"), tree];
}

export interface PeerResult {
  readonly status: number;
  readonly stdout: Buffer;
  readonly stderr: string;
}

/**
 * Runs a peer. Peers in trees see this machine's `/tmp` and nothing else of its files, so inputs and outputs lie there.
 */
export function runPeer(
  name: Peer,
  args: readonly string[],
  options: { input?: Uint8Array; cwd?: string; env?: Record<string, string> } = {},
): PeerResult {
  const path = findPeer(name);
  if (path === null) throw new Error(`peer ${name} is not installed; run test/peers/install`);
  const result = spawnSync(path, [...args], {
    input: options.input,
    cwd: options.cwd,
    env: { ...process.env, ...options.env },
    maxBuffer: 1 << 30,
  });
  if (result.error) throw result.error;
  return { status: result.status ?? 128, stdout: result.stdout, stderr: result.stderr.toString() };
}

/**
 * What a group of tests needs beyond node; `trees`: files of the {@link peerTree}s themselves; `programs`:
 * {@link debianPrograms}.
 */
export type Need = Peer | "root" | "rootfs" | "machine" | "newcomer" | "trees" | "programs" | "initramfs";

export function missing(needs: readonly Need[]): Need[] {
  return needs.filter((need) => {
    if (need === "root") return process.getuid?.() !== 0;
    if (need === "rootfs") return realRootfs() === null;
    if (need === "machine") return machineRootfs() === null;
    if (need === "newcomer") return newcomerTree() === null;
    if (need === "initramfs") return !existsSync(debianInitramfs("dracut"));
    if (need === "programs") return debianPrograms().length === 0;
    if (need === "trees") return !existsSync(peerTree("trixie")) || !existsSync(peerTree("sid"));
    return findPeer(need) === null;
  });
}

/** A describe block that is skipped where one of its needs is missing, and fails there under SEAL_REQUIRE_PEERS=1. */
export function describeWith(needs: readonly Need[], title: string, body: () => void): void {
  const lacking = missing(needs);
  if (lacking.length === 0 || peersRequired) describe(title, body);
  else describe.skip(`${title} (needs ${lacking.join(", ")})`, body);
}
