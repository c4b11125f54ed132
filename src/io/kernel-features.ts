/**
 * What the kernel that runs here can do of what a sealed image needs: mount EROFS and overlays, and vouch for
 * files with fs-verity.
 */
import { constants } from "node:fs";
import { access, readFile } from "node:fs/promises";
import { release } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { gunzip } from "node:zlib";

/** Null: can't be determined here. */
export interface KernelFeatures {
  readonly release: string;
  readonly erofs: boolean | null;
  readonly overlay: boolean | null;
  readonly verity: boolean | null;
  /** Whether this user may use KVM. */
  readonly kvm: boolean;
}

/** @param root of the system that is looked at */
export async function kernelFeatures(root = "/", kernel = release()): Promise<KernelFeatures> {
  const text = (path: string) => readFile(join(root, path), "utf8").catch(() => null);
  const config = await kernelConfig(root, kernel);
  const modules = await Promise.all(["dep", "builtin"].map((kind) => text(`lib/modules/${kernel}/modules.${kind}`)));
  const filesystems = await text("proc/filesystems");
  const filesystem = (name: string, option: string) => {
    if (new RegExp(`\\b${name}$`, "m").test(filesystems ?? "")) return true;
    // One that is a module is not in that list before it is used.
    if (modules.some((list) => list?.includes(`/${name}.ko`))) return true;
    if (config !== null) return configured(config, option);
    return modules.some((list) => list !== null) ? false : null;
  };
  // Linux has this directory with CONFIG_FS_VERITY_BUILTIN_SIGNATURES only.
  const hasSignatures = await access(join(root, "proc/sys/fs/verity")).then(
    () => true,
    () => false,
  );
  return {
    release: kernel,
    erofs: filesystem("erofs", "EROFS_FS"),
    overlay: filesystem("overlay", "OVERLAY_FS"),
    verity: hasSignatures || (config === null ? null : configured(config, "FS_VERITY")),
    kvm: await access(join(root, "dev/kvm"), constants.R_OK | constants.W_OK).then(
      () => true,
      () => false,
    ),
  };
}

function configured(config: string, option: string): boolean {
  return new RegExp(`^CONFIG_${option}=[ym]$`, "m").test(config);
}

/** The configuration that the kernel was built with, where the system has it; null: nowhere. */
async function kernelConfig(root: string, kernel: string): Promise<string | null> {
  for (const path of ["proc/config.gz", `boot/config-${kernel}`, `lib/modules/${kernel}/config`]) {
    try {
      const bytes = await readFile(join(root, path));
      return path.endsWith(".gz") ? (await promisify(gunzip)(bytes)).toString() : bytes.toString();
    } catch {
      // The next place.
    }
  }
  return null;
}
