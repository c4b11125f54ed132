/**
 * Builders of container images as people have them, each out of a Debian release and with a store of its own; and a
 * small image that they can seal, with the program in another one.
 */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import {
  closeSync,
  existsSync,
  lstatSync,
  mkdirSync,
  openSync,
  readFileSync,
  readlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import { containerTools, ownLimits, unlessBusy } from "./containers.ts";
import { cpioOf } from "./cpio.ts";
import { writeLayout } from "./layout.ts";
import { inTree, missing, PEERS_DIR, peerTree } from "./peers.ts";
import { tarArchive, tarDirectory, tarFile, tarHeader } from "./tar.ts";
import { vector } from "./vectors.ts";

export interface ImageBuilder {
  /** Takes an image into its store. @param archive as `docker save` writes it */
  readonly load: (archive: string, reference: string) => void;
  /** @returns what it printed @throws Error with that when it fails */
  readonly build: (directory: string, reference: string, ...args: readonly string[]) => string;
  /** Writes an image to a file that `docker-archive:` names. */
  readonly save: (reference: string, file: string) => void;
  readonly close: () => Promise<void>;
}

/** The trees that the install script makes for builders. */
export const BUILDER_TREES = { bookworm: "builders-bookworm", trixie: "builders-trixie" } as const;
/** Where Debian has buildx, in the tree of trixie. */
export const BUILDX = "/usr/libexec/docker/cli-plugins/docker-buildx";
type Suite = keyof typeof BUILDER_TREES;

/** What tests with builders need and this machine has not. */
export function missingBuilders(): readonly string[] {
  const trees = Object.values(BUILDER_TREES).filter((tree) => !existsSync(join(PEERS_DIR, tree, ".packages")));
  return [...missing(["buildah", "skopeo", "cfsctl", "trees", "root"]), ...trees];
}

/** Makes a builder with a store in that directory; a text says why it can't run here. */
export type MakeBuilder = (directory: string) => Promise<ImageBuilder | string>;

export const BUILDERS = {
  "podman of Debian 12": async (directory) => podmanBuilder("bookworm", "podman", directory),
  "buildah of Debian 12": async (directory) => podmanBuilder("bookworm", "buildah", directory),
  "podman of Debian 13": async (directory) => podmanBuilder("trixie", "podman", directory),
  "docker with the containerd store": async (directory) => dockerBuilder(directory, "containerd"),
  "docker with overlay2": async (directory) => dockerBuilder(directory, "overlay2"),
} as const satisfies Readonly<Record<string, MakeBuilder>>;

function run(suite: Suite, env: Readonly<Record<string, string>>, cwd: string, ...command: readonly string[]): string {
  const [program = "", ...args] = [...inTree(join(PEERS_DIR, BUILDER_TREES[suite])), ...command];
  const { status, stdout, stderr } = unlessBusy(() => {
    const result = spawnSync(program, args, { env: { ...process.env, ...env }, cwd, maxBuffer: 1 << 28 });
    if (result.error) throw result.error;
    return { status: result.status ?? 128, stdout: result.stdout, stderr: result.stderr.toString() };
  });
  const output = `${stdout.toString()}${stderr}`;
  if (status !== 0) throw new Error(`${command.join(" ")}: ${output}`);
  return output;
}

/** podman or buildah. @param directory gets its store */
export function podmanBuilder(suite: Suite, program: "podman" | "buildah", directory: string): ImageBuilder {
  mkdirSync(directory);
  const { env } = containerTools(directory);
  const call = (...args: readonly string[]) => run(suite, env, directory, program, ...args);
  // podman has lowered its own limits before it sets those of a step, which can't be higher then.
  const limits = ownLimits().flatMap((limit) => [
    "--ulimit",
    limit.replace(/^nproc=(\d{6,}|32[89]\d{2}|3[3-9]\d{3}|[4-9]\d{4}):.*$/, "nproc=32768:32768"),
  ]);
  return {
    load: (archive, reference) => {
      if (program === "podman") call("load", "--quiet", "--input", archive);
      else call("tag", call("pull", "--quiet", `docker-archive:${archive}`).trim().split("\n").at(-1) ?? "", reference);
    },
    build: (context, reference, ...args) =>
      call("build", "--isolation", "chroot", ...limits, "--tag", reference, ...args, context),
    save: (reference, file) => {
      if (program === "podman") call("save", "--quiet", "--output", file, reference);
      else call("push", "--quiet", reference, `docker-archive:${file}:${reference}`);
    },
    close: async () => {
      spawnSync("rm", ["-rf", directory]);
    },
  };
}

/**
 * Docker with its daemon, without network.
 * @param store `containerd`: images are those of BuildKit's own snapshots; `overlay2`: the older one
 * @returns a reason why it can't run here
 */
export async function dockerBuilder(
  directory: string,
  store: "containerd" | "overlay2",
): Promise<ImageBuilder | string> {
  mkdirSync(directory);
  const at = (name: string) => join(directory, name);
  writeFileSync(at("daemon.json"), JSON.stringify({ features: { "containerd-snapshotter": store === "containerd" } }));
  const places = [
    "--data-root",
    at("data"),
    "--exec-root",
    at("exec"),
    "--pidfile",
    at("pid"),
    "--host",
    `unix://${at("sock")}`,
  ];
  const network = ["--iptables=false", "--ip6tables=false", "--bridge=none"];
  const tree = join(PEERS_DIR, BUILDER_TREES.trixie);
  const [program = "", ...command] = [
    ...inTree(tree),
    "dockerd",
    "--config-file",
    at("daemon.json"),
    ...places,
    ...network,
  ];
  // A pipe that nobody empties while this process waits for a build would stop the daemon.
  const log = openSync(at("log"), "w");
  const daemon = spawn(program, command, { cwd: directory, stdio: ["ignore", log, log] });
  closeSync(log);
  const call = (...args: readonly string[]) =>
    run("trixie", { HOME: directory }, directory, "docker", "--host", `unix://${at("sock")}`, ...args);
  for (let attempt = 0; ; attempt++) {
    if (daemon.exitCode !== null) return `dockerd ends: ${readFileSync(at("log"), "utf8").trim().split("\n").at(-1)}`;
    if (existsSync(at("sock")) && answers(() => call("version"))) break;
    if (attempt === 300) {
      await endDaemon(daemon, directory);
      return "dockerd does not answer";
    }
    await setTimeout(200);
  }
  return {
    load: (archive) => {
      call("load", "--quiet", "--input", archive);
    },
    build: (context, reference, ...args) =>
      call("build", "--network", "none", "--progress", "plain", "--tag", reference, ...args, context),
    save: (reference, file) => {
      call("save", "--output", file, reference);
    },
    close: () => endDaemon(daemon, directory),
  };
}

function answers(question: () => unknown): boolean {
  try {
    question();
    return true;
  } catch {
    return false;
  }
}

/** It takes its own children with it. */
export async function endDaemon(daemon: ChildProcess, directory: string): Promise<void> {
  const ended = new Promise((resolve) => daemon.once("exit", resolve));
  if (daemon.exitCode === null && daemon.kill()) await ended;
  spawnSync("rm", ["-rf", directory]);
}

const MTIME = 1_700_000_000;
/** The kernel's version in {@link osImage}. */
export const OS_KERNEL = "6.1.0-test";

/**
 * A small system that can be sealed, in whole seconds: a shell, a kernel, systemd-boot, and the libraries
 * that the program needs.
 */
export function osImage(): Buffer {
  const tree = peerTree("trixie");
  const names = new Map<string, Buffer>();
  const time = { mtime: MTIME };
  const put = (path: string, part: Buffer) => {
    const above = path.split("/").slice(0, -1);
    for (let depth = 1; depth <= above.length; depth++) {
      const name = above.slice(0, depth).join("/");
      names.set(name, names.get(name) ?? tarDirectory(`${name}/`, time));
    }
    names.set(path, part);
  };
  const link = (path: string, target: string) =>
    put(path, tarHeader({ ...time, name: path, type: "2", link: target, mode: 0o777 }));
  const file = (path: string, content: Uint8Array, mode = 0o644) =>
    put(path, tarFile(path, content, { ...time, mode }));
  for (const name of ["boot", "dev", "etc", "proc", "run", "sys", "sysroot", "tmp", "usr", "var"])
    names.set(name, tarDirectory(`${name}/`, time));
  for (const name of ["bin", "lib", "lib64", "sbin"]) link(name, `usr/${name === "sbin" ? "bin" : name}`);
  const library = (path: string) => {
    let place = path;
    while (lstatSync(join(tree, place)).isSymbolicLink()) place = join(place, "..", readlinkSync(join(tree, place)));
    file(path, readFileSync(join(tree, place)), 0o755);
  };
  for (const name of ["libc.so.6", "libm.so.6", "libdl.so.2", "libpthread.so.0", "libstdc++.so.6", "libgcc_s.so.1"])
    library(`usr/lib/x86_64-linux-gnu/${name}`);
  library("usr/lib64/ld-linux-x86-64.so.2");
  file("usr/bin/busybox", readFileSync(join(tree, "usr/bin/busybox")), 0o755);
  for (const name of [
    "sh",
    "cat",
    "chmod",
    "cp",
    "dirname",
    "echo",
    "ln",
    "ls",
    "mkdir",
    "mv",
    "readlink",
    "rm",
    "sleep",
    "touch",
  ])
    link(`usr/bin/${name}`, "busybox");
  file("etc/resolv.conf", Buffer.from("nameserver 192.0.2.1\n"));
  file("usr/lib/os-release", Buffer.from('ID=test\nPRETTY_NAME="Test system"\n'));
  for (const name of ["linuxx64.efi.stub", "systemd-bootx64.efi"])
    file(`usr/lib/systemd/boot/efi/${name}`, readFileSync(join(tree, "usr/lib/systemd/boot/efi", name)));
  file(`usr/lib/modules/${OS_KERNEL}/vmlinuz`, vector("uki/inputs/kernel"));
  file(
    `usr/lib/modules/${OS_KERNEL}/initramfs.img`,
    cpioOf({ init: "#!/bin/sh\ncomposefs-setup-root\n", "usr/bin/composefs-setup-root": "program" }),
  );
  file(`usr/lib/modules/${OS_KERNEL}/modules.dep`, Buffer.from("x"));
  return tarArchive(tarDirectory("./", time), ...names.values());
}

/** Writes images as `docker save` does: the layers, lowest first, by their name. */
export function writeArchive(
  file: string,
  reference: string,
  layers: readonly Uint8Array[],
  skopeo: (...args: readonly string[]) => string,
): void {
  const layout = `${file}.layout`;
  writeLayout(layout, layers, { config: { config: { Env: ["PATH=/usr/bin:/bin"], Cmd: ["/bin/sh"] } } });
  skopeo("copy", "--quiet", `oci:${layout}:latest`, `docker-archive:${file}:${reference}`);
}
