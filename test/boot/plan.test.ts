import { describe, expect, it } from "vitest";
import { ukiVersion } from "../../src/boot/efi-program.ts";
import { type BootInput, planBoot } from "../../src/boot/plan.ts";
import { equalBytes, utf8 } from "../../src/bytes.ts";
import { concat } from "../../src/chunks.ts";
import { parsePe } from "../../src/pe/headers.ts";
import { vector } from "../support/vectors.ts";

const uki = (name: string) => parsePe([vector(`uki/outputs/${name}.262.efi.gz`)], `${name}.efi`);
const loader = () => parsePe([vector("uki/inputs/stub-plain")], "systemd-bootx64.efi");

function input(changes: Partial<BootInput> = {}): BootInput {
  return {
    ukis: [{ pe: uki("all"), fileName: "all.efi" }],
    bootloader: loader(),
    entryToken: null,
    enrollKeys: null,
    loader: { timeout: null, enroll: null },
    ...changes,
  };
}

const paths = (changes: Partial<BootInput>) => planBoot(input(changes)).files.map((file) => file.path);
const version = ukiVersion(uki("all"));

describe("planBoot", () => {
  it("puts everything where firmware and systemd-boot look for it", () => {
    const plan = planBoot(input());
    expect(plan.arch).toBe("x64");
    expect(plan.files.map((file) => file.path)).toEqual([
      "EFI/BOOT/BOOTX64.EFI",
      `EFI/Linux/${version}.efi`,
      "EFI/systemd/systemd-bootx64.efi",
      "loader/entries.srel",
      "loader/loader.conf",
    ]);
    const content = (index: number) => concat(plan.files[index]?.content ?? []);
    expect(equalBytes(content(0), vector("uki/inputs/stub-plain"))).toBe(true);
    expect(equalBytes(content(0), content(2))).toBe(true);
    expect(equalBytes(content(1), vector("uki/outputs/all.262.efi.gz"))).toBe(true);
    expect(Buffer.from(content(3)).toString()).toBe("type1\n");
    expect(plan.warnings).toEqual([]);
  });

  it("puts a dump file right into /boot, under the name of the UKI", () => {
    const plan = planBoot(input({ dump: [utf8("/ 0")], entryToken: "debian" }));
    const [dump, ...others] = plan.files.filter(({ path }) => !/^(?:EFI|loader)\//.test(path));
    expect(dump?.path).toBe(`debian-${version}.dump`);
    expect(Buffer.from(concat(dump?.content ?? [])).toString()).toBe("/ 0");
    expect(others).toEqual([]);
  });

  it("puts the entry token before the version", () => {
    expect(paths({ entryToken: "debian" })).toContain(`EFI/Linux/debian-${version}.efi`);
  });

  it("takes the file's name for a UKI that does not say its version", () => {
    const pe = withoutName(vector("uki/outputs/all.262.efi.gz"), ".uname");
    expect(paths({ ukis: [{ pe, fileName: "mine.EFI" }] })).toContain("EFI/Linux/mine.efi");
  });

  it("writes loader.conf as asked", () => {
    const conf = planBoot(input({ loader: { timeout: 5, enroll: "force" } })).files.find((file) =>
      file.path.endsWith("loader.conf"),
    );
    expect(Buffer.from(concat(conf?.content ?? [])).toString()).toMatch(/\ntimeout 5\nsecure-boot-enroll force\n$/);
  });

  it("adds keys, and nothing else of their directory", () => {
    const keys = new Map(["PK.auth", "KEK.auth", "db.auth", "db.key"].map((name) => [name, utf8(name)]));
    expect(paths({ enrollKeys: keys }).filter((path) => path.startsWith("loader/keys/"))).toEqual([
      "loader/keys/auto/KEK.auth",
      "loader/keys/auto/PK.auth",
      "loader/keys/auto/db.auth",
    ]);
    expect(paths({ enrollKeys: keys.set("dbx.auth", utf8("x")) })).toContain("loader/keys/auto/dbx.auth");
  });

  it("warns of what systemd-boot takes differently", () => {
    const nameless = withoutName(vector("uki/outputs/all.262.efi.gz"), ".uname");
    expect(planBoot(input({ ukis: [{ pe: nameless, fileName: "6.9+3.efi" }] })).warnings).toEqual([
      expect.stringContaining('takes "+3" for a boot counter'),
    ]);
    const untitled = withoutName(vector("uki/outputs/all.262.efi.gz"), ".osrel");
    expect(planBoot(input({ ukis: [{ pe: untitled, fileName: "x" }] })).warnings).toEqual([
      expect.stringContaining("systemd-boot will not show it"),
    ]);
  });

  it("refuses UKIs whose names differ in case only, which are one file on FAT", () => {
    const pe = withoutName(vector("uki/outputs/all.262.efi.gz"), ".uname");
    const ukis = ["6.12-custom.efi", "6.12-CUSTOM.efi"].map((fileName) => ({ pe, fileName }));
    expect(() => planBoot(input({ ukis }))).toThrow(
      expect.objectContaining({
        code: "input",
        message: expect.stringContaining("would become EFI/Linux/6.12-CUSTOM.efi"),
      }),
    );
    const others = ["6.12-custom.efi", "6.12-custom2.efi"].map((fileName) => ({ pe, fileName }));
    expect(paths({ ukis: others })).toEqual(
      expect.arrayContaining(others.map(({ fileName }) => `EFI/Linux/${fileName}`)),
    );
  });

  it.each<[string, Partial<BootInput>, RegExp]>([
    [
      "a UKI of another architecture",
      { ukis: [{ pe: { ...uki("all"), machine: 0xaa64 }, fileName: "a.efi" }] },
      /is for aa64, the boot loader for x64/,
    ],
    [
      "a kernel of another architecture than its stub",
      { ukis: [{ pe: uki("kernel-aa64"), fileName: "a.efi" }] },
      /^kernel-aa64\.efi: has a stub for x64 and a kernel for aa64/,
    ],
    ["a UKI that is none", { ukis: [{ pe: loader(), fileName: "a.efi" }] }, /is not a UKI/],
    ["a boot loader that is a UKI", { bootloader: uki("all") }, /^all\.efi: is a UKI, not a boot loader/],
    ["a machine that UEFI does not know", { bootloader: { ...loader(), machine: 0x1f0 } }, /machine 0x1f0/],
    ["a driver", { bootloader: { ...loader(), subsystem: 11 } }, /subsystem 11/],
    ["two UKIs of one name", { ukis: [1, 2].map(() => ({ pe: uki("all"), fileName: "x" })) }, /would become/],
    ["a token with a slash", { entryToken: "a/b" }, /can't be called/],
    ["a long name", { entryToken: "a".repeat(300) }, /can't be called/],
    [
      "keys without KEK",
      {
        enrollKeys: new Map([
          ["PK.auth", utf8("x")],
          ["db.auth", utf8("x")],
        ]),
      },
      /KEK\.auth missing/,
    ],
  ])("refuses %s", (_title, changes, message) => {
    expect(() => planBoot(input(changes))).toThrow(
      expect.objectContaining({ code: "input", message: expect.stringMatching(message) }),
    );
  });
});

/** A copy of a PE file in which a section has another name. */
function withoutName(bytes: Uint8Array, name: string) {
  const copy = Uint8Array.from(bytes);
  const section = parsePe([copy], "x").sections.find((candidate) => candidate.name === name);
  copy.set(utf8(".other\0\0"), section?.headerOffset);
  return parsePe([copy], "renamed.efi");
}
