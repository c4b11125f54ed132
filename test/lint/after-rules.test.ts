/** The rules about the next image: machines that one tree installed, and another that they are to take. */
import { describe, expect, it } from "vitest";
import { utf8 } from "../../src/bytes.ts";
import { concat } from "../../src/chunks.ts";
import { seriesOf } from "../../src/composefs/named-release.ts";
import type { InstalledMachine, LintOptions } from "../../src/lint/context.ts";
import { LayerHistory } from "../../src/lint/layer-history.ts";
import type { RuleResult } from "../../src/lint/rule.ts";
import { RULES } from "../../src/lint/rules/index.ts";
import { runRules } from "../../src/lint/run.ts";
import { parseRevocationLevel } from "../../src/lint/sbat-level.ts";
import type { LayerForm } from "../../src/oci/layer-form.ts";
import { parsePe } from "../../src/pe/headers.ts";
import { signPe } from "../../src/sign/authenticode.ts";
import type { SecureBootVariable } from "../../src/sign/authvar.ts";
import { readDatabase } from "../../src/sign/database.ts";
import { signatureListsOf } from "../../src/sign/list-source.ts";
import { encodeSignatureLists } from "../../src/sign/siglist.ts";
import { cpioOf } from "../support/cpio.ts";
import { certificateEsl, certificateHashEsl, OWNER } from "../support/databases.ts";
import { keySet, keyUpdate } from "../support/key-sets.ts";
import {
  digestOf,
  dpkg,
  lintContext,
  makeUki,
  SPLIT,
  signed,
  systemdBoot,
  UKI_PATH,
  type UkiText,
  UNSEALED,
  without,
} from "../support/lint.ts";
import { shimWithLevels } from "../support/shim.ts";
import { type VectorKey, vectorSigner } from "../support/signing.ts";
import type { MemoryFiles } from "../support/tree.ts";

const LOADER = "usr/lib/systemd/boot/efi/systemd-bootx64.efi.signed";
const UNSIGNED_LOADER = LOADER.replace(/\.signed$/, "");
const KEYS = "usr/lib/bootc/install/secureboot-keys/auto";
const DB = `${KEYS}/db.auth`;
const SHIM = "usr/lib/shim/shimx64.efi";
const ADDON = `${UKI_PATH}.extra.d/a.addon.efi`;
const INSISTING = cpioOf({
  "usr/bin/composefs-setup-root": "/composefs-0.9.4/",
  init: "#!/bin/sh\ncomposefs-setup-root\n",
});

interface ImageOptions {
  /** What makes its root filesystem another one. */
  readonly version?: number;
  /** Who signs the UKI and the boot loader. */
  readonly signers?: readonly VectorKey[];
  readonly keys?: ReadonlyMap<SecureBootVariable, Uint8Array> | null;
  readonly bootc?: string | null;
  readonly uki?: UkiText;
  readonly cmdline?: (digest: string) => string;
  /** Null: none. */
  readonly loader?: Uint8Array | null;
  readonly more?: MemoryFiles;
  /** In /boot, so not in the digest. */
  readonly boot?: MemoryFiles;
}

async function signedBy(bytes: Uint8Array, signers: readonly VectorKey[]): Promise<Uint8Array> {
  let file = bytes;
  for (const key of signers) {
    const options = { append: true, signingTime: null };
    file = concat((await signPe(parsePe([file], "x.efi"), vectorSigner(key), options)).file);
  }
  return file;
}

const KEY_SET = await keySet();

/** A sealed tree as `seal prepare` and `seal rootfs` leave it. */
async function image(options: ImageOptions = {}): Promise<MemoryFiles> {
  const {
    version = 1,
    signers = ["signer"],
    keys = KEY_SET,
    bootc = "1.17.5",
    uki = {},
    more = {},
    boot = {},
  } = options;
  const { cmdline = (digest) => `composefs=${digest} rw` } = options;
  const loader = options.loader === undefined ? await signedBy(systemdBoot("257.9"), signers) : options.loader;
  const files: MemoryFiles = {
    ...SPLIT,
    "usr/lib/version": String(version),
    ...(loader === null ? {} : { [LOADER]: loader }),
    ...(bootc === null ? {} : dpkg(bootc)),
    ...Object.fromEntries([...(keys ?? [])].map(([name, bytes]) => [`${KEYS}/${name}.auth`, bytes])),
    ...more,
  };
  const text = makeUki({ initrd: INSISTING, cmdline: cmdline(await digestOf(files)), ...uki });
  return { ...files, [UKI_PATH]: await signedBy(text, signers), ...boot };
}

const A = await image();
const B = await image({ version: 2 });

interface Pair {
  readonly title: string;
  readonly installed?: MemoryFiles;
  readonly next?: MemoryFiles;
  /** What the user says of the machines. */
  readonly machine?: Partial<Pick<InstalledMachine, "db" | "dbx" | "seriesList">>;
  readonly options?: Partial<LintOptions>;
}
interface FailingPair extends Pair {
  readonly path?: string;
  readonly says: RegExp;
  readonly severity?: "error" | "warning" | "info";
  readonly fix?: RegExp;
}

function contextOf({ installed = A, next = B, machine = {}, options = {} }: Omit<Pair, "title">) {
  const runs = lintContext(installed);
  return lintContext(next, {
    after: { subject: "oci:a", runs, db: null, dbx: null, seriesList: null, ...machine },
    ...options,
  });
}

async function run(id: string, pair: Omit<Pair, "title">): Promise<RuleResult> {
  const rule = RULES.find((one) => one.id === id);
  if (rule === undefined) throw new Error(`there is no rule ${id}`);
  return rule.check(contextOf(pair));
}

const database = (bytes: Uint8Array) => readDatabase(bytes, "given.esl");
/** A list with the hashes of a program. */
const hashesOf = (program: Uint8Array) =>
  encodeSignatureLists(signatureListsOf(program, "x.efi", { owner: OWNER, certificatesByHash: false }));
const ukiOf = (files: MemoryFiles): Uint8Array => {
  const file = files[UKI_PATH];
  if (!(file instanceof Uint8Array)) throw new Error("no UKI");
  return file;
};

const level = (...lines: readonly string[]) => `sbat,1,2025021800\n${lines.map((line) => `${line}\n`).join("")}`;

const ROTATING = new Map([...KEY_SET, ["db", await keyUpdate("db", certificateEsl("signer", "db4096"))]] as const);
const ROTATED = await keySet("db4096");
const BOOTCTL = (version: number): MemoryFiles => ({
  "usr/bin/bootctl": "",
  [`usr/lib/systemd/libsystemd-shared-${version}.so`]: "",
});
const SBAT = (stub: number) =>
  `sbat,1,SBAT Version,sbat,1,u\nsystemd-stub,${stub},systemd,systemd,257,u\nuki,1,UKI,uki,1,u\n`;
const other = (files: MemoryFiles): MemoryFiles => {
  const copy = Buffer.from(ukiOf(files));
  copy.writeUInt16LE(0xaa64, copy.readUInt32LE(0x3c) + 4);
  return { ...files, [UKI_PATH]: copy };
};
const UNSIGNED_COPY = await image({
  keys: null,
  loader: null,
  more: { [UNSIGNED_LOADER]: systemdBoot("257.9") },
  boot: { "boot/EFI/BOOT/BOOTX64.EFI": await signed(systemdBoot("257.9")) },
});
const WITH_SHIM = { [SHIM]: shimWithLevels(level("shim,4")) };
/** As an image with one layer that is stored so. */
const storedAs = (form: LayerForm): Partial<LintOptions> => ({
  image: {
    config: { architecture: "amd64", os: "linux", variant: undefined, rootfs: { type: "layers", diff_ids: [] } },
    layers: [{ digest: null, size: 1, form }],
    history: new LayerHistory(),
    steps: [],
    created: null,
    records: [],
    mounted: null,
  },
});
const MEMBERS: LayerForm = { compression: "gzip", wrongType: null, isOnePart: false };
const RESEALED = { ...A, [UKI_PATH]: await signedBy(ukiOf(A), ["db4096"]) };

const cases: Readonly<Record<string, { pass: readonly Pair[]; fail: readonly FailingPair[] }>> = {
  "after-machine": {
    pass: [
      { title: "the next version" },
      { title: "the same image", next: A },
      {
        title: "a boot loader that the db given allows",
        installed: await image({ keys: null }),
        machine: { db: database(certificateEsl("signer")) },
      },
      {
        title: "an update by a bootc that knows either form",
        installed: await image({ cmdline: (digest) => `composefs.digest=v1-sha512-12:${digest}` }),
      },
    ],
    fail: [
      {
        title: "what is assumed",
        says: /installed from oci:a .*systemd-boot 257\.9 from its \/usr on the ESP, .*auto\/db\.auth of oci:a in firmware, bootc 1\.17\.5/,
        severity: "info",
      },
      {
        title: "what is not known",
        installed: await image({ keys: null, bootc: null, loader: null }),
        says: /an unknown boot loader, an unknown db, an unknown bootc/,
        severity: "info",
      },
      { title: "the same image, noted", next: A, says: /bootc upgrade finds nothing to do/, severity: "info" },
      { title: "a machine that is not sealed", installed: UNSEALED, says: /oci:a has no UKI/ },
      {
        title: "another architecture",
        next: other(B),
        says: /It is for aa64, but oci:a is for x64/,
        severity: "error",
      },
      {
        title: "the same tree, signed again",
        next: RESEALED,
        says: /the same UKI with different signatures: bootc upgrade .* never reaches/,
        fix: /change something in the root filesystem/,
      },
      {
        title: "the same tree with another UKI",
        next: { ...A, [UKI_PATH]: await signed(makeUki({ cmdline: `composefs=${await digestOf(A)} rw quiet` })) },
        says: /but is another UKI: bootc upgrade/,
      },
      {
        title: "a bootc that can't update",
        installed: await image({ bootc: "1.16.9", cmdline: (digest) => `composefs.digest=v1-sha512-12:${digest}` }),
        says: /can't be updated: bootc 1\.16\.7–1\.16\.10 recognises a composefs root by composefs=/,
        severity: "error",
      },
      {
        title: "a boot loader that is signed in /boot only",
        installed: UNSIGNED_COPY,
        path: UNSIGNED_LOADER,
        says: /only the boot loader in \/boot is signed, as seal 0\.1 left it.*Secure Boot off/,
        fix: /seal prepare.*bootctl install/,
      },
      {
        title: "a boot loader that its own db does not allow",
        installed: await image({ loader: await signed(systemdBoot("257.9"), "other") }),
        path: LOADER,
        says: /is not allowed by .*auto\/db\.auth of oci:a/,
      },
      {
        title: "a boot loader without any signature",
        installed: await image({ loader: systemdBoot("257.9") }),
        path: LOADER,
        says: /not allowed by .* \(it is not signed\)/,
      },
    ],
  },
  "after-release": {
    pass: [
      { title: "a release that accepts it" },
      {
        title: "? on the digest where nobody required fs-verity, or where it is only noted",
        installed: await image({ bootc: "1.16.9" }),
        next: await image({ version: 2, cmdline: (digest) => `composefs=?${digest}` }),
      },
      { title: "layers that the release unpacks", options: storedAs(MEMBERS) },
      {
        title: "the release that is given",
        installed: await image({ bootc: "1.15.1" }),
        machine: { seriesList: [seriesOf("1.17.5")] },
      },
    ],
    fail: [
      {
        title: "another digest",
        installed: await image({ bootc: "1.15.1" }),
        says: /Machines that run oci:a pull it with bootc 1\.15\.1, which refuses it: it computes v2/,
        fix: /seal it with --bootc 1\.15\.2/,
      },
      {
        title: "the release that is given, which refuses",
        machine: { seriesList: [seriesOf("1.15.1")] },
        says: /with bootc 1\.14\.0–1\.15\.2 \(--bootc\), which refuses it/,
      },
      {
        title: "? on the digest where machines require fs-verity",
        next: await image({ version: 2, cmdline: (digest) => `composefs=?${digest}` }),
        says: /It has \? on its digest, and machines that run oci:a require fs-verity: bootc 1\.17\.5 refuses it/,
        fix: /without --allow-missing-verity/,
      },
      {
        title: "no ? where machines may have no fs-verity",
        installed: await image({ cmdline: (digest) => `composefs=?${digest}` }),
        says: /their disk may lack fs-verity, which this image requires/,
        severity: "warning",
        fix: /filesystem of their \/sysroot/,
      },
      {
        title: "layers that the release does not unpack",
        installed: await image({ bootc: "1.16.11" }),
        options: storedAs(MEMBERS),
        says: /bootc 1\.16\.11, which refuses it: layer 1 of 1 has several gzip members/,
        fix: /--recompress/,
      },
      {
        title: "a wrong media type",
        options: storedAs({
          compression: "none",
          wrongType: "application/vnd.oci.image.layer.v1.tar+gzip",
          isOnePart: true,
        }),
        says: /layer 1 of 1 has the media type/,
        fix: /seal image/,
      },
      {
        title: "a kernel that is known to refuse verity roots",
        next: await image({ version: 2, uki: { uname: "7.0.3" } }),
        says: /^bootc 1\.17\.5 of the machines installs it, and it boots under a condition: if kernel 7\.0\.3 is patched/,
        severity: "warning",
      },
      {
        title: "no name in .osrel",
        next: await image({ version: 2, uki: { osrel: "X=1\n" } }),
        says: /can't name the entry/,
        fix: /os-release that has a name/,
      },
      {
        title: "a boot entry",
        next: await image({ version: 2, boot: { "boot/loader/entries/x.conf": "title x\n" } }),
        says: /refuses images with such an entry/,
        fix: /remove the entry/,
      },
      {
        title: "a payload for Android",
        next: await image({ version: 2, boot: { "boot/aboot-1.img": "x" } }),
        says: /takes boot\/aboot-1\.img for a boot payload/,
        fix: /remove the payload/,
      },
      {
        title: "an unreadable word",
        next: await image({ version: 2, cmdline: () => "composefs=zz" }),
        says: /can't read composefs=/,
      },
      {
        title: "an initramfs that mounts nothing",
        next: await image({ version: 2, uki: { initrd: cpioOf({ init: "x" }) } }),
        says: /nothing in the initramfs mounts/,
        fix: /initramfs that mounts/,
      },
      {
        title: "no bootc that is known",
        installed: await image({ bootc: null }),
        says: /Whether the machines accept it is unknown: no package database in oci:a/,
        severity: "warning",
        fix: /--bootc/,
      },
      {
        title: "a bootc that is too old",
        installed: await image({ bootc: "1.2.3" }),
        says: /bootc 1\.2\.3 of oci:a is older/,
        severity: "warning",
      },
    ],
  },
  "after-signature": {
    pass: [
      { title: "the same signer" },
      {
        title: "both signers while keys are rotated",
        next: await image({ version: 2, signers: ["db4096", "signer"] }),
      },
      {
        title: "a new signer whom the db given has",
        next: await image({ version: 2, signers: ["db4096"] }),
        machine: { db: database(certificateEsl("signer", "db4096")) },
      },
      {
        title: "its hash in the db given",
        next: await image({ version: 2, signers: ["other"] }),
        machine: { db: database(hashesOf(ukiOf(await image({ version: 2, signers: ["other"] })))) },
      },
      { title: "another hash in the dbx given", machine: { dbx: database(hashesOf(ukiOf(A))) } },
    ],
    fail: [
      {
        title: "a new signer",
        next: await image({ version: 2, signers: ["db4096"] }),
        says: /Machines with .*auto\/db\.auth of oci:a refuse to start it \(.*after the upgrade only oci:a starts/,
        fix: /also sign it .* seal keys auth db NEW\.crt --append/,
      },
      {
        title: "a signer whom the db given lacks",
        machine: { db: database(certificateEsl("other")) },
        says: /Machines with the given db refuse to start it/,
      },
      { title: "an empty db", machine: { db: database(new Uint8Array()) }, says: /refuse to start it/ },
      {
        title: "no signature",
        next: await image({ version: 2, signers: [], loader: await signed(systemdBoot("257.9")) }),
        says: /\(it is not signed\)/,
      },
      {
        title: "its hash in dbx",
        machine: { dbx: database(hashesOf(ukiOf(B))) },
        says: /revoked: its SHA-256 hash is in given\.esl/,
      },
      {
        title: "its signer in dbx",
        machine: { dbx: database(certificateHashEsl("signer")) },
        says: /is revoked by its hash in given\.esl/,
      },
      {
        title: "the dbx that machines enrolled",
        installed: await image({ keys: new Map([...KEY_SET, ["dbx", await keyUpdate("dbx", hashesOf(ukiOf(B)))]]) }),
        says: /revoked: its SHA-256 hash/,
      },
      {
        title: "a signer of whom only shim may know",
        installed: await image({ more: WITH_SHIM }),
        next: await image({ version: 2, signers: ["db4096"] }),
        says: /unless their shim trusts the signer/,
        severity: "warning",
      },
      {
        title: "no db that is known",
        installed: await image({ keys: null }),
        says: /Whether the machines start it is unknown: oci:a has no db/,
        severity: "warning",
        fix: /--db/,
      },
      {
        title: "no db that is known, but a dbx",
        installed: await image({ keys: null }),
        machine: { dbx: database(hashesOf(ukiOf(A))) },
        says: /Whether the machines start it is unknown/,
        severity: "warning",
      },
    ],
  },
  "after-esp": {
    pass: [
      { title: "the same boot loader" },
      {
        title: "the same shim",
        installed: await image({ more: WITH_SHIM }),
        next: await image({ version: 2, more: WITH_SHIM }),
      },
      {
        title: "the same addon",
        installed: await image({ boot: { [ADDON]: makeUki({ linux: null }) } }),
        next: await image({ version: 2, boot: { [ADDON]: makeUki({ linux: null }) } }),
      },
      { title: "old bootctl with old boot loader", next: await image({ version: 2, more: BOOTCTL(257) }) },
    ],
    fail: [
      {
        title: "another version",
        next: await image({ version: 2, loader: await signed(systemdBoot("258.1")) }),
        path: LOADER,
        says: /It is systemd-boot 258\.1, oci:a has systemd-boot 257\.9, and that one stays on the ESP/,
        fix: /^run bootctl update/,
      },
      {
        title: "other signatures",
        next: await image({ version: 2, loader: await signedBy(systemdBoot("257.9"), ["signer", "db4096"]) }),
        path: LOADER,
        says: /the systemd-boot 257\.9 of oci:a with different signatures/,
        fix: /bootctl install .* same version/,
      },
      {
        title: "one that the machines refuse",
        next: await image({ version: 2, loader: await signed(systemdBoot("258.1"), "db4096") }),
        path: LOADER,
        says: /firmware of its machines does not allow this one/,
        fix: /add its signer's certificate to db first/,
      },
      {
        title: "one where there was none",
        installed: await image({ loader: null }),
        path: LOADER,
        says: /which boot loader is on the ESP of its machines is unknown/,
      },
      {
        title: "entries that the boot loader does not show",
        next: await image({ version: 2, more: BOOTCTL(258) }),
        path: LOADER,
        says: /is 257, but the bootctl of this image is 258: .* key uki/,
      },
      {
        title: "another shim",
        installed: await image({ more: WITH_SHIM }),
        next: await image({ version: 2, more: { [SHIM]: shimWithLevels(level("shim,4"), level(), "new") } }),
        path: SHIM,
        says: /It differs from the one in oci:a: bootc upgrade does not run bootupd/,
        fix: /bootupctl update/,
      },
      {
        title: "a new shim",
        next: await image({ version: 2, more: WITH_SHIM }),
        path: SHIM,
        says: /oci:a has no file of that name/,
      },
      {
        title: "an addon",
        next: await image({ version: 2, boot: { [ADDON]: makeUki({ linux: null }) } }),
        path: ADDON,
        says: /copies no addons/,
      },
    ],
  },
  "after-keys": {
    pass: [
      { title: "the same keys" },
      {
        title: "the same keys, signed anew",
        next: await image({
          version: 2,
          keys: new Map([
            ...KEY_SET,
            ["db", await keyUpdate("db", "signer", { time: new Date("2026-02-02T00:00:00Z") })],
          ]),
        }),
      },
      {
        title: "what the db given has",
        next: await image({ version: 2, keys: ROTATING }),
        machine: { db: database(certificateEsl("signer", "db4096")) },
      },
    ],
    fail: [
      {
        title: "one more certificate",
        next: await image({ version: 2, keys: ROTATING }),
        path: DB,
        says: /It adds .*rsa4096.*, compared to what machines of oci:a have/i,
        fix: /seal keys auth db FILE --append --key KEK\.key/,
      },
      {
        title: "one certificate less",
        installed: await image({ keys: ROTATING }),
        path: DB,
        says: /It lacks/,
        fix: /without --append/,
      },
      {
        title: "another KEK",
        next: await image({ version: 2, keys: new Map([...KEY_SET, ["KEK", await keyUpdate("KEK", "ca")]]) }),
        path: `${KEYS}/KEK.auth`,
        says: /It adds .* and lacks/,
        fix: /--key PK\.key/,
      },
      {
        title: "a dbx",
        next: await image({
          version: 2,
          keys: new Map([...KEY_SET, ["dbx", await keyUpdate("dbx", hashesOf(ukiOf(A)))]]),
        }),
        path: `${KEYS}/dbx.auth`,
        says: /It adds the hash [0-9a-f]{4}….* of a program/,
      },
      {
        title: "keys where there were none",
        installed: await image({ keys: null }),
        path: DB,
        says: /oci:a has no keys to enrol/,
      },
      {
        title: "keys that forget who signed the boot loader",
        next: await image({ version: 2, signers: ["signer", "db4096"], keys: ROTATED }),
        path: DB,
        says: /do not allow the boot loader that oci:a put onto the ESP.*no longer starts/,
        fix: /replace the boot loader first/,
      },
    ],
  },
  "after-sbat": {
    pass: [
      {
        title: "a level that allows both",
        installed: await image({ more: WITH_SHIM }),
        next: await image({ version: 2, more: WITH_SHIM }),
      },
      { title: "a level that is given", options: { sbatLevel: parseRevocationLevel("systemd-stub,1\n", "x") } },
    ],
    fail: [
      {
        title: "a generation that the machines refuse",
        installed: await image({ more: { [SHIM]: shimWithLevels(level("systemd-stub,2")) }, uki: { sbat: SBAT(2) } }),
        says: /Machines of oci:a refuse it: .*systemd-stub 1, at least 2 required/,
        severity: "error",
      },
      {
        title: "a shim that revokes the UKI",
        next: await image({
          version: 2,
          more: { [SHIM]: shimWithLevels(level("systemd-stub,2")) },
          uki: { sbat: SBAT(2) },
        }),
        says: /Once it has started with Secure Boot.* refuses the UKI of oci:a.*no way back/,
      },
      {
        title: "a shim that revokes it when it is asked to",
        next: await image({
          version: 2,
          more: { [SHIM]: shimWithLevels(level("shim,4"), level("systemd-stub,2")) },
          uki: { sbat: SBAT(2) },
        }),
        says: /After mokutil --set-sbat-policy latest.*no way back/,
      },
      {
        title: "a shim that revokes the boot loader",
        next: await image({
          version: 2,
          more: { [SHIM]: shimWithLevels(level("systemd-stub,2")) },
          uki: { sbat: SBAT(2) },
        }),
        says: /refuses the boot loader of oci:a, usr\/lib\/systemd.*no longer start/,
        fix: /replace the boot loader before shim/,
      },
      {
        title: "a level that is given, which revokes the UKI",
        next: await image({ version: 2, uki: { sbat: SBAT(2) } }),
        options: { sbatLevel: parseRevocationLevel("systemd-stub,2\n", "x") },
        says: /At --sbat-level, shim refuses the UKI of oci:a/,
      },
      {
        title: "generations that were raised",
        installed: await image({ more: WITH_SHIM }),
        next: await image({ version: 2, more: WITH_SHIM, uki: { sbat: SBAT(2) } }),
        says: /differ from those of oci:a \(systemd-stub 2 instead of 1\)/,
        severity: "info",
      },
    ],
  },
  "after-rollback": {
    pass: [
      { title: "the same keys" },
      { title: "keys that are rotated by both certificates", next: await image({ version: 2, keys: ROTATING }) },
    ],
    fail: [
      {
        title: "keys that forget its signer",
        next: await image({ version: 2, signers: ["signer", "db4096"], keys: ROTATED }),
        says: /Once machines have .*auto\/db\.auth of .* they refuse the UKI of oci:a.*no way back/,
        fix: /leave the certificate/,
      },
      {
        title: "a dbx that revokes it",
        next: await image({
          version: 2,
          keys: new Map([...KEY_SET, ["dbx", await keyUpdate("dbx", hashesOf(ukiOf(A)))]]),
        }),
        says: /revoked: its SHA-256 hash is in .*no way back/,
      },
      {
        title: "a dbx that machines have",
        machine: { dbx: database(hashesOf(ukiOf(A))) },
        says: /With .*db\.auth of oci:a they refuse the UKI of oci:a/,
      },
      {
        title: "keys that forget a signer whom shim may know",
        installed: await image({ more: WITH_SHIM }),
        next: await image({ version: 2, signers: ["signer", "db4096"], keys: ROTATED }),
        says: /refuse the UKI of oci:a, .* unless their shim trusts the signer/,
      },
      {
        title: "a bootc that does not know where it is",
        next: await image({
          version: 2,
          bootc: "1.16.9",
          cmdline: (digest) => `composefs.digest=v1-sha512-12:${digest}`,
        }),
        says: /bootc rollback and upgrade fail/,
        fix: /--karg-style composefs/,
      },
      {
        title: "an initramfs that did not insist on fs-verity",
        installed: await image({
          uki: {
            initrd: cpioOf({ "usr/bin/composefs-setup-root": "/composefs-0.9.0/", init: "composefs-setup-root\n" }),
          },
        }),
        says: /Going back gives up.*composefs-setup-root 0\.9\.0 of oci:a does not require/,
        severity: "info",
      },
    ],
  },
};

describe("lint rules about the next image", () => {
  it("all have pairs that pass and pairs that fail", () => {
    const ids = RULES.filter(({ applies }) => applies === "after").map(({ id }) => id);
    expect(Object.keys(cases)).toEqual(ids);
  });

  describe.each(Object.entries(cases))("%s", (id, { pass, fail }) => {
    it.each(pass)("passes: $title", async (pair) => {
      const result = await run(id, pair);
      if (result.kind !== "checked") throw new Error(`${result.kind}: ${result.reason}`);
      expect(result.problems.filter(({ severity }) => severity !== "info")).toEqual([]);
    });

    it.each(fail)("fails: $title", async ({ path = UKI_PATH, says, severity, fix = /^/, ...pair }) => {
      const result = await run(id, pair);
      if (result.kind !== "checked") throw new Error(`${result.kind}: ${result.reason}`);
      const problem = result.problems.find((one) => says.test(one.message));
      expect(problem ?? result.problems).toMatchObject({ path });
      expect(problem?.severity).toBe(severity);
      expect(problem?.fix).toMatch(severity === "info" ? /^$/ : /^[a-z].*\.$/s);
      expect(problem?.fix).toMatch(fix);
      for (const { message } of result.problems) expect(message).not.toMatch(/\n|undefined|\[object/);
    });
  });

  it("do not apply where nobody asks, before sealing, and to other machines", async () => {
    const answers = async (context: ReturnType<typeof lintContext>) => {
      const { notApplicable, findings } = await runRules(
        RULES.filter(({ applies }) => applies === "after"),
        context,
      );
      return { reasons: new Set(notApplicable.map(({ reason }) => reason)), ids: findings.map(({ id }) => id) };
    };
    expect(await answers(lintContext(B))).toEqual({ reasons: new Set([expect.stringMatching(/--after/)]), ids: [] });
    expect(await answers(contextOf({ next: UNSEALED }))).toEqual({
      reasons: new Set(["the tree is not sealed"]),
      ids: [],
    });
    expect(await answers(contextOf({ next: other(B) }))).toEqual({
      reasons: new Set(["it is for other machines (after-machine)"]),
      ids: ["after-machine"],
    });
  });

  it("judge each set of keys that the menu of the boot loader offers, and only the one that is enrolled by itself", async () => {
    const moved = (files: MemoryFiles, to: string) =>
      Object.fromEntries(Object.entries(files).map(([path, file]) => [path.replace(`${KEYS}/`, `${to}/`), file]));
    const at = (name: string) => KEYS.replace(/auto$/, name);
    const old = Object.entries(await image({ keys: ROTATED })).filter(([path]) => path.startsWith(KEYS));
    const both = { ...moved(A, at("one")), ...moved(Object.fromEntries(old), at("two")) };
    const judged = await run("after-signature", { installed: both });
    expect(judged).toMatchObject({ problems: [{ message: expect.stringMatching(/with two\/db\.auth of oci:a/) }] });
    expect(await run("after-signature", { installed: { ...both, ...A } })).toEqual({ kind: "checked", problems: [] });
  });

  it("say of a corrupt program that nothing is known", async () => {
    const broken = { ...B, [UKI_PATH]: utf8("MZ") };
    expect(await run("after-signature", { next: broken })).toMatchObject({ kind: "not-applicable" });
    const corrupt = Buffer.from(ukiOf(B));
    corrupt.fill(0xff, parsePe([corrupt], "x").certificateTable?.offset ?? 0);
    const unanswered = async (id: string, next: MemoryFiles) => {
      const rules = RULES.filter((rule) => rule.id === id);
      return (await runRules(rules, contextOf({ next }))).couldNotRun;
    };
    expect(await unanswered("after-signature", { ...B, [UKI_PATH]: corrupt })).toMatchObject([
      { id: "after-signature" },
    ]);
    const cut = await image({ version: 2, more: { [SHIM]: shimWithLevels(level()).subarray(0, 0x300) } });
    expect(await unanswered("after-sbat", cut)).toMatchObject([{ reason: expect.stringContaining(SHIM) }]);
    expect(await run("after-machine", { installed: without(A, /dpkg/) })).toMatchObject({ kind: "checked" });
  });
});
