import { spawnSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type PeReport, peReportSchema } from "../../../src/cli/inspect/pe-report.ts";
import { parsePe } from "../../../src/pe/headers.ts";
import { seal } from "../../support/cli.ts";
import { cpioArchive, cpioOf } from "../../support/cpio.ts";
import { INITRAMFS, makeUki } from "../../support/lint.ts";
import { makePe } from "../../support/pe.ts";
import { AUTHENTICODE_VECTORS } from "../../support/signing.ts";
import { tempDir } from "../../support/temp.ts";
import { vector } from "../../support/vectors.ts";
import { zbootKernel } from "../../support/zboot.ts";

/** Writes bytes to a file and inspects it. */
function inspect(bytes: Uint8Array | string, ...args: string[]) {
  const cwd = tempDir();
  writeFileSync(join(cwd, "x.efi"), bytes);
  return seal(["inspect", "x.efi", ...args], { cwd });
}

async function report(path: string): Promise<PeReport> {
  const result = await inspect(vector(path), "--json");
  expect(result).toMatchObject({ code: 0, stderr: "" });
  return peReportSchema.parse(JSON.parse(result.stdout));
}

it("resolves long names of sections, as in shim, in the picture, in JSON and for --section", async () => {
  const bytes = makePe({
    sections: [
      { name: ".text", content: "code", address: 0x1000 },
      { name: "/4", content: "the certificate", address: 0x2000 },
    ],
    strings: [".vendor_cert"],
  });
  expect((await inspect(bytes)).stdout).toMatch(/\n {2}\.vendor_cert {2}0x00002000 /);
  const { sections } = peReportSchema.parse(JSON.parse((await inspect(bytes, "--json")).stdout));
  expect(sections[1]).toMatchObject({ name: ".vendor_cert", headerName: "/4", size: 15 });
  expect(sections[0]).not.toHaveProperty("headerName");
  for (const name of [".vendor_cert", "/4"]) {
    expect(await inspect(bytes, "--section", name)).toMatchObject({ code: 0, stdout: "the certificate" });
  }
  expect((await inspect(bytes, "--section", ".sbat")).stderr).toMatch(
    /has no section \.sbat, only \.text \.vendor_cert/,
  );
});

it("tells the version of a bare kernel, also of one that unpacks itself", async () => {
  const kernel = vector("uki/inputs/kernel");
  expect((await inspect(kernel)).stdout).toMatch(/^x\.efi {2}Linux kernel · x64 · .* · kernel \d+\.\d+/);
  const image = Buffer.from(vector("uki/inputs/kernel-aa64"));
  const packed = gzipSync(image);
  image.write("ARM\x64", 0x38, "latin1");
  const gzipped = gzipSync(image);
  const whole = await inspect(gzipped);
  expect(whole.stdout).toMatch(/^x\.efi {2}Linux kernel · aa64 · .* · kernel \d\./);
  expect(whole.stderr).toBe("x.efi is compressed; size and hashes are those of the kernel inside\n");
  expect((await inspect(gzipSync("text"))).stderr).toMatch(/is no(?:t a)? PE file/);
  expect((await inspect(gzipped.subarray(0, -20))).stderr).toMatch(/can't be decompressed: its gzip data is damaged/);
  for (const [payload, kver] of [
    [packed, expect.stringMatching(/^\d\./)],
    [packed.subarray(0, -20), null],
  ] as const) {
    const bytes = zbootKernel(vector("uki/inputs/kernel-aa64"), "gzip", payload);
    const result = await inspect(bytes, "--json");
    expect(peReportSchema.parse(JSON.parse(result.stdout))).toMatchObject({ type: "kernel", arch: "aa64", kver });
  }
});

describe("seal inspect of a UKI", () => {
  it("draws the picture of it", async () => {
    const { code, stdout, stderr } = await inspect(vector("uki/outputs/all.262.efi.gz"));
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    expect(stdout).toMatch(/^x\.efi {2}Unified Kernel Image · x64 · 26\.1 kB · kernel 1\.2\.3-explicit · Alpha OS\n/);
    expect(stdout).toMatch(/\n {2}\.text {5}0x00001000 {2}1\.1 kB {2}█▋\n/);
    expect(stdout).toMatch(/\n {2}composefs=1f40[0-9a-f]+ {2}root filesystem, sha512\n {2}rw\n {2}console=ttyS0\n/);
    expect(stdout).toMatch(/\n {2}PRETTY_NAME {2}Alpha OS\n/);
    expect(stdout).toMatch(/\n {2}extra {9}2 {2}Alpha/);
    expect(stdout).toMatch(/\nsignatures\n {2}none\n$/);
  });

  it("says the same in JSON", async () => {
    const all = await report("uki/outputs/all.262.efi.gz");
    expect(all).toMatchObject({
      file: "x.efi",
      type: "uki",
      arch: "x64",
      machine: "0x8664",
      kver: "1.2.3-explicit",
      osRelease: { ID: "alpha" },
      composefs: { digests: [{ form: "composefs", insecure: false, erofs: null, algorithm: "sha512" }], malformed: [] },
      signatures: [],
      profiles: [],
    });
    expect(all.sections.map((section) => section.name)).toContain(".linux");
  });

  it("says which hash of a file without signatures is whose when its length is odd", async () => {
    const odd = vector("authenticode/pe/unaligned-end.efi.gz");
    const padded = "eaafb8f85c4d5d0952156df93bdad7d42c5a41dbdfd21a7adf8a268bcd078a46";
    const unpadded = "febb5b6da3289d84292b878265731bbd90c1de9d5bb61e928cf324bcda9afca7";
    expect((await report("authenticode/pe/unaligned-end.efi.gz")).authenticode).toEqual({
      sha256: padded,
      unpaddedSha256: unpadded,
    });
    const { stdout } = await inspect(odd);
    expect(stdout).toMatch(
      new RegExp(`\\nauthenticode  ${padded}  what a signature covers.*\\n +${unpadded}  what firmware`),
    );
    const hash = await inspect(odd, "--authenticode-hash");
    expect(hash).toMatchObject({ code: 0, stdout: `${padded}\n`, stderr: expect.stringContaining(unpadded) });
    const { authenticode } = await report("authenticode/pe/plain.efi.gz");
    expect(authenticode?.unpaddedSha256).toBe(authenticode?.sha256);
    expect((await inspect(vector("authenticode/pe/plain.efi.gz"))).stdout).not.toContain("firmware");
  });

  it("tells of a checksum that is wrong, which no signature tells of", async () => {
    const signed = vector("authenticode/pe/signed-sbsign.efi.gz");
    const path = "authenticode/pe/signed-sbsign.efi.gz";
    const stored = expect.stringMatching(/^0x[0-9a-f]{8}$/);
    expect((await report(path)).checksum).toEqual({ stored, matches: true });
    expect((await report("uki/outputs/all.262.efi.gz")).checksum).toEqual({ stored: "0x00000000", matches: null });
    signed[parsePe([signed], "x").checksumOffset] = 1;
    const changed = await inspect(signed);
    expect(changed.stdout).toMatch(/\nchecksum {6}0x[0-9a-f]{6}01 {2}wrong; ignored by firmware and signatures\n/);
    expect(changed.stdout).toMatch(/intact/);
  });

  it("shows the archives of the initramfs, and what mounts the root", async () => {
    const microcode = cpioOf({ kernel: null, "kernel/x86/microcode/GenuineIntel.bin": "microcode" });
    const initrd = Buffer.concat([microcode, gzipSync(INITRAMFS)]);
    const { stdout } = await inspect(makeUki({ initrd }), "--json");
    const packed = initrd.length - microcode.length;
    expect(peReportSchema.parse(JSON.parse(stdout)).initramfs).toEqual([
      {
        archives: [
          { compression: "none", offset: 0, size: microcode.length, unpackedSize: microcode.length, entries: 2 },
          { compression: "gzip", offset: microcode.length, size: packed, unpackedSize: INITRAMFS.length, entries: 2 },
        ],
        files: 4,
        rootSetups: [{ name: "composefs-setup-root", path: "usr/bin/composefs-setup-root" }],
        problem: null,
      },
    ]);
    const picture = (await inspect(makeUki({ initrd }))).stdout;
    expect(picture).toMatch(/\ninitramfs\n {2}0x00000000 {2}cpio +404 B +2 entries\n {2}0x00000194 {2}cpio, gzip/);
    expect(picture).toMatch(
      /\n {2}4 files; the composefs root is mounted by composefs-setup-root \(usr\/bin\/composefs/,
    );
    const plain = await inspect(makeUki({ initrd: microcode }));
    expect(plain.stdout).toMatch(/\n {2}2 files; nothing that mounts a composefs root\n/);
    const broken = await inspect(makeUki({ initrd: Buffer.from("junk") }));
    expect(broken.stdout).toMatch(/\ninitramfs\n {2}there is neither an archive nor a compression/);
    expect((await inspect(makeUki({ initrd: null }))).stdout).not.toMatch(/\ninitramfs/);
  });

  it("lists profiles", async () => {
    const { profiles } = await report("uki/outputs/profiles-2.262.efi.gz");
    expect(profiles.length).toBeGreaterThan(1);
    expect(profiles[0]).toMatchObject({ id: "main" });
    const { stdout } = await inspect(vector("uki/outputs/profiles-2.262.efi.gz"));
    expect(stdout).toMatch(/\nprofiles\n {2}0 {2}main/);
  });

  it("marks a digest that is insecure or malformed", async () => {
    const bytes = Uint8Array.from(vector("uki/outputs/all.262.efi.gz"));
    const at = Buffer.from(bytes).indexOf("composefs=1f40");
    bytes.set(Buffer.from("composefs=?"), at);
    expect((await inspect(bytes)).stdout).toMatch(/malformed: its digest has 127 characters/);
  });

  it("writes the bytes of a section", async () => {
    const file = vector("uki/outputs/all.262.efi.gz");
    const initrd = await inspect(file, "--section", ".initrd");
    const section = parsePe([file], "x").sections.find(({ name }) => name === ".initrd");
    const [start, size] = [section?.rawOffset ?? 0, section?.virtualSize ?? 0];
    expect(Buffer.compare(initrd.stdoutBytes, file.subarray(start, start + size))).toBe(0);
    expect(initrd).toMatchObject({ code: 0, stderr: "" });
    expect(await inspect(file, "--section", ".dtbauto")).toMatchObject({
      code: 0,
      stderr: expect.stringContaining("has 2 sections .dtbauto"),
    });
    expect(await inspect(file, "--section", ".none")).toMatchObject({
      code: 3,
      stdout: "",
      stderr: expect.stringMatching(/^seal: x\.efi: has no section \.none, only \.text .*\n$/),
    });
    expect(await inspect(file, "--section", ".text", "--json")).toMatchObject({ code: 2 });
  });
});

describe("seal inspect of signatures", () => {
  it.each(AUTHENTICODE_VECTORS.signed.map(({ file, certificate }) => [file, certificate]))(
    "describes %s",
    async (file) => {
      const { signatures } = await report(`authenticode/${file}`);
      expect(signatures).toHaveLength(1);
      expect(signatures[0]).toMatchObject({ digestAlgorithm: "sha256", notBefore: "2025-01-01T00:00:00.000Z" });
      expect(signatures[0]?.subject).toMatch(/^CN=/);
      expect(signatures[0]?.digest).toMatch(/^[0-9a-f]{64}$/);
    },
  );

  it("describes two, and one that is broken", async () => {
    const twice = vector("authenticode/pe/signed-twice.efi.gz");
    const { stdout } = await inspect(twice);
    expect(stdout).toMatch(
      /\n {2}1 {2}CN=other {2}intact\n {5}issuer {4}CN=other\n {5}validity {2}2025-01-01 to 2045-01-01\n/,
    );
    const changed = Uint8Array.from(twice);
    changed[0x400] = (changed[0x400] ?? 0) ^ 1;
    expect((await inspect(changed)).stdout).toMatch(
      / {2}2 {2}CN=.* not valid: the file was changed after it was signed/,
    );
  });

  it("prints the Authenticode hash, or why there is none", async () => {
    const hashes = AUTHENTICODE_VECTORS.hashes.filter(({ algorithm }) => algorithm === "sha256");
    for (const name of ["plain", "signed-sbsign", "aa64", "pe32"]) {
      const entry = hashes.find(({ pe }) => pe === `pe/${name}.efi.gz`);
      const result = await inspect(vector(`authenticode/pe/${name}.efi.gz`), "--authenticode-hash");
      expect(result).toMatchObject({ code: 0, stdout: `${entry?.authenticode_hash}\n`, stderr: "" });
    }
    const result = await inspect(vector("authenticode/pe/signed-trailing-data.efi.gz"), "--authenticode-hash");
    expect(result).toMatchObject({ code: 3, stdout: "" });
    expect(result.stderr).toMatch(/^seal: x\.efi: corrupt PE file: its certificate table ends at [^\n]*\n$/);
  });
});

describe("seal inspect of bad input", () => {
  it.each<[string, Uint8Array | string, RegExp]>([
    ["an empty file", "", /is not a PE file, EROFS image or composefs dump file/],
    ["text", "hello\n", /is not a PE file, EROFS image or composefs dump file; seal keys show reads keys, /],
    ["MZ alone", "MZ", /not a PE file/],
  ])("answers %s with one line", async (_title, bytes, message) => {
    const result = await inspect(bytes);
    expect(result).toMatchObject({ code: 3, stdout: "" });
    expect(result.stderr).toMatch(message);
    expect(result.stderr).toMatch(/^seal: x\.efi: [^\n]*\n$/);
  });

  it("says of a directory what reads it", async () => {
    const cwd = tempDir();
    expect(await seal(["inspect", cwd])).toMatchObject({
      code: 3,
      stdout: "",
      stderr: `seal: ${cwd}: is a directory; give a file or an image. seal report and seal lint read root filesystems\n`,
    });
  });

  it("answers a missing file with one line", async () => {
    expect(await seal(["inspect", "/nonexistent"])).toMatchObject({
      code: 3,
      stderr: "seal: /nonexistent: can't be read: no such file or directory\n",
    });
  });

  it("never fails in another way, whatever is changed or cut off", async () => {
    const files = ["uki/outputs/profiles-2.262.efi.gz", "authenticode/pe/signed-twice.efi.gz"].map(vector);
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(...files),
        fc.array(fc.tuple(fc.nat(), fc.nat(255)), { maxLength: 4 }),
        fc.option(fc.nat(), { nil: null }),
        async (file, changes, cut) => {
          const bytes = Uint8Array.from(cut === null ? file : file.subarray(0, cut % file.length));
          // Most of what decides lies at the front.
          for (const [at, value] of changes) bytes[at % Math.min(2048, bytes.length || 1)] = value;
          const result = await inspect(bytes);
          expect([0, 3]).toContain(result.code);
          if (result.code === 3) expect(result.stderr).toMatch(/^seal: [^\n]*\n$/);
          // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters must not reach a terminal
          expect(result.stdout).not.toMatch(/[\x00-\x09\x0b-\x1f\x7f]/);
        },
      ),
      { numRuns: 150 },
    );
  });
});

describe("seal inspect of a UKI with an initramfs", () => {
  it("that has a part in LZO lists the parts before it, and says what it can't unpack", async () => {
    const first = cpioOf({ "kernel/x86/microcode/GenuineIntel.bin": "x" });
    const initrd = Buffer.concat([first, Buffer.from("894c5a4f000d0a1a0a", "hex")]);
    const uki = makeUki({ cmdline: "quiet", initrd });
    const { initramfs } = peReportSchema.parse(JSON.parse((await inspect(uki, "--json")).stdout));
    expect(initramfs).toEqual([
      {
        archives: [{ compression: "none", offset: 0, size: first.length, unpackedSize: first.length, entries: 1 }],
        files: 1,
        rootSetups: [],
        problem: `the data at offset 0x${first.length.toString(16)} is compressed with lzo, which seal can't unpack`,
      },
    ]);
    expect((await inspect(uki)).stdout).toMatch(
      /initramfs\n {2}0x00000000 {2}cpio .* 1 entries\n {2}the data at .* lzo/,
    );
  });

  it("of 400 MB needs less than 150 MiB", () => {
    const megabyte = Buffer.alloc(1 << 20, "some text that repeats, ");
    const part = gzipSync(
      cpioArchive(Array.from({ length: 100 }, (_, index) => ({ name: `usr/lib/${index}`, content: megabyte }))),
      { level: 1 },
    );
    const cwd = tempDir();
    writeFileSync(join(cwd, "x.efi"), makeUki({ initrd: Buffer.concat([part, part, part, part, INITRAMFS]) }));
    const tell = "process.on('exit', () => console.error(process.resourceUsage().maxRSS))";
    const main = join(import.meta.dirname, "../../../dist/cli/main.js");
    const args = ["--import", `data:text/javascript,${tell}`, main, "inspect", "x.efi"];
    // A process starts with the memory that its parent has used; the shell is a small one.
    const result = spawnSync("sh", ["-c", '"$@"; :', "sh", process.execPath, ...args], { cwd, encoding: "utf8" });
    expect(result.stdout).toMatch(/104\.9 MB unpacked {2}100 entries\n.*composefs-setup-root/s);
    expect(Number(result.stderr.trim())).toBeLessThan(150 << 10);
  });
});
