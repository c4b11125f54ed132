/**
 * Images of the small Debian that machines boot: layers with the tree, with an initramfs that has the real
 * composefs-setup-root, and with what a version changes; sealed, the layer with /boot comes on top.
 */
import { spawnSync } from "node:child_process";
import { mkdirSync, readdirSync, readFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { type Descriptor, parseIndex, parseManifest } from "../../src/oci/schemas.ts";
import { REF_NAME } from "../../src/oci/select.ts";
import { type CpioFile, cpioArchive, cpioDirectory, cpioProgram } from "./cpio.ts";
import { inTree, machineRootfs, peerTree, SETUP_ROOT } from "./peers.ts";
import { tarArchive, tarDirectory, tarFile } from "./tar.ts";

/** What the whole tree has. */
const MTIME = 1_700_000_000;

const MODULES = ["virtio_blk", "netfs", "libcrc32c", "erofs", "overlay", "efivarfs"] as const;

/** Looks for the root filesystem as systemd does by the type of its partition, here by its label. */
const init = (command: string) => `#!/bin/busybox sh
export PATH=/bin
/bin/busybox --install -s /bin
mount -t proc proc /proc; mount -t sysfs sysfs /sys; mount -t devtmpfs dev /dev; mount -t tmpfs -o mode=755 run /run
for m in ${MODULES.join(" ")}; do insmod /modules/$m.ko; done
i=0; while ! d=$(findfs LABEL=root) && [ $i -lt 50 ]; do sleep 0.1; i=$((i+1)); done
mount -t ext4 -o rw $d /sysroot
exec 2>/dev/console
${command} || {
  umount /sysroot
  poweroff -f
}
for m in proc sys dev run; do mount --move /$m /sysroot/$m; done
exec switch_root /sysroot /sbin/init
`;

/** The kernel's version in the tree. */
export function machineKernel(): string {
  return readdirSync(join(machineRootfs() ?? "", "usr/lib/modules"))[0] ?? "";
}

/** What mounts the root filesystem in an initramfs. */
export interface RootSetup {
  /** Command line that does it. */
  readonly command: string;
  /** The program, its libraries, and the directories that they lie in. */
  readonly files: () => readonly CpioFile[];
}

const COMPOSEFS_SETUP_ROOT: RootSetup = {
  command: "composefs-setup-root",
  files: () => [cpioProgram("bin/composefs-setup-root", readFileSync(SETUP_ROOT)), ...libraries(SETUP_ROOT)],
};

/** The initramfs, not compressed. */
export function machineInitramfs(setup: RootSetup = COMPOSEFS_SETUP_ROOT): Buffer {
  return cpioArchive([
    ...["bin", "dev", "modules", "proc", "run", "sys", "sysroot", "tmp"].map(cpioDirectory),
    cpioProgram("bin/busybox", readFileSync(join(peerTree("trixie"), "usr/bin/busybox"))),
    ...setup.files(),
    ...kernelModules(MODULES),
    cpioProgram("init", Buffer.from(init(setup.command))),
  ]);
}

/**
 * The shared libraries of a program, and the directories that they lie in.
 * @param tree where they are, for a program of that tree
 */
export function libraries(program: string, tree: string | null = null) {
  const [command = "", ...args] = [...(tree === null ? [] : inTree(tree)), "ldd", program];
  const { stdout } = spawnSync(command, args, { encoding: "utf8" });
  const paths = [...new Set(stdout.match(/\/\S+/g) ?? [])];
  const directories = new Set<string>();
  for (const path of paths) {
    for (let at = dirname(path); at !== "/"; at = dirname(at)) directories.add(at.slice(1));
  }
  return [
    ...[...directories].sort().map(cpioDirectory),
    ...paths.map((path) => cpioProgram(path.slice(1), readFileSync(join(tree ?? "/", path)))),
  ];
}

/** Modules of the tree's kernel, unpacked. */
export function kernelModules(names: readonly string[]) {
  const modules = join(machineRootfs() ?? "", "usr/lib/modules", machineKernel(), "kernel");
  return names.map((name) => cpioProgram(`modules/${name}.ko`, unpacked(join(modules, `${name}.ko.xz`))));
}

function unpacked(path: string): Buffer {
  const { stdout, status } = spawnSync("xz", ["-dc", path], { maxBuffer: 1 << 26 });
  if (status !== 0) throw new Error(`${basename(path)} can't be unpacked`);
  return stdout;
}

/** Files by their path, as a layer with their parent directories, which all have the tree's times. */
export function fileLayer(files: Readonly<Record<string, Uint8Array>>): Buffer {
  const parts: Buffer[] = [];
  const made = new Set<string>();
  for (const [path, content] of Object.entries(files).sort(([a], [b]) => (a < b ? -1 : 1))) {
    const parents: string[] = [];
    for (let at = dirname(path); at !== "."; at = dirname(at)) parents.unshift(at);
    for (const parent of parents) {
      if (!made.has(parent)) parts.push(tarDirectory(`${parent}/`, { mtime: MTIME }));
      made.add(parent);
    }
    parts.push(tarFile(path, content, { mtime: MTIME }));
  }
  return tarArchive(...parts);
}

/** The layer with the tree itself. */
export function treeLayer(): Buffer {
  const args = ["-C", machineRootfs() ?? "", "--sort=name", "--numeric-owner", "--format=gnu", "-cf", "-", "."];
  const { stdout, status, stderr } = spawnSync("tar", args, { maxBuffer: 1 << 29 });
  if (status !== 0) throw new Error(`tar failed: ${stderr}`);
  return stdout;
}

/** The layer with kernel arguments and initramfs. */
export function kernelLayer(kargs: readonly string[], setup?: RootSetup): Buffer {
  return fileLayer({
    [`usr/lib/modules/${machineKernel()}/initramfs.img`]: machineInitramfs(setup),
    "usr/lib/bootc/kargs.d/10-machine.toml": Buffer.from(`kargs = ${JSON.stringify(kargs)}\n`),
  });
}

/** A file that the machine computes a checksum of. */
export const PAYLOAD = "usr/share/payload";

/** What a newer version changes. */
export function versionLayer(version: number): Buffer {
  return fileLayer({
    "usr/lib/os-release": Buffer.from(`ID=machine\nVERSION_ID=${version}\nPRETTY_NAME="Machine ${version}"\n`),
    [PAYLOAD]: Buffer.from(`This is version ${version}. `.repeat(1000)),
  });
}

/** A layer with the files of a directory. @param place where they lie in the tree */
export function directoryLayer(directory: string, place = ""): Buffer {
  const files: Record<string, Uint8Array> = {};
  for (const entry of readdirSync(directory, { recursive: true, withFileTypes: true })) {
    const path = join(entry.parentPath, entry.name);
    if (entry.isFile()) files[join(place, path.slice(directory.length + 1))] = readFileSync(path);
  }
  return fileLayer(files);
}

/** The layer with a /boot that seal wrote. */
export function bootLayer(boot: string): Buffer {
  return directoryLayer(boot, "boot");
}

/**
 * Unpacks the last layer of an image in a layout, which has its /boot.
 * @param target a new directory;
 * @param tag default: of the only image
 */
export function unpackBoot(layout: string, target: string, tag: string | null = null): void {
  const read = (path: string) => readFileSync(join(layout, path));
  const blob = (of: Descriptor | undefined) => `blobs/${of?.digest.algorithm}/${of?.digest.hex}`;
  const { manifests } = parseIndex(read("index.json"), layout);
  const manifest = tag === null ? manifests[0] : manifests.find(({ annotations }) => annotations?.[REF_NAME] === tag);
  const { layers } = parseManifest(read(blob(manifest)), layout);
  mkdirSync(target);
  const { status, stderr } = spawnSync("tar", ["-xf", join(layout, blob(layers.at(-1))), "-C", target]);
  if (status !== 0) throw new Error(`tar failed: ${stderr}`);
}
