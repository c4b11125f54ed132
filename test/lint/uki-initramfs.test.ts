/** What uki-initramfs says of initramfs images as distributions and people make them. */
import { spawnSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync, zstdCompressSync } from "node:zlib";
import { describe, expect, it } from "vitest";
import { failingCondition } from "../../src/lint/root-setup.ts";
import type { RuleResult } from "../../src/lint/rule.ts";
import { cpioArchive, cpioOf, SYMLINK } from "../support/cpio.ts";
import {
  digestOf,
  KVER,
  lintContext,
  makeUki,
  runRule,
  SPLIT,
  sealedTree,
  signed,
  UKI_PATH,
  type UkiText,
} from "../support/lint.ts";
import { describeWith, realRootfs, SETUP_ROOT } from "../support/peers.ts";
import type { MemoryFiles } from "../support/tree.ts";

const DIGEST = await digestOf(SPLIT);
const WRONG = "ab".repeat(64);
const MODULES = `usr/lib/modules/${KVER}`;

type Files = Parameters<typeof cpioOf>[0];

/** As composefs-rs's module for dracut makes it, shortened. */
const COMPOSEFS: Files = {
  "usr/bin/composefs-setup-root": "\x7fELF /src/composefs-0.9.4/src/mount.rs",
  "usr/lib/systemd/system/composefs-setup-root.service":
    "[Unit]\nConditionKernelCommandLine=|composefs\nConditionKernelCommandLine=|composefs.digest\n[Service]\nExecStart=/usr/bin/composefs-setup-root\n",
  "usr/lib/systemd/system/initrd-root-fs.target.wants/composefs-setup-root.service": "",
};
/** As bootc's does. */
const BOOTC: Files = {
  "usr/lib/bootc/initramfs-setup": "\x7fELF … composefs.digest …/git/checkouts/composefs-rs-b4/0fbc853/src/x.rs",
  "usr/lib/systemd/system/bootc-root-setup.service":
    "[Unit]\nConditionKernelCommandLine=composefs\nConditionPathExists=/etc/initrd-release\n[Service]\nExecStart=/usr/lib/bootc/initramfs-setup setup-root\n",
  "usr/lib/systemd/system/initrd-root-fs.target.wants/bootc-root-setup.service": "",
};

/** What is said of a program that does not require fs-verity in every case. */
const WEAK = /^warning: bootc's initramfs-setup.* does not require fs-verity in every case/;

async function check(
  files: Files | Uint8Array,
  cmdline = `composefs=${DIGEST} rw`,
  { tree = {}, uki = {} }: { tree?: MemoryFiles; uki?: UkiText } = {},
): Promise<RuleResult> {
  const initrd = files instanceof Uint8Array ? files : gzipSync(cpioOf(files));
  const sealed = await sealedTree({ cmdline, initrd, ...uki }, tree);
  return runRule("uki-initramfs", sealed);
}

/** Severity and message of all problems. */
async function says(...args: Parameters<typeof check>): Promise<string[]> {
  const result = await check(...args);
  if (result.kind !== "checked") throw new Error(result.reason);
  return result.problems.map(({ path, severity = "error", message }) => {
    expect(path).toBe(UKI_PATH);
    return `${severity}: ${message}`;
  });
}

describe("uki-initramfs", () => {
  it.each([
    ["a file that nobody may execute", 0o100_644],
    ["a symlink", SYMLINK],
    ["a directory", 0o040_755],
  ])("takes %s for no program that mounts the root", async (_, mode) => {
    const name = "usr/bin/composefs-setup-root";
    expect(await says(cpioArchive([{ name, mode, content: Buffer.from("/x") }]))).toEqual([
      expect.stringMatching(/^error: .* has neither composefs-setup-root nor bootc's initramfs-setup/),
    ]);
    const others = await says(cpioArchive([{ name, mode: 0o100_001, content: Buffer.from("/x") }]));
    expect(others.join("\n")).not.toMatch(/has neither/);
  });

  it("names the program that mounts the root, wherever it lies", async () => {
    expect(await says(COMPOSEFS)).toEqual([
      expect.stringMatching(
        /^info: .* with composefs-setup-root 0\.9\.4 \(usr\/bin\/composefs-setup-root\), which tries the digests/,
      ),
    ]);
    expect(await says(BOOTC)).toEqual([
      expect.stringMatching(
        /^info: .* with bootc's initramfs-setup \(composefs-rs 0fbc853\) \(usr\/lib\/bootc\/initramfs-setup\), which reads only the first composefs\.digest=/,
      ),
      expect.stringMatching(WEAK),
    ]);
    const own = { "sbin/composefs-setup-root": "x", init: "#!/bin/sh\nmount x\ncomposefs-setup-root || poweroff -f\n" };
    expect(await says(own)).toEqual([expect.stringMatching(/^info: /)]);
  });

  it("finds it in any archive, whatever it is compressed with", async () => {
    const microcode = cpioOf({ "kernel/x86/microcode/AuthenticAMD.bin": "microcode" });
    const main = cpioOf(COMPOSEFS);
    const packers: ((bytes: Uint8Array) => Uint8Array)[] = [
      (bytes) => bytes,
      (bytes) => gzipSync(bytes),
      (bytes) => zstdCompressSync(bytes),
    ];
    for (const [name, ...args] of [
      ["xz", "-c", "--check=crc32"],
      ["lz4", "-lqc"],
      ["xz", "-c", "--format=lzma"],
    ] as const) {
      if (spawnSync(name, ["--version"]).error === undefined)
        packers.push((input) => spawnSync(name, args, { input }).stdout);
    }
    for (const pack of packers) {
      const both = Buffer.concat([microcode, pack(main)]);
      expect(await says(both)).toEqual([expect.stringMatching(/^info: .*composefs-setup-root/)]);
    }
  });

  it("complains when there is none, or none that could run", async () => {
    expect(await says({ init: "x", "usr/lib/ostree/ostree-prepare-root": "x" })).toEqual([
      expect.stringMatching(
        /^error: .*\(gzip; 2 files\) has neither .* It has ostree-prepare-root, which mounts ostree's/,
      ),
    ]);
    expect(await says({ "usr/bin/composefs-setup-root": null })).toEqual([expect.stringMatching(/^error: .*neither/)]);
    expect(await says(gzipSync(cpioOf(COMPOSEFS)).subarray(0, 150))).toEqual([
      expect.stringMatching(/^error: Its initramfs can't be unpacked: .*truncated/),
    ]);
  });

  it("says what it can't look into, and does not pass it", async () => {
    expect(await check(Buffer.from("894c5a4f00", "hex"))).toEqual({
      kind: "could-not-run",
      reason: expect.stringMatching(
        /^boot\/EFI\/Linux\/.*compressed with lzo, which seal can't unpack here; pack it with/,
      ),
    });
  });

  it.each([
    [
      "what it can't look into",
      Buffer.from("894c5a4f00", "hex"),
      /^not checked: .* compressed with lzo, which seal can't/,
    ],
    ["two programs", gzipSync(cpioOf({ ...COMPOSEFS, ...BOOTC })), /^not checked: its initramfs has both composefs-s/],
    ["no program", gzipSync(cpioOf({ init: "x" })), /^not checked: nothing in the initramfs mounts/],
  ])("leaves the verdict on fs-verity open for %s, with the reason", async (_, initrd, reason) => {
    const files = await sealedTree({ cmdline: `composefs=${DIGEST} rw`, initrd });
    const [uki] = await lintContext(files).hosts();
    for (const { enforces } of uki?.verdicts ?? []) {
      expect(enforces).toEqual({ ok: null, reasons: [{ id: "verity", text: expect.stringMatching(reason) }] });
    }
    expect(uki?.verdicts.length).toBeGreaterThan(0);
  });

  it("warns when nothing starts the program", async () => {
    expect(await says({ "usr/bin/composefs-setup-root": "x" })).toContainEqual(
      expect.stringMatching(/^warning: .*no script or unit that starts it/),
    );
    const { "usr/lib/systemd/system/initrd-root-fs.target.wants/bootc-root-setup.service": _, ...unwanted } = BOOTC;
    expect(await says(unwanted)).toContainEqual(
      expect.stringMatching(/^warning: usr\/lib\/systemd\/system\/bootc-root-setup\.service .*no other unit wants it/),
    );
  });

  it("complains when the condition of the unit does not hold", async () => {
    const long = `composefs.digest=v1-sha512-12:${DIGEST} rw`;
    expect(await says(COMPOSEFS, long)).toEqual([expect.stringMatching(/^info/)]);
    expect(await says(BOOTC, long)).toContainEqual(
      expect.stringMatching(
        /^error: systemd .*bootc-root-setup\.service has ConditionKernelCommandLine=composefs, which its cmdline does not meet/,
      ),
    );
  });

  it("complains when the digest of the tree is not the one that is looked up", async () => {
    const second = `composefs=${WRONG} composefs=${DIGEST}`;
    expect(await says(COMPOSEFS, second)).toEqual([expect.stringMatching(/^info/)]);
    expect(await says(BOOTC, second)).toContainEqual(
      expect.stringMatching(/^error: bootc's initramfs-setup .* reads abababab…abab, and not [0-9a-f]{8}…/),
    );
    const sound = [expect.stringMatching(/^info/), expect.stringMatching(WEAK)];
    expect(await says(BOOTC, `composefs=${DIGEST} composefs=${WRONG}`)).toEqual(sound);
    // What is right for nothing is the care of uki-digest.
    expect(await says(BOOTC, `composefs=${WRONG}`)).toEqual(sound);
  });

  it("knows bootc's program of before 1.16.3 by what is not in it", async () => {
    const old = { ...BOOTC, "usr/lib/bootc/initramfs-setup": "\x7fELF … composefs= …" };
    const both = `composefs.digest=v1-sha512-12:${DIGEST} composefs=${WRONG}`;
    expect(await says(BOOTC, both)).toEqual([expect.stringMatching(/^info/), expect.stringMatching(WEAK)]);
    expect(await says(old, both)).toEqual([
      expect.stringMatching(/^info: .*which reads only the first composefs= on the cmdline/),
      expect.stringMatching(WEAK),
      expect.stringMatching(/^error: .* reads abababab…abab, and not/),
    ]);
  });

  it.each<[string, string | null, string | null, RegExp]>([
    ["composefs-setup-root", "0.9.4", null, /^info: .* composefs-setup-root 0\.9\.4 .*in order\.$/],
    ["composefs-setup-root", "0.9.0", null, /^warning: composefs-setup-root 0\.9\.0 .*does not require/],
    ["composefs-setup-root", null, null, /^info: .*Its release is unknown, so it may not require fs-verity/],
    ["bootc/initramfs-setup", null, "1.17.5-1", /^info: .*initramfs-setup of bootc 1\.17\.5 .*in order\.$/],
    ["bootc/initramfs-setup", "0.9.4", "1.17.5-1", /^info: .*initramfs-setup of bootc 1\.17\.5 .*in order\.$/],
    [
      "bootc/initramfs-setup",
      null,
      "1.17.4-1",
      /^warning: bootc's initramfs-setup of bootc 1\.17\.4 .*does not require/,
    ],
    [
      "bootc/initramfs-setup",
      null,
      "1.16.9-1",
      /^warning: bootc's initramfs-setup of bootc 1\.16\.9 .*does not require/,
    ],
    // Made before the bootc in the tree was updated.
    ["bootc/initramfs-setup", "0.9.0", "1.17.5-1", /^warning: .*\(composefs-rs 0\.9\.0\) .*does not require/],
    ["bootc/initramfs-setup", "0.9.4", null, /^info: .*in order\. Its release is unknown/],
    ["bootc/initramfs-setup", null, null, /^info: .*if it is from bootc 1\.17 or newer.*Its release is unknown/],
  ])(
    "says whether %s, of composefs-rs %s in a tree with bootc %s, requires fs-verity",
    async (name, own, bootc, expected) => {
      const path = `usr/lib/${name}`;
      const sources = own === null ? "" : `/registry/src/x/composefs-${own}/src/mount.rs`;
      const files = { [path]: `\x7fELF composefs.digest ${sources}`, init: `#!/bin/sh\n/${path}\n` };
      const paragraph = `Package: bootc\nStatus: install ok installed\nVersion: ${bootc}\n`;
      const tree: MemoryFiles = bootc === null ? {} : { "var/lib/dpkg/status": paragraph };
      const cmdline = `composefs=${await digestOf({ ...SPLIT, ...tree })}`;
      const lines = await says(files, cmdline, { tree });
      expect(lines.at(-1)).toMatch(expected);
      expect(lines.filter((line) => !line.startsWith("info"))).toHaveLength(
        expected.source.startsWith("^info") ? 0 : 1,
      );
    },
  );

  it("tells who accepts a UKI with several digests by what its initramfs reads", async () => {
    const cmdline = `composefs.digest=v1-sha512-12:${DIGEST} composefs=${await digestOf(SPLIT, "1.15")}`;
    const verdict = async (files: Files, line: string) => {
      const context = lintContext(await sealedTree({ cmdline, initrd: cpioOf(files) }));
      const verdicts = (await context.hosts()).flatMap((uki) => uki.verdicts);
      const found = verdicts.find(({ series }) => series.name === line);
      return found?.refusal?.id ?? found?.boots.reasons[0]?.text ?? null;
    };
    expect(await verdict({ init: "" }, "1.14.0–1.15.2")).toBe("no-mount");
    expect(await verdict(COMPOSEFS, "1.14.0–1.15.2")).toBeNull();
    expect(await verdict(BOOTC, "1.14.0–1.15.2")).toBe("initramfs");
    expect(await verdict(BOOTC, "1.16.7–1.16.10")).toBeNull();
  });

  it("looks for the modules of that kernel, and for what they depend on", async () => {
    const lists: MemoryFiles = {
      [`${MODULES}/modules.builtin`]: "kernel/fs/overlayfs/overlay.ko\n",
      [`${MODULES}/modules.dep`]:
        "kernel/fs/erofs/erofs.ko.zst: kernel/lib/libcrc32c.ko.zst\nkernel/lib/libcrc32c.ko.zst:\n",
    };
    const cmdline = `composefs=${await digestOf({ ...SPLIT, ...lists })}`;
    const missing = async (more: Files, tree = lists) =>
      (await says({ ...COMPOSEFS, ...more }, cmdline, { tree })).filter((line) => !line.startsWith("info"));
    const directory = `usr/lib/modules/${KVER}/kernel`;
    expect(
      await missing({ [`${directory}/fs/erofs/erofs.ko.zst`]: "", [`${directory}/lib/libcrc32c.ko.zst`]: "" }),
    ).toEqual([]);
    expect(await missing({ "modules/erofs.ko": "", "modules/libcrc32c.ko": "" })).toEqual([]);
    expect(await missing({ "lib/modules/5.0/kernel/fs/erofs/erofs.ko.xz": "", "libcrc32c.ko.gz": "" })).toEqual([
      expect.stringMatching(
        /^warning: .*lacks the module erofs \(it has the one of 5\.0\), which kernel 6\.12\.1 has not built in/,
      ),
    ]);
    expect(await missing({})).toHaveLength(2);
    const without = { ...lists, [`${MODULES}/modules.dep`]: "kernel/fs/ext4/ext4.ko:\n" };
    expect(await missing({}, without)).toEqual([expect.stringMatching(/has erofs neither built in nor as a module/)]);
    // Nothing tells.
    expect(await missing({}, {})).toEqual([]);
    const own = { [`usr/lib/modules/${KVER}/modules.builtin`]: "kernel/fs/erofs/erofs.ko\n" };
    expect(await missing(own, {})).toEqual([expect.stringMatching(/lacks the module overlay/)]);
  });
});

describe("failingCondition", () => {
  it.each<[string, string, string | null]>([
    ["", "quiet", null],
    ["ConditionKernelCommandLine=composefs", "composefs=1", null],
    ["ConditionKernelCommandLine=composefs", "composefs", null],
    ["ConditionKernelCommandLine=composefs", "composefs.digest=1", "ConditionKernelCommandLine=composefs"],
    ["ConditionKernelCommandLine=!ostree", "ostree=1", "ConditionKernelCommandLine=!ostree"],
    ["ConditionKernelCommandLine=a=1", "a=2 a=1", null],
    ["ConditionKernelCommandLine=|a\nConditionKernelCommandLine=|b", "b", null],
    [
      "ConditionKernelCommandLine=|a\nConditionKernelCommandLine=|b",
      "c",
      "ConditionKernelCommandLine=|a and ConditionKernelCommandLine=|b",
    ],
    ["ConditionKernelCommandLine=|a\nConditionPathExists=|/x", "c", null],
    ["ConditionKernelCommandLine=a\nConditionKernelCommandLine=", "c", null],
  ])("of %j with %j is %j", (unit, cmdline, expected) => {
    expect(failingCondition(unit, cmdline)).toBe(expected);
  });
});

describeWith(["rootfs", "cfsctl"], "uki-initramfs with real files", () => {
  const binary = SETUP_ROOT;

  it("looks into a distribution's initramfs, and into one with the real program added behind it", async () => {
    const modules = join(realRootfs() ?? "", "usr/lib/modules");
    const [version = ""] = readdirSync(modules);
    const initrd = readFileSync(join(modules, version, "initramfs.img"));
    const lists = ["modules.builtin", "modules.dep"].map((name) => [
      `usr/lib/modules/${version}/${name}`,
      readFileSync(join(modules, version, name)),
    ]);
    const tree: MemoryFiles = Object.fromEntries(lists) as MemoryFiles;
    const { "usr/lib/os-release": _, ...rest } = await sealedTree({ uname: version, initrd }, tree);
    const uki = async (bytes: Uint8Array) => ({
      ...rest,
      [UKI_PATH]: await signed(makeUki({ uname: version, initrd: bytes })),
    });
    const plain = await runRule("uki-initramfs", await uki(initrd));
    expect(plain).toMatchObject({
      problems: [{ message: expect.stringMatching(/\(uncompressed, zstd; \d+ files\) has neither/) }],
    });
    if (!existsSync(binary)) return;
    const added = cpioOf({
      "usr/bin/composefs-setup-root": readFileSync(binary),
      init: "#!/bin/sh\ncomposefs-setup-root\n",
    });
    const both = await runRule(
      "uki-initramfs",
      await uki(Buffer.concat([initrd, Buffer.alloc(-initrd.length & 3), added])),
    );
    const found =
      both.kind === "checked" ? both.problems.map(({ severity, message }) => `${severity}: ${message}`) : [];
    expect(found).toEqual([
      expect.stringMatching(/^info: .*composefs-setup-root/),
      expect.stringMatching(/^warning: .*lacks the module erofs/),
      expect.stringMatching(/^warning: .*lacks the module overlay/),
    ]);
  });
});
