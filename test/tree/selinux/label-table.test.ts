import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { compareBytes, utf8 } from "../../../src/bytes.ts";
import { encodeLabels, type LabelledName, LabelTable } from "../../../src/tree/selinux/label-table.ts";
import type { FileType } from "../../../src/tree/selinux/lines.ts";

const type = fc.constantFrom<FileType>("d", "-", "l");
const label = fc.option(fc.constantFrom("a", "b:c", "é").map(utf8), { nil: null });
const name = fc.oneof(
  fc.constantFrom("a", "ab", "b", "\xff").map((text) => Buffer.from(text, "latin1")),
  fc.uint8Array({ minLength: 1, maxLength: 255 }).map((bytes) => Buffer.from(bytes)),
);
const names = fc.uniqueArray(fc.record({ name, type, label }), { selector: (one) => one.name.toString("latin1") });

/** A table of directories by their path. */
function tableOf(directories: Readonly<Record<string, readonly LabelledName[]>>, tops = Object.keys(directories)) {
  const asked = {
    hasPcre: false,
    steps: 1,
    paths: [],
    directories: new Map(Object.entries(directories)),
    tops: new Set(tops),
  };
  return LabelTable.of(encodeLabels(asked) ?? new Uint8Array()) as LabelTable;
}

const entry = (text: string, type: FileType = "-", label: string | null = text): LabelledName => {
  return { name: utf8(text), type, label: label === null ? null : utf8(label) };
};

describe("a table of labels", () => {
  it("gives the labels of all that was asked, in the order of names", () => {
    fc.assert(
      fc.property(names, (asked) => {
        const directory = tableOf({ "/a": asked }).directory("/a");
        for (const { name, type, label } of asked.toSorted((a, b) => compareBytes(a.name, b.name))) {
          expect(directory?.lookup(name, type)).toEqual(label);
          expect(directory?.lookup(name, type === "d" ? "-" : "d")).toBeUndefined();
        }
      }),
    );
  });

  it("knows nothing of other names, and goes on", () => {
    const directory = tableOf({ "/d": [entry("b"), entry("d", "d"), entry("f")] }).directory("/d");
    const found = ["a", "b", "bb", "d", "e", "f", "g"].map((text) => directory?.lookup(utf8(text), "-"));
    expect(found).toEqual([undefined, utf8("b"), undefined, undefined, undefined, utf8("f"), undefined]);
  });

  it("leads from a directory to those in it, and to none by a path that was not asked", () => {
    const table = tableOf({ "": [entry("usr", "d"), entry("var", "d")], "/usr": [entry("x")] }, [""]);
    const top = table.directory("");
    expect(top?.enter("usr")?.lookup(utf8("x"), "-")).toEqual(utf8("x"));
    expect(top?.lookup(utf8("usr"), "d")).toEqual(utf8("usr"));
    expect(top?.enter("var")).toBeNull();
    expect(table.directory("/usr")).toBeNull();
    // Whether or not its label was asked for.
    expect(table.directory("")?.enter("usr")?.lookup(utf8("x"), "-")).toEqual(utf8("x"));
    const last = table.directory("");
    expect([last?.lookup(utf8("var"), "d"), last?.enter("var"), last?.enter("usr")]).toEqual([utf8("var"), null, null]);
  });

  it("has paths that were asked as a whole, and whether the policy needs PCRE2", () => {
    const paths = [{ path: "/\xe9", type: "d", label: null }] as const;
    const bytes = encodeLabels({ hasPcre: true, steps: 1, paths, directories: new Map(), tops: new Set() });
    const table = LabelTable.of(bytes as Uint8Array);
    expect([table?.hasPcre, table?.lookup("/\xe9", "d"), table?.lookup("/\xe9", "-")]).toEqual([true, null, undefined]);
  });

  it("has an entry once that was asked for in two visits", () => {
    const directory = tableOf({ "/d": [entry("b"), entry("c"), entry("a"), entry("b")] }).directory("/d");
    expect(["a", "b", "c"].map((text) => directory?.lookup(utf8(text), "-"))).toEqual(["a", "b", "c"].map(utf8));
  });

  it("is not made of more labels than have numbers", () => {
    const many = Array.from({ length: 65_536 }, (_, index) => entry(`${index}`));
    const asked = (count: number) => ({
      hasPcre: false,
      steps: 1,
      paths: [],
      directories: new Map([["", many.slice(0, count)]]),
      tops: new Set([""]),
    });
    expect(encodeLabels(asked(65_536))).toBeNull();
    const table = LabelTable.of(encodeLabels(asked(65_535)) as Uint8Array);
    expect(table?.directory("")?.lookup(utf8("0"), "-")).toEqual(utf8("0"));
  });

  it("is as good as not there where it is damaged", () => {
    const whole = encodeLabels({
      hasPcre: false,
      steps: 1,
      paths: [{ path: "/", type: "d", label: utf8("root") }],
      directories: new Map([
        ["", [entry("usr", "d"), entry("x")]],
        ["/usr", [entry("lib"), entry("share")]],
      ]),
      tops: new Set([""]),
    }) as Uint8Array;
    const walk = (bytes: Uint8Array) => {
      const top = LabelTable.of(bytes)?.directory("");
      const usr = top?.enter("usr");
      return [top?.lookup(utf8("usr"), "d"), usr?.lookup(utf8("share"), "-"), top?.lookup(utf8("x"), "-")];
    };
    expect(walk(whole)).toEqual([utf8("usr"), utf8("share"), utf8("x")]);
    for (let length = 0; length < whole.length; length++) expect(() => walk(whole.subarray(0, length))).not.toThrow();
    expect(LabelTable.of(whole.subarray(0, 20))).toBeNull();
    for (let at = 0; at < whole.length; at++) {
      for (const byte of [0, 1, 0x7f, 0xff]) expect(() => walk(whole.with(at, byte))).not.toThrow();
    }
  });
});
