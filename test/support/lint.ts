/** Trees for lint rules: a small sealed one, and the UKIs in it. */
import { utf8 } from "../../src/bytes.ts";
import { concat } from "../../src/chunks.ts";
import { composefsDigests } from "../../src/composefs/digest.ts";
import { seriesOf } from "../../src/composefs/named-release.ts";
import { createContext, type LintOptions } from "../../src/lint/context.ts";
import type { RuleResult } from "../../src/lint/rule.ts";
import { RULES } from "../../src/lint/rules/index.ts";
import { parsePe } from "../../src/pe/headers.ts";
import { assembleUki } from "../../src/pe/uki.ts";
import { signPe } from "../../src/sign/authenticode.ts";
import type { Rootfs } from "../../src/tree/rootfs.ts";
import { cpioOf } from "./cpio.ts";
import { type VectorKey, vectorSigner } from "./signing.ts";
import { type MemoryFiles, memoryRootfs } from "./tree.ts";
import { vector } from "./vectors.ts";

export const STUB = vector("uki/inputs/stub-plain");
export const KVER = "6.12.1";
export const UKI_PATH = `boot/EFI/Linux/${KVER}.efi`;
export const OS_RELEASE = 'ID=example\nPRETTY_NAME="Example 1"\n';
export const LINT_TIME = new Date("2026-03-01T00:00:00Z");

/** A tree with a kernel and without a /boot, sound as far as rules can tell. */
export const UNSEALED: MemoryFiles = {
  ...Object.fromEntries(["boot", "dev", "proc", "run", "sys", "sysroot", "tmp", "var"].map((path) => [path, null])),
  ostree: { link: "sysroot/ostree" },
  "etc/passwd": "root:x:0:0:root:/root:/bin/sh\n",
  "etc/group": "root:x:0:\n",
  "etc/hostname": "example\n",
  "usr/bin/sh": elf(62),
  "usr/lib/os-release": OS_RELEASE,
  "usr/lib/ostree/prepare-root.conf": "[composefs]\nenabled = verity\n",
  "usr/lib/sysusers.d/basic.conf": 'u root 0 "Super User" /root\n',
  [`usr/lib/modules/${KVER}/vmlinuz`]: "kernel",
  [`usr/lib/modules/${KVER}/initramfs.img`]: "initramfs",
  [`usr/lib/modules/${KVER}/modules.dep`]: "",
};

/** The same with the kernel split off, before anything is in /boot. */
export const SPLIT: MemoryFiles = without(UNSEALED, /vmlinuz$|initramfs\.img$/);

/** An initramfs that mounts a composefs root, as far as rules can tell. */
export const INITRAMFS = cpioOf({
  "usr/bin/composefs-setup-root": "program",
  init: "#!/bin/sh\ncomposefs-setup-root\n",
});

/** The sections of a UKI as text; null: no such section. */
export interface UkiText {
  readonly cmdline?: string | null;
  readonly osrel?: string | Uint8Array | null;
  readonly uname?: string | null;
  readonly linux?: Uint8Array | null;
  readonly stub?: Uint8Array;
  readonly sbat?: string | null;
  /** Only beside a kernel. */
  readonly initrd?: Uint8Array | null;
}

export function makeUki(text: UkiText): Uint8Array {
  const {
    cmdline = "",
    osrel = OS_RELEASE,
    uname = KVER,
    sbat = "sbat,1,SBAT Version,sbat,1,u\nsystemd-stub,1,systemd,systemd,257,u\nuki,1,UKI,uki,1,u\n",
  } = text;
  const one = (name: string, content: string | Uint8Array | null) =>
    content === null ? [] : [{ name, content: [typeof content === "string" ? utf8(content) : content] }];
  const sections = [
    ...one(".osrel", osrel),
    ...one(".cmdline", cmdline),
    ...one(".uname", uname),
    ...(text.initrd === null || text.linux === null ? [] : [{ name: ".initrd", content: [text.initrd ?? INITRAMFS] }]),
    ...(text.linux === null ? [] : [{ name: ".linux", content: [text.linux ?? utf8("kernel")] }]),
    ...one(".sbat", sbat),
  ];
  return concat(assembleUki(parsePe([Buffer.from(text.stub ?? STUB)], "stub"), sections));
}

export async function signed(bytes: Uint8Array, key: VectorKey = "signer"): Promise<Uint8Array> {
  return concat(
    (await signPe(parsePe([bytes], "x.efi"), vectorSigner(key), { append: false, signingTime: null })).file,
  );
}

/** A systemd-boot of a version, as far as it tells. */
export function systemdBoot(version: string): Uint8Array {
  const mark = utf8(`#### LoaderInfo: systemd-boot ${version} ####\0`);
  const stub = renameSection(STUB, ".sdmagic", ".stub");
  return renameSection(makeUki({ stub, cmdline: null, osrel: null, uname: null, linux: mark }), ".linux", ".sdmagic");
}

/** The package database of a tree with a bootc. */
export function dpkg(version: string): MemoryFiles {
  return { "var/lib/dpkg/status": `Package: bootc\nStatus: install ok installed\nVersion: ${version}\n` };
}

/** The digest of a tree for a bootc release. */
export async function digestOf(
  files: MemoryFiles,
  bootc = "latest",
  mtime: "exact" | "seconds" = "exact",
  xattrs: "allowlist" | "keep-user" = "allowlist",
  erofs = seriesOf(bootc).erofs,
): Promise<string> {
  const options = {
    targets: [{ ...seriesOf(bootc), erofs }],
    algorithm: "sha512",
    transform: "boot",
    xattrs,
    mtime,
  } as const;
  const [digest] = await composefsDigests(memoryRootfs(files), options);
  if (digest === undefined) throw new Error("no digest");
  return digest.digest;
}

/** A sealed tree: the UKI demands the digest of the rest, everything is signed. */
export async function sealedTree(
  uki: UkiText & { readonly arguments?: string } = {},
  more: MemoryFiles = {},
): Promise<MemoryFiles> {
  const files = { ...SPLIT, ...more };
  const cmdline =
    uki.cmdline === undefined ? `composefs=${await digestOf(files)} rw ${uki.arguments ?? ""}` : uki.cmdline;
  const loader = await signed(STUB);
  return {
    ...files,
    [UKI_PATH]: await signed(makeUki({ ...uki, cmdline })),
    "boot/EFI/BOOT/BOOTX64.EFI": loader,
    "boot/EFI/systemd/systemd-bootx64.efi": loader,
    "boot/loader/loader.conf": "timeout 3\n",
    ...Object.fromEntries(Object.entries(more).filter(([path]) => path.startsWith("boot/"))),
  };
}

/** Runs one rule by its id. */
export async function runRule(
  id: string,
  files: MemoryFiles,
  options: Partial<LintOptions> = {},
  view: Rootfs["view"] = "mounted",
): Promise<RuleResult> {
  const rule = RULES.find((candidate) => candidate.id === id);
  if (rule === undefined) throw new Error(`there is no rule ${id}`);
  return rule.check(lintContext(files, options, view));
}

export function lintContext(files: MemoryFiles, options: Partial<LintOptions> = {}, view: Rootfs["view"] = "mounted") {
  const rootfs = memoryRootfs(files, view);
  return createContext(rootfs, {
    certificates: [],
    now: LINT_TIME,
    seriesList: [seriesOf("latest")],
    sbatLevel: null,
    mustBeSealed: false,
    image: null,
    after: null,
    rootfsFor: async () => rootfs,
    ...options,
  });
}

/** Without the paths that match. */
export function without(files: MemoryFiles, pattern: RegExp): MemoryFiles {
  return Object.fromEntries(Object.entries(files).filter(([path]) => !pattern.test(path)));
}

/** The first bytes of a little-endian 64-bit ELF program for a machine. */
export function elf(machine: number): Uint8Array {
  const header = Buffer.alloc(64);
  header.write("\x7fELF\x02\x01\x01", "latin1");
  header.writeUInt16LE(2, 16);
  header.writeUInt16LE(machine, 18);
  return header;
}

/** A copy of a PE file with the header of a section renamed. */
export function renameSection(bytes: Uint8Array, from: string, to: string): Uint8Array {
  const copy = Buffer.from(bytes);
  const pe = parsePe([copy], "x.efi");
  const section = pe.sections.find(({ name }) => name === from);
  if (section === undefined) throw new Error(`no section ${from}`);
  copy.fill(0, section.headerOffset, section.headerOffset + 8);
  copy.write(to, section.headerOffset, "latin1");
  return copy;
}
