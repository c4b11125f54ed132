/** Whether a file is a kernel image, and its version (`uname -r`), as far as its format shows. */
import { Cursor } from "../bytes.ts";
import { zbootPayload } from "./decompress.ts";

/** Bytes of a file that show whether it is a kernel. */
export const LINUX_HEAD = 0x240;
/**
 * Numbers in the headers of kernel images, as little-endian words: `zimg` of self-unpacking ones
 * (drivers/firmware/efi/libstub/zboot-header.S), `HdrS` of x86 (Documentation/arch/x86/boot.rst), those of arm64,
 * RISC-V and LoongArch (arch/…/kernel/head.S and image.h), and that of zImage on arm (arch/arm/boot/compressed/head.S).
 */
const LINUX_MAGICS: readonly (readonly [offset: number, magic: number])[] = [
  [0x04, 0x676d_697a],
  [0x202, 0x5372_6448],
  [0x38, 0x644d_5241],
  [0x38, 0x0543_5352],
  [0x38, 0x8182_23cd],
  [0x24, 0x016f_2818],
];

/** Whether a file is a Linux kernel. @param head its first {@link LINUX_HEAD} bytes, or all where it has fewer */
export function isLinuxImage(head: Uint8Array): boolean {
  const cursor = new Cursor(head, "kernel");
  return LINUX_MAGICS.some(
    ([offset, magic]) => offset + 4 <= head.length && cursor.u32(offset, "kernel magic") === magic,
  );
}

/** Linux Documentation/arch/x86/boot.rst: magic and the pointer to the version string, which counts from 0x200. */
const X86_MAGIC_OFFSET = 0x202;
const X86_VERSION_POINTER = 0x20e;
const X86_VERSION_BASE = 0x200;
const X86_VERSION_MAX = 128;

/**
 * How a version is written before what follows it:
 * `6.12.107+deb13-amd64 (debian-kernel@lists.debian.org) #1 SMP …` in the x86 header, `Linux version 6.12.107 (…`
 * in the banner. ukify finds none with a capital letter there, and here none with two digits before the first
 * dot; `any` is what the kernel could say, without anything that can't be printed.
 */
const SPELLINGS = {
  ukify: { x86: /^([a-z0-9._+-]+) \([^ )]+\) #/, banner: /^\d\.[!-~]+$/ },
  any: { x86: /^(\d[!-~]*) /, banner: /^\d+\.[!-~]+$/ },
} as const;

const BANNER = Buffer.from("Linux version ");
/** A version and the start of what follows; __NEW_UTS_LEN is 64. */
const BANNER_VERSION_MAX = 128;

/**
 * The version of a kernel: from the x86 boot header, else from the banner `Linux version …` in the image or in the
 * payload that it unpacks at boot. Null when neither is there.
 * @param bytes a whole kernel, decompressed where it was compressed as a whole
 * @param spelling `ukify`: what it would write into `.uname`; `any`: what the kernel will say
 * @throws SealError `input` when a compressed payload is damaged
 */
export function kernelVersion(
  bytes: Uint8Array,
  subject: string,
  spelling: keyof typeof SPELLINGS = "ukify",
): string | null {
  const { x86, banner } = SPELLINGS[spelling];
  return x86Version(bytes, x86) ?? bannerVersion(zbootPayload(bytes, subject) ?? bytes, banner);
}

function x86Version(bytes: Uint8Array, pattern: RegExp): string | null {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (
    buffer.length < X86_VERSION_BASE + 16 ||
    buffer.toString("latin1", X86_MAGIC_OFFSET, X86_MAGIC_OFFSET + 4) !== "HdrS"
  ) {
    return null;
  }
  const start = X86_VERSION_BASE + buffer.readUInt16LE(X86_VERSION_POINTER);
  const [text = ""] = buffer.toString("latin1", start, start + X86_VERSION_MAX).split("\0", 1);
  return pattern.exec(text)?.[1] ?? null;
}

function bannerVersion(bytes: Uint8Array, pattern: RegExp): string | null {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  for (let at = buffer.indexOf(BANNER); at !== -1; at = buffer.indexOf(BANNER, at + 1)) {
    const start = at + BANNER.length;
    const text = buffer.toString("latin1", start, start + BANNER_VERSION_MAX);
    const end = text.search(/[\t-\r ]/);
    const version = text.slice(0, Math.max(end, 0));
    if (pattern.test(version) && text.startsWith(" (", end)) return version;
  }
  return null;
}
