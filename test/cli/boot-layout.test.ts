import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { describe, expect, it, onTestFinished } from "vitest";
import { parsePe } from "../../src/pe/headers.ts";
import { verifyPe } from "../../src/sign/verify.ts";
import { seal } from "../support/cli.ts";
import { keySet } from "../support/key-sets.ts";
import { describeWith, peerTree, runPeer } from "../support/peers.ts";
import { vectorCertificate } from "../support/signing.ts";
import { tempDir } from "../support/temp.ts";
import { vector } from "../support/vectors.ts";

const EFI = "usr/lib/systemd/boot/efi";
const KEY_SET = await keySet();
const KEYS = new URL("../vectors/authenticode/keys/", import.meta.url).pathname;
const SIGNING = ["--key", `${KEYS}signer.key`, "--cert", `${KEYS}signer.crt`];
const UKI = "EFI/Linux/1.2.3-explicit.efi";
const LOADERS = ["EFI/BOOT/BOOTX64.EFI", "EFI/systemd/systemd-bootx64.efi"];

/** A directory with a UKI, a root filesystem with a boot loader, and enrolment files beside a private key. */
function makeInputs(): string {
  const cwd = tempDir();
  const write = (path: string, bytes: Uint8Array | string) => {
    mkdirSync(dirname(join(cwd, path)), { recursive: true });
    writeFileSync(join(cwd, path), bytes);
  };
  write("uki.efi", vector("uki/outputs/all.262.efi.gz"));
  write("loader.efi", vector("uki/inputs/stub-plain"));
  write(`root/${EFI}/systemd-bootx64.efi`, vector("uki/inputs/stub-plain"));
  write("keys/db.key", "db.key");
  for (const [name, bytes] of KEY_SET) write(`keys/${name}.auth`, bytes);
  return cwd;
}

const layout = (cwd: string, ...args: string[]) =>
  seal(["boot-layout", "--uki", "uki.efi", "--rootfs", "root", "--output", "boot", ...args], { cwd });

const tree = (path: string) =>
  (
    readdirSync(path, { recursive: true, withFileTypes: true }) as {
      isFile(): boolean;
      parentPath: string;
      name: string;
    }[]
  )
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(path.length + 1))
    .sort();

function signers(path: string): string[] {
  const trust = { certificates: [vectorCertificate("signer")], now: new Date() };
  return verifyPe(parsePe([readFileSync(path)], path), trust).signatures.map(
    ({ subject, outcome }) => `${subject} ${outcome}`,
  );
}

describe("seal boot-layout", () => {
  it("writes the whole layout, signed, and nothing else", async () => {
    const cwd = makeInputs();
    const result = await layout(cwd, ...SIGNING, "--enroll-keys", "keys", "--timeout", "3");
    expect(result).toMatchObject({ code: 0, stdout: "boot\n" });
    expect(tree(join(cwd, "boot"))).toEqual(
      [
        ...LOADERS,
        UKI,
        "loader/entries.srel",
        "loader/keys/auto/KEK.auth",
        "loader/keys/auto/PK.auth",
        "loader/keys/auto/db.auth",
        "loader/loader.conf",
      ].sort(),
    );
    for (const path of [...LOADERS, UKI]) {
      expect(signers(join(cwd, "boot", path))).toEqual(["CN=seal test db rsa2048 trusted"]);
    }
    const [first, second] = LOADERS.map((path) => readFileSync(join(cwd, "boot", path)));
    expect(first?.equals(second ?? Buffer.of())).toBe(true);
    expect(readFileSync(join(cwd, "boot/loader/loader.conf"), "utf8")).toMatch(
      /\ntimeout 3\nsecure-boot-enroll if-safe\n$/,
    );
    expect(readFileSync(join(cwd, "boot/loader/keys/auto/db.auth"))).toEqual(Buffer.from(KEY_SET.get("db") ?? []));
    expect(readdirSync(cwd).sort()).toEqual(["boot", "keys", "loader.efi", "root", "uki.efi"]);
    expect(readFileSync(join(cwd, "uki.efi")).equals(vector("uki/outputs/all.262.efi.gz"))).toBe(true);
  });

  it("gives the same bytes again, over its own output, and leaves what is signed as it is", async () => {
    const cwd = makeInputs();
    await layout(cwd, ...SIGNING);
    const before = LOADERS.concat(UKI).map((path) => readFileSync(join(cwd, "boot", path)).toString("hex"));
    writeFileSync(join(cwd, "uki.efi"), readFileSync(join(cwd, "boot", UKI)));
    const again = await layout(cwd, ...SIGNING, "--json");
    expect(again).toMatchObject({ code: 0, stderr: "" });
    expect(JSON.parse(again.stdout)).toMatchObject({
      output: "boot",
      arch: "x64",
      files: expect.arrayContaining([expect.objectContaining({ path: UKI, signed: "already" })]),
    });
    expect(LOADERS.concat(UKI).map((path) => readFileSync(join(cwd, "boot", path)).toString("hex"))).toEqual(before);
  });

  it("keeps a good signature by somebody else", async () => {
    const cwd = makeInputs();
    writeFileSync(join(cwd, "loader.efi"), vector("authenticode/signed/plain.sbsign.db3072.efi.gz"));
    expect(await layout(cwd, ...SIGNING, "--bootloader", "loader.efi")).toMatchObject({ code: 0 });
    expect(signers(join(cwd, "boot", LOADERS[0] ?? ""))).toEqual([
      expect.stringMatching(/rsa3072 untrusted$/),
      "CN=seal test db rsa2048 trusted",
    ]);
  });

  it("takes the menu's time from seal.toml, where timeout at the top is that of boot-test", async () => {
    const cwd = makeInputs();
    const conf = async (text: string) => {
      writeFileSync(join(cwd, "seal.toml"), text);
      expect(await layout(cwd)).toMatchObject({ code: 0 });
      return readFileSync(join(cwd, "boot/loader/loader.conf"), "utf8").match(/timeout.*/)?.[0];
    };
    expect(await conf("timeout = 300\n")).toBeUndefined();
    expect(await conf("timeout = 300\nmenu-timeout = 5\n")).toBe("timeout 5");
    expect(await conf("menu-timeout = 5\n[boot-layout]\ntimeout = 7\n")).toBe("timeout 7");
  });

  it("takes several kernels, and an addon only to those that it is for", async () => {
    const cwd = makeInputs();
    writeFileSync(join(cwd, "kernel"), vector("uki/inputs/kernel"));
    const build = ["build-uki", "--stub", "loader.efi", "--uname", "9.9-second", "--os-release", "ID=x"];
    await seal([...build, "--linux", "kernel", "--output", "second.efi"], { cwd });
    await seal([...build, "--cmdline", "debug", "--output", "debug.addon.efi"], { cwd });
    const result = await layout(cwd, ...SIGNING, "--uki", "second.efi", "--addon", "debug.addon.efi");
    expect(result).toMatchObject({ code: 0 });
    expect(tree(join(cwd, "boot"))).toEqual(
      [
        ...LOADERS,
        UKI,
        "EFI/Linux/9.9-second.efi",
        "EFI/Linux/9.9-second.efi.extra.d/debug.addon.efi",
        "loader/entries.srel",
        "loader/loader.conf",
      ].sort(),
    );
  });

  it("puts addons beside each UKI, or where they are for all, signed", async () => {
    const cwd = makeInputs();
    const build = ["build-uki", "--stub", "loader.efi", "--cmdline"];
    await seal([...build, "console=ttyS0", "--output", "serial.addon.efi"], { cwd });
    await seal([...build, "quiet", "--output", "quiet.addon.efi"], { cwd });
    const result = await layout(
      cwd,
      ...[...SIGNING, "--addon", "serial.addon.efi", "--global-addon", "quiet.addon.efi", "--json"],
    );
    expect(result).toMatchObject({ code: 0, stderr: "" });
    const paths = [`${UKI}.extra.d/serial.addon.efi`, "loader/addons/quiet.addon.efi"];
    for (const path of paths) {
      expect(signers(join(cwd, "boot", path))).toEqual(["CN=seal test db rsa2048 trusted"]);
      expect(JSON.parse(result.stdout).files).toContainEqual(expect.objectContaining({ path, signed: "now" }));
    }
    const shown = await seal(["inspect", join(cwd, "boot", paths[0] ?? ""), "--json"]);
    expect(JSON.parse(shown.stdout)).toMatchObject({ type: "addon", cmdline: "console=ttyS0", signatures: [{}] });
  });

  it("with a certificate and no key takes what is signed by it, and nothing else", async () => {
    const cwd = makeInputs();
    await layout(cwd, ...SIGNING);
    const signed = ["--uki", join("boot", UKI), "--bootloader", join("boot", LOADERS[0] ?? ""), "--output", "again"];
    const run = (...args: string[]) => seal(["boot-layout", ...signed, ...args], { cwd });
    expect(await run("--cert", `${KEYS}signer.crt`)).toMatchObject({ code: 0, stdout: "again\n" });
    expect(tree(join(cwd, "again"))).toEqual(tree(join(cwd, "boot")));
    const other = await run("--cert", `${KEYS}other.crt`);
    expect(other).toMatchObject({ code: 3, stdout: "" });
    expect(other.stderr).toMatch(
      /^seal: boot\/EFI\/BOOT\/BOOTX64\.EFI: is signed by CN=seal test db rsa2048, whose certificate is not in --cert or --db/,
    );
    const unsigned = await run("--cert", `${KEYS}signer.crt`, "--uki", "uki.efi");
    expect(unsigned.stderr).toMatch(/^seal: uki\.efi: is not signed; sign it first/);
  });

  it("takes a signed boot loader of the root filesystem first", async () => {
    const cwd = makeInputs();
    const signed = vector("authenticode/signed/plain.sbsign.db3072.efi.gz");
    writeFileSync(join(cwd, "root", EFI, "systemd-bootx64.efi.signed"), signed);
    const result = await layout(cwd);
    expect(result).toMatchObject({ code: 0, stderr: expect.stringContaining("uki.efi is not signed") });
    expect(readFileSync(join(cwd, "boot", LOADERS[0] ?? "")).equals(signed)).toBe(true);
  });

  it.each<[string, string[], number, RegExp]>([
    ["no UKI", ["--uki", "none.efi"], 3, /none\.efi: can't be read/],
    ["a UKI that is none", ["--uki", "loader.efi"], 3, /loader\.efi: is not a UKI/],
    ["a boot loader that is not a PE file", ["--bootloader", "keys/db.key"], 3, /keys\/db\.key: not a PE file/],
    ["a token that FAT can't hold", ["--entry-token", "a:b"], 3, /can't be called "a:b-/],
    [
      "keys that are not there",
      ["--enroll-keys", "root"],
      3,
      /root\/PK\.auth: is missing; PK, KEK and db are enrolled together; create all three with seal keys generate/,
    ],
    ["no directory of keys", ["--enroll-keys", "none"], 3, /none: can't be read: no such file/],
    ["a certificate for what is not signed", ["--cert", `${KEYS}signer.crt`], 3, /is not signed; sign it first/],
    ["an addon that is none", ["--addon", "loader.efi"], 3, /loader\.efi: has none of the sections that an addon adds/],
    ["an addon that is not there", ["--global-addon", "x.addon.efi"], 3, /x\.addon\.efi: can't be read/],
    [
      "a certificate of another key",
      ["--key", `${KEYS}signer.key`, "--cert", `${KEYS}other.crt`],
      3,
      /other\.crt does not belong to/,
    ],
    ["a mode that there is not", ["--secure-boot-enroll", "always"], 2, /--secure-boot-enroll: give one of if-safe/],
    ["an output below a file", ["--output", "uki.efi/boot"], 3, /uki\.efi\/boot: can't be written: part of the path/],
    ["an output that is a file", ["--output", "uki.efi"], 3, /uki\.efi: can't be written: part of the path/],
    ["a timeout that is not a number", ["--menu-timeout", "soon"], 2, /--menu-timeout: give seconds/],
  ])("answers %s with one line and writes nothing", async (_title, args, code, message) => {
    const cwd = makeInputs();
    const result = await layout(cwd, ...args);
    const error = result.stderr.split("\n").filter((line) => !line.startsWith("warning:"));
    expect(error).toEqual([expect.stringMatching(/^seal: /), ""]);
    expect(error[0]).toMatch(message);
    expect(result).toMatchObject({ code, stdout: "" });
    expect(readdirSync(cwd).sort()).toEqual(["keys", "loader.efi", "root", "uki.efi"]);
  });

  it("wants a UKI and an output", async () => {
    expect(await seal(["boot-layout"])).toMatchObject({
      code: 2,
      stderr: "seal: --uki: give a UKI; --output: give the directory to write\n",
    });
  });

  it("leaves a directory with other files alone: a random seed, another kernel", async () => {
    for (const name of ["loader/random-seed", "EFI/Linux/old.efi"]) {
      const cwd = makeInputs();
      await layout(cwd);
      writeFileSync(join(cwd, "boot", name), "mine");
      const result = await layout(cwd);
      expect(result).toMatchObject({ code: 3, stderr: expect.stringContaining(`is not empty (${name})`) });
      expect(readFileSync(join(cwd, "boot", name), "utf8")).toBe("mine");
    }
  });

  it("does not follow a symlink out of the root filesystem", async () => {
    const cwd = makeInputs();
    symlinkSync(join(cwd, "loader.efi"), join(cwd, "root", EFI, "systemd-bootx64.efi.signed"));
    expect(await layout(cwd)).toMatchObject({
      code: 3,
      stderr: expect.stringContaining("symlink that points outside "),
    });
    expect(existsSync(join(cwd, "boot"))).toBe(false);
  });
});

describeWith(["root"], "seal boot-layout on a full disk", () => {
  it("says so and leaves what was there", async () => {
    const cwd = makeInputs();
    const disk = tempDir();
    expect(spawnSync("mount", ["-t", "tmpfs", "-o", "size=32k", "tmpfs", disk], { encoding: "utf8" }).stderr).toBe("");
    onTestFinished(() => void spawnSync("umount", ["-l", disk]));
    const result = await layout(cwd, "--output", join(disk, "boot"));
    expect(result).toMatchObject({ code: 3, stderr: expect.stringContaining("no space left on the device") });
    expect(readdirSync(disk)).toEqual([]);
  });
});

describeWith(["sbverify", "ukify"], "seal boot-layout with systemd's boot loaders", () => {
  it.each([
    ["x64", "", "BOOTX64.EFI"],
    ["aa64", "srv/arm64", "BOOTAA64.EFI"],
    ["riscv64", "srv/riscv64", "BOOTRISCV64.EFI"],
  ])("lays out %s", async (arch, place, name) => {
    const cwd = tempDir();
    const root = join(peerTree("sid"), place);
    const stub = readFileSync(join(root, EFI, `linux${arch}.efi.stub`));
    writeFileSync(join(cwd, "stub"), stub);
    const machine = parsePe([stub], "stub").machine;
    const kernel = { x64: "kernel", aa64: "kernel-aa64", riscv64: "kernel-riscv64" }[arch] ?? "";
    writeFileSync(join(cwd, "kernel"), vector(`uki/inputs/${kernel}`));
    const built = await seal(
      [
        "build-uki",
        "--linux",
        "kernel",
        "--stub",
        "stub",
        "--uname",
        "6.1",
        "--os-release",
        "ID=x",
        "--output",
        "u.efi",
      ],
      { cwd },
    );
    expect(built).toMatchObject({ code: 0 });
    const result = await seal(
      ["boot-layout", "--uki", "u.efi", "--rootfs", root, "--entry-token", "token", "--output", "boot", ...SIGNING],
      { cwd },
    );
    expect(result).toMatchObject({ code: 0 });
    expect(tree(join(cwd, "boot"))).toEqual(
      [
        `EFI/BOOT/${name}`,
        "EFI/Linux/token-6.1.efi",
        `EFI/systemd/systemd-boot${arch}.efi`,
        "loader/entries.srel",
        "loader/loader.conf",
      ].sort(),
    );
    const loader = join(cwd, "boot/EFI/BOOT", name);
    expect(parsePe([readFileSync(loader)], "loader").machine).toBe(machine);
    writeFileSync(join(cwd, "db.crt"), readFileSync(`${KEYS}signer.crt`));
    const verified = runPeer("sbverify", ["--cert", join(cwd, "db.crt"), loader]);
    expect(verified).toMatchObject({ status: 0 });
    expect(signers(loader)).toEqual(["CN=seal test db rsa2048 trusted"]);
  });
});
