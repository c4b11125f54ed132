/**
 * What bootc installs from /usr, in two halves: both are given the boot loader as somebody signed
 * it, and keys to enrol.
 */
import { cpSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { beforeEach, describe, expect, it } from "vitest";
import { withUkiReportSchema } from "../../../src/cli/sealing/with-uki.ts";
import { openRootfs } from "../../../src/io/rootfs.ts";
import { parseRootfsSource } from "../../../src/io/rootfs-source.ts";
import { readTreeFile, resolvePath } from "../../../src/tree/rootfs.ts";
import { type CliOptions, seal } from "../../support/cli.ts";
import { EFI, expectRefusal, KVER, MODULES, makeInputs, SIGNING, snapshot, write } from "../../support/inputs.ts";
import { keySet } from "../../support/key-sets.ts";
import { writeLayoutOf } from "../../support/layout.ts";
import { vector } from "../../support/vectors.ts";

const LOADER = `${EFI}/systemd-bootx64.efi`;
const SIGNED = ["--signed-bootloader", "signed/systemd-bootx64.efi"];
const KEYS = ["--enroll-keys", "keys"];
const AUTO = "usr/lib/bootc/install/secureboot-keys/auto";
const FIRST = ["build-uki", "--from", "oci:image"];
const UKI = `signed/${KVER}.efi`;
const SECOND = ["with-uki", "--from", "oci:image", "--to", "oci:sealed:1", "--uki", UKI];

let cwd: string;
const run = (args: readonly string[], options: CliOptions = {}) => seal(args, { cwd, ...options });

async function succeed(args: readonly string[], options: CliOptions = {}) {
  const result = await run(args, options);
  expect(result.code, result.stderr).toBe(0);
  return result;
}

/** Writes the image `oci:image` of what the root filesystem is now. */
async function makeImage(): Promise<void> {
  rmSync(join(cwd, "image"), { recursive: true, force: true });
  await writeLayoutOf(join(cwd, "root"), join(cwd, "image"));
}

/** Somebody signs a file of the root filesystem or of what was printed. */
async function sign(from: string, to: string, key = "db"): Promise<void> {
  await succeed(["sign", from, "--key", `${key}.key`, "--cert", `${key}.crt`, "--output", to]);
}

/** The first half: builds the UKI and has it signed. */
async function build(args: readonly string[] = [], options: CliOptions = {}): Promise<void> {
  await succeed([...FIRST, ...args, "--output", "unsigned.efi"], options);
  await sign("unsigned.efi", UKI);
}

const digestOf = async (spec: string) => (await succeed(["compute-digest", spec])).stdout.trim();

async function open(spec: string) {
  return (await openRootfs(parseRootfsSource(spec), { algorithm: "sha512", xattrs: "all", cwd })).rootfs;
}

beforeEach(async () => {
  cwd = makeInputs();
  write(cwd, `root/${MODULES}/${KVER}/modules.dep`, "");
  write(cwd, "root/usr/bin/bootc", "a program");
  write(cwd, "signed/.keep", "");
  for (const [variable, bytes] of await keySet()) write(cwd, `keys/${variable}.auth`, bytes);
  await makeImage();
  await sign(`root/${LOADER}`, "signed/systemd-bootx64.efi");
});

describe("two halves with the boot loader of /usr", () => {
  it("make what seal image makes with that key", async () => {
    const first = await succeed([...FIRST, "--print-unsigned", "loader"]);
    expect(first.stdout).toBe("loader/systemd-bootx64.efi\n");
    expect(first.stderr).toContain("sign the boot loader first");
    expect(first.stderr).toMatch(
      /warning: oci:image: .*systemd-bootx64\.efi: It is not signed.*with --signed-bootloader$/m,
    );
    await sign("loader/systemd-bootx64.efi", "signed/systemd-bootx64.efi");
    const second = await succeed([...FIRST, ...SIGNED, ...KEYS, "--print-unsigned", "unsigned"]);
    expect(second.stdout).toBe(`unsigned/${KVER}.efi\n`);
    expect(second.stderr).not.toMatch(/warning|⚠/);
    await sign(`unsigned/${KVER}.efi`, UKI);
    const { stdout, stderr } = await succeed([...SECOND, ...SIGNED, ...KEYS, "--cert", "db.crt", "--json"]);
    expect(stderr).not.toMatch(/warning|⚠/);
    const { image } = withUkiReportSchema.parse(JSON.parse(stdout));
    expect(image.prepared.loaders).toMatchObject([{ path: `${LOADER}.signed`, arch: "x64", signed: "already" }]);
    expect(image.prepared.keys.map(({ change }) => change)).toEqual(["written", "written", "written"]);

    const rootfs = await open("oci:sealed");
    const loader = readFileSync(join(cwd, "signed/systemd-bootx64.efi"));
    for (const path of [`${LOADER}.signed`, "boot/EFI/BOOT/BOOTX64.EFI", "boot/EFI/systemd/systemd-bootx64.efi"]) {
      expect(loader.equals((await readTreeFile(rootfs, path)) ?? Buffer.alloc(0)), path).toBe(true);
    }
    for (const path of [`${AUTO}/PK.auth`, "boot/loader/keys/auto/PK.auth"]) {
      expect(resolvePath(rootfs, path), path).not.toBeNull();
    }
    const lint = JSON.parse((await run(["lint", "oci:sealed:1", "--cert", "db.crt", "--json"])).stdout);
    expect(lint.passed).toEqual(expect.arrayContaining(["bootloader-installed", "enroll-keys", "uki-digest"]));

    await succeed(["image", "--from", "oci:image", "--to", "oci:direct:1", ...SIGNING, ...KEYS]);
    expect(await digestOf("oci:sealed")).toBe(await digestOf("oci:direct"));
    expect(image.annotations["composefs.merged.bootable.erofs.v1.fsverity-sha512-12"]).toBe(
      await digestOf("oci:sealed"),
    );
  });

  it("agree whatever the time of each is", async () => {
    await build([...SIGNED, ...KEYS], { env: { SOURCE_DATE_EPOCH: "1700000000" } });
    await succeed([...SECOND, ...SIGNED, ...KEYS, "--cert", "db.crt"], { now: new Date("2031-01-01") });
    expect(resolvePath(await open("oci:sealed"), `${LOADER}.signed`)?.node.mtimeSec).toBe(0n);
  });

  it("make a fresh image of a directory", async () => {
    await succeed(["build-uki", "--from", "dir:root", ...SIGNED, "--output", "unsigned.efi"]);
    await sign("unsigned.efi", UKI);
    const args = ["with-uki", "--from", "dir:root", "--to", "oci:fresh:1", "--uki", UKI, ...SIGNED, "--cert", "db.crt"];
    await succeed(args);
    const rootfs = await open("oci:fresh");
    const own = (await readTreeFile(rootfs, `${LOADER}.signed`)) ?? Buffer.alloc(0);
    expect(readFileSync(join(cwd, "signed/systemd-bootx64.efi")).equals(own)).toBe(true);
  });

  it("change nothing where the tree has that very file", async () => {
    cpSync(join(cwd, "signed/systemd-bootx64.efi"), join(cwd, `root/${LOADER}.signed`));
    await makeImage();
    await build(SIGNED);
    await succeed([...SECOND, "--cert", "db.crt"]);
  });

  it("take a file for each architecture", async () => {
    const arm = Uint8Array.from(vector("uki/inputs/stub-plain"));
    const view = new DataView(arm.buffer);
    view.setUint16(view.getUint32(0x3c, true) + 4, 0xaa64, true);
    write(cwd, `root/${EFI}/systemd-bootaa64.efi`, arm);
    await makeImage();
    await sign(`root/${EFI}/systemd-bootaa64.efi`, "signed/arm.efi");
    const both = [...SIGNED, "--signed-bootloader", "signed/arm.efi"];
    await build(both);
    await succeed([...SECOND, ...both, "--cert", "db.crt"]);
    expect(resolvePath(await open("oci:sealed"), `${EFI}/systemd-bootaa64.efi.signed`)).not.toBeNull();
  });

  it("say which signatures get lost", async () => {
    await sign(`root/${LOADER}`, `root/${LOADER}.signed`, "other");
    await makeImage();
    await build(SIGNED);
    const { stderr } = await succeed([...SECOND, ...SIGNED, "--cert", "db.crt"]);
    expect(stderr).toMatch(
      /systemd-bootx64\.efi: does not have all signatures of oci:image: .*\.signed, which it replaces/,
    );
  });

  it("without it say that bootc installs a boot loader that is not signed", async () => {
    await build();
    const unsigned =
      /oci:image: .*systemd-bootx64\.efi: It is not signed.*bootc install puts this file onto the disk.*\. Sign it, and give it to seal build-uki --from and to seal with-uki with --signed-bootloader$/m;
    const bootloader = ["--bootloader", "signed/systemd-bootx64.efi"];
    expect((await succeed([...SECOND, ...bootloader])).stderr).toMatch(unsigned);
    const before = snapshot(cwd);
    expectRefusal(await run([...SECOND, ...bootloader, "--cert", "db.crt"]), 3, unsigned);
    expectRefusal(await run([...FIRST, ...SIGNING, "--output", "x.efi"]), 3, unsigned);
    expect(snapshot(cwd)).toEqual(before);
    rmSync(join(cwd, "root/usr/bin/bootc"));
    await makeImage();
    await build();
    expect((await succeed([...SECOND, ...bootloader, "--cert", "db.crt"])).stderr).toMatch(unsigned);
  });

  it("leave a boot loader alone that shim starts by its own rules", async () => {
    write(cwd, "root/usr/lib/shim/shimx64.efi", "x");
    await makeImage();
    const { stdout } = await succeed([...FIRST, "--print-unsigned", "both"]);
    expect(stdout).toBe(`both/${KVER}.efi\nboth/systemd-bootx64.efi\n`);
    await sign(`both/${KVER}.efi`, UKI);
    const args = [...SECOND, "--bootloader", "signed/systemd-bootx64.efi", "--cert", "db.crt"];
    expect((await succeed(args)).stderr).toMatch(/unless bootupd installs shim/);
  });
});

describe("two halves that were given different files", () => {
  it.each<[string, readonly string[], readonly string[], RegExp]>([
    ["a boot loader in the second only", [], SIGNED, /was built from oci:image without --signed-bootloader; give both/],
    [
      "keys in the second only",
      SIGNED,
      [...SIGNED, ...KEYS],
      /was built from oci:image without --enroll-keys; give both/,
    ],
    ["both in the second only", [], [...SIGNED, ...KEYS], /without --signed-bootloader and --enroll-keys; give both/],
    [
      "a boot loader in the first, which is for /boot only in the second",
      SIGNED,
      ["--bootloader", "signed/systemd-bootx64.efi"],
      /was built from oci:image with --signed-bootloader signed\/systemd-bootx64\.efi; give both/,
    ],
    [
      "keys in the first only",
      [...SIGNED, ...KEYS],
      SIGNED,
      /demands the root filesystem [0-9a-f]{8}….*with another .*--signed-bootloader or --enroll-keys/,
    ],
    [
      "the same boot loader with another signature",
      SIGNED,
      ["--signed-bootloader", "signed/twice.efi"],
      /demands the root filesystem [0-9a-f]{8}….*with another .*--signed-bootloader or --enroll-keys/,
    ],
  ])("are refused: %s", async (_, first, second, message) => {
    const twice = ["--key", "other.key", "--cert", "other.crt", "--append", "--output", "signed/twice.efi"];
    await succeed(["sign", "signed/systemd-bootx64.efi", ...twice]);
    await build(first);
    const before = snapshot(cwd);
    expectRefusal(await run([...SECOND, ...second, "--cert", "db.crt"]), 3, message);
    expect(snapshot(cwd)).toEqual(before);
  });
});

describe("--signed-bootloader", () => {
  it.each<[string, () => Promise<unknown> | unknown, readonly string[], number, RegExp]>([
    ["a file that is not there", () => {}, ["none.efi"], 3, /none\.efi: .*no such file/],
    ["no program", () => write(cwd, "x.efi", "x"), ["x.efi"], 3, /x\.efi: .*PE/],
    ["one that is not signed", () => {}, [`root/${LOADER}`], 3, /systemd-bootx64\.efi: is not signed; sign it first/],
    [
      "one that was changed after it was signed",
      () => {
        const bytes = readFileSync(join(cwd, "signed/systemd-bootx64.efi"));
        bytes[0x400] = (bytes[0x400] ?? 0) ^ 1;
        write(cwd, "changed.efi", bytes);
      },
      ["changed.efi"],
      3,
      /changed\.efi: its signature is invalid/,
    ],
    [
      "another program",
      () => write(cwd, "other.efi", vector("authenticode/signed/plain.sbsign.signer.efi.gz")),
      ["other.efi"],
      3,
      /other\.efi: is not a signed copy of the systemd-boot of oci:image: the program differs .*; sign what seal build-uki/,
    ],
    [
      "one for an architecture that the image does not have",
      async () => {
        const arm = Uint8Array.from(vector("uki/inputs/stub-plain"));
        const view = new DataView(arm.buffer);
        view.setUint16(view.getUint32(0x3c, true) + 4, 0xaa64, true);
        write(cwd, "arm.efi", arm);
        await sign("arm.efi", "arm.efi");
      },
      ["arm.efi"],
      3,
      /arm\.efi: is for aa64, but oci:image has no systemd-boot for that/,
    ],
    [
      "two for one architecture",
      () => {},
      ["signed/systemd-bootx64.efi", "signed/systemd-bootx64.efi"],
      2,
      /--signed-bootloader: .* are both for x64; give one file for each architecture/,
    ],
  ])("refuses %s in both halves", async (_, spoil, files, code, message) => {
    await build(SIGNED);
    await spoil();
    const before = snapshot(cwd);
    const given = files.flatMap((file) => ["--signed-bootloader", file]);
    expectRefusal(await run([...FIRST, ...given, "--output", "x.efi"]), code, message);
    expectRefusal(await run([...SECOND, ...given, "--cert", "db.crt"]), code, message);
    expect(snapshot(cwd)).toEqual(before);
  });

  it("refuses what the given certificates and keys don't allow, before the image is read", async () => {
    await build(SIGNED);
    await sign(`root/${LOADER}`, "signed/other.efi", "other");
    rmSync(join(cwd, "image"), { recursive: true });
    const other = ["--signed-bootloader", "signed/other.efi"];
    expectRefusal(
      await run([...SECOND, ...other, "--cert", "db.crt"]),
      3,
      /whose certificate is not in --cert or --db/,
    );
    expectRefusal(
      await run([...SECOND, ...other, ...KEYS]),
      3,
      /--enroll-keys: db\.auth does not allow signed\/other\.efi/,
    );
    expectRefusal(
      await run([...FIRST, ...other, ...KEYS, "--output", "x.efi"]),
      3,
      /db\.auth does not allow signed\/other\.efi/,
    );
    expect(readdirSync(cwd)).not.toContain("x.efi");
  });

  it("requires --from", async () => {
    for (const args of [SIGNED, KEYS]) {
      const result = await run(["build-uki", "--rootfs", "root", ...args, "--output", "x.efi"]);
      expectRefusal(result, 2, /^seal: --(signed-bootloader|enroll-keys): requires --from/);
    }
  });
});
