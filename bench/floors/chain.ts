/**
 * The floor of `seal rootfs`: the digest of a directory as `digest-tree.ts` has it, and a file with the stub, the kernel
 * and the initramfs, its SHA-256, and a signature of that. Left out besides: everything in the UKI that seal makes, the
 * boot loader and its signature, certificates, /boot.
 */
import { readdirSync, readFileSync } from "node:fs";
import { open, readFile } from "node:fs/promises";
import { join } from "node:path";
import { isMainThread } from "node:worker_threads";
import { addressOf } from "./calls.ts";
import { digestTree } from "./digest-tree.ts";
import { Sha256 } from "./stream-calls.ts";

async function seal(root: string, key: string, output: string): Promise<void> {
  const modules = join(root, "usr/lib/modules");
  const kernel = join(modules, readdirSync(modules)[0] ?? "");
  const sources = [
    join(root, "usr/lib/systemd/boot/efi/linuxx64.efi.stub"),
    join(kernel, "vmlinuz"),
    join(kernel, "initramfs.img"),
  ];
  const reading = sources.map((path) => readFile(path));
  // The other threads read meanwhile; the digest is in the UKI, before what takes long to hash.
  digestTree(root);
  const parts = await Promise.all(reading);
  const hash = new Sha256();
  const hashing = parts.map((part) => hash.addBeside(addressOf(part), part.length));
  const file = await open(output, "w");
  await Promise.all([file.writev(parts), ...hashing]);
  const { sign } = process.getBuiltinModule("node:crypto");
  await file.write(sign("sha256", Buffer.from(hash.digest(), "hex"), readFileSync(key)));
  await file.close();
}

const [root = "", key = "", output = ""] = process.argv.slice(2);
if (isMainThread) void seal(root, key, output);
