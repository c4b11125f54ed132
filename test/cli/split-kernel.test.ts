import { spawnSync } from "node:child_process";
import {
  cpSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { describe, expect, it, onTestFinished } from "vitest";
import { setTimes } from "../../src/io/libc.ts";
import { seal } from "../support/cli.ts";
import { describeWith } from "../support/peers.ts";
import { tempDir } from "../support/temp.ts";

const MODULES = "usr/lib/modules";
const TIMES = { atimeNs: 1_700_000_000_123_456_789n, mtimeNs: 1_700_000_001_987_654_321n };

const touch = (path: string) => setTimes(Buffer.from(`${path}\0`), TIMES);

/** A root filesystem with kernels of these versions, below a directory. */
function makeRootfs(root: string, versions = ["6.12.107"]): string {
  mkdirSync(join(root, MODULES), { recursive: true });
  for (const version of versions) {
    const directory = join(root, MODULES, version);
    mkdirSync(directory);
    writeFileSync(join(directory, "modules.dep"), "");
    writeFileSync(join(directory, "vmlinuz"), "k".repeat(100_000), { mode: 0o600 });
    writeFileSync(join(directory, "initramfs.img"), `initramfs of ${version}`);
    touch(join(directory, "vmlinuz"));
    touch(directory);
  }
  touch(join(root, MODULES));
  return root;
}

const run = (rootfs: string, output: string, ...more: string[]) =>
  seal(["split-kernel", "--rootfs", rootfs, "--output", output, ...more]);

describe("seal split-kernel", () => {
  it("moves both files out and leaves the directories as if nothing had been there", async () => {
    const [rootfs, output] = [makeRootfs(join(tempDir(), "root")), join(tempDir(), "a/kernel")];
    const result = await run(rootfs, output);
    expect(result).toEqual(expect.objectContaining({ code: 0, stdout: `${output}/6.12.107\n`, stderr: "" }));
    expect(readdirSync(join(rootfs, MODULES, "6.12.107"))).toEqual(["modules.dep"]);
    expect(readdirSync(join(output, "6.12.107")).sort()).toEqual(["initramfs.img", "vmlinuz"]);
    expect(readFileSync(join(output, "6.12.107/vmlinuz"), "utf8")).toBe("k".repeat(100_000));
    expect(readFileSync(join(output, "6.12.107/initramfs.img"), "utf8")).toBe("initramfs of 6.12.107");
    for (const path of [join(rootfs, MODULES), join(rootfs, MODULES, "6.12.107"), join(output, "6.12.107/vmlinuz")]) {
      expect(lstatSync(path, { bigint: true }).mtimeNs).toBe(TIMES.mtimeNs);
    }
    expect(lstatSync(join(output, "6.12.107/vmlinuz")).mode & 0o777).toBe(0o644);
  });

  it("refuses a kernel whose directory has a name that is not UTF-8", async () => {
    const rootfs = makeRootfs(join(tempDir(), "root"));
    renameSync(join(rootfs, MODULES, "6.12.107"), Buffer.from(join(rootfs, MODULES, "6.12-\xff"), "latin1"));
    const result = await run(rootfs, tempDir());
    expect(result).toMatchObject({ code: 3, stdout: "" });
    expect(result.stderr).toMatch(/6\.12-\\xff: this name is not UTF-8; rename it/);
  });

  it("answers to the name that bootc has for it, and in JSON", async () => {
    const [rootfs, output] = [makeRootfs(join(tempDir(), "root")), tempDir()];
    const result = await seal(["split-kernel-and-rootfs", "--rootfs", rootfs, "--output", output, "--json"]);
    expect(result.code).toBe(0);
    expect(JSON.parse(result.stdout)).toEqual({
      kver: "6.12.107",
      vmlinuz: `${output}/6.12.107/vmlinuz`,
      initramfs: `${output}/6.12.107/initramfs.img`,
    });
  });

  it("takes the kernel that is asked for", async () => {
    const [rootfs, output] = [makeRootfs(join(tempDir(), "root"), ["6.1", "6.2"]), tempDir()];
    expect((await run(rootfs, output, "--kver", "6.1")).code).toBe(0);
    expect(readdirSync(output)).toEqual(["6.1"]);
    expect(existsSync(join(rootfs, MODULES, "6.2/vmlinuz"))).toBe(true);
  });

  it.each<[string, (root: string) => void, RegExp]>([
    [
      "two kernels",
      (root) => cpSync(join(root, MODULES, "6.12.107"), join(root, MODULES, "6.12.90"), { recursive: true }),
      /has two kernels \(6\.12\.107, 6\.12\.90\)\. Choose one with --kver/,
    ],
    ["no kernel", (root) => rmSync(join(root, MODULES, "6.12.107/vmlinuz")), /has no kernel/],
    ["no modules", (root) => rmSync(join(root, "usr"), { recursive: true }), /has no kernel/],
    [
      "no initramfs",
      (root) => rmSync(join(root, MODULES, "6.12.107/initramfs.img")),
      /6\.12\.107\/initramfs\.img is missing/,
    ],
    [
      "a kernel that is a symlink",
      (root) => {
        rmSync(join(root, MODULES, "6.12.107/vmlinuz"));
        symlinkSync("/etc/hostname", join(root, MODULES, "6.12.107/vmlinuz"));
      },
      /vmlinuz: is not a regular file/,
    ],
    [
      "a symlink on the way",
      (root) => {
        rmSync(join(root, "usr"), { recursive: true });
        symlinkSync("/usr", join(root, "usr"));
      },
      /usr: is a symlink/,
    ],
    ["no root filesystem", (root) => rmSync(root, { recursive: true }), /can't be read: no such file or directory/],
    [
      "a file as root filesystem",
      (root) => {
        rmSync(root, { recursive: true });
        writeFileSync(root, "");
      },
      /is not a directory/,
    ],
  ])("answers %s with one line, exit code 3 and no output", async (_title, change, message) => {
    const [rootfs, output] = [makeRootfs(join(tempDir(), "root")), join(tempDir(), "out")];
    change(rootfs);
    const result = await run(rootfs, output);
    expect(result.stderr).toMatch(message);
    expect(result.stderr).toMatch(/^seal: [^\n]*\n$/);
    expect(result).toMatchObject({ code: 3, stdout: "" });
    expect(existsSync(output)).toBe(false);
  });

  it("refuses the running system's /, an output in the tree, and to overwrite", async () => {
    const rootfs = makeRootfs(join(tempDir(), "root"));
    // In a container "/" itself is a stage.
    expect(await run("/usr/..", tempDir())).toMatchObject({ code: 3, stderr: expect.stringContaining("refusing") });
    expect(await run(rootfs, join(rootfs, "kernel"))).toMatchObject({ code: 2 });
    symlinkSync(rootfs, `${rootfs}-link`);
    expect(await run(rootfs, `${rootfs}-link/a/kernel`)).toMatchObject({ code: 2 });
    const output = tempDir();
    mkdirSync(join(output, "6.12.107"));
    writeFileSync(join(output, "6.12.107/initramfs.img"), "old");
    const result = await run(rootfs, output);
    expect(result).toMatchObject({ code: 3, stderr: expect.stringContaining("already exists") });
    expect(readdirSync(join(output, "6.12.107"))).toEqual(["initramfs.img"]);
    expect(readFileSync(join(output, "6.12.107/initramfs.img"), "utf8")).toBe("old");
    expect(existsSync(join(rootfs, MODULES, "6.12.107/vmlinuz"))).toBe(true);
  });

  it("wants an output", async () => {
    expect(await seal(["split-kernel", "--rootfs", "/x"])).toMatchObject({
      code: 2,
      stderr: expect.stringMatching(/^seal: .*--output.*\n$/),
    });
  });
});

describeWith(["root"], "seal split-kernel on other filesystems", () => {
  /** A tmpfs of that size that goes away with the test. */
  function tmpfs(size: string): string {
    const path = tempDir();
    const mount = (...args: string[]) => spawnSync("mount", args, { encoding: "utf8" });
    expect(mount("-t", "tmpfs", "-o", `size=${size}`, "tmpfs", path).stderr).toBe("");
    onTestFinished(() => void spawnSync("umount", ["-l", path]));
    return path;
  }

  it("moves from one filesystem to another", async () => {
    const rootfs = makeRootfs(join(tmpfs("1m"), "root"));
    const output = tempDir();
    expect((await run(rootfs, output)).code).toBe(0);
    expect(lstatSync(join(rootfs, MODULES, "6.12.107"), { bigint: true }).mtimeNs).toBe(TIMES.mtimeNs);
    expect(readdirSync(join(output, "6.12.107")).sort()).toEqual(["initramfs.img", "vmlinuz"]);
  });

  it("loses nothing when the disk is full", async () => {
    const [rootfs, output] = [makeRootfs(join(tempDir(), "root")), join(tmpfs("64k"), "out")];
    const result = await run(rootfs, output);
    expect(result).toMatchObject({ code: 3, stderr: expect.stringContaining("no space left on the device") });
    expect(existsSync(output)).toBe(false);
    expect(readdirSync(join(rootfs, MODULES, "6.12.107")).sort()).toEqual(["initramfs.img", "modules.dep", "vmlinuz"]);
  });

  it("says that the root filesystem is read-only", async () => {
    const mounted = tmpfs("1m");
    const rootfs = makeRootfs(join(mounted, "root"));
    expect(spawnSync("mount", ["-o", "remount,ro", mounted], { encoding: "utf8" }).stderr).toBe("");
    const output = join(tempDir(), "out");
    const result = await run(rootfs, output);
    expect(result).toMatchObject({ code: 3, stderr: expect.stringMatching(/^seal: [^\n]*read-only\n$/) });
    expect(existsSync(output)).toBe(false);
  });
});
