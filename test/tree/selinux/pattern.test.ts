import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { latin1, utf8 } from "../../../src/bytes.ts";
import { SealError } from "../../../src/errors.ts";
import { compileLine } from "../../../src/tree/selinux/pattern.ts";
import { WorkBudget } from "../../../src/tree/selinux/regex/budget.ts";

function compile(pattern: string, lookaround: "pcre2" | "refuse" = "pcre2", budget = new WorkBudget("policy")) {
  return compileLine({ where: "file_contexts line 1", pattern, type: "-", context: "c" }, lookaround, budget);
}

function matches(pattern: string, path: string): boolean {
  return compile(pattern).test(`${latin1(utf8(path))}-`);
}

describe("patterns in Rust's syntax", () => {
  it.each<[string, string[], string[]]>([
    ["/a.c", ["/abc", "/a\nc"], ["/ac", "/abbc", "x/abc", "/abcd"]],
    ["/(usr|opt)/x", ["/usr/x", "/opt/x"], ["/var/x"]],
    ["/a{2,3}", ["/aa", "/aaa"], ["/a", "/aaaa"]],
    ["/a{,2}", ["/", "/aa"], ["/aaa"]],
    ["/a++b*?", ["/a", "/aab"], ["/", "/ba"]],
    ["/[a-c&&[^b]]", ["/a", "/c"], ["/b", "/d"]],
    ["/[a-c--b]", ["/a", "/c"], ["/b"]],
    ["/[ab~~bc]", ["/a", "/c"], ["/b"]],
    ["/[]a]", ["/]", "/a"], ["/b"]],
    ["/[^]a]", ["/b"], ["/]", "/a"]],
    ["/[[:alpha:]_][[:^digit:]]", ["/ab", "/_b"], ["/1b", "/a1"]],
    ["/\\d\\w\\S", ["/1a-"], ["/aa-", "/1--"]],
    ["/(?i)ab(?-i:c)", ["/ABc", "/abc"], ["/abC"]],
    ["/a\\bb|/a\\b-", ["/a-"], ["/ab"]],
    ["/\\<a\\>", ["/a"], []],
    ["/\\x61\\x{62}\\u0063", ["/abc"], ["/ab"]],
    ["/é", ["/é"], ["/e"]],
    ["/\\xc3\\x80", ["/À"], ["/Á"]],
    ["/(?s-m:.)(?x)", ["/a"], ["/"]],
    ["/a)|(/b", ["/a", "/a/anything", "/b"], ["/c", "/bb"]],
    ["/x{0}y", ["/y"], ["/xy"]],
    ["/(?P<n>a)", ["/a"], ["/b"]],
  ])("%s", (pattern, good, bad) => {
    expect(good.filter((path) => !matches(pattern, path))).toEqual([]);
    expect(bad.filter((path) => matches(pattern, path))).toEqual([]);
  });

  it("agrees with JavaScript on what both read alike", () => {
    const piece = fc.constantFrom(
      "a",
      "b",
      "c",
      "/",
      ".",
      "[ab]",
      "[^a]",
      "(a|b)",
      "(?:ab)",
      "a*",
      "b+",
      "c?",
      "(a|bc)*",
      "[^/]+",
      "\\.",
      "a{2}",
      "(b*)*",
    );
    const text = fc.string({ unit: fc.constantFrom("a", "b", "c", "/", "."), maxLength: 10 });
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 7 }), text, (pieces, path) => {
        const pattern = pieces.join("");
        const line = compile(pattern);
        const expected = new RegExp(`^(?:${pattern})-$`, "s").test(`${path}-`);
        expect(line.test(`${path}-`)).toBe(expected);
        if (expected) expect(path.startsWith(line.prefix)).toBe(true);
      }),
      { numRuns: 2000 },
    );
  });

  it("takes linear time where backtracking explodes", () => {
    expect(matches("/(a*)*b", `/${"a".repeat(4000)}`)).toBe(false);
    expect(matches("/(a|aa)+$b", `/${"a".repeat(4000)}`)).toBe(false);
    expect(matches("/(.*a){20}", `/${"a".repeat(200)}`)).toBe(true);
  });

  it.each([
    ["(a{1000}){1000}", /too large/],
    ["a{4294967295}", /too large/],
    ["((((a{99}){99}){99}){99}){99}", /too large/],
    ["(?u)a", /Unicode mode/],
    ["a(", /can't be read/],
    ["a\\", /can't be read/],
    ["[b-a]", /can't be read/],
    ["(?C1)a", /can't be read/],
    ["(?1)a", /can't be read/],
    ["\\p{L}", /can't be read/],
    ["(?<=a*)b", /without a bound/],
    ["(?=a)\\9", /no group 9/],
    ["(?=a)\\81", /can't be read/],
    ["(?=a)\\777", /can't be read/],
    ["(?=a)\\x{100}", /can't be read/],
    ["(?=a)^*", /can't be read/],
    ["(?=a)$*", /can't be read/],
    ["(?=a)\\b+", /can't be read/],
    ["(?=a)a{3,2}", /can't be read/],
    ["(?=a)a{65536}", /can't be read/],
    [`${"(".repeat(100_000)}${")".repeat(100_000)}`, /too deeply/],
    [`${"[".repeat(100_000)}`, /can't be read/],
    ["(?=a{60000})", /repeats too much/],
  ])("refuses %s", (pattern, message) => {
    expect(() => compile(pattern)).toThrow(SealError);
    expect(() => compile(pattern)).toThrow(message);
  });
});

describe("patterns in PCRE2's syntax", () => {
  it.each<[string, string[], string[]]>([
    ["/usr/(?!bin).*", ["/usr/lib", "/usr/"], ["/usr/bin", "/usr/binary", "/usr/a\nb"]],
    ["/.*(?<!this)", ["/that"], ["/this"]],
    ["/.*(?<=a|bc)", ["/a", "/bc"], ["/b"]],
    ["/(?>a*)ab", [], ["/aab"]],
    ["/(?=a)a++", ["/a", "/aaa"], []],
    ["/(?=a)a++a", [], ["/aaa"]],
    ["/(a|b)\\2", ["/aa", "/bb"], ["/ab"]],
    ["/(?<n>a|b)\\k<n>", ["/aa"], ["/ab"]],
    ["/(a|b)\\g{-1}", ["/bb"], ["/ba"]],
    ["/(?=.)[[a]", ["/[", "/a"], ["/b"]],
    ["/(?=.)[a&&b]", ["/&", "/a", "/b"], ["/c"]],
    ["/(?=x)(?i)X", ["/x"], ["/y"]],
    ["/(?=a)\\Qa.b\\E", ["/a.b"], ["/axb"]],
    ["/(?#comment)a\\Rb", ["/a\nb", "/a\r\nb"], ["/ab"]],
    ["/(?=a)(a*)*b", ["/aab"], ["/aa"]],
    ["(?=a)\\bab", ["ab"], ["a b"]],
    ["/(?=.)\\bab\\b", ["/ab"], ["/abc"]],
    ["/(?=.)a\\Bb", ["/ab"], []],
    ["/(?=.)a\\B-", [], ["/a-"]],
    ["/(?=a)a$", [], ["/a"]],
    ["/(?=a)a$\n", [], ["/a\n"]],
    ["/(?m)(?=a)a$\n^b", ["/a\nb"], ["/ab"]],
    ["/(?=.)\\101\\x42\\x{43}", ["/ABC"], ["/9BC", "/abc"]],
    ["/(?=.)(a)(b)\\12", ["/ab\n"], ["/aba2", "/abb"]],
    ["/(?=.)\\xc3\\v", ["/\u00c5"], ["/\u00c6", "/\u00c4"]],
    ["/(?=.)\\xc3\\R", ["/\u00c5"], ["/\u00c6", "/\u00c4"]],
    ["/(?=.)\\xc2\\h", ["/\u00a0"], ["/\u00a1"]],
    ["/(?=.)a\\vb", ["/a\nb", "/a\x0bb", "/a\x0cb", "/a\rb"], ["/a\tb", "/a\x0eb"]],
    ["/(?=.)a\\R", ["/a\r\n", "/a\r", "/a\x0b"], ["/a\n\r"]],
    ["/(?=.)\\R\\n", [], ["/\r\n"]],
    // What a branch took that did not match is forgotten.
    ["/(?:(a)x|ab)\\2", [], ["/ab", "/aba"]],
    ["/(?:(a)|b)*\\2", ["/aba", "/aa"], ["/b", "/abb"]],
    ["/(?=.)(a)?b\\2", ["/aba"], ["/b", "/ba"]],
    ["/(?!(a)b).*\\2", [], ["/aa"]],
    ["/(?=(a+))a*b\\2", ["/aabaa", "/aba"], ["/aab", "/aaba"]],
    ["/(?=.)(?:a|b){2,3}", ["/ab", "/bab"], ["/a", "/abab"]],
    ["/(?=.)a{,2}b{0}", ["/", "/a", "/aa"], ["/aaa", "/b"]],
    ["/(?=.)a{,}", ["/a{,}"], ["/a"]],
    ["/(?<=^/)a(?<!b)", ["/a"], ["/b"]],
    ["/a.*(?<=b{2}|cd{1,3})", ["/abb", "/acd", "/acddd"], ["/ab", "/acdddd"]],
  ])("%s", (pattern, good, bad) => {
    expect(good.filter((path) => !matches(pattern, path))).toEqual([]);
    expect(bad.filter((path) => matches(pattern, path))).toEqual([]);
  });

  it("are refused for the releases that can't read them", () => {
    expect(() => compile("/usr/(?!bin).*", "refuse")).toThrow(/file_contexts line 1.*chosen bootc release/);
  });

  it("give up with an error when they backtrack without end", () => {
    const line = compile("/(?=a)(a|aa)*b", "pcre2", new WorkBudget("the policy", 1_000_000));
    expect(() => line.test(`/${"a".repeat(200)}-`)).toThrow(/take too long/);
  });

  it("agree with JavaScript on what both read alike", () => {
    const piece = fc.constantFrom(
      "a",
      "b",
      ".",
      "[ab]",
      "[^a]",
      "(a|b)",
      "(?:ab)",
      "a*",
      "b+?",
      "(?=a)",
      "(?!b)",
      "(?<=a)",
      "(?<!ab)",
      "(a|ab)*",
      "\\b",
      "\\B",
      "(?:b|ab){1,2}",
      "(?:a|b)*?",
    );
    const text = fc.string({ unit: fc.constantFrom("a", "b", "c", "-"), maxLength: 8 });
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 6 }), text, (pieces, path) => {
        const pattern = `(?!x)${pieces.join("")}`;
        expect(compile(pattern).test(`${path}-`)).toBe(new RegExp(`^(?:${pattern})-$`).test(`${path}-`));
      }),
      { numRuns: 2000 },
    );
  });
});

it("nothing that a policy may hold does anything but match, or fail with an input error", () => {
  const piece = fc.constantFrom(..."ab()[]{}*+?|^$.\\-&~#:=!<>PQE01,x", "(?", "[[:", "\\x{", "\\g{", "(?<", "{2,");
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 12 }), (pieces) => {
      try {
        compile(pieces.join("")).test("/ab-");
      } catch (error) {
        expect(error).toBeInstanceOf(SealError);
      }
    }),
    { numRuns: 20_000 },
  );
});
