/** What has to be signed elsewhere before an image can be sealed, as files. */
import { join } from "node:path";
import { treeBootloader } from "../../boot/bootloader.ts";
import type { TreeUki } from "../../boot/tree-uki.ts";
import { replaceDirectory } from "../../io/new-directory.ts";
import { readCertificateTable } from "../../pe/certtable.ts";
import type { PeImage } from "../../pe/headers.ts";
import { chooseBootloader } from "../../seal/bootloader.ts";
import { isInstalledByBootc } from "../../seal/tree-warnings.ts";
import type { Rootfs } from "../../tree/rootfs.ts";
import { type Context, printLine, userPath } from "../context.ts";

/** Where a UKI comes from. */
export interface UkiSource {
  /** For an image, with what both halves put into it. */
  readonly rootfs: Rootfs;
  readonly tree: TreeUki;
  /** One line each. */
  readonly warnings: readonly string[];
}

/**
 * Writes a directory with the UKI and the boot loader that belongs to it, unless that has a signature already, and
 * prints their paths. Where bootc would install that boot loader it is part of the digest: then it is written alone, as
 * the UKI must name the digest with the signed one.
 * @throws SealError `input` when there is no boot loader, or something else is in the directory
 */
export async function printUnsigned(
  context: Context,
  directory: string,
  uki: PeImage,
  { rootfs, tree }: UkiSource,
): Promise<0> {
  const own = await treeBootloader(rootfs, tree.arch);
  const bootloader = await chooseBootloader(own, rootfs, tree.arch);
  const isSigned = readCertificateTable(bootloader).length > 0;
  const isFirst = !isSigned && own !== null && (await isInstalledByBootc(rootfs));
  const files = isFirst ? [] : [{ name: `${tree.kver}.efi`, bytes: uki.file, mode: 0o644 }];
  if (isSigned) context.ui.note(`${bootloader.subject} is already signed`);
  else files.push({ name: `systemd-boot${tree.arch}.efi`, bytes: bootloader.file, mode: 0o644 });
  if (isFirst) {
    context.ui.note(
      "sign the boot loader first: the digest in the UKI covers the image with the signed one (--signed-bootloader)",
    );
  }
  await replaceDirectory(userPath(context, directory), files, 0o755);
  for (const { name } of files) printLine(context, join(directory, name));
  return 0;
}
