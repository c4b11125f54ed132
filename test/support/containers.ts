/**
 * The container tools among the peers with a store of their own, so that they see nothing of this machine's and
 * leave nothing behind.
 */
import { execFileSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { findPeer, PEERS_DIR, type PeerResult, runPeer } from "./peers.ts";

/** How often a tool may find its own copy busy. */
const ATTEMPTS = 5;

export interface ContainerTools {
  /** What buildah and skopeo need to be called with, and what calls them. */
  readonly env: Readonly<Record<string, string>>;
  /** The store as references name it: `[driver@root+run]`. */
  readonly store: string;
  /** @returns what it printed @throws Error with what it said when it fails */
  readonly buildah: (...args: readonly string[]) => string;
  readonly skopeo: (...args: readonly string[]) => string;
}

/**
 * @param directory gets store, temporary files and configuration; below `/tmp`
 * @param insecureRegistry `host:port` of a registry that speaks plain HTTP
 */
export function containerTools(directory: string, insecureRegistry?: string): ContainerTools {
  const write = (name: string, text: string) => {
    writeFileSync(join(directory, name), text);
    return join(directory, name);
  };
  const env = {
    PATH: `${join(PEERS_DIR, "bin")}:${process.env["PATH"] ?? ""}`,
    TMPDIR: directory,
    BUILDAH_ISOLATION: "chroot",
    CONTAINERS_STORAGE_CONF: join(directory, "storage.conf"),
    CONTAINERS_CONF: write("containers.conf", `[containers]\ndefault_ulimits = ${JSON.stringify(ownLimits())}\n`),
    CONTAINERS_REGISTRIES_CONF: write(
      "registries.conf",
      insecureRegistry === undefined ? "" : `[[registry]]\nlocation = "${insecureRegistry}"\ninsecure = true\n`,
    ),
  };
  const call =
    (name: "buildah" | "skopeo") =>
    (...args: readonly string[]) => {
      const { status, stdout, stderr } = unlessBusy(() => runPeer(name, args, { env, cwd: directory }));
      if (status !== 0) throw new Error(`${name} ${args.join(" ")}: ${stderr}`);
      return stdout.toString();
    };
  const useDriver = (driver: string) =>
    write(
      "storage.conf",
      `[storage]\ndriver = "${driver}"\ngraphroot = "${join(directory, driver)}"\nrunroot = "${join(directory, "run")}"\n`,
    );
  // overlay copies no tree for each step, but not every kernel and file system can do it.
  useDriver("overlay");
  const driver = findPeer("buildah") !== null && runPeer("buildah", ["info"], { env }).status === 0 ? "overlay" : "vfs";
  useDriver(driver);
  const store = `[${driver}@${join(directory, driver)}+${join(directory, "run")}]`;
  return { env, store, buildah: call("buildah"), skopeo: call("skopeo") };
}

/**
 * Runs a container tool, and again where it could not start itself: for a step it executes a copy of its program in
 * memory, which it seals first (memfd_create(2)). On a loaded machine the kernel may still count users of the copy's
 * pages and answer EBUSY; the tools' library gives up at once.
 */
export function unlessBusy(run: () => PeerResult): PeerResult {
  for (let attempt = 1; ; attempt++) {
    const result = run();
    const busy = result.status !== 0 && /sealing memfd copy: Device or resource busy/.test(result.stderr);
    if (!busy || attempt === ATTEMPTS) return result;
  }
}

/** The limits of this process: buildah would set its defaults, which may be higher than it is allowed to. */
export function ownLimits(): string[] {
  const limits = readFileSync("/proc/self/limits", "utf8");
  const named = (name: string) => new RegExp(`^${name} +(\\w+) +(\\w+)`, "m").exec(limits)?.slice(1) ?? [];
  const number = (value: string) => (value === "unlimited" ? "-1" : value);
  return [
    ["nproc", "Max processes"],
    ["nofile", "Max open files"],
  ].map(([key = "", name = ""]) => `${key}=${named(name).map(number).join(":")}`);
}

/** Directories that a store of the vfs driver leaves can hold files of any owner and mode. */
export function removeStore(directory: string): void {
  execFileSync("rm", ["-rf", directory]);
}
