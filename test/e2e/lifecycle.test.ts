/**
 * A sealed image on a machine: installed on a disk as bootc does, its keys enrolled, booted under Secure Boot with the real composefs-setup-root,
 * upgraded by the real cfsctl, rolled back; and what must stop it, each with one thing changed on a copy of the disk.
 */
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { type BootTestReport, bootTestSchema } from "../../src/cli/boot-test/schema.ts";
import { runMachine } from "../../src/io/vm/qemu.ts";
import { seal } from "../support/cli.ts";
import { writeLayout } from "../support/layout.ts";
import { changeByte, copyDisk, digestPath, dropVerity, objectPath, putOnEsp } from "../support/machine-disk.ts";
import {
  bootLayer,
  directoryLayer,
  kernelLayer,
  PAYLOAD,
  treeLayer,
  unpackBoot,
  versionLayer,
} from "../support/machine-image.ts";
import { describeWith, findPeer, machineRootfs, PEERS_DIR, peerTree } from "../support/peers.ts";
import { runSetup } from "../support/setup-machine.ts";

const NEEDS = [
  "qemu-system-x86_64",
  "mkfs.vfat",
  "mcopy",
  "mdeltree",
  "mkfs.ext4",
  "debugfs",
  "sfdisk",
  "cfsctl",
] as const;
const KARGS = ["rw", "quiet", "panic=-1"];
const ENV = { PATH: `${join(PEERS_DIR, "bin")}${delimiter}${process.env["PATH"]}` };
/** Room for a machine that shares its cores with others. */
const SECONDS = "240";
const LOADERS = "usr/lib/systemd/boot/efi";

interface Booted {
  readonly code: number;
  readonly report: BootTestReport;
  /** What the serial console said. */
  readonly log: string;
  readonly stderr: string;
}

describeWith([...NEEDS, "root", "machine", "trees"], "a sealed image on a machine", () => {
  const results = new Map<string, Booted>();
  let cwd = "";
  let setup = "";
  let upgraded = "";
  let console2 = "";
  const digests: string[] = [];
  /** Of each version the V2 digest too, which its command line names for older releases: this initramfs tries all words. */
  const olderDigests: string[] = [];
  const words = (version: number) =>
    `composefs\\.digest=v1-sha512-12:${digests[version]} composefs=${olderDigests[version]}`;

  const sealed = async (...args: readonly string[]) => {
    const result = await seal(args, { cwd, env: ENV });
    expect(result.code, result.stderr).toBe(0);
    return result.stdout.trim();
  };
  /** Boots with boot-test; the firmware comes from the tree that QEMU runs in. */
  const boot = async (name: string, ...args: readonly string[]) => {
    const machine = ["--accel", "tcg", "--cpu", "qemu64", "--memory", "768", "--timeout", SECONDS];
    const firmware = ["--firmware-code", "OVMF_CODE_4M.secboot.fd", "--firmware-vars", "OVMF_VARS_4M.fd"];
    const keys = args.includes("oci:image1:v") || args.includes("oci:unsigned") ? [] : ["--enroll", "keys"];
    const output = ["--keep-log", `${name}.log`, "--json"];
    const result = await seal(["boot-test", ...machine, ...firmware, ...output, ...keys, ...args], { cwd, env: ENV });
    expect(result.stdout, result.stderr).not.toBe("");
    const report = bootTestSchema.parse(JSON.parse(result.stdout));
    const log = readFileSync(join(cwd, `${name}.log`), "utf8").replaceAll("\r", "");
    results.set(name, { code: result.code, report, log, stderr: result.stderr });
  };
  const result = (name: string): Booted => {
    const booted = results.get(name);
    if (booted === undefined) throw new Error(`${name} was not run`);
    return booted;
  };
  const disk = (name: string) => join(cwd, `${name}.img`);
  const changed = (name: string, change: (disk: string) => void) => {
    change(copyDisk(disk("installed"), disk(name)));
    return ["--disk", disk(name)];
  };
  const ukiOf = (name: string) => {
    const directory = join(cwd, `${name}.boot/boot/EFI/Linux`);
    return join(directory, readdirSync(directory)[0] ?? "");
  };

  const KEYS = ["--key", "keys/db.key", "--cert", "keys/db.crt"];

  /** What `seal prepare` puts into a tree whose boot loader is that of another. @returns it as a layer */
  const prepared = async (name: string, from: string, ...args: readonly string[]) => {
    cpSync(join(from, LOADERS), join(cwd, name, LOADERS), { recursive: true });
    await sealed("prepare", name, "--mtime", "1700000000", ...args);
    return directoryLayer(join(cwd, name));
  };

  beforeAll(async () => {
    cwd = mkdtempSync(join(tmpdir(), "seal-test-"));
    for (const name of ["OVMF_CODE_4M.secboot.fd", "OVMF_VARS_4M.fd"])
      cpSync(join(peerTree("trixie"), "usr/share/OVMF", name), join(cwd, name));
    await sealed("keys", "generate", "--output", "keys");
    await sealed("keys", "generate", "--output", "other");
    const machine = machineRootfs() ?? "";
    const bare = [treeLayer(), kernelLayer(KARGS)];
    const tree = [...bare, await prepared("stage1", machine, ...KEYS, "--enroll-keys", "keys")];
    const seals = async (from: string, to: string, ...args: readonly string[]) => {
      await sealed("image", "--from", `oci:${from}`, "--to", `oci:${to}:v`, ...KEYS, ...args);
      unpackBoot(join(cwd, to), join(cwd, `${to}.boot`));
    };
    for (const [index, layers] of [tree, [...tree, versionLayer(2)]].entries()) {
      const version = index + 1;
      writeLayout(join(cwd, `base${version}`), layers, { compression: "none" });
      await seals(`base${version}`, `image${version}`, "--entry-token", `v${version}`);
      digests.push(await sealed("compute-digest", `oci:image${version}:v`));
      olderDigests.push(await sealed("compute-digest", `oci:image${version}:v`, "--erofs", "v2"));
    }
    await seals("base1", "insecure", "--entry-token", "v1", "--allow-missing-verity");
    const other = bootLayer(join(cwd, "image2.boot/boot"));
    writeLayout(join(cwd, "mismatched"), [...tree, other], { compression: "none" });
    cpSync(ukiOf("image1"), join(cwd, "foreign.efi"));
    await sealed("sign", "foreign.efi", "--key", "other/db.key", "--cert", "other/db.crt");

    // Its /boot is all right.
    const keysOnly = await prepared("stage0", machine, "--enroll-keys", "keys");
    const signedBoot = bootLayer(join(cwd, "image1.boot/boot"));
    writeLayout(join(cwd, "unsigned"), [...bare, keysOnly, signedBoot], { compression: "none" });

    await boot("installed", "--from", "oci:image1:v", "--keep-disk", disk("installed"));
    const digest = digests[0] ?? "";
    const payload = readFileSync(join(machineRootfs() ?? "", PAYLOAD));
    const esp = "EFI/Linux";
    const uki = ukiOf("image1").split("/").at(-1) ?? "";
    // Two machines at a time, one a core.
    await Promise.all([
      (async () => {
        upgraded = copyDisk(disk("installed"), disk("upgraded"));
        setup = await upgrade();
        console2 = await bootTwice();
        await boot("mismatched", "--from", "oci:mismatched", "--expect", "TELL-END");
      })(),
      (async () => {
        const corrupt = changed("corrupted", (image) => changeByte(image, objectPath(payload), payload.length - 5));
        await boot("corrupted", ...corrupt, "--expect", "TELL-END");
        const bare = changed("bare", (image) => dropVerity(image, digestPath(digest)));
        await boot("bare", ...bare);
        await boot("plain", ...changed("plain", (image) => dropVerity(image, "/composefs/meta.json")));
        const init = readFileSync(join(machineRootfs() ?? "", "usr/lib/systemd/systemd"));
        await boot("init", ...changed("init", (image) => changeByte(image, objectPath(init), 100)));
        const foreign = changed("foreign", (image) => putOnEsp(image, join(cwd, "foreign.efi"), `${esp}/${uki}`));
        await boot("foreign", ...foreign);
        await boot("overridden", ...changed("overridden", (image) => override(image, uki)), "--expect", "TELL-END");
        const lax = changed("lax", (image) => {
          dropVerity(image, digestPath(digest));
          putOnEsp(image, ukiOf("insecure"), `${esp}/${uki}`);
        });
        await boot("lax", ...lax, "--expect", "TELL-END");
        await boot("unsigned", "--from", "oci:unsigned");
      })(),
    ]);
  }, 900_000);

  afterAll(() => rmSync(cwd, { recursive: true, force: true }));

  /** What a person at the machine, or with the disk, can put beside the UKI: an entry that starts it with other arguments. */
  function override(image: string, uki: string): void {
    const options = "composefs=?00 init=/bin/sh tell.override=1";
    mkdirSync(join(cwd, "entries"));
    writeFileSync(join(cwd, "entries/override.conf"), `title Override\nefi /EFI/Linux/${uki}\noptions ${options}\n`);
    writeFileSync(join(cwd, "loader.conf"), "timeout 0\ndefault override.conf\n");
    putOnEsp(image, join(cwd, "loader.conf"), "loader/loader.conf");
    putOnEsp(image, join(cwd, "entries"), "loader");
  }

  /** Version 2, by the real cfsctl on a kernel with fs-verity. */
  async function upgrade(): Promise<string> {
    mkdirSync(join(cwd, "setup"));
    const repo = "cfsctl --require-verity --repo /sysroot/composefs";
    return runSetup(
      join(cwd, "setup"),
      upgraded,
      join(cwd, "image2"),
      `${repo} fsck | cat
${repo} oci pull --bootable oci:/layout:v machine:2 2>&1 | cat
${repo} oci prepare-boot --bootdir /boot machine:2
${repo} fsck | cat
find /boot/EFI -type f`,
    );
  }

  /** The upgraded disk: version 2 has the machine start version 1 next, and resets it. */
  async function bootTwice(): Promise<string> {
    await sealed("keys", "enroll", "--vars", "OVMF_VARS_4M.fd", "--keys", "keys", "--output", "twice.fd");
    const entry = ukiOf("image1").split("/").at(-1) ?? "";
    let text = "";
    await runMachine(
      {
        arch: "x64",
        qemu: findPeer("qemu-system-x86_64") ?? "",
        accelerator: "tcg",
        cpu: "qemu64",
        memoryMiB: 768,
        firmwareCode: join(cwd, "OVMF_CODE_4M.secboot.fd"),
        vars: join(cwd, "twice.fd"),
        disk: upgraded,
        kernelArguments: `console=ttyS0 tell.back=${entry}`,
        credentials: new Map(),
        mayReset: true,
        tpm: null,
      },
      {
        timeoutSeconds: 2 * Number(SECONDS),
        env: ENV,
        cwd,
        onSerial: (bytes) => {
          text += Buffer.from(bytes).toString("latin1").replaceAll("\r", "");
          return text.includes("TELL-END");
        },
      },
    );
    return text;
  }

  it("enrols its keys, boots, and its root filesystem enforces the digest that seal computes", () => {
    const { code, report, log } = result("installed");
    expect({ code, ...report }).toMatchObject({ code: 0, passed: true, reached: "system", end: "reached" });
    const [digest] = digests;
    expect(report.root).toMatchObject({ digest, enforced: true });
    expect(report.image?.demanded).toEqual([digest, olderDigests[0]]);
    expect(report.image?.stored).toContain(digest);
    expect(report.secureBoot).toBe("setup");
    expect(report.image?.loader).toBe(`${LOADERS}/systemd-bootx64.efi.signed`);
    const directory = "usr/lib/bootc/install/secureboot-keys/auto";
    expect(report.image?.keys).toEqual(["KEK", "PK", "db"].map((name) => `${directory}/${name}.auth`));
    expect(log).toContain("TELL version=1\n");
    expect(log).toMatch(new RegExp(`^TELL cmdline rw quiet panic=-1 ${words(0)} `, "m"));
    expect(log).toContain("TELL secure-boot  01\n");
    expect(log).toMatch(/^TELL write .*Read-only file system$/m);
    const stages = ["firmware", "boot-loader", "kernel", "image", "root", "system"];
    expect(report.stages.map(({ stage }) => stage)).toEqual(stages);
  });

  it("is refused by the firmware when the boot loader of its /usr is not signed, whatever is in its /boot", () => {
    const { code, report, stderr } = result("unsigned");
    const refused = { by: "firmware", file: "EFI/BOOT/BOOTX64.EFI" };
    expect({ code, ...report }).toMatchObject({ code: 1, passed: false, secureBoot: "setup", end: "refused", refused });
    expect(report.reason).toContain(`bootc install takes it from ${LOADERS}/systemd-bootx64.efi. It is not signed`);
    expect(stderr).toContain("seal prepare / --key KEY --cert CERT");
  });

  it("is upgraded by cfsctl, which finds all in order before and after", () => {
    expect(setup).toMatch(/^SETUP-END 0$/m);
    expect(setup).toContain(digests[1]);
  });

  it("starts the newer version, shows what it changed, and goes back to the older one", () => {
    expect(console2).toContain("TELL-END");
    const [older, newer] = console2.split("TELL version=1\n").toReversed();
    for (const [part, version] of [
      [newer, 1],
      [older, 0],
    ] as const) {
      expect(part).toMatch(new RegExp(`^TELL cmdline .* ${words(version)} `, "m"));
      expect(part).toMatch(new RegExp(`^TELL mount composefs:${digests[version]} overlay .*verity=require`, "m"));
      expect(part).toContain("TELL secure-boot  01\n");
    }
    const payload = (part: string | undefined) => /^TELL payload (\d+ \d+)/m.exec(part ?? "")?.[1];
    expect(newer).toContain("TELL version=2\n");
    expect(payload(newer)).toBeDefined();
    expect(payload(older)).toBeDefined();
    expect(payload(newer)).not.toBe(payload(older));
  });

  it("never shows changed bytes of a file: reading it fails, and boot-test does", () => {
    const { code, report, log } = result("corrupted");
    expect({ code, ...report }).toMatchObject({ code: 1, passed: false, reached: "expected", end: "corrupted" });
    expect(report.reason).toMatch(/^fs-verity .*FILE CORRUPTED!/);
    expect(report.root?.enforced).toBe(true);
    expect(log).toMatch(/^TELL payload cksum: .*Input\/output error$/m);
  });

  it("does not boot when the repository lacks the image that the UKI was sealed for", () => {
    const { code, report } = result("mismatched");
    expect({ code, ...report }).toMatchObject({ code: 1, reached: "kernel", end: "no-root", problem: "no-image" });
    expect(report.image?.demanded).toEqual([digests[1], olderDigests[1]]);
    expect(report.image?.stored).not.toContain(digests[1]);
    expect(report.image?.stored).not.toContain(olderDigests[1]);
    expect(report.reason).toContain("no composefs image found");
  });

  it("does not boot an image without fs-verity", () => {
    const { code, report } = result("bare");
    const problem = "image-without-verity";
    expect({ code, ...report }).toMatchObject({ code: 1, reached: "kernel", end: "no-root", problem });
    expect(report.reason).toContain("fs-verity is not enabled on file");
  });

  it("does not boot from a repository that was made without fs-verity", () => {
    const { code, report } = result("plain");
    const problem = "repository-without-verity";
    expect({ code, ...report }).toMatchObject({ code: 1, reached: "kernel", end: "no-root", problem });
  });

  it("panics when the system's first program was changed", () => {
    const { code, report } = result("init");
    expect({ code, ...report }).toMatchObject({ code: 1, reached: "image", end: "panic" });
    expect(report.corrupted).toMatch(/^fs-verity .*FILE CORRUPTED!/);
  });

  it("does not start a UKI that another key signed", () => {
    const { code, report } = result("foreign");
    expect({ code, ...report }).toMatchObject({ code: 1, reached: "boot-loader", end: "refused" });
    expect(report.refused?.file).toMatch(/^EFI\/Linux\/v1-.*\.efi$/);
  });

  it("keeps its command line, whatever a boot entry beside it says", () => {
    const { code, report, log } = result("overridden");
    expect({ code, ...report }).toMatchObject({ code: 0, passed: true, root: { digest: digests[0], enforced: true } });
    expect(log).toContain("TELL entry override.conf\n");
    expect(log).toMatch(new RegExp(`^TELL cmdline rw quiet panic=-1 ${words(0)} console=`, "m"));
    expect(log).not.toContain("tell.override");
  });

  it("boots without fs-verity only when the command line says composefs=?, which is told, and lint has warned", async () => {
    const { code, report } = result("lax");
    expect({ code, ...report }).toMatchObject({ code: 1, passed: false, reached: "expected", end: "not-enforced" });
    expect(report.root).toMatchObject({ digest: digests[0], enforced: false });
    const lint = await seal(["lint", "oci:insecure:v", "--format", "json"], { cwd });
    expect(lint.code).toBe(1);
    expect(lint.stdout).toContain("uki-insecure");
  });
});
