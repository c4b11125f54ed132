/** A small image that can be sealed, as the layers that it is made of. */
import { utf8 } from "../../src/bytes.ts";
import { KVER, MODULES } from "./inputs.ts";
import { tarArchive, tarDirectory, tarFile, tarPax } from "./tar.ts";
import { vector } from "./vectors.ts";

/** The directory of the kernel: its metadata must come through as it is, nanoseconds, owner and attributes too. */
export const ODD_DIRECTORY = {
  mode: 0o2750,
  uid: 7,
  gid: 3_000_000,
  mtimeSec: 1_600_000_001n,
  mtimeNsec: 123_456_789,
  xattrs: [{ name: Buffer.from("user.odd"), value: Buffer.of(0, 255, 10, 61) }],
};

const PAX = { mtime: "1600000001.123456789", gid: "3000000", "SCHILY.xattr.user.odd": "\0\xff\n=" };

/**
 * An EFI program for 64-bit ARM: that of the test vectors, whose code nobody runs, with another
 * machine in its COFF header.
 */
export function arm64Program(): Uint8Array {
  const pe = Buffer.from(vector("uki/inputs/stub-plain"));
  pe.writeUInt16LE(0xaa64, pe.readUInt32LE(0x3c) + 4);
  return pe;
}

/** What differs between the images of two platforms. */
const PROGRAMS = {
  x64: () => ({ program: vector("uki/inputs/stub-plain"), kernel: vector("uki/inputs/kernel") }),
  aa64: () => ({ program: arm64Program(), kernel: vector("uki/inputs/kernel-aa64") }),
} as const;

/**
 * @param content of a file that is there to make layers differ; large ones make a large layer
 * @param arch of kernel, stub and boot loader
 */
export function sealableLayers(content: Uint8Array = utf8("one"), arch: keyof typeof PROGRAMS = "x64"): Buffer[] {
  const { program, kernel: vmlinuz } = PROGRAMS[arch]();
  const time = { mtime: 1_600_000_000 };
  const directory = (name: string) => tarDirectory(`${name}/`, time);
  const efi = "usr/lib/systemd/boot/efi";
  const base = tarArchive(
    ...["usr", "boot", "sysroot", "etc", "var", "run", "tmp", "usr/lib", "usr/share"].map(directory),
    ...["usr/lib/systemd", "usr/lib/systemd/boot", efi, MODULES].map(directory),
    tarFile("usr/lib/os-release", utf8('ID=test\nPRETTY_NAME="Test system"\n'), time),
    tarFile(`${efi}/linux${arch}.efi.stub`, program, time),
    tarFile(`${efi}/systemd-boot${arch}.efi`, program, time),
    tarFile("usr/share/content", content, time),
  );
  const kernel = tarArchive(
    ...["usr", "usr/lib", MODULES].map(directory),
    tarPax(PAX),
    tarDirectory(`${MODULES}/${KVER}/`, { mode: 0o2750, uid: 7, mtime: 1_600_000_001 }),
    tarFile(`${MODULES}/${KVER}/vmlinuz`, vmlinuz, time),
    tarFile(`${MODULES}/${KVER}/initramfs.img`, vector("uki/inputs/initrd-2"), time),
    tarFile(`${MODULES}/${KVER}/modules.dep`, utf8("x"), time),
  );
  return [base, kernel];
}
