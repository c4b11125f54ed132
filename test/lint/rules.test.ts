/** Every rule, with trees that pass and trees that fail. */
import { createPrivateKey } from "node:crypto";
import { describe, expect, it } from "vitest";
import { utf8 } from "../../src/bytes.ts";
import { seriesOf } from "../../src/composefs/named-release.ts";
import type { LintOptions } from "../../src/lint/context.ts";
import { RULES } from "../../src/lint/rules/index.ts";
import { parseRevocationLevel } from "../../src/lint/sbat-level.ts";
import { parsePe } from "../../src/pe/headers.ts";
import type { Rootfs } from "../../src/tree/rootfs.ts";
import { cpioOf } from "../support/cpio.ts";
import { keySet, keyUpdate } from "../support/key-sets.ts";
import {
  digestOf,
  dpkg,
  elf,
  KVER,
  makeUki,
  OS_RELEASE,
  renameSection,
  runRule,
  SPLIT,
  STUB,
  sealedTree,
  signed,
  systemdBoot,
  UKI_PATH,
  UNSEALED,
  without,
} from "../support/lint.ts";
import { signLikeOldPesign } from "../support/old-pesign.ts";
import { makePe } from "../support/pe.ts";
import { vectorCertificate } from "../support/signing.ts";
import type { MemoryFiles } from "../support/tree.ts";
import { vector } from "../support/vectors.ts";

interface Case {
  readonly title: string;
  readonly files: MemoryFiles;
  readonly options?: Partial<LintOptions>;
  /** How the tree is looked at; default: mounted. */
  readonly view?: Rootfs["view"];
}
interface FailingCase extends Case {
  readonly path: string;
  readonly says: RegExp;
  readonly severity?: "error" | "warning" | "info";
  /** What to do about it, where that depends on the case. */
  readonly fix?: RegExp;
}
interface RuleCases {
  readonly pass: readonly Case[];
  readonly fail: readonly FailingCase[];
}

const SEALED = await sealedTree();
const sealedWith = async (uki: Parameters<typeof sealedTree>[0], more?: MemoryFiles) => sealedTree(uki, more);
const withUki = (bytes: Uint8Array): MemoryFiles => ({ ...SEALED, [UKI_PATH]: bytes });
const unsealed = (more: MemoryFiles): MemoryFiles => ({ ...UNSEALED, ...more });
const lacking = (pattern: RegExp, files = UNSEALED): MemoryFiles => without(files, pattern);
const trusting = (name: "signer" | "other"): Partial<LintOptions> => ({
  certificates: [vectorCertificate(name)],
});
const wrong = "ab".repeat(64);
const BOOTC_INITRAMFS = cpioOf({ "usr/lib/bootc/initramfs-setup": "composefs.digest /composefs-0.9.0/" });
const addon = (cmdline: string, uname: string | null = null) => makeUki({ cmdline, uname, osrel: null, linux: null });
const ADDON = addon("quiet");
/** The same file for another machine. */
function otherMachine(file: Uint8Array): Uint8Array {
  const copy = Buffer.from(file);
  copy.writeUInt16LE(0xaa64, parsePe([file], "x").peOffset + 4);
  return copy;
}
/** The same file with its last section loaded over the one before. */
function overlapping(file: Uint8Array): Uint8Array {
  const copy = Buffer.from(file);
  const [before, last] = parsePe([file], "x").sections.slice(-2);
  copy.writeUInt32LE(before?.virtualAddress ?? 0, (last?.headerOffset ?? 0) + 12);
  return copy;
}
const TEXT = { name: ".text", content: "code", address: 0x1000 };
const KERNEL_SECTION = { name: ".kernel", content: "kernel", address: 0x3000 };
const MODULES = `usr/lib/modules/${KVER}`;
const KARGS = "usr/lib/bootc/kargs.d/10-x.toml";
const POLICY: MemoryFiles = { "etc/selinux/config": "SELINUX=enforcing\n", "etc/selinux/t/policy/policy.33": "x" };
const PEM = `${["-----BEGIN", "PRIVATE KEY-----"].join(" ")}\nMC4CAQAwBQYDK2VwBCIEIA==\n`;

const XATTR: MemoryFiles = {
  ...SPLIT,
  "etc/motd": { content: "", xattrs: [{ name: utf8("user.x"), value: utf8("y") }] },
};
const BOOT_NANOS: MemoryFiles = { boot: { content: null, mtimeNsec: 5 } };
const NANOS: MemoryFiles = { ...SPLIT, "etc/motd": { content: "", mtimeNsec: 5 } };

const AUTH_DIRECTORY = "boot/loader/keys/auto";
const authFiles = (updates: ReadonlyMap<string, Uint8Array>): MemoryFiles =>
  Object.fromEntries([...updates].map(([variable, bytes]) => [`${AUTH_DIRECTORY}/${variable}.auth`, bytes]));
const KEY_SET = await keySet();
const AUTH = authFiles(KEY_SET);
const INSTALLED_KEYS = "usr/lib/bootc/install/secureboot-keys";
/** Where bootc takes keys from. */
const INSTALLED: MemoryFiles = Object.fromEntries(
  [...KEY_SET].map(([variable, bytes]) => [`${INSTALLED_KEYS}/auto/${variable}.auth`, bytes]),
);
const LOADER = "usr/lib/systemd/boot/efi/systemd-bootx64.efi";
const SIGNED_LOADER = await signed(STUB);
const auth = async (...args: Parameters<typeof keyUpdate>) => authFiles(new Map([[args[0], await keyUpdate(...args)]]));

/** What systemd-stub and systemd-boot take beside a UKI. */
const COMPANIONS: MemoryFiles = Object.fromEntries(
  [
    `${UKI_PATH}.extra.d/a.addon.efi`,
    `${UKI_PATH}.extra.d/b.cred`,
    `${UKI_PATH}.extra.d/c.sysext.raw`,
    "boot/loader/entries.srel",
    "boot/loader/entries/x.conf",
    "boot/loader/credentials/x.cred",
    "boot/loader/addons/x.addon.efi",
    "boot/EFI/vendor/shimx64.efi",
    "boot/EFI/vendor/BOOTX64.CSV",
  ].map((path) => [path, ""]),
);

const ENTRY = "boot/loader/entries/x.conf";
const UKI_ENTRY: MemoryFiles = { [ENTRY]: "title x\nuki /EFI/Linux/bootc/x.efi\n" };
const BOOTCTL_257: MemoryFiles = { "usr/bin/bootctl": "", "usr/lib/systemd/libsystemd-shared-257.9-1.fc42.so": "" };
const BOOTCTL_258: MemoryFiles = {
  "usr/bin/bootctl": "",
  "usr/lib/x86_64-linux-gnu/systemd/libsystemd-shared-258.so": "",
};

/** What tells how a kernel has the modules that are needed. */
function kernelWith(how: "builtin" | "module"): MemoryFiles {
  const paths = ["kernel/fs/erofs/erofs.ko", "kernel/fs/overlayfs/overlay.ko"];
  const dependencies = "kernel/fs/erofs/erofs.ko.xz: kernel/lib/libcrc32c.ko.xz\nkernel/fs/overlayfs/overlay.ko.xz:\n";
  return {
    [`${MODULES}/modules.builtin`]: how === "builtin" ? `${paths.join("\n")}\n` : "kernel/fs/ext4/ext4.ko\n",
    [`${MODULES}/modules.dep`]: how === "builtin" ? "" : `${dependencies}kernel/lib/libcrc32c.ko.xz:\n`,
  };
}

const cases: Readonly<Record<string, RuleCases>> = {
  kernel: {
    pass: [{ title: "one kernel", files: UNSEALED }],
    fail: [
      { title: "no kernel", files: SPLIT, path: "usr/lib/modules", says: /no kernel/ },
      {
        title: "two kernels",
        files: unsealed({ "usr/lib/modules/6.1.0/vmlinuz": "x" }),
        path: "usr/lib/modules",
        says: /2 kernels \(6\.1\.0, 6\.12\.1\)/,
      },
    ],
  },
  "kernel-initramfs": {
    pass: [{ title: "both", files: UNSEALED }],
    fail: [{ title: "none", files: lacking(/initramfs/), path: `${MODULES}/vmlinuz`, says: /no initramfs\.img/ }],
  },
  "kernel-verity": {
    pass: [
      { title: "another release", files: SEALED },
      { title: "the first that is mended", files: withUki(makeUki({ uname: "7.0.7", cmdline: `composefs=${wrong}` })) },
      {
        title: "fs-verity is not required",
        files: withUki(makeUki({ uname: "7.0.3", cmdline: `composefs=?${wrong}` })),
      },
      { title: "before sealing", files: UNSEALED },
      {
        title: "a kernel that tells nothing",
        files: withUki(makeUki({ uname: null, cmdline: `composefs=${wrong}` })),
      },
    ],
    fail: [
      {
        title: "of Fedora, before sealing",
        files: { "usr/lib/modules/7.0.3-200.fc44.x86_64/vmlinuz": "kernel" },
        path: "usr/lib/modules/7.0.3-200.fc44.x86_64",
        says: /^The kernel is 7\.0\.3-200\.fc44\.x86_64\. Linux 7\.0\.0 to 7\.0\.6: it refuses .*\(bootc issue 2174, /,
      },
      {
        title: "in the UKI",
        files: withUki(makeUki({ uname: "7.0.6-arch1-1", cmdline: `composefs=${wrong}` })),
        path: UKI_PATH,
        says: /The machine does not start unless/,
        fix: /seal boot-test/,
      },
      {
        title: "as the kernel itself says where .uname is missing",
        files: withUki(
          makeUki({ uname: null, linux: utf8("Linux version 7.0.1 (a@b) #1"), cmdline: `composefs=${wrong}` }),
        ),
        path: UKI_PATH,
        says: /^The kernel is 7\.0\.1\./,
      },
    ],
  },
  "raw-kernel": {
    pass: [{ title: "split off", files: SEALED }],
    fail: [
      {
        title: "vmlinuz",
        files: { ...SEALED, [`${MODULES}/vmlinuz`]: "k".repeat(99) },
        path: `${MODULES}/vmlinuz`,
        says: /99 bytes/,
      },
      {
        title: "initramfs",
        files: { ...SEALED, [`${MODULES}/initramfs.img`]: "i" },
        path: `${MODULES}/initramfs.img`,
        says: /twice/,
      },
    ],
  },
  "not-sealed": {
    pass: [{ title: "sealed, and it has to be", files: SEALED, options: { mustBeSealed: true } }],
    fail: [
      {
        title: "not sealed, and it has to be",
        files: UNSEALED,
        options: { mustBeSealed: true },
        path: "boot/EFI/Linux",
        says: /^It is not sealed: there is no UKI/,
      },
      {
        title: "a boot loader alone",
        files: { ...UNSEALED, "boot/EFI/BOOT/BOOTX64.EFI": "x" },
        options: { mustBeSealed: true },
        path: "boot/EFI/Linux",
        says: /not sealed/,
      },
    ],
  },
  "uki-missing": {
    pass: [{ title: "a UKI", files: SEALED }],
    fail: [{ title: "none", files: lacking(/EFI\/Linux/, SEALED), path: "boot/EFI/Linux", says: /no UKI/ }],
  },
  "uki-name": {
    pass: [
      { title: "named after the kernel", files: SEALED },
      {
        title: "with token and counter",
        files: { ...lacking(/EFI\/Linux/, SEALED), [`boot/EFI/Linux/x-${KVER}+3-0.efi`]: makeUki({}) },
      },
    ],
    fail: [
      {
        title: "another name",
        files: { ...lacking(/EFI\/Linux/, SEALED), "boot/EFI/Linux/linux.efi": makeUki({}) },
        path: "boot/EFI/Linux/linux.efi",
        says: /expect 6\.12\.1\.efi/,
      },
      {
        title: "another kernel",
        files: withUki(makeUki({ uname: "5.0" })),
        path: UKI_PATH,
        says: /says it is 5\.0 \(\.uname\)/,
      },
    ],
  },
  "not-a-uki": {
    pass: [
      { title: "UKIs and addons only", files: { ...SEALED, [`${UKI_PATH}.extra.d/x.addon.efi`]: ADDON } },
      { title: "a shell elsewhere", files: { ...SEALED, "boot/EFI/tools/shellx64.efi": STUB } },
    ],
    fail: [
      ...Object.entries({
        "another EFI program": { bytes: makePe({ sections: [TEXT] }), fix: /EFI\/tools/ },
        "systemd-stub 257": { bytes: STUB, fix: /EFI\/systemd/ },
        "an addon": { bytes: ADDON, fix: /NAME\.addon\.efi/ },
        "a bare Linux kernel": { bytes: vector("uki/inputs/kernel"), fix: /seal build-uki/ },
        "EFI Boot Guard": {
          bytes: makePe({
            sections: [TEXT, { name: ".cmdline", content: "quiet", address: 0x2000 }, KERNEL_SECTION],
          }),
          fix: /seal build-uki/,
        },
      }).map(([what, { bytes, fix }]) => ({
        title: what,
        files: { ...SEALED, "boot/EFI/Linux/x.efi": bytes },
        path: "boot/EFI/Linux/x.efi",
        says: new RegExp(`^It is not a UKI .*${what}`),
        fix,
      })),
    ],
  },
  "uki-symlink": {
    pass: [{ title: "a file", files: SEALED }],
    fail: [
      {
        title: "a symlink",
        files: { ...SEALED, [UKI_PATH]: { link: "../x.efi" } },
        path: UKI_PATH,
        says: /symlink to \.\.\/x\.efi/,
      },
      {
        title: "a link beside the modules",
        files: unsealed({ [`${MODULES}/uki.efi`]: { link: "/boot/x.efi" } }),
        path: `${MODULES}/uki.efi`,
        says: /symlink to \/boot\/x\.efi/,
      },
    ],
  },
  "uki-digest": {
    pass: [
      { title: "the digest of this tree", files: SEALED },
      {
        title: "the one of whole seconds",
        files: await sealedWith({ cmdline: `composefs=${await digestOf(SPLIT, "latest", "seconds")}` }),
      },
      {
        title: "the long form",
        files: await sealedWith({ cmdline: `composefs.digest=v1-sha512-12:${await digestOf(SPLIT)}` }),
      },
      {
        title: "the second of two",
        files: await sealedWith({ cmdline: `composefs=${wrong} composefs=${await digestOf(SPLIT)}` }),
      },
      {
        title: "an old release that is wanted",
        files: await sealedWith({ cmdline: `composefs=${await digestOf(SPLIT, "1.16.3")}` }),
        options: { seriesList: [seriesOf("1.16.3")] },
      },
      {
        title: "one for each of two releases that are wanted",
        files: await sealedWith({
          cmdline: `composefs.digest=v1-sha512-12:${await digestOf(SPLIT)} composefs=${await digestOf(SPLIT, "1.15")}`,
        }),
        options: { seriesList: [seriesOf("latest"), seriesOf("1.15")] },
      },
    ],
    fail: [
      {
        title: "one of two releases that are wanted",
        files: SEALED,
        options: { seriesList: [seriesOf("latest"), seriesOf("1.15")] },
        path: UKI_PATH,
        says: /bootc 1\.14\.0–1\.15\.2 computes/,
      },
      {
        title: "no digest",
        files: await sealedWith({ cmdline: "rw quiet" }),
        path: UKI_PATH,
        says: /no composefs digest/,
      },
      {
        title: "another digest",
        files: await sealedWith({ cmdline: `composefs=${wrong}` }),
        path: UKI_PATH,
        says: /demands abababab….*No known release.*changed/,
      },
      {
        title: "one character changed in the tree",
        files: { ...SEALED, "etc/hostname": "exampl3\n" },
        path: UKI_PATH,
        says: /No known release/,
      },
      {
        title: "the digest of an old release",
        files: await sealedWith({ cmdline: `composefs=${await digestOf(SPLIT, "1.16.3")}` }),
        options: { seriesList: [seriesOf("1.16.9")] },
        path: UKI_PATH,
        says: /right for EROFS v2, bootc 1\.14\.0–1\.15\.2, 1\.16\.0–1\.16\.2, 1\.16\.3\.$/,
      },
      {
        title: "the digest of a new release on an old host",
        files: SEALED,
        options: { seriesList: [seriesOf("1.16.3")] },
        path: UKI_PATH,
        says: /right for EROFS v1, bootc 1\.16\.4/,
      },
      {
        title: "the digest of another format, and saying so",
        files: await sealedWith({ cmdline: `composefs.digest=v2-sha512-12:${await digestOf(SPLIT, "1.16.3")}` }),
        options: { seriesList: [seriesOf("1.16.9")] },
        path: UKI_PATH,
        says: /right for EROFS v2, bootc 1\.14/,
      },
      {
        title: "the digest with user xattrs",
        files: await sealedWith(
          { cmdline: `composefs=${await digestOf(XATTR, "latest", "exact", "keep-user")}` },
          XATTR,
        ),
        options: { seriesList: [seriesOf("1.16.9")] },
        path: UKI_PATH,
        says: /EROFS v1 with user\.\* xattrs kept, bootc 1\.16\.4/,
      },
      {
        title: "the digest of whole seconds, of layers with nanoseconds",
        files: await sealedWith({ cmdline: `composefs=${await digestOf(NANOS, "latest", "seconds")}` }, NANOS),
        view: "layers",
        path: UKI_PATH,
        says: /EROFS v1 with mtimes truncated to whole seconds, bootc 1\.16\.4/,
      },
      {
        title: "the digest of a format that no release asks for",
        files: await sealedWith({
          cmdline: `composefs=${await digestOf(SPLIT, "latest", "exact", "allowlist", "v0")}`,
        }),
        path: UKI_PATH,
        says: /right for EROFS v0, which no bootc release computes\.$/,
        fix: /^seal again without --erofs\.$/,
      },
      {
        title: "another digest, where the nanoseconds of /boot count",
        files: await sealedWith({ cmdline: `composefs=${wrong}` }, BOOT_NANOS),
        options: { seriesList: [seriesOf("1.16.9")] },
        path: UKI_PATH,
        says: /the nanoseconds of \/boot's own mtime count/,
      },
      {
        title: "another digest, where they don't",
        files: await sealedWith({ cmdline: `composefs=${wrong}` }, BOOT_NANOS),
        options: { seriesList: [seriesOf("1.17.5")] },
        path: UKI_PATH,
        says: /was still in it then\.$/,
      },
      {
        title: "a malformed digest",
        files: await sealedWith({ cmdline: "composefs=abc" }),
        path: UKI_PATH,
        says: /composefs=abc: its digest has 3/,
      },
      { title: "a truncated UKI", files: withUki(makeUki({}).subarray(0, 700)), path: UKI_PATH, says: /can't be read/ },
    ],
  },
  "uki-digest-count": {
    pass: [
      { title: "one", files: SEALED },
      {
        title: "two that are all tried",
        files: await sealedWith({ arguments: `composefs=${wrong}` }),
        options: { seriesList: [seriesOf("1.16.9")] },
      },
      {
        title: "those that bootc 1.17 writes",
        files: await sealedWith({
          cmdline: `composefs.digest=v1-sha512-12:${await digestOf(SPLIT)} composefs=${await digestOf(SPLIT, "1.15")}`,
        }),
      },
      {
        title: "one in both forms",
        files: await sealedWith({ arguments: `composefs.digest=v1-sha512-12:${await digestOf(SPLIT)}` }),
      },
    ],
    fail: [
      {
        title: "two, which composefs-setup-root tries in order: a note",
        files: await sealedWith({ arguments: `composefs=${wrong}` }),
        options: { seriesList: [seriesOf("1.16.9")] },
        path: UKI_PATH,
        says: /2 composefs digests.*the image of only one. composefs-setup-root.* in its initramfs tries them in order/,
        severity: "info",
      },
      {
        title: "two, of which bootc's program tries one",
        files: await sealedWith({
          initrd: BOOTC_INITRAMFS,
          cmdline: `composefs.digest=v1-sha512-12:${await digestOf(SPLIT)} composefs=${await digestOf(SPLIT, "1.15")}`,
        }),
        path: UKI_PATH,
        says: /initramfs-setup \(composefs-rs 0\.9\.0\) in its initramfs reads only composefs\.digest= \([0-9a-f]{8}….*\): bootc 1\.14\.0–1\.16\.2 installs the image under another one, and the machine does not start\.$/,
      },
      {
        title: "two, of which one is nobody's",
        files: await sealedWith({ initrd: BOOTC_INITRAMFS, arguments: `composefs=${wrong}` }),
        options: { seriesList: [seriesOf("1.16.9")] },
        path: UKI_PATH,
        says: /reads only composefs= \([0-9a-f]{8}….*\): with the image of another/,
      },
      {
        title: "two, and nothing known that tries them",
        files: await sealedWith({ initrd: null, arguments: `composefs=${wrong}` }),
        options: { seriesList: [seriesOf("1.16.9")] },
        path: UKI_PATH,
        says: /The initramfs of bootc 1\.16 reads only one of them: with it/,
      },
      {
        title: "a second short one for bootc 1.17",
        files: await sealedWith({ arguments: `composefs=${wrong}` }),
        path: UKI_PATH,
        says: /1\.\d+\.\d+ refuses.*no second composefs=/,
        severity: "error",
      },
      {
        title: "one that bootc 1.17 does not find",
        files: await sealedWith({ arguments: `composefs.digest=v2-sha512-12:${wrong}` }),
        path: UKI_PATH,
        says: /1\.\d+\.\d+ refuses.*finds none for abab…abab/,
        severity: "error",
      },
      {
        title: "? on some for bootc 1.17",
        files: await sealedWith({ arguments: `composefs.digest=?v1-sha512-12:${wrong}` }),
        path: UKI_PATH,
        says: /1\.\d+\.\d+ refuses.*\? on all digests, or on none/,
        severity: "error",
      },
      {
        title: "its own where the release does not look",
        files: await sealedWith({ cmdline: `composefs=${wrong} composefs=${await digestOf(SPLIT)}` }),
        options: { seriesList: [seriesOf("1.16.9")] },
        path: UKI_PATH,
        says: /not where that release looks: it reads only the first composefs\.digest=,/,
        severity: "error",
      },
    ],
  },
  "bootc-release": {
    pass: [
      { title: "a release that accepts it", files: await sealedWith({}, dpkg("1.16.4-1")) },
      {
        title: "a boot entry that no release gets past",
        files: await sealedWith({}, { ...dpkg("1.16.4-1"), [ENTRY]: "title x\n" }),
      },
      {
        title: "an old one and its digest",
        files: await sealedWith(
          { cmdline: `composefs=${await digestOf({ ...SPLIT, ...dpkg("1.15.1") }, "1.15")}` },
          dpkg("1.15.1"),
        ),
      },
    ],
    fail: [
      {
        title: "a release that computes another digest",
        files: await sealedWith({}, dpkg("1.15.1-1")),
        path: UKI_PATH,
        says: /bootc in the tree is 1\.15\.1 \(var\/lib\/dpkg\/status\).*computes v2/,
      },
    ],
  },
  "uki-insecure": {
    pass: [{ title: "verity demanded", files: SEALED }],
    fail: [
      { title: "?", files: await sealedWith({ cmdline: `composefs=?${wrong}` }), path: UKI_PATH, says: /composefs=\?/ },
    ],
  },
  "uki-signature": {
    pass: [
      { title: "signed by anybody", files: SEALED },
      { title: "signed by the certificate", files: SEALED, options: trusting("signer") },
    ],
    fail: [
      { title: "unsigned", files: withUki(makeUki({})), path: UKI_PATH, says: /not signed/ },
      {
        title: "another signer",
        files: SEALED,
        options: trusting("other"),
        path: UKI_PATH,
        says: /is not a trusted certificate/,
      },
      {
        title: "expired",
        files: SEALED,
        options: { now: new Date("2200-01-01") },
        path: UKI_PATH,
        severity: "warning",
        says: /expired on .*: firmware still accepts it, other tools may not\.$/,
      },
      {
        title: "not yet valid",
        files: SEALED,
        options: { now: new Date("1990-01-01") },
        path: UKI_PATH,
        severity: "warning",
        says: /not valid before/,
      },
      {
        title: "changed afterwards",
        files: withUki(flip(await signed(makeUki({})))),
        path: UKI_PATH,
        says: /changed after it was signed/,
      },
      {
        title: "signed by old pesign",
        files: withUki(await signLikeOldPesign(makeUki({}))),
        path: UKI_PATH,
        severity: "info",
        says: /1\.3\.6\.1\.4\.1\.311\.2\.1\.21\).*as pesign up to 0\.112 writes it; firmware, shim and Linux accept it/,
      },
      {
        title: "sections over each other",
        files: withUki(await signed(overlapping(makeUki({})))),
        path: UKI_PATH,
        severity: "warning",
        says: /^The addresses of section .* overlap those of section .*: firmware starts it/,
      },
      {
        title: "corrupt",
        files: withUki(utf8("MZ no program at all")),
        path: UKI_PATH,
        says: /can't be read \(.*\), so nothing is known about its signatures\.$/,
      },
    ],
  },
  "uki-sbat": {
    pass: [
      { title: "SBAT", files: SEALED },
      {
        title: "new enough",
        files: SEALED,
        options: { sbatLevel: parseRevocationLevel("sbat,1\nuki,1\nshim,4\n", "x") },
      },
    ],
    fail: [
      {
        title: "none",
        files: withUki(renameSection(makeUki({}), ".sbat", ".sbax")),
        path: UKI_PATH,
        says: /no \.sbat/,
      },
      {
        title: "revoked",
        files: SEALED,
        options: { sbatLevel: parseRevocationLevel("uki,2\n", "x") },
        path: UKI_PATH,
        says: /uki has SBAT generation 1; generations below 2/,
      },
      {
        title: "without the stub's",
        files: withUki(makeUki({ sbat: "sbat,1,SBAT Version,sbat,1,u\nuki,1,UKI,uki,1,u\n" })),
        path: UKI_PATH,
        says: /does not name systemd-stub 257/,
      },
    ],
  },
  "bootloader-sbat": {
    pass: [{ title: "SBAT", files: SEALED }],
    fail: [
      {
        title: "none",
        files: { ...SEALED, "boot/EFI/BOOT/BOOTX64.EFI": renameSection(STUB, ".sbat", ".sbax") },
        path: "boot/EFI/BOOT/BOOTX64.EFI",
        says: /no \.sbat/,
      },
      {
        title: "revoked",
        files: SEALED,
        options: { sbatLevel: parseRevocationLevel("systemd-stub,9\n", "x") },
        path: "boot/EFI/systemd/systemd-bootx64.efi",
        says: /generations below 9 are revoked/,
      },
    ],
  },
  "uki-osrel": {
    pass: [
      { title: "the tree's", files: SEALED },
      {
        title: "the tree's, with an absolute link in /etc",
        files: { ...SEALED, "etc/os-release": { link: "/usr/lib/os-release" } },
      },
      { title: "the one in /etc", files: await sealedWith({ osrel: "ID=y\n" }, { "etc/os-release": "ID=y\n" }) },
    ],
    fail: [
      { title: "none", files: withUki(makeUki({ osrel: null })), path: UKI_PATH, says: /no \.osrel/ },
      {
        title: "another",
        files: withUki(makeUki({ osrel: "ID=other\n" })),
        path: UKI_PATH,
        says: /not the os-release of this tree/,
      },
    ],
  },
  "uki-arch": {
    pass: [{ title: "the tree's", files: SEALED }],
    fail: [
      {
        title: "programs for another",
        files: { ...SEALED, "usr/bin/sh": elf(183) },
        path: UKI_PATH,
        says: /for x64, but the programs of this tree are for aa64/,
      },
      {
        title: "a kernel for another",
        files: withUki(makeUki({ linux: withMachine(STUB, 0xaa64) })),
        path: UKI_PATH,
        says: /stub is for x64, but the kernel in it is for aa64/,
      },
    ],
  },
  "uki-size": {
    pass: [{ title: "small", files: SEALED }],
    fail: [
      {
        title: "180 MiB",
        files: withUki(makeUki({ linux: new Uint8Array(180 * 2 ** 20) })),
        path: UKI_PATH,
        says: /180\.\d MiB; an ESP of 512 MiB has room for 2 of/,
      },
    ],
  },
  "uki-initramfs": {
    pass: [
      { title: "composefs-setup-root", files: SEALED },
      { title: "modules built in", files: { ...SEALED, ...kernelWith("builtin") } },
    ],
    fail: [
      { title: "none", files: withUki(makeUki({ initrd: null })), path: UKI_PATH, says: /no initramfs/ },
      {
        title: "nothing in it",
        files: withUki(makeUki({ initrd: cpioOf({ init: "#!/bin/sh\n" }) })),
        path: UKI_PATH,
        says: /\(uncompressed; 1 files\) has neither composefs-setup-root nor bootc's initramfs-setup/,
      },
      {
        title: "damaged",
        files: withUki(makeUki({ initrd: utf8("junk") })),
        path: UKI_PATH,
        says: /can't be unpacked: there is neither an archive/,
      },
      {
        title: "without modules",
        files: { ...SEALED, ...kernelWith("module") },
        path: UKI_PATH,
        says: /lacks the module libcrc32c, which kernel 6\.12\.1 has not built in/,
        severity: "warning",
      },
    ],
  },
  "bootloader-entries": {
    pass: [
      { title: "both old", files: { ...SEALED, ...loaders("257.9", "257.9"), ...BOOTCTL_257 } },
      { title: "both new", files: { ...SEALED, ...loaders("258", "258"), ...BOOTCTL_258, ...UKI_ENTRY } },
      { title: "an entry with efi", files: { ...SEALED, ...loaders("257", "257"), [ENTRY]: "efi /x\n" } },
    ],
    fail: [
      {
        title: "an entry with uki",
        files: { ...SEALED, ...loaders("257.9", "257.9"), ...UKI_ENTRY },
        path: ENTRY,
        says: /systemd-boot 257 does not know/,
      },
      {
        title: "a newer bootctl",
        files: { ...SEALED, ...loaders("257.9-1", "257"), ...BOOTCTL_258 },
        path: "boot/EFI/BOOT/BOOTX64.EFI",
        says: /bootctl is 258: bootc then writes/,
      },
    ],
  },
  "bootloader-missing": {
    pass: [{ title: "both", files: SEALED }],
    fail: [
      { title: "none", files: lacking(/EFI\/(BOOT|systemd)/, SEALED), path: "boot/EFI/BOOT", says: /no boot loader/ },
      {
        title: "only under its own name",
        files: lacking(/EFI\/BOOT/, SEALED),
        path: "boot/EFI/BOOT",
        says: /tries by default/,
        severity: "warning",
      },
    ],
  },
  "boot-entry": {
    pass: [
      { title: "none", files: SEALED },
      { title: "what is not an entry", files: { ...SEALED, "boot/loader/entries/README": "" } },
    ],
    fail: [
      {
        title: "some",
        files: { ...SEALED, [ENTRY]: "title x\n", "boot/loader/entries/y.conf": "title y\n" },
        path: ENTRY,
        says: /boot\/loader\/entries\/x\.conf, boot\/loader\/entries\/y\.conf come before every UKI: bootc refuses/,
      },
    ],
  },
  addon: {
    pass: [
      { title: "beside its UKI", files: { ...SEALED, [`${UKI_PATH}.extra.d/x.addon.efi`]: ADDON } },
      { title: "for all", files: { ...SEALED, "boot/loader/addons/x.addon.efi": ADDON } },
      { title: "for its kernel", files: { ...SEALED, [`${UKI_PATH}.extra.d/x.addon.efi`]: addon("quiet", KVER) } },
    ],
    fail: [
      {
        title: "another digest",
        files: { ...SEALED, [`${UKI_PATH}.extra.d/x.addon.efi`]: addon(`composefs=${wrong}`) },
        path: `${UKI_PATH}.extra.d/x.addon.efi`,
        says: /adds composefs=abababab… to the cmdline, which is not the digest of the UKI/,
      },
      {
        title: "another digest, for all",
        files: { ...SEALED, "boot/loader/addons/x.addon.efi": addon(`composefs=${wrong}`) },
        path: "boot/loader/addons/x.addon.efi",
        says: /adds composefs=abababab…/,
      },
      {
        title: "in a directory of no UKI",
        files: { ...SEALED, "boot/EFI/Linux/old.efi.extra.d/x.addon.efi": ADDON },
        path: "boot/EFI/Linux/old.efi.extra.d/x.addon.efi",
        says: /is not where systemd-stub looks for addons/,
        severity: "warning",
      },
      {
        title: "in the place of a UKI",
        files: { ...SEALED, "boot/EFI/Linux/x.addon.efi": ADDON },
        path: "boot/EFI/Linux/x.addon.efi",
        says: /is not where systemd-stub looks for addons/,
        severity: "warning",
      },
      {
        title: "for another kernel",
        files: { ...SEALED, "boot/loader/addons/x.addon.efi": addon("quiet", "1.0") },
        path: "boot/loader/addons/x.addon.efi",
        says: /for the kernel 1\.0, which no UKI here has/,
        severity: "warning",
      },
      {
        title: "that is a boot loader",
        files: { ...SEALED, "boot/loader/addons/x.addon.efi": STUB },
        path: "boot/loader/addons/x.addon.efi",
        says: /has none of the sections that an addon adds/,
        severity: "warning",
      },
      {
        title: "for another architecture",
        files: { ...SEALED, "boot/loader/addons/x.addon.efi": otherMachine(ADDON) },
        path: "boot/loader/addons/x.addon.efi",
        says: /It is for aa64, but the UKI is for x64/,
        severity: "warning",
      },
    ],
  },
  "bootloader-signature": {
    pass: [{ title: "signed", files: SEALED, options: trusting("signer") }],
    fail: [
      {
        title: "unsigned",
        files: { ...SEALED, "boot/EFI/BOOT/BOOTX64.EFI": STUB },
        path: "boot/EFI/BOOT/BOOTX64.EFI",
        says: /not signed/,
      },
      {
        title: "an unsigned addon",
        files: { ...SEALED, "boot/loader/addons/x.addon.efi": STUB },
        path: "boot/loader/addons/x.addon.efi",
        says: /not signed/,
      },
      {
        title: "a symlink",
        files: { ...SEALED, "boot/EFI/BOOT/BOOTX64.EFI": { link: "x" } },
        path: "boot/EFI/BOOT/BOOTX64.EFI",
        says: /symlink/,
      },
    ],
  },
  "bootloader-differs": {
    pass: [
      { title: "the same", files: SEALED },
      { title: "the same but for the signature", files: { ...SEALED, "boot/EFI/BOOT/BOOTX64.EFI": STUB } },
      { title: "the version of the tree", files: await sealedWith({}, loaders("257", "257")) },
    ],
    fail: [
      {
        title: "two programs",
        files: { ...SEALED, "boot/EFI/BOOT/BOOTX64.EFI": makeUki({}) },
        path: "boot/EFI/systemd/systemd-bootx64.efi",
        says: /not the same program/,
      },
      {
        title: "another version than the tree",
        files: await sealedWith({}, loaders("257", "258")),
        path: "boot/EFI/BOOT/BOOTX64.EFI",
        says: /systemd-boot 257, but the tree has systemd-boot 258/,
      },
    ],
  },
  bootupd: {
    pass: [{ title: "none", files: SEALED }],
    fail: [
      { title: "installed", files: { ...SEALED, "usr/bin/bootupctl": "x" }, path: "usr/bin/bootupctl", says: /GRUB/ },
    ],
  },
  "composefs-dirs": {
    pass: [{ title: "all", files: UNSEALED }],
    fail: [
      { title: "no /sysroot", files: lacking(/^sysroot/), path: "sysroot", says: /missing/ },
      { title: "a link", files: { ...lacking(/^boot/), boot: { link: "efi" } }, path: "boot", says: /symlink/ },
    ],
  },
  "bootc-kargs": {
    pass: [{ title: "sound", files: unsealed({ [KARGS]: 'kargs = ["quiet"]\nmatch-architectures = ["x86_64"]\n' }) }],
    fail: [
      { title: "bad syntax", files: unsealed({ [KARGS]: "kargs = [" }), path: KARGS, says: /10-x\.toml:1/ },
      {
        title: "an unknown key",
        files: unsealed({ [KARGS]: "kargs = []\nkargz = 1\n" }),
        path: KARGS,
        says: /unknown key kargz/,
      },
      {
        title: "an unknown architecture",
        files: unsealed({ [KARGS]: 'kargs = []\nmatch-architectures = ["amd64"]\n' }),
        path: KARGS,
        says: /"amd64"/,
      },
    ],
  },
  "kargs-ignored": {
    pass: [
      { title: "taken", files: await sealedWith({ arguments: "quiet" }, { [KARGS]: 'kargs = ["quiet"]\n' }) },
      {
        title: "taken in another spelling",
        files: await sealedWith(
          { arguments: '"foo=a b" mem_sleep_default=deep' },
          { [KARGS]: 'kargs = ["foo=\\"a b\\"", "mem-sleep-default=deep"]\n' },
        ),
      },
      {
        title: "for another architecture",
        files: await sealedWith({}, { [KARGS]: 'kargs = ["quiet"]\nmatch-architectures = ["aarch64"]\n' }),
      },
    ],
    fail: [
      {
        title: "left out",
        files: await sealedWith({ arguments: "quiet" }, { [KARGS]: 'kargs = ["quiet", "a=1 b=2"]\n' }),
        path: KARGS,
        says: /^a=1, b=2 are not on the cmdline/,
      },
      {
        title: "another value, which - and _ are not alike in",
        files: await sealedWith({ arguments: "a_b=c_d" }, { [KARGS]: 'kargs = ["a-b=c-d"]\n' }),
        path: KARGS,
        says: /^a-b=c-d is not on the cmdline/,
      },
    ],
  },
  "kargs-root": {
    pass: [{ title: "none", files: await sealedWith({ arguments: "rootwait systemd.show_status=0" }) }],
    fail: [
      { title: "root=", files: await sealedWith({ arguments: "root=UUID=1" }), path: UKI_PATH, says: /root=UUID=1/ },
      {
        title: "init= before sealing",
        files: unsealed({ [KARGS]: 'kargs = ["init=/bin/sh"]\n' }),
        path: KARGS,
        says: /init=\/bin\/sh/,
      },
    ],
  },
  "selinux-permissive": {
    pass: [{ title: "enforced", files: unsealed({ ...POLICY, [KARGS]: 'kargs = ["enforcing=1"]\n' }) }],
    fail: [
      {
        title: "enforcing=0",
        files: unsealed({ ...POLICY, [KARGS]: 'kargs = ["enforcing=0"]\n' }),
        path: KARGS,
        says: /enforcing=0/,
      },
      {
        title: "selinux=0 in a UKI",
        files: { ...withUki(makeUki({ cmdline: "selinux=0" })), ...POLICY },
        path: UKI_PATH,
        says: /selinux=0/,
      },
    ],
  },
  "subsecond-mtime": {
    pass: [
      { title: "whole seconds", files: UNSEALED },
      {
        title: "sealed with whole seconds",
        files: await sealedWith({ cmdline: `composefs=${await digestOf(NANOS, "latest", "seconds")}` }, NANOS),
      },
      { title: "in what is emptied", files: unsealed({ "run/x": { content: "", mtimeNsec: 5 } }) },
    ],
    fail: [
      { title: "sealed with exact times", files: await sealedWith({}, NANOS), path: "etc/motd", says: /One path has/ },

      {
        title: "nanoseconds in a mount, which seal leaves out",
        files: unsealed({ "etc/motd": { content: "", mtimeNsec: 5 } }),
        path: "etc/motd",
        says: /One path has .* seal leaves the nanoseconds of a directory out/,
        severity: "info",
      },
      {
        title: "nanoseconds in layers",
        files: unsealed({ "etc/motd": { content: "", mtimeNsec: 5 } }),
        view: "layers",
        path: "etc/motd",
        says: /One path has .* a mount of this image leaves them out/,
      },
      {
        title: "nanoseconds in layers that were sealed as their mount",
        files: await sealedWith({ cmdline: `composefs=${await digestOf(NANOS, "latest", "seconds")}` }, NANOS),
        view: "layers",
        path: "etc/motd",
        says: /the UKI's digest does not/,
      },
    ],
  },
  "builder-files": {
    pass: [{ title: "a proper file", files: unsealed({ "etc/hosts": "127.0.0.1 localhost\n" }) }],
    fail: [
      {
        title: "a mount point",
        files: unsealed({ "etc/hosts": { content: "", mode: 0o755 } }),
        path: "etc/hosts",
        says: /0755/,
      },
    ],
  },
  "var-run": {
    pass: [{ title: "a symlink", files: unsealed({ "var/run": { link: "../run" } }) }],
    fail: [{ title: "a directory", files: unsealed({ "var/run": null }), path: "var/run", says: /directory/ }],
  },
  "etc-usretc": {
    pass: [{ title: "/etc only", files: UNSEALED }],
    fail: [{ title: "both", files: unsealed({ "usr/etc/x": "" }), path: "usr/etc", says: /as well as an \/etc/ }],
  },
  "nonempty-run-tmp": {
    pass: [
      { title: "empty", files: UNSEALED },
      { title: "what podman injects", files: unsealed({ "run/systemd/resolve/stub-resolv.conf": "" }) },
      { title: "what stays of it", files: unsealed({ "run/systemd/resolve": null }) },
    ],
    fail: [
      { title: "a file", files: unsealed({ "tmp/x": "" }), path: "tmp/x", says: /leftover/ },
      {
        title: "a file beside what podman injects",
        files: unsealed({ "run/systemd/resolve": null, "run/systemd/x": "" }),
        path: "run/systemd",
        says: /run\/systemd\/x/,
      },
    ],
  },
  "nonempty-boot": {
    pass: [
      { title: "empty", files: UNSEALED },
      { title: "sealed", files: SEALED },
      { title: "keys and companions", files: { ...SEALED, ...AUTH, ...COMPANIONS } },
      { title: "a dump file for the UKI", files: { ...SEALED, [`boot/${KVER}.dump`]: "" } },
    ],
    fail: [
      {
        title: "a dump file without its UKI",
        files: { ...SEALED, "boot/5.0.dump": "" },
        path: "boot/5.0.dump",
        says: /^\/boot holds 5\.0\.dump/,
      },
      {
        title: "a dump file that nothing is sealed for",
        files: unsealed({ [`boot/${KVER}.dump`]: "" }),
        path: `boot/${KVER}.dump`,
        says: /hidden/,
      },
      { title: "a kernel", files: unsealed({ "boot/vmlinuz-6": "" }), path: "boot/vmlinuz-6", says: /hidden/ },
      {
        title: "what nobody looks at",
        files: { ...SEALED, "boot/EFI/Linux/README.txt": "", "boot/loader/entries/x.conf": "title x\n" },
        path: "boot/EFI/Linux/README.txt",
        says: /^boot\/EFI\/Linux\/README\.txt: neither/,
      },
      {
        title: "a link",
        files: { ...SEALED, "boot/loader/entries/x.conf": { link: "y.conf" } },
        path: "boot/loader/entries/x.conf",
        says: /looks there/,
      },
      {
        title: "a random seed",
        files: { ...SEALED, "boot/loader/random-seed": "4" },
        path: "boot/loader/random-seed",
        says: /the same one/,
      },
      { title: "none", files: lacking(/^boot/), path: "boot", says: /no directory/ },
    ],
  },
  "buildah-injected": {
    pass: [{ title: "with content", files: UNSEALED }],
    fail: [{ title: "empty", files: unsealed({ "etc/hostname": "" }), path: "etc/hostname", says: /empty/ }],
  },
  utf8: {
    pass: [{ title: "UTF-8", files: unsealed({ "etc/caf\xc3\xa9": "" }) }],
    fail: [
      { title: "a Latin-1 name", files: unsealed({ "etc/caf\xe9": "" }), path: "etc/caf\\xe9", says: /not UTF-8/ },
    ],
  },
  "api-base-directories": {
    pass: [{ title: "all", files: UNSEALED }],
    fail: [{ title: "no /proc", files: lacking(/^proc/), path: "proc", says: /missing/ }],
  },
  "baseimage-root": {
    pass: [{ title: "both", files: UNSEALED }],
    fail: [
      { title: "no link", files: lacking(/^ostree/), path: "ostree", says: /missing/ },
      { title: "another target", files: unsealed({ ostree: { link: "x" } }), path: "ostree", says: /points to x/ },
      {
        title: "in the base image's copy",
        files: unsealed({ "usr/share/doc/bootc/baseimage/base/sysroot": null }),
        path: "usr/share/doc/bootc/baseimage/base/ostree",
        says: /missing/,
      },
    ],
  },
  "baseimage-composefs": {
    pass: [
      { title: "enabled", files: UNSEALED },
      { title: "a transient root", files: unsealed({ "etc/ostree/prepare-root.conf": "[root]\ntransient=true\n" }) },
    ],
    fail: [
      { title: "missing", files: lacking(/prepare-root/), path: "usr/lib/ostree/prepare-root.conf", says: /missing/ },
      {
        title: "disabled in /etc",
        files: unsealed({ "etc/ostree/prepare-root.conf": "[composefs]\nenabled=no\n" }),
        path: "etc/ostree/prepare-root.conf",
        says: /not enable/,
      },
    ],
  },
  "var-log": {
    pass: [{ title: "empty logs", files: unsealed({ "var/log/x.log": "" }) }],
    fail: [
      {
        title: "a log",
        files: unsealed({ "var/log/apt/x.log": "x" }),
        path: "var/log/apt/x.log",
        says: /Logs of the build/,
      },
    ],
  },
  "var-tmpfiles": {
    pass: [
      {
        title: "made by tmpfiles.d",
        files: unsealed({
          "var/lib/a b": null,
          "usr/lib/tmpfiles.d/x.conf": '# c\nd /var/lib 0755 - - -\nd "/var/lib/a\\x20b" - - - -\n',
        }),
      },
      {
        title: "made by tmpfiles.d, names that are not UTF-8",
        files: unsealed({
          "var/\xff": null,
          "var/\xfe": null,
          "var/\xc3\xa9": null,
          "usr/lib/tmpfiles.d/\xff.conf": Buffer.from(
            "d /var/\xff 0755\nd /var/\\xfe 0755\nd /var/\\303\\251 0755\n",
            "latin1",
          ),
        }),
      },
    ],
    fail: [
      {
        title: "a directory",
        files: unsealed({ "var/lib": null }),
        path: "var/lib",
        says: /No tmpfiles\.d entry/,
        fix: /^add lines/,
      },
      {
        title: "a symlink",
        files: unsealed({ "var/mail": { link: "spool/mail" } }),
        path: "var/mail",
        says: /No tmpfiles\.d entry/,
        fix: /^add lines/,
      },
      {
        title: "a file",
        files: unsealed({ "var/x": "" }),
        path: "var/x",
        says: /No tmpfiles\.d entry/,
        fix: /^move them to \/usr/,
      },
    ],
  },
  sysusers: {
    pass: [
      { title: "made by sysusers.d", files: UNSEALED },
      {
        title: "made by a file whose name is not UTF-8",
        files: unsealed({ "etc/passwd": "me:x:1:1::/:\n", "usr/lib/sysusers.d/\xff.conf": "u me 1\n" }),
      },
      { title: "a file that is masked", files: unsealed({ "usr/lib/sysusers.d/x.conf": { link: "/dev/null" } }) },
      {
        title: "made by membership, each with its group",
        files: unsealed({
          "etc/passwd": "me:x:1:1::/:\n",
          "etc/group": "me:x:1:\nus:x:2:me\n",
          "usr/lib/sysusers.d/x.conf": "  m me us\n",
        }),
      },
      ...["etc", "run", "usr/local/lib"].map((directory) => ({
        title: `made by a file in ${directory}, which stands before another`,
        files: unsealed({
          "etc/passwd": "me:x:1:1::/:\n",
          [`${directory}/sysusers.d/x.conf`]: "u! 'me' 1 \"Some One\"\n",
          "usr/lib/sysusers.d/x.conf": "u other 1\n",
        }),
      })),
      {
        title: "made by a file that a link leads to",
        files: unsealed({
          "etc/passwd": "me:x:1:1::/:\n",
          "usr/lib/sysusers.d/x.conf": { link: "../x/users" },
          "usr/lib/x/users": "u me 1\n",
        }),
      },
    ],
    fail: [
      {
        title: "a user",
        files: unsealed({ "etc/passwd": "root:x:0:0::/:\nme:x:1:1::/:\n" }),
        path: "etc/passwd",
        says: /users me:/,
      },
      {
        title: "a group",
        files: unsealed({ "etc/group": "root:x:0:\nus:x:1:\n" }),
        path: "etc/group",
        says: /groups us:/,
      },
      {
        title: "a user in a file that is masked",
        files: unsealed({
          "etc/passwd": "me:x:1:1::/:\n",
          "etc/sysusers.d/x.conf": { link: "/dev/null" },
          "usr/lib/sysusers.d/x.conf": "u me 1\n",
        }),
        path: "etc/passwd",
        says: /users me:/,
      },
      {
        title: "a group that is not the user's",
        files: unsealed({ "etc/group": "me:x:1:\n", "usr/lib/sysusers.d/x.conf": "g us 2\nu me 1:us\n" }),
        path: "etc/group",
        says: /groups me:/,
      },
      {
        title: "a user in a comment",
        files: unsealed({ "etc/passwd": "me:x:1:1::/:\n", "usr/lib/sysusers.d/x.conf": " # u me 1\n#m me us\n" }),
        path: "etc/passwd",
        says: /users me:/,
      },
    ],
  },
  secrets: {
    pass: [
      { title: "certificates", files: unsealed({ "etc/ssl/x.pem": vector("authenticode/keys/signer.crt") }) },
      { title: "an example in the documentation", files: unsealed({ "usr/share/doc/x/example.key": PEM }) },
    ],
    fail: [
      { title: "PEM", files: unsealed({ "etc/x": PEM }), path: "etc/x", says: /private key/ },
      {
        title: "PEM below /usr",
        files: unsealed({ "usr/lib/x/db.key": vector("authenticode/keys/signer.key") }),
        path: "usr/lib/x/db.key",
        says: /private key/,
      },
      { title: "DER", files: unsealed({ "root/x": pkcs8("signer") }), path: "root/x", says: /DER/ },
      { title: "elliptic DER", files: unsealed({ "root/x": pkcs8("ec") }), path: "root/x", says: /DER/ },
    ],
  },
  "file-owners": {
    pass: [
      { title: "root's", files: UNSEALED },
      { title: "of several users", files: { ...ownedBy(1000), "etc/shadow": "" } },
      { title: "a few files only", files: { ".": { content: null, uid: 1000 }, etc: { content: null, uid: 1000 } } },
    ],
    fail: [
      {
        title: "an ordinary user's",
        files: { ...ownedBy(1000), "boot/x": "" },
        path: ".",
        says: /Everything in it belongs to user 1000/,
        fix: /podman unshare/,
      },
    ],
  },
  "bootloader-installed": {
    pass: [
      { title: "signed", files: { ...SEALED, [`${LOADER}.signed`]: SIGNED_LOADER, [LOADER]: STUB } },
      {
        title: "signed by the certificate",
        files: { ...SEALED, [`${LOADER}.signed`]: SIGNED_LOADER },
        options: trusting("signer"),
      },
    ],
    fail: [
      {
        title: "not signed",
        files: { ...SEALED, [LOADER]: STUB },
        path: LOADER,
        says: /not signed.*bootc install puts this file onto the disk, not the one in \/boot\.$/,
        severity: "warning",
        fix: /seal prepare/,
      },
      {
        title: "not signed, with a certificate to check against",
        files: { ...SEALED, [LOADER]: STUB },
        options: trusting("signer"),
        path: LOADER,
        says: /not signed/,
        severity: "error",
      },
      {
        title: "signed by somebody else",
        files: { ...SEALED, [`${LOADER}.signed`]: SIGNED_LOADER, [LOADER]: STUB },
        options: trusting("other"),
        path: `${LOADER}.signed`,
        says: /No signature on it will be accepted/,
        severity: "error",
      },
      {
        title: "not signed, beside shim",
        files: { ...SEALED, [LOADER]: STUB, "usr/lib/bootupd/updates/EFI/fedora/shimx64.efi": "" },
        options: trusting("signer"),
        path: LOADER,
        says: /unless bootupd installs shim\.$/,
        severity: "warning",
      },
      {
        title: "a symlink",
        files: { ...SEALED, [LOADER]: STUB, [`${LOADER}.signed`]: { link: "systemd-bootx64.efi" } },
        path: `${LOADER}.signed`,
        says: /symlink, which bootctl does not follow/,
        severity: "warning",
      },
      {
        title: "no program",
        files: { ...SEALED, [LOADER]: "text" },
        path: LOADER,
        says: /can't be read/,
        severity: "warning",
      },
    ],
  },
  "enroll-keys": {
    pass: [
      { title: "a set", files: { ...SEALED, ...AUTH, ...INSTALLED } },
      { title: "a set for bootc only", files: { ...SEALED, ...INSTALLED } },
    ],
    fail: [
      {
        title: "one is missing",
        files: { ...SEALED, ...lacking(/KEK/, AUTH) },
        path: "boot/loader/keys/auto/KEK.auth",
        says: /missing/,
        severity: "error",
      },
      {
        title: "that bootc does not take",
        files: { ...SEALED, ...AUTH },
        path: AUTH_DIRECTORY,
        says: /No machine that bootc installs gets/,
      },
      {
        title: "for bootc, one of them missing",
        files: { ...SEALED, ...lacking(/KEK/, INSTALLED) },
        path: `${INSTALLED_KEYS}/auto/KEK.auth`,
        says: /missing/,
        severity: "error",
      },
      {
        title: "a file where bootc wants directories",
        files: { ...SEALED, [`${INSTALLED_KEYS}/PK.auth`]: "" },
        path: `${INSTALLED_KEYS}/PK.auth`,
        says: /not a directory: bootc install fails on it/,
        severity: "error",
      },
      {
        title: "secureboot-keys that is a file",
        files: { ...SEALED, [INSTALLED_KEYS]: "" },
        path: INSTALLED_KEYS,
        says: /not a directory/,
        severity: "error",
      },
      {
        title: "a symlink among the keys for bootc",
        files: { ...SEALED, ...INSTALLED, [`${INSTALLED_KEYS}/auto/dbx.auth`]: { link: "db.auth" } },
        path: `${INSTALLED_KEYS}/auto/dbx.auth`,
        says: /not a regular file: bootc install fails on it/,
        severity: "error",
      },
      {
        title: "of two sets",
        files: { ...SEALED, ...AUTH, ...(await auth("db", "signer", { signer: "leaf" })) },
        path: `${AUTH_DIRECTORY}/db.auth`,
        says: /not signed by a key of KEK/,
        severity: "warning",
      },
      {
        title: "corrupt",
        files: { ...SEALED, ...AUTH, [`${AUTH_DIRECTORY}/PK.auth`]: "no update" },
        path: `${AUTH_DIRECTORY}/PK.auth`,
        says: /not a signed variable update .* firmware refuses it/,
        severity: "error",
      },
      {
        title: "a db that does not allow what is signed",
        files: { ...SEALED, ...AUTH, ...(await auth("db", "leaf")) },
        path: `${AUTH_DIRECTORY}/db.auth`,
        says: /This db does not allow boot\/EFI\/.*: a machine that enrols this db refuses to start that program/,
        severity: "error",
      },
      {
        title: "forced",
        files: { ...SEALED, "boot/loader/loader.conf": "secure-boot-enroll force\n" },
        path: "boot/loader/loader.conf",
        says: /without asking/,
      },
    ],
  },
};

/** A tree in which everything is that user's. */
function ownedBy(uid: number): MemoryFiles {
  const paths = [".", "etc", "usr", "usr/bin", "var", "boot"];
  const file = { content: "", uid };
  return { ...Object.fromEntries(paths.map((path) => [path, { content: null, uid }])), "usr/bin/sh": file };
}

/** One byte of the kernel changed. */
function flip(bytes: Uint8Array): Uint8Array {
  const copy = Buffer.from(bytes);
  const at = copy.indexOf(OS_RELEASE);
  copy[at] = (copy[at] ?? 0) ^ 1;
  return copy;
}

function withMachine(bytes: Uint8Array, machine: number): Uint8Array {
  const copy = Buffer.from(bytes);
  copy.writeUInt16LE(machine, copy.readUInt32LE(0x3c) + 4);
  return copy;
}

function pkcs8(name: string): Uint8Array {
  const key = createPrivateKey(vector(`authenticode/keys/${name}.key`));
  return key.export({ type: "pkcs8", format: "der" });
}

/** Boot loaders of a version in /boot, and one of another version in the tree. */
function loaders(boot: string, tree: string): MemoryFiles {
  return {
    "boot/EFI/BOOT/BOOTX64.EFI": systemdBoot(boot),
    "boot/EFI/systemd/systemd-bootx64.efi": systemdBoot(boot),
    "usr/lib/systemd/boot/efi/systemd-bootx64.efi": systemdBoot(tree),
  };
}

describe("lint rules", () => {
  it("all have trees that pass and trees that fail", () => {
    // Those of images are tested with images, and those about the next image with two trees.
    const ids = RULES.filter(({ applies }) => applies !== "image" && applies !== "after").map(({ id }) => id);
    expect(Object.keys(cases).sort()).toEqual(ids.sort());
    for (const { pass, fail } of Object.values(cases)) expect(Math.min(pass.length, fail.length)).toBeGreaterThan(0);
  });

  describe.each(Object.entries(cases))("%s", (id, { pass, fail }) => {
    it.each(pass)("passes: $title", async ({ files, options, view }) => {
      const result = await runRule(id, files, options, view);
      if (result.kind !== "checked") throw new Error(`${result.kind}: ${result.reason}`);
      expect(result.problems.filter((problem) => problem.severity !== "info")).toEqual([]);
    });

    it.each(fail)("fails: $title", async ({ files, options, view, path, says, severity, fix }) => {
      const result = await runRule(id, files, options, view);
      if (result.kind !== "checked") throw new Error(`${result.kind}: ${result.reason}`);
      const problem = result.problems.find((candidate) => candidate.path === path && says.test(candidate.message));
      // Where nothing is wrong, nothing need be done.
      const advice = severity === "info" ? expect.any(String) : expect.stringMatching(/^[a-z].*\.$/s);
      expect(problem ?? result.problems).toMatchObject({ path, fix: advice });
      expect(problem?.fix).toMatch(fix ?? "");
      expect(problem?.severity).toBe(severity);
      for (const { message } of result.problems) expect(message).not.toMatch(/\n|undefined|\[object/);
    });
  });
});
