import { readdirSync, rmSync, utimesSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { seal } from "../../support/cli.ts";
import { EFI, expectRefusal, KVER, MODULES, makeInputs, SIGNING, write } from "../../support/inputs.ts";
import { writeLayoutOf } from "../../support/layout.ts";

/** The inputs with the image `oci:image:latest` that holds the root filesystem. */
async function makeImage(): Promise<string> {
  const cwd = makeInputs();
  write(cwd, `root/${MODULES}/${KVER}/modules.dep`, "");
  write(cwd, "root/boot/vmlinuz", "a copy");
  // Sealing gives them the nanoseconds of /usr; here that must make no difference.
  for (const name of ["usr", "boot", "sysroot"]) utimesSync(join(cwd, "root", name), 1_700_000_000, 1_700_000_000);
  await writeLayoutOf(join(cwd, "root"), join(cwd, "image"));
  return cwd;
}

/** The digest on the command line of a UKI. */
async function demanded(cwd: string, file: string): Promise<string> {
  const { stdout } = await seal(["inspect", file, "--section", ".cmdline"], { cwd });
  return /composefs=([0-9a-f]{128})/.exec(stdout)?.[1] ?? "";
}

/** The digest of the root filesystem after its kernel was taken out. */
async function digestWithoutKernel(cwd: string, spec: string): Promise<string> {
  expect((await seal(["split-kernel", "--rootfs", "root", "--output", "kernel"], { cwd })).code).toBe(0);
  await writeLayoutOf(join(cwd, "root"), join(cwd, "without"));
  return (await seal(["compute-digest", spec], { cwd })).stdout.trim();
}

describe("seal build-uki --from", () => {
  it("names the digest that the image has without its kernel", async () => {
    const cwd = await makeImage();
    const result = await seal(["build-uki", "--from", "oci:image:latest", "--output", "x.efi"], { cwd });
    expect(result).toMatchObject({ code: 0, stdout: "x.efi\n" });
    const digest = await demanded(cwd, "x.efi");
    expect((await seal(["compute-digest", "oci:image"], { cwd })).stdout.trim()).not.toBe(digest);
    expect(await digestWithoutKernel(cwd, "oci:without")).toBe(digest);
  });

  it("names the digest of a fresh image of a directory", async () => {
    const cwd = await makeImage();
    const result = await seal(["build-uki", "--from", "dir:root", "--output", "x.efi"], { cwd });
    expect(result).toMatchObject({ code: 0, stdout: "x.efi\n" });
    expect(result.stderr).toContain("what is in /boot (vmlinuz) is not taken into the image");
    expect(await digestWithoutKernel(cwd, "root")).toBe(await demanded(cwd, "x.efi"));
  });

  it("adds further arguments at the end", async () => {
    const cwd = await makeImage();
    const args = ["--from", "oci:image", "--additional-kargs", "console=ttyS0 quiet", "--output", "x.efi"];
    expect((await seal(["build-uki", ...args], { cwd })).code).toBe(0);
    const { stdout } = await seal(["inspect", "x.efi", "--section", ".cmdline"], { cwd });
    expect(stdout).toMatch(/^composefs=[0-9a-f]{128} console=ttyS0 quiet$/);
  });

  it("prints what must be signed: the UKI, and a boot loader without a signature", async () => {
    const cwd = await makeImage();
    const print = (to: string) => seal(["build-uki", "--from", "oci:image", "--print-unsigned", to], { cwd });
    const files = [`${KVER}.efi`, "systemd-bootx64.efi"];
    expect(await print("unsigned")).toMatchObject({
      code: 0,
      stdout: files.map((name) => `unsigned/${name}\n`).join(""),
    });
    expect(readdirSync(join(cwd, "unsigned")).sort()).toEqual(files);
    expect(await demanded(cwd, `unsigned/${KVER}.efi`)).not.toBe("");

    const signed = `root/${EFI}/systemd-bootx64.efi`;
    expect((await seal(["sign", signed, ...SIGNING], { cwd })).code).toBe(0);
    rmSync(join(cwd, "image"), { recursive: true });
    await writeLayoutOf(join(cwd, "root"), join(cwd, "image"));
    const second = await print("again");
    expect(second.stdout).toBe(`again/${KVER}.efi\n`);
    expect(second.stderr).toContain("is already signed");
  });

  it.each<readonly [readonly string[], RegExp]>([
    [["--from", "oci:image", "--rootfs", "root"], /--from and --rootfs: give one of them/],
    [["--rootfs", "root", "--print-unsigned", "d"], /--print-unsigned: requires --from/],
    [
      ["--from", "oci:image", "--print-unsigned", "d", "--output", "x"],
      /--print-unsigned: cannot be combined with --output/,
    ],
    [["--from", "oci:image", "--print-unsigned", "d", ...SIGNING], /--print-unsigned: cannot be combined with --key/],
    [["--from", "dumpfile:x"], /--from dumpfile:x: give an image/],
  ])("refuses %s", async (args, message) => {
    expectRefusal(await seal(["build-uki", ...args], { cwd: await makeImage() }), 2, message);
  });
});
