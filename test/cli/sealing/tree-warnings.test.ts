/** What of the root filesystem itself keeps machines from starting it: said by all verbs that seal. */
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { beforeEach, describe, expect, it } from "vitest";
import { seal } from "../../support/cli.ts";
import { cpioOf } from "../../support/cpio.ts";
import { EFI, expectRefusal, KVER, MODULES, makeInputs, SIGNING, snapshot, write } from "../../support/inputs.ts";
import { keySet } from "../../support/key-sets.ts";
import { describeWith } from "../../support/peers.ts";

const LOADER = `${EFI}/systemd-bootx64.efi`;
const BOOTC = "Package: bootc\nStatus: install ok installed\nVersion: 1.16.9\n";
let cwd: string;
const rootfs = (...args: string[]) => seal(["rootfs", "root", "--output", "out", ...args], { cwd });

beforeEach(async () => {
  cwd = makeInputs();
  for (const [variable, bytes] of await keySet()) write(cwd, `keys/${variable}.auth`, bytes);
});

describe("a systemd-boot in /usr that is not signed", () => {
  const unsigned = new RegExp(
    `root: ${LOADER.replaceAll(".", "\\.")}: It is not signed.*Sign it before the digest is computed.*seal prepare`,
  );

  it("is warned of, by lint as an error", async () => {
    const { code, stderr } = await rootfs(...SIGNING);
    expect(code).toBe(0);
    expect(stderr).toMatch(unsigned);
    spawnSync("cp", ["-r", join(cwd, "out/boot"), join(cwd, "root")]);
    const lint = await seal(["lint", "root", "--cert", "db.crt"], { cwd });
    expect(lint.code).toBe(1);
    expect(lint.stdout).toMatch(/^error +bootloader-installed +usr\/lib\/systemd\/boot\/efi\/systemd-bootx64\.efi$/m);
  });

  it("is refused where there is a bootc that would install it", async () => {
    write(cwd, "root/var/lib/dpkg/status", BOOTC);
    const before = snapshot(cwd);
    expectRefusal(await rootfs(...SIGNING), 3, unsigned);
    expect(snapshot(cwd)).toEqual(before);
    expect((await rootfs()).code).toBe(0);
  });

  it("is refused where bootc is no package, and never with shim, which starts it by its own rules", async () => {
    write(cwd, "root/usr/bin/bootc", "a program");
    expectRefusal(await rootfs(...SIGNING), 3, unsigned);
    write(cwd, "root/usr/lib/shim/shimx64.efi", "x");
    const { code, stderr } = await rootfs(...SIGNING);
    expect(code, stderr).toBe(0);
    expect(stderr).toMatch(/puts this file onto the disk, not the one in \/boot, unless bootupd installs shim/);
  });

  it("is told from one whose certificate has expired, which firmware takes", async () => {
    write(cwd, "root/var/lib/dpkg/status", BOOTC);
    expect((await seal(["prepare", "root", ...SIGNING], { cwd })).code).toBe(0);
    const args = ["rootfs", "root", "--output", "out", ...SIGNING];
    const { code, stderr } = await seal(args, { cwd, now: new Date("2300-01-01") });
    expect(code, stderr).toBe(0);
    expect(stderr).toMatch(/systemd-bootx64\.efi\.signed: It is signed, but the certificate .* expired/);
  });

  it("may be listed in db by its hash", async () => {
    write(cwd, "root/usr/bin/bootc", "a program");
    const loader = join("root", LOADER);
    const esl = await seal(["keys", "esl", loader, "--output", "hash.esl"], { cwd });
    expect(esl.code, esl.stderr).toBe(0);
    const build = await seal(["build-uki", "--from", "dir:root", "--output", "uki.efi"], { cwd });
    expect(build.code, build.stderr).toBe(0);
    await seal(["sign", "uki.efi", ...SIGNING], { cwd });
    const args = ["with-uki", "--from", "dir:root", "--to", "oci:out:1", "--uki", "uki.efi", "--cert", "db.crt"];
    expectRefusal(await seal(args, { cwd }), 3, /systemd-bootx64\.efi/);
    const { code, stderr } = await seal([...args, "--db", "hash.esl"], { cwd });
    expect(code, stderr).toBe(0);
    expect(stderr).not.toContain("It is not signed");
  });

  it("is no more after seal prepare", async () => {
    write(cwd, "root/var/lib/dpkg/status", BOOTC);
    const prepared = await seal(["prepare", "root", ...SIGNING, "--enroll-keys", "keys"], { cwd });
    expect(prepared.code, prepared.stderr).toBe(0);
    const { code, stderr } = await rootfs(...SIGNING, "--enroll-keys", "keys");
    expect(code, stderr).toBe(0);
    expect(stderr).not.toMatch(/warning|⚠/);
    spawnSync("cp", ["-r", join(cwd, "out/boot"), join(cwd, "root")]);
    const { passed } = JSON.parse((await seal(["lint", "root", "--cert", "db.crt", "--json"], { cwd })).stdout);
    expect(passed).toEqual(expect.arrayContaining(["bootloader-installed", "enroll-keys"]));
  });
});

describe("an initramfs in which nothing mounts the root", () => {
  it.each([
    ["rootfs", ["rootfs", "root", "--output", "out"]],
    ["image", ["image", "--from", "dir:root", "--to", "oci:out"]],
  ])("is told of by %s, which has it in its hands", async (_, args) => {
    const dead = cpioOf({ init: "#!/bin/sh\n" });
    write(cwd, `root/${MODULES}/${KVER}/initramfs.img`, dead);
    const { code, stderr } = await seal(args, { cwd });
    expect(code, stderr).toBe(0);
    expect(stderr).toMatch(/initramfs/);
    expect(stderr).toMatch(/accepted by +no bootc release/);
  });
});

describe("an .osrel that bootc can't name an entry by", () => {
  it.each([
    ["none", ["--os-release", ""], /it can't name the entry: the UKI has no \.osrel/],
    [
      "without a name",
      ["--os-release", "IMAGE_ID=x\n"],
      /it can't name the entry: .* none of PRETTY_NAME, NAME and ID/,
    ],
  ])("is told of: %s", async (_, args, message) => {
    const { code, stderr } = await rootfs(...args);
    expect(code, stderr).toBe(0);
    expect(stderr).toMatch(/accepted by +no bootc release/);
    expect(stderr.replaceAll(/\s+/g, " ")).toMatch(message);
  });
});

describe("keys to enrol", () => {
  it("reach no machine that bootc installs from /boot alone", async () => {
    const { stderr } = await rootfs(...SIGNING, "--enroll-keys", "keys");
    expect(stderr).toMatch(
      /has no usr\/lib\/bootc\/install\/secureboot-keys: no machine that bootc installs gets the keys of --enroll-keys/,
    );
  });
});

describeWith(["root"], "a tree that an ordinary user unpacked", () => {
  it("is warned of", async () => {
    spawnSync("chown", ["-R", "1000:1000", join(cwd, "root")]);
    const said = /everything in it belongs to user 1000.*Unpack it as root/;
    expect((await rootfs()).stderr).toMatch(said);
    const image = await seal(["image", "--from", "dir:root", "--to", "oci:sealed:1"], { cwd });
    expect(image.stderr).toMatch(said);
    expect((await seal(["lint", "root"], { cwd })).stdout).toMatch(/warning +file-owners/);
  });
});
