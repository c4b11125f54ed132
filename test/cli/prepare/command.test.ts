import { spawnSync } from "node:child_process";
import {
  cpSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statfsSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { beforeEach, describe, expect, it, onTestFinished } from "vitest";
import { prepareReportSchema } from "../../../src/cli/prepare/command.ts";
import { setTimes } from "../../../src/io/libc.ts";
import { parsePe } from "../../../src/pe/headers.ts";
import { verifyPe } from "../../../src/sign/verify.ts";
import { type CliOptions, seal } from "../../support/cli.ts";
import { EFI, expectRefusal, KVER, MODULES, makeInputs, SIGNING, snapshot, write } from "../../support/inputs.ts";
import { keySet, keyUpdate } from "../../support/key-sets.ts";
import { describeWith } from "../../support/peers.ts";
import { vectorCertificate } from "../../support/signing.ts";
import { tempDir } from "../../support/temp.ts";
import { vector } from "../../support/vectors.ts";

const TIMES = { atimeNs: 1_700_000_000_123_456_789n, mtimeNs: 1_700_000_001_987_654_321n };
const LOADER = `${EFI}/systemd-bootx64.efi`;
const AUTO = "usr/lib/bootc/install/secureboot-keys/auto";
const KEYS = ["--enroll-keys", "keys"];

let cwd: string;
const at = (path: string) => join(cwd, "root", path);
const mtime = (path: string) => lstatSync(at(path), { bigint: true }).mtimeNs;
const prepare = (args: readonly string[], options: CliOptions = {}) =>
  seal(["prepare", "root", ...args], { cwd, ...options });

async function report(args: readonly string[], options: CliOptions = {}) {
  const { code, stdout, stderr } = await prepare([...args, "--json"], options);
  expect(code, stderr).toBe(0);
  return prepareReportSchema.parse(JSON.parse(stdout));
}

/** Signers of a file in the root filesystem. */
function signers(path: string): string[] {
  const trust = { certificates: [vectorCertificate("signer")], now: new Date() };
  const { signatures } = verifyPe(parsePe([readFileSync(at(path))], path), trust);
  return signatures.map(({ subject, outcome }) => `${subject} ${outcome}`);
}

/** Everything in the root filesystem, with times. */
const state = () =>
  snapshot(join(cwd, "root")).map((line) => `${line} ${lstatSync(line.split(" ")[0] ?? "", { bigint: true }).mtimeNs}`);

beforeEach(async () => {
  cwd = makeInputs();
  for (const [variable, bytes] of await keySet()) write(cwd, `keys/${variable}.auth`, bytes);
  for (const path of [EFI, "usr/lib", "usr", MODULES, `${MODULES}/${KVER}`])
    setTimes(Buffer.from(`${at(path)}\0`), TIMES);
});

describe("seal prepare", () => {
  it("signs systemd-boot of all architectures, and leaves the directory as if nothing had been written", async () => {
    write(cwd, `root/${EFI}/systemd-bootaa64.efi`, vector("uki/inputs/stub-plain"));
    setTimes(Buffer.from(`${at(EFI)}\0`), TIMES);
    const plain = readFileSync(at(LOADER));
    const { loaders, keys, kernel } = await report([...SIGNING, "--mtime", "1600000000"]);
    expect(loaders.map(({ path, arch, signed }) => [path, arch, signed])).toEqual([
      [`${EFI}/systemd-bootaa64.efi.signed`, "aa64", "now"],
      [`${LOADER}.signed`, "x64", "now"],
    ]);
    expect([keys, kernel]).toEqual([[], null]);
    expect(signers(`${LOADER}.signed`)).toEqual(["CN=seal test db rsa2048 trusted"]);
    expect(readFileSync(at(LOADER)).equals(plain)).toBe(true);
    expect(mtime(`${LOADER}.signed`)).toBe(1_600_000_000_000_000_000n);
    expect(lstatSync(at(`${LOADER}.signed`)).mode & 0o777).toBe(0o644);
    expect(mtime(EFI)).toBe(TIMES.mtimeNs);
    expect(readdirSync(at(EFI)).filter((name) => name.startsWith("."))).toEqual([]);
  });

  it("gives the same tree in every build, and changes nothing when it runs again", async () => {
    const args = [...SIGNING, ...KEYS, "--kernel-dir", "kernel"];
    spawnSync("cp", ["-a", at("."), join(cwd, "copy")]);
    await report(args, { now: new Date("2026-03-04T05:06:07Z") });
    const first = state();
    const again = await report(args);
    expect(again.loaders.map(({ signed }) => signed)).toEqual(["already"]);
    expect(again.keys.map(({ change }) => change)).toEqual(["kept", "kept", "kept"]);
    expect(again.kernel).toMatchObject({ kver: KVER, files: [] });
    expect(state()).toEqual(first);
    const digest = async (path: string) => (await seal(["compute-digest", path], { cwd })).stdout;
    const other = await seal(["prepare", "copy", ...SIGNING, ...KEYS, "--kernel-dir", "kernel2"], { cwd });
    expect(other).toMatchObject({ code: 0, stdout: "copy\n" });
    for (const path of [`${LOADER}.signed`, AUTO, `${AUTO}/db.auth`]) {
      expect(lstatSync(join(cwd, "copy", path), { bigint: true }).mtimeNs).toBe(0n);
    }
    expect(await digest("copy")).toBe(await digest("root"));
  });

  it("puts the keys where bootc install takes them, and nothing else", async () => {
    write(cwd, "keys/db.key", "private");
    write(cwd, "keys/noPK.auth", "x");
    const { keys } = await report([...SIGNING, ...KEYS]);
    expect(keys.map(({ path, change }) => `${path} ${change}`)).toEqual(
      ["PK", "KEK", "db"].map((name) => `${AUTO}/${name}.auth written`),
    );
    expect(readdirSync(at(AUTO)).sort()).toEqual(["KEK.auth", "PK.auth", "db.auth"]);
    expect(readFileSync(at(`${AUTO}/db.auth`))).toEqual(readFileSync(join(cwd, "keys/db.auth")));
    expect(lstatSync(at(AUTO)).mode & 0o777).toBe(0o755);
  });

  it("removes a dbx from before, which would be enrolled with them", async () => {
    write(cwd, `root/${AUTO}/dbx.auth`, await keyUpdate("dbx", "leaf"));
    const { keys } = await report([...SIGNING, ...KEYS]);
    expect(keys.at(-1)).toEqual({ path: `${AUTO}/dbx.auth`, change: "removed" });
    expect(existsSync(at(`${AUTO}/dbx.auth`))).toBe(false);
  });

  it("moves the kernel, with the hash that FIPS mode wants", async () => {
    write(cwd, `root/${MODULES}/${KVER}/.vmlinuz.hmac`, "hash");
    setTimes(Buffer.from(`${at(`${MODULES}/${KVER}`)}\0`), TIMES);
    const { kernel, loaders } = await report(["--kernel-dir", "kernel"]);
    const files = ["vmlinuz", "initramfs.img", ".vmlinuz.hmac"];
    expect(kernel).toEqual({ kver: KVER, directory: join(cwd, "kernel", KVER), files });
    expect(readdirSync(join(cwd, "kernel", KVER)).sort()).toEqual([...files].sort());
    expect(readdirSync(at(`${MODULES}/${KVER}`))).toEqual([]);
    expect(mtime(`${MODULES}/${KVER}`)).toBe(TIMES.mtimeNs);
    expect(loaders).toMatchObject([{ path: LOADER, signed: "no" }]);
    const sealed = await seal(["rootfs", "root", "--kernel-dir", "kernel", "--output", "out"], { cwd });
    expect(sealed.code, sealed.stderr).toBe(0);
  });

  it("keeps the signature of somebody else and adds its own", async () => {
    await seal(["sign", at(LOADER), "--key", "other.key", "--cert", "other.crt", "--output", at(`${LOADER}.signed`)], {
      cwd,
    });
    await report(SIGNING);
    expect(signers(`${LOADER}.signed`).map((line) => line.split(" ").at(-1))).toEqual(["untrusted", "trusted"]);
  });

  it("signs anew when the package brought another systemd-boot", async () => {
    await report(SIGNING);
    writeFileSync(at(LOADER), changed(readFileSync(at(LOADER))));
    const { warnings, loaders } = await report(SIGNING);
    expect(loaders[0]?.signed).toBe("now");
    expect(warnings.join()).toMatch(/systemd-bootx64\.efi\.signed: is .*; it is signed again/);
    expect((await report(SIGNING)).warnings).toEqual([]);
  });

  it.each<[string, (root: string) => void, readonly string[], number, RegExp]>([
    ["nothing to do", () => {}, [], 2, /--key, --enroll-keys, --kernel-dir: give at least one of them/],
    [
      "keys that do not allow the signer",
      () => {},
      ["--key", "other.key", "--cert", "other.crt", ...KEYS],
      3,
      /db\.auth does not allow/,
    ],
    ["a kernel directory in the tree", () => {}, ["--kernel-dir", "root/kernel"], 2, /is inside the root filesystem/],
    [
      "secureboot-keys that is a file",
      (root) => write(root, "usr/lib/bootc/install/secureboot-keys", ""),
      [...SIGNING, ...KEYS],
      3,
      /secureboot-keys: is a file where bootc wants a directory; remove it/,
    ],
    [
      "a file right in secureboot-keys",
      (root) => write(root, "usr/lib/bootc/install/secureboot-keys/PK.auth", ""),
      [...SIGNING, ...KEYS],
      3,
      /secureboot-keys\/PK\.auth: is a file where bootc wants a directory/,
    ],
    [
      "a symlink that leads elsewhere",
      (root) => {
        mkdirSync(join(root, "usr/lib/bootc"), { recursive: true });
        symlinkSync("/etc", join(root, "usr/lib/bootc/install"));
      },
      [...SIGNING, ...KEYS],
      3,
      /bootc\/install: is a symlink; a directory is needed here/,
    ],
    ["a loader that is not a program", (root) => write(root, LOADER, "x"), SIGNING, 3, /systemd-bootx64\.efi: .*PE/],
    ["no kernel", () => {}, [...SIGNING, "--kernel-dir", "kernel", "--kver", "9"], 3, /has no kernel 9/],
    ["the running system by a detour", () => {}, SIGNING, 3, /refusing to seal the running system/],
  ])("refuses %s and changes nothing", async (title, spoil, args, code, message) => {
    spoil(join(cwd, "root"));
    const before = state();
    const rootfs = title.startsWith("the running") ? "/usr/.." : "root";
    expectRefusal(await seal(["prepare", rootfs, ...args], { cwd }), code, message);
    expect(state()).toEqual(before);
  });

  it("wants systemd-boot to sign", async () => {
    write(cwd, "empty/usr/lib/os-release", "ID=x\n");
    expectRefusal(
      await seal(["prepare", "empty", ...SIGNING], { cwd }),
      3,
      /has no systemd-boot in usr\/lib\/systemd\/boot\/efi/,
    );
  });
});

function changed(bytes: Uint8Array): Uint8Array {
  const copy = Uint8Array.from(bytes);
  const at = copy.length - 1;
  copy[at] = (copy[at] ?? 0) ^ 1;
  return copy;
}

describeWith(["root"], "seal prepare that fails in the middle", () => {
  const OTHER_LOADER = `${EFI}/systemd-bootaa64.efi`;

  const mount = (...args: string[]) => expect(spawnSync("mount", args, { encoding: "utf8" }).stderr).toBe("");
  const unmountLater = (path: string) => onTestFinished(() => void spawnSync("umount", ["-l", path]));

  function tmpfs(path: string, size: string): string {
    mkdirSync(path, { recursive: true });
    mount("-t", "tmpfs", "-o", `size=${size}`, "tmpfs", path);
    unmountLater(path);
    return path;
  }

  /**
   * A tree that was prepared before, and a package has brought another loader since: one is signed anew,
   * and a dbx goes away.
   */
  async function makeOutdated(): Promise<void> {
    write(cwd, `root/${OTHER_LOADER}`, vector("uki/inputs/stub-plain"));
    await report([...SIGNING, ...KEYS]);
    writeFileSync(at(OTHER_LOADER), changed(readFileSync(at(OTHER_LOADER))));
    write(cwd, `root/${AUTO}/dbx.auth`, await keyUpdate("dbx", "leaf"));
    for (const path of [EFI, AUTO, `${MODULES}/${KVER}`]) setTimes(Buffer.from(`${at(path)}\0`), TIMES);
  }

  async function expectNoChange(args: readonly string[], message: RegExp, code = 3): Promise<void> {
    const before = state();
    expectRefusal(await prepare(args), code, message);
    expect(state()).toEqual(before);
  }

  it("says on a read-only mount to run it in the stage that is sealed", async () => {
    const mounted = tmpfs(tempDir(), "4m");
    cpSync(join(cwd, "root"), join(mounted, "root"), { recursive: true });
    mount("-o", "remount,ro", mounted);
    const result = await seal(["prepare", join(mounted, "root"), ...SIGNING], { cwd });
    expectRefusal(result, 3, /the filesystem is read-only\. .*: run seal prepare in the stage that is sealed$/m);
  });

  it("changes nothing when the signer fails for the second architecture", async () => {
    write(cwd, `root/${OTHER_LOADER}`, vector("uki/inputs/stub-plain"));
    const signer = fileURLToPath(new URL("../../support/signer.mjs", import.meta.url));
    const script = `mkdir called 2>/dev/null || exit 7\nexec "${process.execPath}" "${signer}" db.key\n`;
    writeFileSync(join(cwd, "signer"), `#!/bin/sh\ncd "${cwd}"\n${script}`, { mode: 0o755 });
    await expectNoChange(["--signer", join(cwd, "signer"), "--cert", "db.crt", ...KEYS], /signer.* 7/, 4);
    expect(existsSync(join(cwd, "called"))).toBe(true);
  });

  it("changes nothing when the disk is full behind the first file", async () => {
    const mounted = tmpfs(at(EFI), "1m");
    for (const name of ["bootaa64", "bootx64"]) write(mounted, `systemd-${name}.efi`, vector("uki/inputs/stub-plain"));
    const { loaders } = await report(SIGNING);
    for (const { path } of loaders) rmSync(at(path));
    const { bavail, bsize } = statfsSync(mounted);
    const blocks = Math.ceil((loaders[0]?.size ?? 0) / bsize);
    writeFileSync(join(mounted, "filler"), Buffer.alloc((bavail - 2 * blocks + 1) * bsize));
    await expectNoChange([...SIGNING, ...KEYS], /can't be changed: no space left on the device/);
  });

  it("leaves loaders and keys as they were when there is no room for the kernel", async () => {
    await makeOutdated();
    const kernels = tmpfs(join(cwd, "kernels"), "8k");
    await expectNoChange([...SIGNING, ...KEYS, "--kernel-dir", "kernels"], /kernels.*no space left on the device/);
    expect(readdirSync(kernels)).toEqual([]);
  });

  it.each([
    ["the last of the keys", `${AUTO}/dbx.auth`],
    ["the initramfs", `${MODULES}/${KVER}/initramfs.img`],
  ])("puts everything back when %s can't be taken away", async (_, path) => {
    await makeOutdated();
    write(cwd, "elsewhere", readFileSync(at(path)));
    // Nothing that is a mount can be renamed.
    mount("--bind", join(cwd, "elsewhere"), at(path));
    unmountLater(at(path));
    await expectNoChange(
      [...SIGNING, ...KEYS, "--kernel-dir", "kernels"],
      /(dbx\.auth|initramfs\.img): can't be changed: it is in use, perhaps as a mount point/,
    );
    expect(existsSync(join(cwd, "kernels"))).toBe(false);
  });
});
