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

/** @param content of a file that is there to make layers differ; large ones make a large layer */
export function sealableLayers(content: Uint8Array = utf8("one")): Buffer[] {
  const time = { mtime: 1_600_000_000 };
  const directory = (name: string) => tarDirectory(`${name}/`, time);
  const efi = "usr/lib/systemd/boot/efi";
  const base = tarArchive(
    ...["usr", "boot", "sysroot", "etc", "var", "run", "tmp", "usr/lib", "usr/share"].map(directory),
    ...["usr/lib/systemd", "usr/lib/systemd/boot", efi, MODULES].map(directory),
    tarFile("usr/lib/os-release", utf8('ID=test\nPRETTY_NAME="Test system"\n'), time),
    tarFile(`${efi}/linuxx64.efi.stub`, vector("uki/inputs/stub-plain"), time),
    tarFile(`${efi}/systemd-bootx64.efi`, vector("uki/inputs/stub-plain"), time),
    tarFile("usr/share/content", content, time),
  );
  const kernel = tarArchive(
    ...["usr", "usr/lib", MODULES].map(directory),
    tarPax(PAX),
    tarDirectory(`${MODULES}/${KVER}/`, { mode: 0o2750, uid: 7, mtime: 1_600_000_001 }),
    tarFile(`${MODULES}/${KVER}/vmlinuz`, vector("uki/inputs/kernel"), time),
    tarFile(`${MODULES}/${KVER}/initramfs.img`, vector("uki/inputs/initrd-2"), time),
    tarFile(`${MODULES}/${KVER}/modules.dep`, utf8("x"), time),
  );
  return [base, kernel];
}
