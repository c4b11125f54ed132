/**
 * A sealed image on a machine: installed on a disk as bootc does, its keys enrolled, booted under Secure Boot with the
 * real composefs-setup-root, upgraded by the real cfsctl, rolled back, its signing key rotated, revoked; and what must
 * stop it, each with one thing changed on a copy of the disk.
 */
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import type { z } from "zod";
import { advice } from "../../src/cli/boot-test/advice.ts";
import { type BootTestReport, bootTestReportSchema } from "../../src/cli/boot-test/schema.ts";
import { lintReportSchema } from "../../src/cli/lint/schema.ts";
import { seal } from "../support/cli.ts";
import { chooseNext, type KeptMachine, type Started, startMachine } from "../support/kept-machine.ts";
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
import { describeWith, machineRootfs, PEERS_DIR, peerTree } from "../support/peers.ts";
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
}

/** What lint said of a next image. */
type Said = Pick<NonNullable<z.infer<typeof lintReportSchema>["after"]>, "starts" | "back"> & { readonly code: number };

describeWith([...NEEDS, "root", "machine", "trees"], "a sealed image on a machine", () => {
  const results = new Map<string, Booted>();
  let cwd = "";
  let setup = "";
  let upgraded = "";
  /** Starts of one machine, in this order, and what lint said before that of a machine that version 1 installed. */
  type Step = "rolled back" | "key lacking" | "key rotated" | "older revoked" | "newer still";
  const starts = new Map<Step, Started & { readonly said: Said }>();
  const digests: string[] = [];
  /**
   * Of each version the V2 digest too, which its command line names for older releases: this initramfs tries all words.
   */
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
    const report = bootTestReportSchema.parse(JSON.parse(result.stdout));
    const log = readFileSync(join(cwd, `${name}.log`), "utf8").replaceAll("\r", "");
    results.set(name, { code: result.code, report, log });
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
  const entryOf = (name: string) => ukiOf(name).split("/").at(-1) ?? "";
  const KEYS = ["--key", "keys/db.key", "--cert", "keys/db.crt"];
  const NEW_KEYS = ["--key", "other/db.key", "--cert", "other/db.crt"];

  /** What `seal prepare` puts into a tree whose boot loader is that of another. @returns it as a layer */
  const prepared = async (name: string, from: string, ...args: readonly string[]) => {
    cpSync(join(from, LOADERS), join(cwd, name, LOADERS), { recursive: true });
    await sealed("prepare", name, "--mtime", "1700000000", ...args);
    return directoryLayer(join(cwd, name));
  };
  /** Keys for machines that trust both signers. */
  const rotateKeys = async () => {
    cpSync(join(cwd, "keys"), join(cwd, "rotated"), { recursive: true });
    const signer = ["--key", "keys/KEK.key", "--cert", "keys/KEK.crt"];
    await sealed("keys", "auth", "db", "keys/db.crt", "other/db.crt", ...signer, "--output", "rotated/db.auth");
  };

  beforeAll(async () => {
    cwd = mkdtempSync(join(tmpdir(), "seal-test-"));
    for (const name of ["OVMF_CODE_4M.secboot.fd", "OVMF_VARS_4M.fd"])
      cpSync(join(peerTree("trixie"), "usr/share/OVMF", name), join(cwd, name));
    await sealed("keys", "generate", "--output", "keys");
    await sealed("keys", "generate", "--output", "other");
    await rotateKeys();
    const machine = machineRootfs() ?? "";
    const bare = [treeLayer(), kernelLayer(KARGS)];
    const tree = [...bare, await prepared("stage1", machine, ...KEYS, "--enroll-keys", "keys")];
    const rotated = await prepared("stage3", join(cwd, "stage1"), ...NEW_KEYS, "--enroll-keys", "rotated");
    const seals = async (from: string, to: string, tag: string, ...args: readonly string[]) => {
      await sealed("image", "--from", `oci:${from}`, "--to", `oci:${to}:${tag}`, ...args);
    };
    const layersOf = [tree, [...tree, versionLayer(2)], [...tree, versionLayer(3), rotated]];
    for (const [index, layers] of layersOf.entries()) {
      const version = index + 1;
      writeLayout(join(cwd, `base${version}`), layers, { compression: "none" });
      // The second layout has what the machine is upgraded to, the newest too.
      const [layout, tag] = version === 3 ? ["image2", "next"] : [`image${version}`, "v"];
      const keys = version === 3 ? NEW_KEYS : KEYS;
      await seals(`base${version}`, layout, tag, "--entry-token", `v${version}`, ...keys);
      unpackBoot(join(cwd, layout), join(cwd, `image${version}.boot`), tag);
      digests.push(await sealed("compute-digest", `oci:${layout}:${tag}`));
      olderDigests.push(await sealed("compute-digest", `oci:${layout}:${tag}`, "--erofs", "v2"));
    }
    await seals("base1", "insecure", "v", "--entry-token", "v1", "--allow-missing-verity", ...KEYS);
    unpackBoot(join(cwd, "insecure"), join(cwd, "insecure.boot"));
    const other = bootLayer(join(cwd, "image2.boot/boot"));
    writeLayout(join(cwd, "mismatched"), [...tree, other], { compression: "none" });
    cpSync(ukiOf("image1"), join(cwd, "foreign.efi"));
    await sealed("sign", "foreign.efi", ...NEW_KEYS);
    // Its /boot is all right.
    const keysOnly = await prepared("stage0", machine, "--enroll-keys", "keys");
    const signedBoot = bootLayer(join(cwd, "image1.boot/boot"));
    writeLayout(join(cwd, "unsigned"), [...bare, keysOnly, signedBoot], { compression: "none" });

    await boot("installed", "--from", "oci:image1:v", "--keep-disk", disk("installed"));
    const digest = digests[0] ?? "";
    const payload = readFileSync(join(machineRootfs() ?? "", PAYLOAD));
    const esp = "EFI/Linux";
    const uki = entryOf("image1");
    // Two machines at a time, one a core.
    await Promise.all([
      (async () => {
        upgraded = copyDisk(disk("installed"), disk("upgraded"));
        setup = await upgrade();
        await followOn();
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
        await boot("mismatched", "--from", "oci:mismatched", "--expect", "TELL-END");
        await boot("unsigned", "--from", "oci:unsigned");
      })(),
    ]);
  }, 900_000);

  afterAll(() => rmSync(cwd, { recursive: true, force: true }));

  /**
   * What a person at the machine, or with the disk, can put beside the UKI: an entry that starts it
   * with other arguments.
   */
  function override(image: string, uki: string): void {
    const options = "composefs=?00 init=/bin/sh tell.override=1";
    mkdirSync(join(cwd, "entries"));
    writeFileSync(join(cwd, "entries/override.conf"), `title Override\nefi /EFI/Linux/${uki}\noptions ${options}\n`);
    writeFileSync(join(cwd, "loader.conf"), "timeout 0\ndefault override.conf\n");
    putOnEsp(image, join(cwd, "loader.conf"), "loader/loader.conf");
    putOnEsp(image, join(cwd, "entries"), "loader");
  }

  /** Versions 2 and 3, by the real cfsctl on a kernel with fs-verity. The UKI of version 3 comes later. */
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
${repo} oci pull --bootable oci:/layout:next machine:3 2>&1 | cat
${repo} oci prepare-boot --bootdir /boot machine:3
${repo} fsck | cat
find /boot/EFI -type f
rm /boot/EFI/Linux/v3-*`,
    );
  }

  /** The machine with the upgraded disk, whose firmware has the keys of version 1. */
  async function followOn(): Promise<void> {
    const vars = join(cwd, "machine.fd");
    const machine: KeptMachine = { cwd, vars, disk: upgraded, seconds: 2 * Number(SECONDS), env: ENV };
    const back = entryOf("image1");
    const enroll = (from: string, ...args: readonly string[]) =>
      sealed("keys", "enroll", "--vars", from, ...args, "--output", "machine.fd");

    const start = async (step: Step, said: Said, more = "") => {
      starts.set(step, { ...(await startMachine(machine, "TELL-END", more)), said });
    };

    await enroll("OVMF_VARS_4M.fd", "--keys", "stage1/usr/lib/bootc/install/secureboot-keys/auto");
    // Version 2 has the machine start version 1 next, and resets it.
    await start("rolled back", await lintAfter("oci:image2:v"), `tell.back=${back}`);

    putOnEsp(upgraded, ukiOf("image3"), `EFI/Linux/${entryOf("image3")}`);
    await start("key lacking", await lintAfter("oci:image2:next"));

    await enroll("machine.fd", "--db", "rotated/db.auth");
    const rotated = ["--db", "rotated/db.auth"];
    await start("key rotated", await lintAfter("oci:image2:next", ...rotated), `tell.back=${back}`);

    await sealed("keys", "esl", ukiOf("image1"), "--output", "revoked.esl");
    await enroll("machine.fd", "--dbx", "revoked.esl");
    const said = await lintAfter("oci:image2:next", ...rotated, "--dbx", "revoked.esl");
    chooseNext(machine, back);
    await start("older revoked", said);
    await start("newer still", said);
  }
  /** @param next what machines shall run that version 1 installed */
  async function lintAfter(next: string, ...args: readonly string[]): Promise<Said> {
    // This tree is not one that bootc finds its way in, and has no bootc either.
    const given = ["--after", "oci:image1:v", "--bootc", "latest", "--skip", "baseimage-root", "--json"];
    const { code, stdout, stderr } = await seal(["lint", next, ...given, ...args], { cwd });
    expect(stdout, stderr).not.toBe("");
    const { after } = lintReportSchema.parse(JSON.parse(stdout));
    if (after === null) throw new Error("lint does not answer");
    return { code, starts: after.starts, back: after.back };
  }
  const started = (step: Step) => {
    const start = starts.get(step);
    if (start === undefined) throw new Error(`${step} was not started`);
    return start;
  };
  /** What a version tells of itself. */
  const expectVersion = (text: string | undefined, version: number) => {
    expect(text).toContain(`TELL version=${version}\n`);
    expect(text).toMatch(new RegExp(`^TELL cmdline .* ${words(version - 1)} `, "m"));
    expect(text).toMatch(new RegExp(`^TELL mount composefs:${digests[version - 1]} overlay .*verity=require`, "m"));
    expect(text).toContain("TELL secure-boot  01\n");
  };
  /** What was told between a version and the next; systemd resets the terminal in front of it, on the same line. */
  const partsOf = ({ text }: Started) => text.split(/(?=TELL version=)/).slice(1);

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
    const stages = report.stages.map(({ stage }) => stage);
    expect(stages.slice(0, 4)).toEqual(["firmware", "boot-loader", "kernel", "image"]);
    // The unit that tells of the root runs beside systemd's own last words.
    expect(stages.slice(4).toSorted()).toEqual(["root", "system"]);
  });

  it("is refused by the firmware when the boot loader of its /usr is not signed, whatever is in its /boot", () => {
    const { code, report } = result("unsigned");
    const refused = { by: "firmware", file: "EFI/BOOT/BOOTX64.EFI" };
    expect({ code, ...report }).toMatchObject({ code: 1, passed: false, secureBoot: "setup", end: "refused", refused });
    expect(report.reason).toContain(`bootc install takes it from ${LOADERS}/systemd-bootx64.efi. It is not signed`);
    expect(advice(report)).toContain("seal prepare / --key KEY --cert CERT");
  });

  it("is upgraded by cfsctl, which finds all in order before and after", () => {
    expect(setup).toMatch(/^SETUP-END 0$/m);
    expect(setup).toContain(digests[1]);
    expect(setup).toContain(digests[2]);
  });

  it("starts the newer version, shows what it changed, and goes back to the older one", () => {
    expect(started("rolled back").said).toMatchObject({ code: 0, starts: { ok: true }, back: { ok: true } });
    const [newer, older, ...others] = partsOf(started("rolled back"));
    expect(others).toEqual([]);
    expectVersion(newer, 2);
    expectVersion(older, 1);
    const payload = (part: string | undefined) => /^TELL payload (\d+ \d+)/m.exec(part ?? "")?.[1];
    expect(payload(newer)).toBeDefined();
    expect(payload(older)).toBeDefined();
    expect(payload(newer)).not.toBe(payload(older));
  });

  it("refuses the next version while db lacks the certificate of its signer", () => {
    const file = `EFI/Linux/${entryOf("image3")}`;
    const { said, state } = started("key lacking");
    expect(said).toMatchObject({ code: 1, starts: { ok: false, rules: ["after-signature"] }, back: { ok: true } });
    expect(state).toMatchObject({ stage: "boot-loader", stop: { kind: "refused", file } });
  });

  it("starts it, and goes back to the first one, with both certificates in db", () => {
    expect(started("key rotated").said).toMatchObject({ code: 0, starts: { ok: true }, back: { ok: true } });
    const [newest, oldest, ...others] = partsOf(started("key rotated"));
    expect(others).toEqual([]);
    expectVersion(newest, 3);
    expectVersion(oldest, 1);
  });

  it("does not go back once the first one is in dbx, and starts the newest all the same", () => {
    const file = `EFI/Linux/${entryOf("image1")}`;
    const { said, state } = started("older revoked");
    expect(said).toMatchObject({ code: 0, starts: { ok: true }, back: { ok: false, rules: ["after-rollback"] } });
    expect(state).toMatchObject({ stage: "boot-loader", stop: { kind: "refused", file } });
    const [newest, ...others] = partsOf(started("newer still"));
    expect(others).toEqual([]);
    expectVersion(newest, 3);
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
