/** Finds the version (`uname -r`) in a kernel image, as far as its format tells. */
import { zbootPayload } from "./decompress.ts";

/** Linux Documentation/arch/x86/boot.rst: magic and the pointer to the version string, which counts from 0x200. */
const X86_MAGIC_OFFSET = 0x202;
const X86_VERSION_POINTER = 0x20e;
const X86_VERSION_BASE = 0x200;
const X86_VERSION_MAX = 128;

/** `6.12.107+deb13-amd64 (debian-kernel@lists.debian.org) #1 SMP …`; upper-case letters are not searched for, as in ukify. */
const X86_VERSION = /^([a-z0-9._+-]+) \([^ )]+\) #/;

const BANNER = Buffer.from("Linux version ");
/** One digit before the first dot, as in ukify; nothing that could not be printed. */
const BANNER_VERSION = /^\d\.[!-~]+$/;
/** A version and the start of what follows; __NEW_UTS_LEN is 64. */
const BANNER_VERSION_MAX = 128;

/**
 * The version of a kernel: from the x86 boot header, else from the banner `Linux version …` in the image or in the
 * payload that it unpacks at boot. Null when neither is there.
 * @param bytes a whole kernel, decompressed where it was compressed as a whole
 * @throws SealError `input` when a compressed payload is damaged
 */
export function kernelVersion(bytes: Uint8Array, subject: string): string | null {
  return x86Version(bytes) ?? bannerVersion(zbootPayload(bytes, subject) ?? bytes);
}

function x86Version(bytes: Uint8Array): string | null {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (
    buffer.length < X86_VERSION_BASE + 16 ||
    buffer.toString("latin1", X86_MAGIC_OFFSET, X86_MAGIC_OFFSET + 4) !== "HdrS"
  ) {
    return null;
  }
  const start = X86_VERSION_BASE + buffer.readUInt16LE(X86_VERSION_POINTER);
  const [text = ""] = buffer.toString("latin1", start, start + X86_VERSION_MAX).split("\0", 1);
  return X86_VERSION.exec(text)?.[1] ?? null;
}

function bannerVersion(bytes: Uint8Array): string | null {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  for (let at = buffer.indexOf(BANNER); at !== -1; at = buffer.indexOf(BANNER, at + 1)) {
    const start = at + BANNER.length;
    const text = buffer.toString("latin1", start, start + BANNER_VERSION_MAX);
    const end = text.search(/[\t-\r ]/);
    const version = text.slice(0, Math.max(end, 0));
    if (BANNER_VERSION.test(version) && text.startsWith(" (", end)) return version;
  }
  return null;
}
