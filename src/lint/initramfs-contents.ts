/** Which files of an initramfs rules look into; for all others the name is enough. */
import type { KeptContents } from "../boot/initramfs.ts";
import { isModuleList } from "./initramfs-modules.ts";

/** Names of the programs that mount a composefs root, which also occur in what starts them. */
const PROGRAMS: readonly string[] = ["composefs-setup-root", "initramfs-setup"];
/** Scripts and units are smaller. */
const TEXT_LIMIT = 256 << 10;
/** Ten times the size of such a program. */
const PROGRAM_LIMIT = 256 << 20;
const TYPE_MASK = 0o170000;
const REGULAR = 0o100000;
const ELF = Buffer.from("\x7fELF");

/** The programs themselves, texts that name one, and lists of modules. */
export const LINT_CONTENTS: KeptContents = {
  wants: (path, mode, size) =>
    (mode & TYPE_MASK) === REGULAR && (size <= TEXT_LIMIT || (size <= PROGRAM_LIMIT && isNeeded(path))),
  keeps: (path, content) => {
    if (isNeeded(path)) return true;
    const bytes = Buffer.from(content.buffer, content.byteOffset, content.byteLength);
    return !bytes.subarray(0, ELF.length).equals(ELF) && PROGRAMS.some((name) => bytes.includes(name));
  },
};

function isNeeded(path: string): boolean {
  return isModuleList(path) || PROGRAMS.some((name) => path.endsWith(name));
}
