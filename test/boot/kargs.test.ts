import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { kargsFor, parseKargs, readKargs } from "../../src/boot/kargs.ts";
import { utf8 } from "../../src/bytes.ts";
import { SealError } from "../../src/errors.ts";
import { type MemoryFiles, memoryRootfs } from "../support/tree.ts";

const D = "usr/lib/bootc/kargs.d";

const inTree = (files: MemoryFiles) => readKargs(memoryRootfs(files));

async function refusal(files: MemoryFiles): Promise<string> {
  const error = await inTree(files).then(
    () => null,
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(SealError);
  expect(error).toMatchObject({ code: "input", message: expect.stringMatching(/^\/target: [^\n]*$/) });
  return (error as SealError).message;
}

describe("readKargs", () => {
  it("reads files in the order of their names and picks those of the architecture", async () => {
    const files = await inTree({
      [`${D}/20-b.toml`]: 'kargs = ["quiet rw", "console=ttyS0"]',
      [`${D}/10-a.toml`]: 'kargs = ["nosmt"]\nmatch-architectures = ["x86_64", "aarch64"]\n',
      [`${D}/30-c.toml`]: 'match-architectures = ["riscv64"]\nkargs = ["earlycon"]',
      [`${D}/40-d.toml`]: 'match-architectures = []\nkargs = ["never"]',
    });
    expect(files.map((file) => file.path)).toEqual([10, 20, 30, 40].map((n) => expect.stringContaining(`${D}/${n}-`)));
    expect(kargsFor(files, "x64")).toEqual(["nosmt", "quiet rw", "console=ttyS0"]);
    expect(kargsFor(files, "aa64")).toEqual(["nosmt", "quiet rw", "console=ttyS0"]);
    expect(kargsFor(files, "riscv64")).toEqual(["quiet rw", "console=ttyS0", "earlycon"]);
  });

  it("is empty where there is no directory", async () => {
    expect(await inTree({ "usr/lib/x": "" })).toEqual([]);
    expect(await inTree({ [D]: null })).toEqual([]);
  });

  it("takes files by their extension, as bootc does", async () => {
    const broken = "not toml at all";
    const files = await inTree({
      [`${D}/README`]: broken,
      [`${D}/a.toml.bak`]: broken,
      [`${D}/a.TOML`]: broken,
      [`${D}/.toml`]: broken,
      [`${D}/.hidden.toml`]: "kargs = []",
      [`${D}/sub/a.toml`]: broken,
    });
    expect(files.map((file) => file.path)).toEqual([`${D}/.hidden.toml`]);
  });

  it("follows symlinks inside of the tree only", async () => {
    const files = await inTree({ [`${D}/a.toml`]: { link: "../a" }, "usr/lib/bootc/a": 'kargs = ["rw"]' });
    expect(kargsFor(files, "x64")).toEqual(["rw"]);
    expect(await refusal({ [`${D}/a.toml`]: { link: "/etc/hostname" } })).toContain("absolute");
  });

  it.each<[string, MemoryFiles, string]>([
    ["a file in place of the directory", { [D]: "x" }, `${D} is not a directory`],
    ["a directory in place of a file", { [`${D}/a.toml/x`]: "" }, `${D}/a.toml: is a directory`],
    ["a name that is not UTF-8", { [`${D}/\xff.toml`]: "kargs = []" }, "the name is not UTF-8"],
    ["no kargs", { [`${D}/a.toml`]: "" }, `${D}/a.toml: kargs must be a list of strings`],
    ["an unknown key", { [`${D}/a.toml`]: 'kargs = []\nmatch-arch = ["x"]' }, "unknown key match-arch (line 2)"],
    ["a table", { [`${D}/a.toml`]: "kargs = []\n[x]\ny = 1" }, "unknown key x (line 2)"],
    ["kargs as text", { [`${D}/a.toml`]: 'kargs = "rw"' }, "kargs (line 1) must be a list of strings"],
    ["a number among kargs", { [`${D}/a.toml`]: 'kargs = ["rw", 1]' }, "kargs[1] (line 1) must be a string"],
    ["a prototype", { [`${D}/a.toml`]: "kargs = []\n__proto__ = 1" }, "__proto__"],
    ["TOML that is none", { [`${D}/a.toml`]: 'kargs = ["rw"\nx' }, `${D}/a.toml:2:1: `],
    ["bytes that are no text", { [`${D}/a.toml`]: new Uint8Array([0xff, 0xfe]) }, "is not UTF-8 text"],
    [
      "a newline in an argument",
      { [`${D}/a.toml`]: 'kargs = ["a\\nb"]' },
      `${D}/a.toml: the kernel command line has a newline`,
    ],
    ["an open quote", { [`${D}/a.toml`]: "kargs = ['a=\"b c']" }, "is not closed"],
  ])("refuses %s", async (_title, files, message) => {
    expect(await refusal(files)).toContain(message);
  });
});

describe("parseKargs", () => {
  it("answers any bytes with a result or one line", () => {
    const part = fc.constantFrom(
      "kargs",
      " = ",
      "[",
      "]",
      '"',
      "'",
      "a",
      "\n",
      "match-architectures",
      "{",
      "}",
      ",",
      "[[",
    );
    const bytes = fc.oneof(
      fc.uint8Array(),
      fc.string().map(utf8),
      fc.array(part, { maxLength: 30 }).map((parts) => utf8(parts.join(""))),
    );
    fc.assert(
      fc.property(bytes, (content) => {
        try {
          expect(parseKargs(content, "x.toml", "/target").kargs).toBeInstanceOf(Array);
        } catch (error) {
          expect(error).toBeInstanceOf(SealError);
          expect((error as SealError).message).toMatch(/^\/target: x\.toml[^\n]*$/);
        }
      }),
      { numRuns: 1000 },
    );
  });

  it("survives deep nesting", () => {
    const deep = utf8(`kargs = ${"[".repeat(50_000)}${"]".repeat(50_000)}`);
    expect(() => parseKargs(deep, "x.toml", "/target")).toThrow(SealError);
  });
});
