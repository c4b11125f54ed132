/** seal build-uki beside the real ukify 262: the same arguments, the same bytes. */
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import {
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  writeFileSync,
} from "node:fs";
import { join, resolve } from "node:path";
import { gzipSync, zstdCompressSync } from "node:zlib";
import fc from "fast-check";
import { NtExecutable } from "pe-library";
import { expect, it } from "vitest";
import { concat } from "../../src/chunks.ts";
import { findSection, parsePe, sectionData } from "../../src/pe/headers.ts";
import { profileGroups } from "../../src/pe/profiles.ts";
import { seal } from "../support/cli.ts";
import { peDifferences } from "../support/pe-diff.ts";
import { describeWith, peerTree, realRootfs, runPeer } from "../support/peers.ts";
import { tempDir } from "../support/temp.ts";
import { goldenOutput, needsProfiles, stubOf, UKI_CASES, UKI_INPUTS } from "../support/uki-cases.ts";
import { zbootKernel } from "../support/zboot.ts";

const EFI = "usr/lib/systemd/boot/efi";

/** Paths of systemd's stubs by the names that the golden cases use. */
function systemdStub(name: string): string {
  const [kind = "", ...rest] = name.split("-");
  const [arch, version] = rest.length === 2 ? rest : ["x64", rest[0]];
  const tree = peerTree(version === "257" ? "trixie" : "sid");
  const foreign = { aa64: "srv/arm64", riscv64: "srv/riscv64" }[arch ?? ""] ?? "";
  return join(tree, foreign, EFI, `${kind === "addon" ? "addon" : "linux"}${arch}.efi.stub`);
}

const STUBS = ["stub-257", "stub-262", "stub-aa64-257", "stub-aa64-262", "stub-riscv64-257", "stub-riscv64-262"];

/** A directory that both can read, with the golden inputs and systemd's stubs. */
function inputs(): string {
  const directory = tempDir();
  for (const name of readdirSync(UKI_INPUTS, { recursive: false, withFileTypes: true })) {
    if (name.isFile()) copyFileSync(join(UKI_INPUTS, name.name), join(directory, name.name));
  }
  cpSync(join(UKI_INPUTS, "hwids"), join(directory, "hwids"), { recursive: true });
  for (const name of [...STUBS, "addon-257", "addon-262"]) copyFileSync(systemdStub(name), join(directory, name));
  return directory;
}

/**
 * Runs both with the same arguments; ukify's files are named by absolute paths, its working directory is not shared.
 */
async function both(directory: string, args: readonly string[]) {
  const [ours, theirs] = [join(directory, "ours.efi"), join(directory, "theirs.efi")];
  const absolute = args.map((argument) => {
    if (argument.startsWith("@")) return `@${resolve(directory, argument.slice(1))}`;
    const [section, file] = argument.split(":@");
    if (section !== undefined && file !== undefined) return `${section}:@${join(directory, file)}`;
    return argument !== "" && existsSync(resolve(directory, argument)) ? resolve(directory, argument) : argument;
  });
  const result = await seal(["build-uki", ...args, "-o", ours], { cwd: directory });
  const peer = runPeer("ukify", [...absolute, "--output", theirs]);
  return { ours, theirs, result, peer };
}

async function expectSame(directory: string, args: readonly string[]): Promise<Buffer> {
  const { ours, theirs, result, peer } = await both(directory, args);
  expect(peer.status, peer.stderr).toBe(0);
  expect(result.code, result.stderr).toBe(0);
  const file = readFileSync(ours);
  expect(peDifferences(file, readFileSync(theirs))).toEqual([]);
  return file;
}

describeWith(["ukify"], "seal build-uki writes what ukify 262 writes", () => {
  for (const stub of STUBS) {
    it(`with ${stub}`, async () => {
      const directory = inputs();
      const arch = /aa64|riscv64/.exec(stub)?.[0];
      const target = arch === undefined ? [] : ["--efi-arch", arch, "--hwids", ""];
      const kernel = arch === undefined ? "kernel-sbat" : `kernel-${arch}`;
      const base = ["build", "--linux", kernel, "--stub", stub, ...target, "--os-release", "@osrel"];
      await expectSame(directory, [...base, "--initrd", "initrd-1", "--initrd", "initrd-3", "--cmdline", "a b"]);
    });
  }

  for (const name of ["x64-257", "x64-262", "aa64-257", "aa64-262", "riscv64-257", "riscv64-262"]) {
    it(`addons with all that they can bring, for ${name}`, async () => {
      const directory = inputs();
      const stub = join(directory, `addon-${name}`);
      copyFileSync(systemdStub(`addon-${name}`), stub);
      const base = ["build", "--stub", stub, "--efi-arch", name.split("-")[0] ?? "", "--hwids", ""];
      await expectSame(directory, [...base, "--cmdline", "debug  quiet"]);
      await expectSame(directory, [...base, "--devicetree", "dtb", "--uname", "6.1", "--sbat", "@sbat-extra"]);
      await expectSame(directory, [...base, "--microcode", "ucode", "--initrd", "initrd-1", "--initrd", "initrd-3"]);
      await expectSame(directory, [...base, "--devicetree-auto", "dtb-auto-1", "--devicetree-auto", "dtb-auto-2"]);
    });
  }

  for (const golden of UKI_CASES.filter((one) => one.ukify.startsWith("262") && !needsProfiles(one))) {
    if (existsSync(join(UKI_INPUTS, stubOf(golden)))) continue;
    it(`golden case ${golden.case}, with a stub of systemd's`, async () => {
      const directory = inputs();
      const output = join(directory, "ours.efi");
      const result = await seal(["build-uki", ...golden.args, "-o", output], { cwd: directory });
      expect(result.code, result.stderr).toBe(0);
      expect(createHash("sha256").update(readFileSync(output)).digest("hex")).toBe(golden.sha256);
      // Signing policies takes more than the peer has installed.
      if (!golden.args.includes("--pcr-private-key")) await expectSame(directory, golden.args);
    });
  }

  for (const golden of UKI_CASES.filter((one) => one.ukify.startsWith("262") && needsProfiles(one))) {
    it(`golden case ${golden.case}, with profiles made of an addon stub`, async () => {
      const directory = inputs();
      for (const [name, group] of Object.entries({ factory: 1, debug: 2 })) {
        const profiles = goldenOutput(
          UKI_CASES.find((one) => one.case === "profiles-2" && one.ukify === golden.ukify) ?? golden,
        );
        const sections = profileGroups(parsePe([profiles], "golden"))[group] ?? [];
        const contents = sections.flatMap((section) => {
          const file = join(directory, `${name}${section.name}`);
          writeFileSync(file, concat(section.content));
          return [`--${section.name.slice(1)}`, section.name === ".initrd" ? file : `@${file}`];
        });
        contents.push("--stub", "addon-262");
        await expectSame(directory, ["build", ...contents]);
        renameSync(join(directory, "ours.efi"), join(directory, `profile-${name}-262`));
      }
      const output = join(directory, "ours.efi");
      const result = await seal(["build-uki", ...golden.args, "-o", output], { cwd: directory });
      expect(result.code, result.stderr).toBe(0);
      expect(peDifferences(readFileSync(output), goldenOutput(golden))).toEqual([]);
      expect(result.stdout).toBe(golden.stdout ?? `${output}\n`);
      if (!golden.args.includes("--pcr-private-key")) await expectSame(directory, golden.args);
    });
  }

  it.each(["aa64", "riscv64"])(
    "for kernels of %s that unpack themselves, and what version is in them",
    async (arch) => {
      const directory = inputs();
      const kernel = readFileSync(join(UKI_INPUTS, `kernel-${arch}`));
      const banner = Buffer.from("\0Linux version 6.9.9-inside (a@b) #1");
      for (const [name, payload] of [
        ["gzip", gzipSync(banner)],
        ["zstd", zstdCompressSync(banner)],
      ] as const) {
        writeFileSync(join(directory, name), zbootKernel(kernel, name, payload));
        const target = ["--stub", `stub-${arch}-262`, "--efi-arch", arch, "--hwids", "", "--os-release", ""];
        const file = await expectSame(directory, ["build", "--linux", name, ...target]);
        const pe = parsePe([file], name);
        const uname = findSection(pe, ".uname");
        expect(uname && Buffer.from(concat(sectionData(pe, uname))).toString()).toBe("6.9.9-inside");
      }
    },
  );

  it("for kernels that are compressed as a whole", async () => {
    const directory = inputs();
    const kernel = readFileSync(join(UKI_INPUTS, "kernel-aa64"));
    writeFileSync(join(directory, "kernel.gz"), gzipSync(kernel));
    writeFileSync(join(directory, "kernel.zst"), zstdCompressSync(kernel));
    for (const name of ["kernel.gz", "kernel.zst"]) {
      const target = ["--stub", "stub-aa64-262", "--efi-arch", "aa64", "--hwids", "", "--os-release", ""];
      await expectSame(directory, ["build", "--linux", name, ...target]);
    }
  });

  it("for any set of sections", async () => {
    const directory = inputs();
    const option = (...values: string[][]) => fc.constantFrom([], ...values);
    const cmdline = fc
      .array(fc.constantFrom("rw", " ", "\t", "\n", "  ", "root=LABEL=x", "ä", "\u2003", "\u00a0", '"q u"'), {
        maxLength: 6,
      })
      .map((words) => ["--cmdline", `x${words.join("")}`]);
    const arbitrary = fc.tuple(
      fc.constantFrom("stub-257", "stub-262", "stub-plain", "stub-wide").map((stub) => ["--stub", stub]),
      fc.constantFrom("kernel", "kernel-sbat", "kernel-nonx", "kernel-tail").map((kernel) => ["--linux", kernel]),
      fc.oneof(fc.constant([]), cmdline, fc.constant(["--cmdline", "@cmdline"])),
      fc
        .array(fc.constantFrom("initrd-1", "initrd-2", "initrd-3", "initrd-empty"), { maxLength: 4 })
        .map((list) => list.flatMap((initrd) => ["--initrd", initrd])),
      fc.constantFrom(["--os-release", ""], ["--os-release", "@osrel"], ["--os-release", "ID=x\nNAME=y"]),
      option(["--uname", ""], ["--uname", "6.1-given"]),
      option(["--splash", "splash.bmp"]),
      option(["--devicetree", "dtb"]),
      option(["--microcode", "ucode"]),
      option(["--pcrpkey", "pcr.pub"]),
      option(["--sbat", "@sbat-extra"], ["--sbat", "sbat,1,x\r\nown,1,a,b,1,c\x0bd,2"]),
      option(["--section", ".own:text"], ["--section", ".own:@ucode", "--section", ".sdmagic:x"], ["--section", ".e:"]),
      option(["--profile", "ID=only"]),
    );
    let built = 0;
    await fc.assert(
      fc.asyncProperty(arbitrary, async (groups) => {
        const { ours, theirs, result, peer } = await both(directory, ["build", ...groups.flat()]);
        expect(result.code === 0, `${result.stderr}\n${peer.stderr}`).toBe(peer.status === 0);
        if (peer.status !== 0) return;
        built++;
        expect(peDifferences(readFileSync(ours), readFileSync(theirs))).toEqual([]);
      }),
      { numRuns: 25 },
    );
    expect(built).toBeGreaterThan(10);
  });

  it("with the PCR values of any set of sections, and says what it says", async () => {
    const directory = inputs();
    const option = (...values: string[]) => fc.constantFrom([], values);
    const arbitrary = fc.tuple(
      option("--initrd", "initrd-1"),
      option("--initrd", "initrd-empty"),
      option("--devicetree", "dtb"),
      option("--devicetree-auto", "dtb-auto-1"),
      option("--devicetree-auto", "dtb-auto-2"),
      option("--hwids", "hwids"),
      option("--microcode", "ucode"),
      option("--splash", "splash.bmp"),
      option("--pcrpkey", "pcr.pub"),
      option("--cmdline", "a b"),
      option("--section", ".own:x"),
      fc.constantFrom([], ["--pcr-banks", "sha512,sha1"], ["--pcr-banks", " sha256 "]),
      fc.constantFrom([], ["--json", "pretty"], ["--json", "short"]),
    );
    await fc.assert(
      fc.asyncProperty(arbitrary, async (groups) => {
        const base = ["build", "--linux", "kernel", "--stub", "stub-262", "--os-release", "@osrel", "--measure"];
        const { ours, theirs, result, peer } = await both(directory, [...base, ...groups.flat()]);
        expect(peer.status, peer.stderr).toBe(0);
        expect(result.code, result.stderr).toBe(0);
        expect(result.stdout).toBe(String(peer.stdout));
        expect(peDifferences(readFileSync(ours), readFileSync(theirs))).toEqual([]);
      }),
      { numRuns: 15 },
    );
  });
});

describeWith(["ukify", "rootfs"], "a UKI of the real kernel", () => {
  it("is ukify's, and pe-library reads it", async () => {
    const directory = inputs();
    const modules = join(realRootfs() ?? "", "usr/lib/modules");
    const [kver = ""] = readdirSync(modules);
    for (const name of ["vmlinuz", "initramfs.img"]) copyFileSync(join(modules, kver, name), join(directory, name));
    const base = ["build", "--linux", "vmlinuz", "--initrd", "initramfs.img", "--os-release", "@osrel"];
    const file = await expectSame(directory, [...base, "--cmdline", "rw quiet", "--stub", "stub-262"]);
    const sections = NtExecutable.from(Uint8Array.from(file).buffer).getAllSections();
    const uname = sections.find(({ info }) => info.name.startsWith(".uname"));
    expect(
      Buffer.from(uname?.data ?? new ArrayBuffer())
        .toString("latin1")
        .replaceAll("\0", ""),
    ).toBe(kver);
  });
});

describeWith(["sbverify"], "a signed UKI", () => {
  it("is accepted by sbverify, and so is the kernel in it", async () => {
    const directory = tempDir();
    for (const name of ["kernel", "stub-wide", "db2048.key", "db2048.crt"]) {
      copyFileSync(join(UKI_INPUTS, name), join(directory, name));
    }
    const args = [
      "--linux",
      "kernel",
      "--stub",
      "stub-wide",
      "--os-release",
      "",
      "--key",
      "db2048.key",
      "--cert",
      "db2048.crt",
    ];
    const result = await seal(["build-uki", ...args, "-o", "uki.efi"], { cwd: directory });
    expect(result.code, result.stderr).toBe(0);
    const pe = parsePe([readFileSync(join(directory, "uki.efi"))], "uki.efi");
    const linux = findSection(pe, ".linux");
    if (linux === null) throw new Error("no .linux");
    writeFileSync(join(directory, "inner.efi"), concat(sectionData(pe, linux)));
    for (const name of ["uki.efi", "inner.efi"]) {
      const peer = runPeer("sbverify", ["--cert", join(directory, "db2048.crt"), join(directory, name)]);
      expect(peer.status, `${name}: ${peer.stderr}`).toBe(0);
    }
  });
});

describeWith(["root"], "a full disk", () => {
  it("gives one line and leaves neither a part of the new file nor less of the old one", async () => {
    const directory = tempDir();
    const disk = join(directory, "disk");
    mkdirSync(disk);
    execFileSync("mount", ["-t", "tmpfs", "-o", "size=256k", "tmpfs", disk]);
    try {
      writeFileSync(join(disk, "uki.efi"), "old");
      writeFileSync(join(directory, "initrd"), Buffer.alloc(1 << 20));
      const inputs = [
        "--linux",
        join(UKI_INPUTS, "kernel"),
        "--stub",
        join(UKI_INPUTS, "stub-wide"),
        "--os-release",
        "",
      ];
      const args = [...inputs, "--initrd", join(directory, "initrd"), "-o", join(disk, "uki.efi")];
      const result = await seal(["build-uki", ...args]);
      expect(result).toMatchObject({ code: 3, stdout: "" });
      expect(result.stderr).toMatch(/^seal: \S+uki\.efi: can't be written: no space left on the device\n$/);
      expect(readdirSync(disk)).toEqual(["uki.efi"]);
      expect(readFileSync(join(disk, "uki.efi"), "utf8")).toBe("old");
    } finally {
      execFileSync("umount", [disk]);
    }
  });
});
