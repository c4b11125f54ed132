import { randomBytes } from "node:crypto";
import fc from "fast-check";
import { NtExecutable } from "pe-library";
import { describe, expect, it } from "vitest";
import { NO_EXTRAS } from "../../src/boot/tree-uki.ts";
import { alignUp, utf8 } from "../../src/bytes.ts";
import { byteLength, type Chunks, concat, StoredBytes } from "../../src/chunks.ts";
import { SealError } from "../../src/errors.ts";
import { findSection, type PeImage, parsePe, sectionData } from "../../src/pe/headers.ts";
import { assembleUki, crowdedStub } from "../../src/pe/uki.ts";
import { type UkiInputs, type UkiSection, ukiSections } from "../../src/pe/uki-sections.ts";
import { makePe } from "../support/pe.ts";
import { vector } from "../support/vectors.ts";

const STUB = vector("uki/inputs/stub-wide");
const KERNEL = vector("uki/inputs/kernel");

function stub(bytes: Uint8Array = STUB): PeImage {
  return parsePe([bytes], "stub");
}

const NOTHING: UkiInputs = { ...NO_EXTRAS, stub: stub(), kernel: null, osRelease: null, cmdline: null, uname: null };

function contentOf(pe: PeImage, name: string): Uint8Array | null {
  const section = findSection(pe, name);
  return section === null ? null : concat(sectionData(pe, section));
}

const sectionsArbitrary = fc.uniqueArray(
  fc.record({
    name: fc.constantFrom(".linux", ".initrd", ".cmdline", ".osrel", ".a", ".bcdefgh", ".uname", ".sbat", ".sdmagic"),
    content: fc.array(fc.uint8Array({ maxLength: 1500 }), { maxLength: 3 }),
  }),
  { selector: (section) => section.name, maxLength: 8 },
);

describe("assembleUki", () => {
  it("makes a file that reads back, by our parser and by pe-library, for any sections", () => {
    const room = (section: UkiSection) => findSection(stub(), section.name)?.rawSize ?? Number.POSITIVE_INFINITY;
    fc.assert(
      fc.property(sectionsArbitrary, (all) => {
        const sections = all.filter((section) => byteLength(section.content) <= room(section));
        const file = concat(assembleUki(stub(), sections));
        const pe = parsePe([file], "uki");
        for (const { name, content } of sections) expect(contentOf(pe, name)).toEqual(concat(content));
        const last = pe.sections.at(-1);
        expect(pe.sizeOfImage).toBe(
          alignUp((last?.virtualAddress ?? 0) + (last?.virtualSize ?? 0), pe.sectionAlignment),
        );
        expect(file.length % pe.fileAlignment).toBe(0);

        const independent = NtExecutable.from(Uint8Array.from(file).buffer).getAllSections();
        for (const { name, content } of sections) {
          if (byteLength(content) === 0) continue;
          const found = independent.find(({ info }) => info.name.replace(/\0+$/, "") === name);
          expect(found?.info.virtualSize).toBe(byteLength(content));
          expect(new Uint8Array(found?.data ?? new ArrayBuffer()).subarray(0, byteLength(content))).toEqual(
            concat(content),
          );
        }
      }),
      { numRuns: 200 },
    );
  });

  it("copies nothing but the stub", () => {
    const content = [new Uint8Array(700), new Uint8Array(900)];
    const chunks = [...assembleUki(stub(), [{ name: ".initrd", content }])];
    expect(chunks).toContain(content[0]);
    expect(chunks).toContain(content[1]);
    expect(chunks[0]?.length).toBe(STUB.length);
  });

  it("reads nothing of a section that is not in memory, and has its bytes all the same", () => {
    const initrd = randomBytes(3000);
    const reads: number[] = [];
    const read = (into: Uint8Array, offset: number) => {
      reads.push(into.length);
      into.set(initrd.subarray(offset, offset + into.length));
    };
    const sections = (content: Chunks) => [
      { name: ".initrd", content },
      { name: ".ucode", content: [utf8("ucode")] },
    ];
    const file = assembleUki(stub(), sections(new StoredBytes(read, initrd.length)));
    expect(reads).toEqual([]);
    expect(Buffer.from(concat(file))).toEqual(Buffer.from(concat(assembleUki(stub(), sections([initrd])))));
  });

  it("leaves the input alone", () => {
    const before = Buffer.from(STUB);
    assembleUki(stub(), [{ name: ".sbat", content: [utf8("sbat,1\n")] }]);
    expect(Buffer.compare(before, STUB)).toBe(0);
  });

  it("refuses a file beyond 4 GiB", () => {
    const half = new Uint8Array(2 ** 30);
    expect(() => assembleUki(stub(), [{ name: ".initrd", content: [half, half, half, half] }])).toThrow(/below 4 GiB/);
  });

  it("refuses a stub whose last header is not that of the highest section", () => {
    const bytes = Buffer.from(STUB);
    bytes.writeUInt32LE(0x80_0000, (stub().sections[0]?.headerOffset ?? 0) + 12);
    expect(() => assembleUki(parsePe([bytes], "odd.stub"), [])).toThrow(/odd\.stub: .*not in address order/);
  });

  it("cuts a symbol table off, and leaves the characteristics as they are", () => {
    const bytes = makePe({ sections: [{ name: ".text", content: "x", address: 0x1000 }], strings: [".long_name"] });
    const file = concat(assembleUki(parsePe([bytes], "stub"), [{ name: ".cmdline", content: [utf8("a")] }]));
    const coff = (of: Uint8Array) => Buffer.from(of).subarray(0x44, 0x58);
    expect(coff(file).readUInt32LE(8)).toBe(0);
    expect(coff(file).readUInt16LE(18)).toBe(coff(bytes).readUInt16LE(18));
  });

  it("builds on a stub whose .sbat ends where a section begins, and says what does not fit", () => {
    const crowded = (size: number) => {
      const at = (name: string, address: number) => ({ name, content: "x".repeat(200), address });
      const sections = [at(".text", 0x1000), at(".sbat", 0x2000), at(".sdmagic", 0x2100)];
      const pe = parsePe([makePe({ sections, sectionAlignment: 0x200 })], "old.stub");
      const chunks = assembleUki(pe, [{ name: ".sbat", content: [new Uint8Array(size)] }]);
      return crowdedStub(pe, parsePe(chunks, "uki"));
    };
    expect(crowded(256)).toBeNull();
    expect(crowded(257)).toMatch(
      /^old\.stub has room for 256 bytes of \.sbat .*needs 257, which overlaps \.sdmagic.*newer stub .*, or fewer lines with --sbat$/,
    );
    expect(() => crowded(513)).toThrow(/old\.stub: section \.sbat needs 513 .* newer stub, or fewer lines with --sbat/);
  });

  it("either refuses or builds a readable file from any damaged stub", () => {
    const stubs = ["stub-plain", "stub-symtab", "stub-unaligned", "stub-overlay"].map((name) =>
      vector(`uki/inputs/${name}`),
    );
    const word = fc.tuple(fc.nat(650), fc.oneof(fc.constantFrom(0, 1, 0x200, 0x7fffffff, 0xffffffff), fc.nat(0xffff)));
    fc.assert(
      fc.property(fc.constantFrom(...stubs), fc.array(word, { minLength: 1, maxLength: 3 }), (bytes, words) => {
        const damaged = Buffer.from(bytes);
        for (const [offset, value] of words) damaged.writeUInt32LE(value, offset);
        try {
          const pe = parsePe([damaged], "stub");
          const chunks = assembleUki(pe, [{ name: ".linux", content: [KERNEL] }]);
          ukiSections({ ...NOTHING, stub: pe, kernel: pe });
          expect(contentOf(parsePe(chunks, "uki"), ".linux")).toEqual(new Uint8Array(KERNEL));
        } catch (error) {
          expect(error).toBeInstanceOf(SealError);
        }
      }),
      { numRuns: 3000 },
    );
  });
});

describe("ukiSections", () => {
  const names = (inputs: Partial<UkiInputs>) =>
    ukiSections({ ...NOTHING, ...inputs })
      .groups.flat()
      .map(({ name }) => name);
  const some = utf8("x");

  it("puts all sections into their order", () => {
    expect(
      names({
        kernel: parsePe([KERNEL], "k"),
        osRelease: some,
        cmdline: some,
        devicetree: some,
        uname: "1",
        splash: some,
        pcrPublicKey: some,
        initrds: [some],
        efiFirmware: [some, some],
        microcode: some,
        custom: [{ name: ".own", content: [some] }],
      }),
    ).toEqual([
      ...[".osrel", ".cmdline", ".dtb", ".uname", ".splash", ".pcrpkey", ".linux", ".initrd", ".efifw", ".efifw"],
      ...[".ucode", ".own", ".sbat"],
    ]);
  });

  it("gives an addon its own SBAT line and not the stub's", () => {
    const [section] = ukiSections(NOTHING).groups.flat();
    expect(Buffer.from(concat(section?.content ?? [])).toString()).toMatch(/^sbat,1,[^\n]+\nuki-addon,1,[^\n]+\n$/);
  });

  it("gives a profile its name first and no SBAT", () => {
    expect(names({ profile: "ID=a", cmdline: some })).toEqual([".profile", ".cmdline"]);
  });

  it("keeps an empty file as an empty section, but makes none from several empty initrds", () => {
    const empty = new Uint8Array();
    expect(names({ initrds: [empty] })).toEqual([".initrd", ".sbat"]);
    expect(names({ initrds: [empty, empty] })).toEqual([".sbat"]);
  });

  it("refuses names that stand twice, once for each profile", () => {
    const custom = (...list: string[]) => ({ custom: list.map((name) => ({ name, content: [] })) });
    expect(() => names(custom(".a", ".a"))).toThrow("section .a is given twice");
    expect(() => names(custom(".sbat"))).toThrow("section .sbat is given twice");
    expect(names(custom(".a", ".profile", ".a"))).toEqual([".a", ".profile", ".a", ".sbat"]);
    expect(names(custom(".dtbauto", ".dtbauto"))).toHaveLength(3);
  });

  it("refuses names that the stub can't find", () => {
    for (const name of ["", ".too-long-", "é", "a\n"]) {
      expect(() => names({ custom: [{ name, content: [] }] })).toThrow(/1 to 8 printable ASCII/);
    }
  });
});
