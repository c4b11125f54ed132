/**
 * Outputs that can't be written, for every verb that writes: one line, exit code 3, and what was there is untouched.
 */
import { spawnSync } from "node:child_process";
import { randomFillSync } from "node:crypto";
import { chmodSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it, onTestFinished } from "vitest";
import { type CliResult, seal } from "../support/cli.ts";
import { expectRefusal, KVER, makeInputs, SIGNING, snapshot, write } from "../support/inputs.ts";
import { writeLayout } from "../support/layout.ts";
import { describeWith } from "../support/peers.ts";
import { sealableLayers } from "../support/sealable.ts";

/** What the verbs write; the output comes behind. */
const FILES: Readonly<Record<string, readonly string[]>> = {
  "compute-digest, image": ["compute-digest", "root", "--write-image-to"],
  "compute-digest, dump file": ["compute-digest", "root", "--write-dumpfile-to"],
  "build-uki": ["build-uki", "--rootfs", "root", "--output"],
  sign: ["sign", "uki.efi", ...SIGNING, "--output"],
  "keys esl": ["keys", "esl", "db.crt", "--output"],
  "keys auth": ["keys", "auth", "db", "db.crt", ...SIGNING, "--output"],
};
const DIRECTORIES: Readonly<Record<string, readonly string[]>> = {
  rootfs: ["rootfs", "root", ...SIGNING, "--output"],
  "boot-layout": ["boot-layout", "--uki", "uki.efi", "--rootfs", "root", ...SIGNING, "--output"],
  "split-kernel": ["split-kernel", "--rootfs", "root", "--output"],
  "keys generate": ["keys", "generate", "--output"],
};
const ALL = Object.entries({ ...FILES, ...DIRECTORIES });

async function expectUntouched(cwd: string, args: readonly string[], message: RegExp): Promise<void> {
  const before = snapshot(cwd);
  expectRefusal(await withoutWarnings(seal(["--quiet", ...args], { cwd })), 3, message);
  expect(snapshot(cwd)).toEqual(before);
}

async function withoutWarnings(running: Promise<CliResult>): Promise<CliResult> {
  const result = await running;
  return { ...result, stderr: result.stderr.replace(/^warning: .*\n/gm, "") };
}

describe("a directory in the way", () => {
  it.each(Object.entries(FILES))("%s", async (_, args) => {
    const cwd = makeInputs();
    mkdirSync(join(cwd, "out"));
    await expectUntouched(cwd, [...args, "out"], /out: can't be written: is a directory/);
  });
});

describe("somebody's files in the way", () => {
  it.each(Object.entries(DIRECTORIES))("%s", async (_, args) => {
    const cwd = makeInputs();
    write(cwd, `out/${KVER}/vmlinuz`, "mine");
    await expectUntouched(cwd, [...args, "out"], /out.*(is not empty|already exists)/);
  });
});

describe("a file where a directory is needed", () => {
  it.each(ALL)("%s", async (_, args) => {
    await expectUntouched(
      makeInputs(),
      [...args, "other.crt/out"],
      /out.*: can't be (written|reached): .*not a directory/,
    );
  });
});

describeWith(["root"], "filesystems that take nothing", () => {
  /** A tmpfs below a directory, as `disk`, that goes away with the test. */
  function mountDisk(cwd: string, options: string): string {
    const path = join(cwd, "disk");
    mkdirSync(path);
    expect(spawnSync("mount", ["-t", "tmpfs", "-o", options, "tmpfs", path]).stderr.toString()).toBe("");
    onTestFinished(() => void spawnSync("umount", ["-l", path]));
    return path;
  }

  it.each(ALL)("%s to a read-only one", async (_, args) => {
    const cwd = makeInputs();
    mountDisk(cwd, "ro");
    await expectUntouched(cwd, [...args, "disk/new/out"], /out.*: can't be written: the filesystem is read-only/);
  });

  it.each(ALL)("%s to a full one", async (_, args) => {
    const cwd = makeInputs();
    mountDisk(cwd, "size=8k");
    write(cwd, "disk/filler", Buffer.alloc(8192));
    await expectUntouched(cwd, [...args, "disk/new/out"], /out.*: can't be written: no space left on the device/);
  });

  it.each(Object.entries(FILES))("%s in place of an older file on a full one", async (_, args) => {
    const cwd = makeInputs();
    mountDisk(cwd, "size=8k");
    write(cwd, "disk/out", "old");
    write(cwd, "disk/filler", Buffer.alloc(4096));
    await expectUntouched(cwd, [...args, "disk/out"], /out: can't be written: no space left on the device/);
  });

  it.each(["oci:disk/out", "oci-archive:disk/out.ociarchive"])(
    "image to a full one, while its layers are read: %s",
    async (to) => {
      const cwd = makeInputs();
      writeLayout(join(cwd, "in"), sealableLayers(randomFillSync(new Uint8Array(6 << 20))), { tag: "1" });
      mountDisk(cwd, "size=3m");
      const args = ["image", "--from", "oci:in:1", "--to", to, "--platform", "linux/amd64", ...SIGNING];
      await expectUntouched(cwd, args, /disk\/out.*: can't be written: no space left on the device/);
    },
  );

  it("sign in place", async () => {
    const cwd = makeInputs();
    const disk = mountDisk(cwd, "size=32k");
    writeFileSync(join(disk, "uki.efi"), readFileSync(join(cwd, "uki.efi")));
    await expectUntouched(cwd, ["sign", "disk/uki.efi", ...SIGNING], /uki\.efi: can't be written: no space left/);
  });
});

/** Runs the command line as the user nobody. The modules are loaded, by another run, while they may be read. */
function sealAsNobody(cwd: string, args: readonly string[], loading: readonly string[]): CliResult {
  const script = `
    import { readFileSync } from "node:fs";
    import { seal } from ${JSON.stringify(new URL("../support/cli.ts", import.meta.url).href)};
    const [cwd, args, loading] = JSON.parse(readFileSync(0, "utf8"));
    await seal(loading, { cwd });
    process.setgroups([]);
    process.setgid(65534);
    process.setuid(65534);
    console.log(JSON.stringify(await seal(args, { cwd })));`;
  const input = JSON.stringify([cwd, ["--quiet", ...args], loading]);
  const { stdout, stderr } = spawnSync(process.execPath, ["--input-type=module", "--eval", script], { input });
  expect(stderr.toString()).toBe("");
  return JSON.parse(stdout.toString()) as CliResult;
}

describeWith(["root"], "without permission", () => {
  function readableInputs(): string {
    const cwd = makeInputs();
    chmodSync(cwd, 0o755);
    return cwd;
  }

  it.each(ALL.filter(([name]) => name !== "split-kernel"))("%s can't be written", async (_, args) => {
    const cwd = readableInputs();
    const { stderr, ...result } = sealAsNobody(cwd, [...args, "out"], [...args, "loading"]);
    const error = stderr.replace(/^warning: .*\n/gm, "");
    expectRefusal({ ...result, stderr: error }, 3, /out.*: can't be written: permission denied/);
    expect(readdirSync(cwd).filter((name) => name !== "loading" && /out|partial/.test(name))).toEqual([]);
  });

  it("split-kernel takes nothing out", () => {
    const cwd = readableInputs();
    mkdirSync(join(cwd, "free"));
    chmodSync(join(cwd, "free"), 0o777);
    const args = ["split-kernel", "--rootfs", "root", "--output"];
    const result = sealAsNobody(cwd, [...args, "free/out"], [...args, "root/inside"]);
    expectRefusal(result, 3, /files can't be moved out: permission denied/);
    expect(readdirSync(join(cwd, "free"))).toEqual([]);
  });

  it.each<[string, string[], string]>([
    ["sign", ["sign", "uki.efi", ...SIGNING, "--output", "free/out"], "uki.efi"],
    ["sign, its key", ["sign", "uki.efi", ...SIGNING, "--output", "free/out"], "db.key"],
    ["verify", ["verify", "uki.efi", "--cert", "db.crt"], "db.crt"],
    ["inspect", ["inspect", "uki.efi"], "uki.efi"],
    ["compute-digest", ["compute-digest", "root", "--jobs", "1"], "root/usr/lib/os-release"],
    ["build-uki", ["build-uki", "--rootfs", "root", "--output", "free/out"], "root/usr"],
    ["rootfs", ["rootfs", "root", "--output", "free/out"], "root/etc"],
    ["lint", ["lint", "root"], "root/usr/lib/os-release"],
    ["boot-layout", ["boot-layout", "--uki", "uki.efi", "--rootfs", "root", "--output", "free/out"], "uki.efi"],
  ])("%s can't read", (_, args, secret) => {
    const cwd = readableInputs();
    mkdirSync(join(cwd, "free"));
    chmodSync(join(cwd, "free"), 0o777);
    chmodSync(join(cwd, secret), statSync(join(cwd, secret)).isDirectory() ? 0o700 : 0o600);
    const result = sealAsNobody(cwd, args, args.with(-1, args.at(-1) === "free/out" ? "loading" : (args.at(-1) ?? "")));
    expectRefusal(result, 3, new RegExp(`${secret}/?: can't be read: permission denied`));
    expect(readdirSync(join(cwd, "free"))).toEqual([]);
  });
});
