/** EFI system partitions as image files: a FAT file system without a partition table, which firmware takes as it is. */
import { open, readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { inputError } from "../../errors.ts";
import { runProgram } from "../exec.ts";
import { reasonOf } from "../files.ts";

/** What makes images, by absolute path: of dosfstools and mtools. */
export interface EspTools {
  readonly "mkfs.vfat": string;
  readonly mcopy: string;
  readonly mdeltree: string;
}

/** What boot loader and firmware read of a `/boot`. */
const TOP = ["EFI", "loader"] as const;
/** FAT32 needs 65525 clusters, and files want room for their last cluster. */
const MIN_SPARE = 48 << 20;

export interface EspOptions {
  /** Absolute path of a `/boot`. */
  readonly boot: string;
  /** The file to write. */
  readonly image: string;
  /** Leave `loader/keys` out, so that nothing is enrolled. */
  readonly withoutKeys: boolean;
  readonly tools: EspTools;
  readonly env: Readonly<Record<string, string | undefined>>;
}

/**
 * Makes an image with the boot loader, UKIs and configuration of a `/boot`.
 * @throws SealError `input` when that can't be read, `external` when a tool fails
 */
export async function makeEsp({ boot, image, withoutKeys, tools, env }: EspOptions): Promise<void> {
  const files = await listFiles(boot);
  const content = files.reduce((sum, { size }) => sum + size, 0);
  const handle = await open(image, "wx", 0o600);
  await handle.truncate(Math.ceil((content * 1.1 + MIN_SPARE) / (1 << 20)) * (1 << 20)).finally(() => handle.close());
  await runProgram(tools["mkfs.vfat"], ["-F", "32", "-n", "ESP", image], { cwd: boot, env });
  const present = TOP.filter((name) => files.some(({ path }) => path.startsWith(`${name}/`)));
  await runProgram(tools.mcopy, ["-s", "-Q", "-i", image, ...present, "::/"], { cwd: boot, env });
  if (withoutKeys && files.some(({ path }) => path.startsWith("loader/keys/"))) {
    await runProgram(tools.mdeltree, ["-i", image, "::/loader/keys"], { cwd: boot, env });
  }
}

async function listFiles(boot: string): Promise<{ path: string; size: number }[]> {
  const files: { path: string; size: number }[] = [];
  try {
    for (const entry of await readdir(boot, { recursive: true, withFileTypes: true })) {
      if (entry.isDirectory()) continue;
      const full = join(entry.parentPath, entry.name);
      files.push({ path: full.slice(boot.length + 1), size: (await stat(full)).size });
    }
  } catch (error) {
    throw inputError(boot, `can't be read: ${reasonOf(error)}`, error);
  }
  return files;
}
