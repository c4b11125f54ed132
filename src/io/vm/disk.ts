/**
 * Disk images that a machine boots: a GUID partition table with an EFI system partition and an ext4 root filesystem
 * whose files have fs-verity already, all of it written directly: nothing is mounted, and no root is needed.
 */
import { chmod, open, readdir, stat, truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { alignUp } from "../../bytes.ts";
import type { VerityAlgorithm } from "../../composefs/series.ts";
import { type Environment, runProgram } from "../exec.ts";
import { listObjects, type ObjectFile } from "./composefs-repository.ts";
import { appendVerity } from "./verity-files.ts";

/** Of fdisk and e2fsprogs, by absolute path. */
export interface DiskTools {
  readonly sfdisk: string;
  readonly "mkfs.ext4": string;
  readonly debugfs: string;
}

export interface DiskOptions {
  /** Image of the EFI system partition. */
  readonly esp: string;
  /** Directory with what the root filesystem holds; its objects are changed. */
  readonly root: string;
  readonly algorithm: VerityAlgorithm;
  /** GUID of the type of the root partition (UAPI Discoverable Partitions Specification). */
  readonly rootType: string;
  /** The file to write. */
  readonly image: string;
  /** An existing directory for files that are needed meanwhile. */
  readonly scratch: string;
  readonly tools: DiskTools;
  readonly env: Environment;
}

/** Objects are many and small: most of the time goes by between two calls of the system. */
const PARALLEL_FILES = 16;
const SECTOR = 512;
const MIB = 1 << 20;
/** Of the partitions, and room for the partition table at both ends of the disk. */
const ALIGNMENT = MIB;
/** Room for what the running system writes; a hole in the image until then. */
const SPARE = 1 << 30;
const BLOCK = 4096;
const INODE = 256;
/** Fewer are not worth the trouble: a running system makes files. */
const MIN_INODES = 1 << 16;
/** EFI system partition (UEFI specification 5.3.3). */
const ESP_TYPE = "C12A7328-F81F-11D2-BA4B-00A0C93EC93B";
/** `EXT4_VERITY_FL | EXT4_EXTENTS_FL` (fs/ext4/ext4.h). */
const VERITY_FLAGS = 0x100000 | 0x80000;

/**
 * Makes a disk image. The label of the root filesystem and the name of its partition are `root`.
 * @throws SealError `external` when a tool fails
 */
export async function makeDisk(options: DiskOptions): Promise<void> {
  const { esp, root, algorithm, image, env, tools } = options;
  const objects = await listObjects(root);
  const pending = objects.values();
  const lane = async () => {
    for (const { path } of pending) await appendVerity(join(root, path), algorithm);
  };
  await Promise.all(Array.from({ length: PARALLEL_FILES }, lane));
  await chmod(root, 0o755);
  const files = await listTree(root);

  const espStart = ALIGNMENT;
  const espSize = alignUp((await stat(esp)).size, ALIGNMENT);
  const rootStart = espStart + espSize;
  const inodes = Math.max(MIN_INODES, 2 * files.length);
  const content = files.reduce((sum, file) => sum + file.bytes, 0) + inodes * INODE;
  const rootSize = alignUp(content + content / 10 + SPARE, ALIGNMENT);
  const handle = await open(image, "wx", 0o600);
  await handle.close();
  await truncate(image, rootStart + rootSize + ALIGNMENT);

  const run = (program: string, args: readonly string[], input?: string) =>
    runProgram(program, args, { cwd: root, env, input });
  const table = [
    "label: gpt",
    `start=${espStart / SECTOR}, size=${espSize / SECTOR}, type=${ESP_TYPE}, name="ESP"`,
    `start=${rootStart / SECTOR}, size=${rootSize / SECTOR}, type=${options.rootType}, name="root"`,
  ];
  await run(tools.sfdisk, ["--quiet", "--no-reread", "--no-tell-kernel", image], `${table.join("\n")}\n`);
  await copyInto(esp, image, espStart);
  const features = ["-O", "verity", "-b", String(BLOCK), "-N", String(inodes), "-m", "0", "-L", "root"];
  await run(tools["mkfs.ext4"], [
    ...["-q", "-F", ...features, "-E", `offset=${rootStart},root_owner=0:0`, "-d", root],
    ...[image, `${rootSize / 1024}k`],
  ]);
  const script = join(options.scratch, "debugfs");
  const isRoot = process.getuid?.() === 0;
  await writeFile(
    script,
    [...objects.flatMap(verityCommands), ...(isRoot ? [] : files.flatMap(ownerCommands))].join(""),
  );
  await run(tools.debugfs, ["-w", "-f", script, `${image}?offset=${rootStart}`]);
}

/** The true size of a file, and that it has fs-verity: what follows its end is the metadata. */
function verityCommands({ path, size }: ObjectFile): string[] {
  return [`sif /${path} size ${size}\n`, `sif /${path} flags 0x${VERITY_FLAGS.toString(16)}\n`];
}

/** Everything on the disk belongs to root, whoever makes it. */
function ownerCommands({ path }: TreeFile): string[] {
  return [`sif "/${path}" uid 0\n`, `sif "/${path}" gid 0\n`];
}

interface TreeFile {
  readonly path: string;
  /** What it takes on disk. */
  readonly bytes: number;
}

async function listTree(root: string): Promise<TreeFile[]> {
  const files: TreeFile[] = [];
  for (const entry of await readdir(root, { recursive: true, withFileTypes: true })) {
    const full = join(entry.parentPath, entry.name);
    // What follows the end of a file begins at the next 64 KiB: that is a hole, there and here.
    const bytes = entry.isFile() ? alignUp((await stat(full)).blocks * SECTOR, BLOCK) : BLOCK;
    files.push({ path: full.slice(root.length + 1), bytes });
  }
  return files;
}

/** Copies a file into another at a place; blocks of zeros stay holes. */
async function copyInto(source: string, target: string, start: number): Promise<void> {
  const from = await open(source, "r");
  try {
    const to = await open(target, "r+");
    try {
      const block = Buffer.alloc(MIB);
      const zeros = Buffer.alloc(MIB);
      for (let offset = 0; ; ) {
        const { bytesRead } = await from.read(block, 0, block.length, offset);
        if (bytesRead === 0) break;
        const bytes = block.subarray(0, bytesRead);
        if (!bytes.equals(zeros.subarray(0, bytesRead))) await to.write(bytes, 0, bytesRead, start + offset);
        offset += bytesRead;
      }
    } finally {
      await to.close();
    }
  } finally {
    await from.close();
  }
}
