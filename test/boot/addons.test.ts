import { describe, expect, it } from "vitest";
import { addonDirectory, addonFits, type BootAddon, isAddon } from "../../src/boot/addons.ts";
import { planBoot } from "../../src/boot/plan.ts";
import { utf8 } from "../../src/bytes.ts";
import { type PeImage, parsePe } from "../../src/pe/headers.ts";
import { assembleUki } from "../../src/pe/uki.ts";
import { vector } from "../support/vectors.ts";

const STUB = vector("uki/inputs/stub-plain");
const DIGEST = `composefs=${"ab".repeat(64)}`;
const OTHER = `composefs=${"cd".repeat(64)}`;

/** A program with sections of text. */
function program(subject: string, sections: Record<string, string>): PeImage {
  const stub = parsePe([Buffer.from(STUB)], "stub");
  const list = Object.entries(sections).map(([name, text]) => ({ name: `.${name}`, content: [utf8(text)] }));
  return parsePe(assembleUki(stub, list), subject);
}

const uki = (uname: string, cmdline = "rw") =>
  program(`${uname}.efi`, { osrel: "ID=x\n", cmdline, uname, linux: "kernel" });
const addon = (sections: Record<string, string>, more: Partial<BootAddon> = {}): BootAddon => ({
  pe: program("x.addon.efi", sections),
  fileName: "x.addon.efi",
  scope: "uki",
  ...more,
});

function plan(addons: readonly BootAddon[], ukis: readonly PeImage[] = [uki("6.1")]) {
  const { files, warnings } = planBoot({
    ukis: ukis.map((pe) => ({ pe, fileName: pe.subject })),
    bootloader: parsePe([STUB], "loader.efi"),
    addons,
    entryToken: "os",
    enrollKeys: null,
    loader: { timeout: null, enroll: null },
  });
  return { paths: files.map(({ path }) => path).filter((path) => path.includes("addon")), warnings };
}

describe("UKI addons", () => {
  it("lie beside every UKI that takes them, or in the one directory for all", () => {
    const addons = [
      addon({ cmdline: "quiet" }),
      addon({ ucode: "x", uname: "6.2" }, { fileName: "only.addon.efi" }),
      addon({ dtb: "x", uname: "6.1\0" }, { fileName: "all.addon.efi", scope: "global" }),
    ];
    expect(plan(addons, [uki("6.1"), uki("6.2")])).toEqual({
      paths: [
        "EFI/Linux/os-6.1.efi.extra.d/x.addon.efi",
        "EFI/Linux/os-6.2.efi.extra.d/only.addon.efi",
        "EFI/Linux/os-6.2.efi.extra.d/x.addon.efi",
        "loader/addons/all.addon.efi",
      ],
      warnings: [],
    });
  });

  it.each([
    ["6.1.2", ["6.1.2", "6.1.20"]],
    ["6.1", ["6.1.2", "6.1.20"]],
    ["6.1.2\0", ["6.1.2"]],
    ["6.1.20", ["6.1.20"]],
  ])("for %j fit %j, as systemd-stub compares", (uname, expected) => {
    const versions = ["6.1.2", "6.1.20", "6.2"];
    expect(versions.filter((version) => addonFits(program("x", { cmdline: "x", uname }), uki(version)))).toEqual(
      expected,
    );
    expect(addonFits(program("x", { cmdline: "x", uname }), program("u", { linux: "x" }))).toBe(true);
  });

  it.each([
    ["EFI/Linux/x.efi", "EFI/Linux/x.efi.extra.d"],
    ["EFI/Linux/x+3.efi", "EFI/Linux/x.efi.extra.d"],
    ["EFI/Linux/x+2-1.efi", "EFI/Linux/x.efi.extra.d"],
    // The stub looks at the first plus only.
    ["EFI/Linux/6.12+deb13+3.efi", "EFI/Linux/6.12+deb13+3.efi.extra.d"],
    ["EFI/Linux/x+3a.efi", "EFI/Linux/x+3a.efi.extra.d"],
  ])("of %s lie in %s, whatever tries it has left", (path, expected) => {
    expect(addonDirectory(path)).toBe(expected);
  });

  it("are told by what they bring", () => {
    for (const name of ["cmdline", "dtb", "dtbauto", "initrd", "ucode"]) {
      expect(isAddon(program("x", { [name]: "x" }))).toBe(true);
    }
    expect(
      [{ linux: "x", cmdline: "x" }, { osrel: "x" }, {}].map((sections) => isAddon(program("x", sections))),
    ).toEqual([false, false, false]);
  });

  it("may repeat the digest of the UKI, or bring one that the UKI has not", () => {
    expect(plan([addon({ cmdline: `quiet ${DIGEST}` })], [uki("6.1", DIGEST)]).warnings).toEqual([]);
    expect(plan([addon({ cmdline: DIGEST })]).warnings).toEqual([
      expect.stringMatching(/^x\.addon\.efi has the digest composefs=abababab…; bootc looks for it only in the UKI$/),
    ]);
  });

  it.each<[string, BootAddon[], PeImage[], RegExp]>([
    ["a UKI", [addon({ cmdline: "x", linux: "x" })], [uki("6.1")], /is a UKI, not an addon.*without --linux$/],
    ["an EFI program", [addon({ osrel: "x" })], [uki("6.1")], /has none of the sections that an addon adds/],
    [
      "another architecture",
      [addon({}, { pe: { ...program("a.efi", { cmdline: "x" }), machine: 0xaa64 } })],
      [uki("6.1")],
      /^a\.efi: is for aa64, the boot loader for x64/,
    ],
    [
      "a name without suffix",
      [addon({ cmdline: "x" }, { fileName: "x.efi" })],
      [uki("6.1")],
      /Call it NAME\.addon\.efi$/,
    ],
    ["a hidden name", [addon({ cmdline: "x" }, { fileName: ".addon.efi" })], [uki("6.1")], /Call it NAME\.addon\.efi$/],
    ["a name with a colon", [addon({ cmdline: "x" }, { fileName: "x:y.addon.efi" })], [uki("6.1")], /can't be called/],
    ["a name in Greek", [addon({ cmdline: "x" }, { fileName: "ξ.addon.efi" })], [uki("6.1")], /can't be called/],
    [
      "a name that is too long",
      [addon({ cmdline: "x" }, { fileName: `${"x".repeat(246)}.addon.efi` })],
      [uki("6.1")],
      /can't be called/,
    ],
    [
      "two of one name",
      [addon({ cmdline: "x" }), addon({ cmdline: "y" }, { fileName: "X.ADDON.EFI" })],
      [uki("6.1")],
      /would become EFI\/Linux\/os-6\.1\.efi\.extra\.d\/X\.ADDON\.EFI, as x\.addon\.efi would/,
    ],
    [
      "another kernel's",
      [addon({ cmdline: "x", uname: "6.2" })],
      [uki("6.1")],
      /is for kernel 6\.2, the UKI has 6\.1$/,
    ],
    [
      "another digest",
      [addon({ cmdline: `quiet ${OTHER}` })],
      [uki("6.1", DIGEST)],
      /^x\.addon\.efi: adds composefs=cdcdcdcd… to a UKI with another digest \(6\.1\.efi\)/,
    ],
    [
      "the digest without demand for fs-verity",
      [addon({ cmdline: DIGEST.replace("=", "=?") })],
      [uki("6.1", DIGEST)],
      /adds composefs=\?abababab… to a UKI with another digest/,
    ],
    [
      "a digest that is none",
      [addon({ cmdline: "composefs=12" })],
      [uki("6.1", DIGEST)],
      /adds composefs=12 to a UKI with another digest/,
    ],
    [
      "a digest for every UKI",
      [addon({ cmdline: DIGEST }, { scope: "global" })],
      [uki("6.1", DIGEST)],
      /adds composefs=abababab… to every UKI/,
    ],
    ["a line with a newline", [addon({ cmdline: "a\nb" })], [uki("6.1")], /has a newline at character 2/],
    [
      "more than the kernel has room for, in sum",
      [
        addon({ cmdline: "x".repeat(1000) }),
        addon({ cmdline: "x".repeat(1000) }, { fileName: "y.addon.efi", scope: "global" }),
      ],
      [uki("6.1", "y".repeat(100))],
      /^EFI\/Linux\/os-6\.1\.efi with its addons: the kernel command line has 2102 bytes/,
    ],
  ])("refuse %s", (_, addons, ukis, message) => {
    expect(() => plan(addons, ukis)).toThrow(
      expect.objectContaining({ code: "input", message: expect.stringMatching(message) }),
    );
  });
});
