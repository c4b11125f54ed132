import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { commonLiteral, commonPrefix, isCommon, plainPattern } from "../../../src/tree/selinux/common.ts";
import { parseRegex } from "../../../src/tree/selinux/regex/parse.ts";

const MARKS = [..."ab/.*+?()[]|^\\-0zZ{}$<#:&~ \u00e9"];
const text = fc.string({
  unit: fc.constantFrom(...MARKS, "(a|b)", "((a)|b", "[^/]*", "[a-", "[0-", "\\.", ".*"),
  maxLength: 12,
});

describe("the common part of the pattern syntax", () => {
  it.each([
    "/usr/lib(64)?/a.*",
    "/dev/[0-9]+",
    "/a\\.b(/[^/]*)?",
    "/x(a|b\\.)+y?",
    "/[a-zA-Z_]",
    "/x(v6|(a|b)+)?-[^/-]",
    "/((a)|(b))",
    "/[a-ep-z][0-3a]",
    "/\\[z-a",
    "",
  ])("has %s", (p) => {
    expect(isCommon(p)).toBe(true);
  });

  it.each([
    "/a{2}",
    "/(a",
    "/a)",
    "/[z-a]",
    "/[]a]",
    "/(((a)))",
    "/[3-0]",
    "/[a-eZ-A]",
    "/[a-Z]",
    "/[-a]",
    "/[a-c-e]",
    "/a|b",
    "/a**",
    "/a*?",
    "/\\d",
    "/\\<a",
    "/()",
    "/é",
    "*",
  ])("does not have %s", (p) => expect(isCommon(p)).toBe(false));

  it("takes nothing that the parser refuses", () => {
    fc.assert(
      fc.property(text, (pattern) => {
        fc.pre(isCommon(pattern));
        expect(() => parseRegex(`^(${pattern})-$`, "line")).not.toThrow();
      }),
      { numRuns: 2000 },
    );
  });

  it("finds a prefix and a literal that everything which matches has", () => {
    const path = fc.string({ unit: fc.constantFrom("a", "b", "/", ".", "0"), maxLength: 8 });
    const piece = fc.constantFrom(
      "a",
      "b",
      "/",
      ".",
      "\\.",
      "a*",
      "b?",
      "(a|b)",
      "(ab)?",
      "(/.*)?",
      "((a)|b/)?",
      "[^/-]+",
      "[0-1a]",
    );
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 6 }), path, (pieces, candidate) => {
        const pattern = pieces.join("");
        expect(isCommon(pattern)).toBe(true);
        fc.pre(new RegExp(`^(?:${pattern})$`, "s").test(candidate));
        const prefix = commonPrefix(pattern);
        expect(candidate.startsWith(prefix)).toBe(true);
        expect(candidate).toContain(commonLiteral(pattern, prefix));
      }),
      { numRuns: 2000 },
    );
  });

  it.each<[string, string, string, string]>([
    ["/usr/(.*/)?java/.+\\.jar", "/usr/", "/usr/", "java/"],
    ["/etc/x?inetd\\.d/tftp", "/etc/", "/etc/", "inetd.d/tftp"],
    ["/a/b(c\\)d)?[^/]*\\.e*f", "/a/b", "/a/b", "."],
  ])("of %s are known", (pattern, prefix, known, literal) => {
    expect(commonPrefix(pattern)).toBe(prefix);
    expect(commonLiteral(pattern, known)).toBe(literal);
  });
});

describe("plain patterns", () => {
  it.each([
    ["/a\\.b", { exact: "/a.b", prefix: null }],
    ["/a(/.*)?", { exact: "/a", prefix: "/a/" }],
    ["/a.*", { exact: null, prefix: "/a" }],
    ["/a.b", null],
    ["/a*", null],
    ["/a/.+", null],
  ])("%s", (pattern, expected) => expect(plainPattern(pattern)).toEqual(expected));
});
