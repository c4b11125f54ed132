import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { SealError } from "../../src/errors.ts";
import { parsePe } from "../../src/pe/headers.ts";
import { sectionNames, sectionsNamed } from "../../src/pe/long-names.ts";
import { makePe } from "../support/pe.ts";

const image = (names: readonly string[], strings?: readonly string[]) =>
  makePe({
    sections: names.map((name, index) => ({ name, content: `content ${index}`, address: 0x1000 * (index + 1) })),
    ...(strings === undefined ? {} : { strings }),
  });
const namesOf = (bytes: Uint8Array) => sectionNames(parsePe([bytes], "x.efi"));

describe("sectionNames", () => {
  it("takes long names from the string table, by decimal and base64 offsets", () => {
    const strings = [".vendor_cert", ".sbatlevel"];
    expect(namesOf(image([".text", "/4", "/17", "//AAAAAR"], strings))).toEqual([
      ...[".text", ".vendor_cert", ".sbatlevel", ".sbatlevel"],
    ]);
  });

  it.each([
    ["no symbol table", image(["/4"])],
    ["an offset into the size", image(["/3"], [".vendor_cert"])],
    ["an offset beyond the table", image(["/17"], [".vendor_cert"])],
    ["a name without end", image(["/4"], [".vendor_cert"]).subarray(0, -1)],
    ["something else than a number", image(["/4x"], [".vendor_cert"])],
    ["a short name, which only the string table would have", image(["/4"], [".linux"])],
    ["no name", image(["/4"], ["", ".vendor_cert"])],
    ["a name longer than any", image(["/4"], ["x".repeat(300)])],
  ])("keeps what the header has where there is %s", (_, bytes) => {
    expect(namesOf(bytes)).toEqual([expect.stringMatching(/^\//)]);
  });

  it("gives names or refuses the file, whatever the table says", () => {
    const bytes = image([".text", "/4"], [".vendor_cert"]);
    fc.assert(
      fc.property(fc.integer({ min: 0x4c, max: 0x53 }), fc.nat(255), fc.nat(bytes.length), (at, byte, length) => {
        const damaged = Buffer.from(bytes);
        damaged[at] = byte;
        try {
          expect(namesOf(damaged.subarray(0, length))).toHaveLength(2);
        } catch (error) {
          expect(error).toBeInstanceOf(SealError);
        }
      }),
      { numRuns: 1000 },
    );
  });
});

it("finds sections by the name in their header first", () => {
  const pe = parsePe([image([".text", "/4", "/4"], [".vendor_cert"])], "x.efi");
  expect(sectionsNamed(pe, ".vendor_cert")).toHaveLength(2);
  expect(sectionsNamed(pe, "/4")).toHaveLength(2);
  expect(sectionsNamed(pe, ".text")).toEqual([pe.sections[0]]);
  expect(sectionsNamed(pe, ".reloc")).toEqual([]);
});
