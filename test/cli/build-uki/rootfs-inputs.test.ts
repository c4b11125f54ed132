import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { describe, expect, it } from "vitest";
import { peReportSchema } from "../../../src/cli/inspect/pe-report.ts";
import { seal } from "../../support/cli.ts";
import { describeWith, peerTree, realRootfs, runPeer } from "../../support/peers.ts";
import { tempDir } from "../../support/temp.ts";
import { vector } from "../../support/vectors.ts";

const MODULES = "usr/lib/modules";
const KARGS = "usr/lib/bootc/kargs.d";
const STUB = "usr/lib/systemd/boot/efi/linuxx64.efi.stub";
const HEX = "0123456789abcdef".repeat(8);

function write(base: string, path: string, bytes: Uint8Array | string): void {
  mkdirSync(dirname(join(base, path)), { recursive: true });
  writeFileSync(join(base, path), bytes);
}

/** A directory with the root filesystem `root`, small but complete. */
function makeRootfs(): string {
  const cwd = tempDir();
  const root = join(cwd, "root");
  for (const name of ["boot", "sysroot", "etc", "var", "run", "tmp"]) mkdirSync(join(root, name), { recursive: true });
  write(root, `${MODULES}/6.1-test/vmlinuz`, vector("uki/inputs/kernel"));
  write(root, `${MODULES}/6.1-test/initramfs.img`, vector("uki/inputs/initrd-1"));
  write(root, "usr/lib/os-release", 'ID=test\nPRETTY_NAME="Test OS"\n');
  write(root, STUB, vector("uki/inputs/stub-plain"));
  write(root, `${KARGS}/20-console.toml`, 'kargs = ["console=ttyS0"]\n');
  write(root, `${KARGS}/10-rw.toml`, 'kargs = ["rw", "quiet"]\nmatch-architectures = ["x86_64"]\n');
  write(root, `${KARGS}/30-arm.toml`, 'kargs = ["never"]\nmatch-architectures = ["aarch64"]\n');
  return cwd;
}

const build = (cwd: string, ...args: string[]) =>
  seal(["build-uki", "--rootfs", "root", "--output", "x.efi", ...args], { cwd });

async function inspect(cwd: string) {
  return peReportSchema.parse(JSON.parse((await seal(["inspect", "x.efi", "--json"], { cwd })).stdout));
}

const karg = async (cwd: string, ...args: string[]) =>
  (await seal(["compute-digest", "root", "--karg", ...args], { cwd })).stdout.trim();

describe("seal build-uki --rootfs", () => {
  it("takes everything from the root filesystem, in the order of bootc", async () => {
    const cwd = makeRootfs();
    expect(await build(cwd, "--karg", "debug", "--karg", "rw")).toMatchObject({ code: 0, stdout: "x.efi\n" });
    const report = await inspect(cwd);
    const digest = await karg(cwd);
    expect(digest).toMatch(/^composefs=[0-9a-f]{128}$/);
    expect(report).toMatchObject({
      type: "uki",
      kver: "6.1-test",
      cmdline: `rw quiet console=ttyS0 ${digest} debug`,
      osRelease: { PRETTY_NAME: "Test OS" },
    });
    for (const [section, file] of [
      [".linux", "vmlinuz"],
      [".initrd", "initramfs.img"],
    ] as const) {
      const { stdoutBytes } = await seal(["inspect", "x.efi", "--section", section], { cwd });
      expect(stdoutBytes.equals(readFileSync(join(cwd, "root", MODULES, "6.1-test", file)))).toBe(true);
    }
  });

  it("gives the same bytes again, and leaves the tree alone", async () => {
    const cwd = makeRootfs();
    const before = await karg(cwd, "--transform", "none");
    await build(cwd);
    const first = readFileSync(join(cwd, "x.efi"));
    await build(cwd);
    expect(readFileSync(join(cwd, "x.efi")).equals(first)).toBe(true);
    expect(await karg(cwd, "--transform", "none")).toBe(before);
  });

  it("takes the kernel from where split-kernel put it", async () => {
    const cwd = makeRootfs();
    expect((await seal(["split-kernel", "--rootfs", "root", "--output", "kernel"], { cwd })).code).toBe(0);
    const digest = await karg(cwd);
    expect(await build(cwd, "--kernel-dir", "kernel/6.1-test", "--kver", "6.2")).toMatchObject({
      code: 3,
      stderr: expect.stringContaining("has no kernel 6.2, only 6.1-test"),
    });
    for (const directory of ["kernel", "kernel/6.1-test"]) {
      expect(await build(cwd, "--kernel-dir", directory)).toMatchObject({ code: 0 });
      expect(await inspect(cwd)).toMatchObject({ kver: "6.1-test", cmdline: expect.stringContaining(digest) });
    }
  });

  it("puts several digests and other forms on the command line", async () => {
    const cwd = makeRootfs();
    await build(cwd, "--erofs", "v1", "--erofs", "v2", "--karg-style", "composefs.digest", "--allow-missing-verity");
    const { composefs } = await inspect(cwd);
    expect(composefs.digests.map(({ form, erofs, insecure }) => [form, erofs, insecure])).toEqual([
      ["composefs.digest", "v1", true],
      ["composefs.digest", "v2", true],
    ]);
  });

  it("takes a digest, a command line and other inputs from arguments", async () => {
    const cwd = makeRootfs();
    write(cwd, "cmdline", "  first \n");
    write(cwd, "stub", vector("uki/inputs/stub-plain"));
    rmSync(join(cwd, "root", STUB));
    const args = ["--digest", HEX, "--cmdline", "@cmdline", "--no-kargs-d", "--uname", "7", "--os-release", "ID=mine"];
    expect(await build(cwd, ...args, "--stub", "stub", "--initrd", "cmdline")).toMatchObject({ code: 0 });
    expect(await inspect(cwd)).toMatchObject({
      kver: "7",
      cmdline: `first composefs=${HEX}`,
      osRelease: { ID: "mine" },
    });
  });

  it("warns of a profile whose command line leaves the digest out", async () => {
    const cwd = makeRootfs();
    writeFileSync(join(cwd, "addon"), vector("uki/inputs/stub-nosbat"));
    write(join(cwd, "root"), STUB, vector("uki/inputs/stub-wide"));
    const digest = await karg(cwd);
    const profile = async (id: string, ...args: string[]) => {
      const inputs = ["--profile", `ID=${id}`, ...args, "--stub", "addon", "--output", `${id}.efi`];
      expect(await seal(["build-uki", ...inputs], { cwd })).toMatchObject({ code: 0 });
      return ["--join-profile", `${id}.efi`];
    };
    const fine = [...(await profile("inherits")), ...(await profile("repeats", "--cmdline", `debug ${digest}`))];
    expect((await build(cwd, ...fine)).stderr).not.toContain("profile");
    const other = [
      ...(await profile("bare", "--cmdline", "debug")),
      ...(await profile("wrong", "--cmdline", `composefs=${HEX}`)),
    ];
    const { code, stderr } = await build(cwd, ...fine, ...other);
    expect(code).toBe(0);
    for (const id of ["bare", "wrong"])
      expect(stderr).toContain(
        `warning: the profile ${id} has a command line of its own without the digest of this root`,
      );
    expect(stderr.match(/warning: the profile/g)).toHaveLength(2);
  });

  it("names the result after the kernel", async () => {
    const cwd = makeRootfs();
    expect(await seal(["build-uki", "--rootfs", "root"], { cwd })).toMatchObject({ stdout: "6.1-test.unsigned.efi\n" });
  });

  it("warns of an architecture that no machine has", async () => {
    const cwd = makeRootfs();
    write(cwd, `root/${KARGS}/40.toml`, 'kargs = ["x"]\nmatch-architectures = ["amd64"]');
    expect((await build(cwd)).stderr).toContain("match-architectures has amd64, which is not an architecture");
  });

  it.each<[string, (cwd: string) => void, string[], number, RegExp]>([
    ["no kernel", (cwd) => rmSync(join(cwd, "root", MODULES), { recursive: true }), [], 3, /root has no kernel/],
    [
      "two kernels",
      (cwd) => cpSync(join(cwd, "root", MODULES, "6.1-test"), join(cwd, "root", MODULES, "6.2"), { recursive: true }),
      [],
      3,
      /root has two kernels \(6\.1-test, 6\.2\)\. Choose one with --kver/,
    ],
    [
      "no initramfs",
      (cwd) => rmSync(join(cwd, "root", MODULES, "6.1-test/initramfs.img")),
      [],
      3,
      /initramfs\.img is missing/,
    ],
    [
      "a kernel that is none",
      (cwd) => write(cwd, `root/${MODULES}/6.1-test/vmlinuz`, "text"),
      [],
      3,
      /root: usr\/lib\/modules\/6\.1-test\/vmlinuz: not an EFI kernel/,
    ],
    ["no stub", () => {}, ["--efi-arch", "riscv32"], 3, /linuxriscv32\.efi\.stub: can't read the EFI stub/],
    ["no os-release", (cwd) => rmSync(join(cwd, "root/usr/lib/os-release")), [], 3, /has no usr\/lib\/os-release/],
    [
      "an os-release that leads to this machine",
      (cwd) => {
        rmSync(join(cwd, "root/usr/lib/os-release"));
        symlinkSync("/etc/os-release", join(cwd, "root/usr/lib/os-release"));
      },
      [],
      3,
      /absolute/,
    ],
    [
      "kargs.d that is broken",
      (cwd) => write(cwd, `root/${KARGS}/10-rw.toml`, "kargs = ["),
      [],
      3,
      /kargs\.d\/10-rw\.toml:1:/,
    ],
    [
      "a digest in kargs.d",
      (cwd) => write(cwd, `root/${KARGS}/50.toml`, `kargs = ["composefs=${HEX}"]`),
      [],
      3,
      /seal adds the digest itself/,
    ],
    ["a newline in --karg", () => {}, ["--karg", "a\nb"], 3, /--karg: the kernel command line has a newline/],
    [
      "a NUL in a file",
      (cwd) => write(cwd, "c", "a\0b"),
      ["--cmdline", "@c"],
      3,
      /c: the kernel command line has a NUL/,
    ],
    ["a long command line", () => {}, ["--karg", "x".repeat(2000)], 3, /takes 2047 and ignores the rest/],
    ["a digest that is none", () => {}, ["--digest", "abc"], 2, /--digest: give 64 or 128 hex digits/],
    [
      "one digest for several formats",
      () => {},
      ["--digest", HEX, "--erofs", "v1", "--erofs", "v2"],
      2,
      /--digest: gives one digest/,
    ],
    [
      "a stub for another architecture than the kernel's",
      (cwd) => write(join(cwd, "root"), `${MODULES}/6.1-test/vmlinuz`, vector("uki/inputs/kernel-aa64")),
      ["--stub", `root/${STUB}`],
      3,
      /is a kernel for aa64, but the stub \S+ is for x64; give a --stub for that kernel/,
    ],
    ["--linux", () => {}, ["--linux", "x"], 2, /--linux: with --rootfs give --kernel-dir/],
    ["an empty kernel directory", (cwd) => mkdirSync(join(cwd, "k")), ["--kernel-dir", "k"], 3, /k: has no vmlinuz/],
    ["a missing kernel directory", () => {}, ["--kernel-dir", "k"], 3, /k: has no vmlinuz/],
    ["a version that is not there", () => {}, ["--kver", "6"], 3, /root has no kernel 6, only 6\.1-test/],
  ])("answers %s with one line and writes nothing", async (_title, change, args, code, message) => {
    const cwd = makeRootfs();
    change(cwd);
    const result = await build(cwd, ...args);
    expect(result.stderr).toMatch(message);
    expect(result.stderr).toMatch(/^seal: [^\n]*\n$/);
    expect(result).toMatchObject({ code, stdout: "" });
    expect(existsSync(join(cwd, "x.efi"))).toBe(false);
  });

  it("wants --rootfs for what goes with it", async () => {
    for (const args of [["--karg", "x"], ["--kver", "1"], ["--no-kargs-d"], ["--allow-missing-verity"]]) {
      const result = await seal(["build-uki", "--output", "x.efi", ...args], { cwd: tempDir() });
      expect(result).toMatchObject({
        code: 2,
        stderr: expect.stringMatching(/^seal: --[a-z-]+( \(--additional-kargs\))?: requires --rootfs or --from\n$/),
      });
    }
    const alias = await seal(["build-uki", "--output", "x.efi", "--additional-kargs", "x"], { cwd: tempDir() });
    expect(alias.stderr).toContain("--additional-kargs");
  });
});

describeWith(["ukify", "rootfs", "root"], "seal build-uki --rootfs of a real root filesystem", () => {
  it("gives the bytes of ukify with the same inputs", async () => {
    const cwd = tempDir();
    const root = realRootfs() ?? "";
    const stub = join(cwd, "stub");
    cpSync(join(peerTree("sid"), STUB), stub);
    const [version = ""] = readdirSync(join(root, MODULES));
    for (const name of ["vmlinuz", "initramfs.img"]) cpSync(join(root, MODULES, version, name), join(cwd, name));
    cpSync(join(root, "usr/lib/os-release"), join(cwd, "os-release"));
    const result = await seal(["build-uki", "--rootfs", root, "--stub", stub, "--karg", "rw", "--output", "x.efi"], {
      cwd,
    });
    expect(result).toMatchObject({ code: 0 });
    const { cmdline } = await inspect(cwd);
    expect(cmdline).toMatch(/^(?:\S+ )*composefs=[0-9a-f]{128} rw$/);
    const peer = runPeer("ukify", [
      "build",
      ...["--linux", join(cwd, "vmlinuz"), "--initrd", join(cwd, "initramfs.img"), "--uname", version, "--stub", stub],
      ...["--cmdline", cmdline ?? "", "--os-release", `@${join(cwd, "os-release")}`, "--output", join(cwd, "peer.efi")],
    ]);
    expect(peer).toMatchObject({ status: 0 });
    expect(readFileSync(join(cwd, "x.efi")).equals(readFileSync(join(cwd, "peer.efi")))).toBe(true);
  });
});
