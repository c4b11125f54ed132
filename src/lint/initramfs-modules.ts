/** Finds kernel modules that a composefs root needs and an initramfs lacks. */
import type { Initramfs } from "../boot/initramfs.ts";
import { MODULES_DIRECTORY } from "../boot/kernel.ts";
import { type Rootfs, readTreeFile } from "../tree/rootfs.ts";

/** The image is EROFS, and overlayfs puts the files over it. */
const NEEDED = ["erofs", "overlay"] as const;

export interface MissingModule {
  readonly name: string;
  /**
   * `absent`: the kernel has it as a module, the initramfs doesn't; `unknown-to-kernel`: the kernel doesn't have it at
   * all.
   */
  readonly why: "absent" | "unknown-to-kernel";
  /** Whether the initramfs has it for another kernel. */
  readonly otherVersion: string | null;
}

/**
 * Modules that are needed and missing, with those that they depend on.
 * @param version of the kernel, as `uname -r` prints it
 * @returns null if it is unknown what is built into that kernel
 * @throws SealError `input` when a list of the tree can't be read
 */
export async function missingModules(
  rootfs: Rootfs,
  initramfs: Pick<Initramfs, "files">,
  version: string,
): Promise<readonly MissingModule[] | null> {
  const builtin = await readList(rootfs, initramfs, version, "modules.builtin");
  if (builtin === null) return null;
  const builtins = new Set(builtin.split("\n").map(moduleName));
  const dependencies = new Map<string, string[]>();
  for (const line of ((await readList(rootfs, initramfs, version, "modules.dep")) ?? "").split("\n")) {
    const [path = "", needs = ""] = line.split(":", 2);
    if (path !== "") dependencies.set(moduleName(path), needs.split(" ").filter(Boolean).map(moduleName));
  }
  const present = presentModules(initramfs);
  const missing: MissingModule[] = [];
  for (const name of new Set(NEEDED.flatMap((name) => [name, ...(dependencies.get(name) ?? [])]))) {
    const versions = present.get(name) ?? [];
    if (builtins.has(name) || versions.includes(null) || versions.includes(version)) continue;
    const why = dependencies.size > 0 && !dependencies.has(name) ? "unknown-to-kernel" : "absent";
    missing.push({ name, why, otherVersion: versions[0] ?? null });
  }
  return missing;
}

/** Whether a file of an initramfs is one that {@link missingModules} looks into. */
export function isModuleList(path: string): boolean {
  return /\/modules\.(?:builtin|dep)$/.test(path);
}

/** Read from the tree, or else from the initramfs. */
async function readList(
  rootfs: Rootfs,
  { files }: Pick<Initramfs, "files">,
  version: string,
  name: string,
): Promise<string | null> {
  const path = `${MODULES_DIRECTORY}/${version}/${name}`;
  const bytes = (await readTreeFile(rootfs, path)) ?? files.get(path)?.content ?? files.get(path.slice(4))?.content;
  return bytes === undefined ? null : new TextDecoder().decode(bytes);
}

/** Modules by name, with the versions of the kernels in whose directories they are; null: in none. */
function presentModules({ files }: Pick<Initramfs, "files">): ReadonlyMap<string, (string | null)[]> {
  const modules = new Map<string, (string | null)[]>();
  for (const path of files.keys()) {
    if (!/\.ko(?:\.(?:xz|zst|gz))?$/.test(path)) continue;
    const version = /(?:^|\/)lib\/modules\/([^/]+)\//.exec(path)?.[1] ?? null;
    const name = moduleName(path);
    modules.set(name, [...(modules.get(name) ?? []), version]);
  }
  return modules;
}

/** `kernel/fs/erofs/erofs.ko.xz` is erofs; `-` and `_` are the same in names of modules. */
function moduleName(path: string): string {
  return path
    .replace(/^.*\//, "")
    .replace(/\.ko(?:\.\w+)?$/, "")
    .replaceAll("-", "_");
}
