/** Disks as boot-test makes them, looked into and changed from outside. */
import { spawnSync } from "node:child_process";
import { closeSync, openSync, readdirSync, readSync, truncateSync, writeFileSync, writeSync } from "node:fs";
import { join } from "node:path";
import { toHex } from "../../src/bytes.ts";
import { verityDigest } from "../../src/composefs/verity.ts";
import { runPeer } from "./peers.ts";

const ESP_START = 1 << 20;
const BLOCK = 4096;

/** Path of an object in the repository. */
export function objectPath(content: Uint8Array): string {
  return digestPath(toHex(verityDigest(content, "sha512")));
}

/** Path of the object with that digest. */
export function digestPath(digest: string): string {
  return `/composefs/objects/${digest.slice(0, 2)}/${digest.slice(2)}`;
}

/** First byte of the second partition (UEFI specification 5.3.3: entries of 128 bytes from LBA 2 on). */
function rootStart(disk: string): number {
  const bytes = Buffer.alloc(8);
  const file = openSync(disk, "r");
  readSync(file, bytes, 0, 8, 2 * 512 + 128 + 32);
  closeSync(file);
  return Number(bytes.readBigUInt64LE()) * 512;
}

function debugfs(disk: string, ...args: readonly string[]): string {
  const result = runPeer("debugfs", [...args, `${disk}?offset=${rootStart(disk)}`]);
  if (result.status !== 0) throw new Error(result.stderr);
  return result.stdout.toString();
}

/** Changes one byte of a file where it lies on the disk. */
export function changeByte(disk: string, path: string, offset: number): void {
  const block = Number.parseInt(debugfs(disk, "-R", `bmap ${path} ${Math.floor(offset / BLOCK)}`), 10);
  const place = rootStart(disk) + block * BLOCK + (offset % BLOCK);
  const file = openSync(disk, "r+");
  const byte = Buffer.alloc(1);
  if (readSync(file, byte, 0, 1, place) !== 1) throw new Error("the disk ends before that byte");
  byte[0] = (byte[0] ?? 0) ^ 0xff;
  writeSync(file, byte, 0, 1, place);
  closeSync(file);
}

/** Makes a file one without fs-verity; its bytes stay. */
export function dropVerity(disk: string, path: string): void {
  debugfs(disk, "-w", "-R", `sif ${path} flags 0x80000`);
}

/**
 * Puts a file, or a directory with what is in it, onto the EFI system partition.
 * @param name of the copy, or of a directory for it
 */
export function putOnEsp(disk: string, file: string, name: string): void {
  const result = runPeer("mcopy", ["-s", "-o", "-Q", "-i", `${disk}@@${ESP_START}`, file, `::/${name}`]);
  if (result.status !== 0) throw new Error(result.stderr);
}

const ESP_SIZE = 256 << 20;
const ESP_TYPE = "C12A7328-F81F-11D2-BA4B-00A0C93EC93B";

/** A disk with an EFI system partition only. @param directory with what the partition has */
export function espDisk(directory: string, disk: string): string {
  const partition = `${disk}@@${ESP_START}`;
  writeFileSync(disk, "");
  truncateSync(disk, ESP_START + ESP_SIZE + ESP_START);
  const table = `label: gpt\nstart=${ESP_START / 512}, size=${ESP_SIZE / 512}, type=${ESP_TYPE}\n`;
  const steps = [
    ["sfdisk", ["--quiet", "--no-reread", "--no-tell-kernel", disk], Buffer.from(table)],
    ["mkfs.vfat", ["-F", "32", `--offset=${ESP_START / 512}`, disk, String(ESP_SIZE / 1024)], undefined],
    [
      "mcopy",
      ["-s", "-Q", "-i", partition, ...readdirSync(directory).map((name) => join(directory, name)), "::/"],
      undefined,
    ],
  ] as const;
  for (const [name, args, input] of steps) {
    const result = runPeer(name, args, input === undefined ? {} : { input });
    if (result.status !== 0) throw new Error(`${name}: ${result.stderr}`);
  }
  return disk;
}

/** A copy of a disk, its holes left out. */
export function copyDisk(disk: string, copy: string): string {
  const { status, stderr } = spawnSync("cp", ["--sparse=always", "--reflink=auto", disk, copy], { encoding: "utf8" });
  if (status !== 0) throw new Error(stderr);
  return copy;
}
