/** What somebody else has to sign before an image can be sealed, as files. */
import { join } from "node:path";
import type { TreeUki } from "../../boot/tree-uki.ts";
import { replaceDirectory } from "../../io/new-directory.ts";
import { readCertificateTable } from "../../pe/certtable.ts";
import type { PeImage } from "../../pe/headers.ts";
import { chooseBootloader } from "../../seal/bootloader.ts";
import type { Rootfs } from "../../tree/rootfs.ts";
import { type Context, printLine, userPath } from "../context.ts";

/** Where a UKI comes from. */
export interface UkiSource {
  readonly rootfs: Rootfs;
  readonly tree: TreeUki;
}

/**
 * Writes a directory with the UKI and the boot loader that belongs to it, unless that has a signature already, and prints their paths.
 * @throws SealError `input` when there is no boot loader, or something else is in the directory
 */
export async function printUnsigned(
  context: Context,
  directory: string,
  uki: PeImage,
  { rootfs, tree }: UkiSource,
): Promise<0> {
  const bootloader = await chooseBootloader(null, rootfs, tree.arch);
  const files = [{ name: `${tree.kver}.efi`, bytes: uki.file, mode: 0o644 }];
  if (readCertificateTable(bootloader).length === 0) {
    files.push({ name: `systemd-boot${tree.arch}.efi`, bytes: bootloader.file, mode: 0o644 });
  } else {
    context.ui.note(`${bootloader.subject} has a signature already and needs no other`);
  }
  await replaceDirectory(userPath(context, directory), files, 0o755);
  for (const { name } of files) printLine(context, join(directory, name));
  return 0;
}
