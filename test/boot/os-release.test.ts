import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { menuTitle, parseOsRelease, systemVersion } from "../../src/boot/os-release.ts";
import { utf8 } from "../../src/bytes.ts";

const parse = (text: string) => Object.fromEntries(parseOsRelease(utf8(text)));

it.each([
  ["VERSION_ID=13", "13"],
  ["VERSION_ID=42\nIMAGE_VERSION=42.7", "42.7"],
  ["IMAGE_VERSION=\nVERSION_ID='13'", "13"],
  ["ID=arch\nBUILD_ID=rolling", null],
  ["", null],
])("the version that %j tells is %j", (text, version) => {
  expect(systemVersion(parseOsRelease(utf8(text)))).toBe(version);
});

describe("parseOsRelease", () => {
  it("reads what distributions write", () => {
    const text = [
      "# comment",
      'PRETTY_NAME="Debian GNU/Linux 13 (trixie)"',
      "ID=debian",
      "NAME='Single \"quoted\" \\ $x'",
      'VERSION="a \\"b\\" \\$c \\`d\\` \\\\ \\e"',
      "EMPTY=",
      "MIXED=a'b c'\"d\"\\ e",
      "",
      "ID=last",
    ].join("\n");
    expect(parse(text)).toEqual({
      PRETTY_NAME: "Debian GNU/Linux 13 (trixie)",
      ID: "last",
      NAME: 'Single "quoted" \\ $x',
      VERSION: 'a "b" $c `d` \\ \\e',
      EMPTY: "",
      MIXED: "ab cd e",
    });
  });

  it("takes CR LF, blanks and a missing final newline", () => {
    expect(parse("ID=a\r\n  NAME=b  \nX=c")).toEqual({ ID: "a", NAME: "b", X: "c" });
  });

  it("skips what is no assignment", () => {
    expect(parse("ID\n=x\n1A=b\nA B=c\nOPEN=\"x\nGOOD=1\nQ='\n")).toEqual({ GOOD: "1" });
  });

  it("takes any bytes, and every prefix of a file", () => {
    fc.assert(fc.property(fc.uint8Array({ maxLength: 400 }), (bytes) => parseOsRelease(bytes) instanceof Map));
    const text = 'PRETTY_NAME="A \\"b\\""\nID=c\n';
    for (let end = 0; end <= text.length; end++) expect(parseOsRelease(utf8(text.slice(0, end)))).toBeInstanceOf(Map);
  });

  it("reads back any value in double quotes", () => {
    fc.assert(
      fc.property(fc.stringMatching(/^[ -~]*$/), (value) => {
        expect(parse(`X="${value.replace(/["\\$`]/g, "\\$&")}"`)).toEqual({ X: value });
      }),
    );
  });
});

describe("menuTitle", () => {
  it("prefers what people read", () => {
    expect(menuTitle(parseOsRelease(utf8("ID=a\nNAME=b\nIMAGE_ID=c\nPRETTY_NAME=d")))).toBe("d");
    expect(menuTitle(parseOsRelease(utf8("ID=a\nNAME=b\nIMAGE_ID=c\nPRETTY_NAME=")))).toBe("c");
    expect(menuTitle(parseOsRelease(utf8("ID=a\nNAME=b")))).toBe("b");
    expect(menuTitle(parseOsRelease(utf8("ID=a")))).toBe("a");
    expect(menuTitle(parseOsRelease(utf8("VERSION=1")))).toBeNull();
  });
});
