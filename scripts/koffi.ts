/**
 * What the built program has in place of the package koffi: the native code of that package, loaded from its usual
 * place. The package itself first looks for it in several ways, with modules of node that nothing else needs, which
 * takes ten times as long as loading it.
 */
import { closeSync, openSync, readSync } from "node:fs";
import type Koffi from "koffi";

/** The release of koffi that the program is built with; native-koffi.ts defines it. */
declare const KOFFI_VERSION: string;

/** Where an ELF program has the name of its dynamic linker, at most. */
const BEGINNING = 4096;

// The bundler leaves `require` as it is: for a chunk it is what loads modules of the program (loader.ts), for a
// worker that of node.
const koffi = nativeKoffi() ?? (require("koffi") as typeof Koffi);
export default koffi;

/** Null where it isn't in its usual place, or of another release: then the package finds it, or says what is wrong. */
function nativeKoffi(): typeof Koffi | null {
  try {
    const { platform, arch } = process;
    const libc = isMusl() ? "musl" : platform;
    const native = require(`@koromix/koffi-${platform}-${arch}/${libc}_${arch}/koffi.node`) as typeof Koffi;
    return native.version === KOFFI_VERSION ? native : null;
  } catch {
    return null;
  }
}

/** Whether node is linked with musl: code for glibc can't be loaded then, or worse, can. */
function isMusl(): boolean {
  const bytes = Buffer.allocUnsafe(BEGINNING);
  const file = openSync(process.execPath, "r");
  try {
    return bytes.subarray(0, readSync(file, bytes, 0, BEGINNING, 0)).includes("/ld-musl-");
  } finally {
    closeSync(file);
  }
}
