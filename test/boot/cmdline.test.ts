import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  checkCmdline,
  composefsKarg,
  findComposefsDigests,
  joinCmdline,
  KARG_STYLES,
  parseCmdline,
} from "../../src/boot/cmdline.ts";
import { toHex } from "../../src/bytes.ts";
import { SealError } from "../../src/errors.ts";
import type { EfiArch } from "../../src/pe/arch.ts";

const SHA256 = "ab".repeat(32);
const SHA512 = "0123456789abcdef".repeat(8);

/** A message that `checkCmdline` gives, or null. */
function refusal(cmdline: string, arch: Parameters<typeof checkCmdline>[2] = "x64"): string | null {
  try {
    checkCmdline(cmdline, "--cmdline", arch);
    return null;
  } catch (error) {
    expect(error).toBeInstanceOf(SealError);
    expect(error).toMatchObject({ code: "input" });
    return (error as SealError).message;
  }
}

describe("parseCmdline", () => {
  // Expected values follow next_arg() of lib/cmdline.c.
  it.each([
    ["", []],
    [" \t\n ", []],
    [
      "quiet  rw\n",
      [
        ["quiet", "quiet", null],
        ["rw", "rw", null],
      ],
    ],
    ["root=LABEL=x", [["root=LABEL=x", "root", "LABEL=x"]]],
    ["a=", [["a=", "a", ""]]],
    ["=a=b", [["=a=b", "=a", "b"]]],
    [
      'dyndbg="file a +p; b" x',
      [
        ['dyndbg="file a +p; b"', "dyndbg", "file a +p; b"],
        ["x", "x", null],
      ],
    ],
    [
      '"dyndbg=a b" x',
      [
        ['"dyndbg=a b"', "dyndbg", "a b"],
        ["x", "x", null],
      ],
    ],
    ['"a b"', [['"a b"', "a b", null]]],
    ['a=b"c d"e', [['a=b"c d"e', "a", 'b"c d"e']]],
    ['a=b"c d"', [['a=b"c d"', "a", 'b"c d"']]],
    ['a="', [['a="', "a", ""]]],
    ['a="open rest of line', [['a="open rest of line', "a", "open rest of line"]]],
  ])("takes %j apart", (cmdline, expected) => {
    expect(parseCmdline(cmdline).map(({ text, name, value }) => [text, name, value])).toEqual(expected);
  });

  it("loses nothing but white space between arguments", () => {
    fc.assert(
      fc.property(fc.stringMatching(/^[ab="\t\n .-]*$/), (cmdline) => {
        const words = parseCmdline(cmdline).map((argument) => argument.text);
        let rest = cmdline;
        for (const word of words) {
          const at = rest.indexOf(word);
          expect(rest.slice(0, at)).toMatch(/^\s*$/);
          rest = rest.slice(at + word.length);
        }
        expect(rest).toMatch(/^\s*$/);
      }),
    );
  });
});

describe("joinCmdline", () => {
  it("puts arguments in order with single blanks", () => {
    expect(joinCmdline(["  quiet   rw", "", "console=ttyS0\n"])).toBe("quiet rw console=ttyS0");
  });

  it("does not repeat an argument, but keeps other values of the same name", () => {
    expect(joinCmdline(["console=tty0 rw", "console=ttyS0 rw console=tty0"])).toBe("console=tty0 rw console=ttyS0");
  });

  it("takes - and _ in names as the same, in values not", () => {
    expect(joinCmdline(["a-b=c-d", "a_b=c-d", "a_b=c_d"])).toBe("a-b=c-d a_b=c_d");
  });

  it("takes a quoted value as the same as a bare one", () => {
    expect(joinCmdline(['a="b"', "a=b", '"a=b"'])).toBe('a="b"');
  });

  it("is stable: joining its own result changes nothing", () => {
    fc.assert(
      fc.property(fc.array(fc.stringMatching(/^[ab= ]*$/)), (parts) => {
        const once = joinCmdline(parts);
        expect(joinCmdline([once])).toBe(once);
      }),
    );
  });
});

describe("checkCmdline", () => {
  it.each(["", "quiet rw", "quiet\tinit=/x", "quiet\n", 'a="b c"', "x=ü"])("accepts %j", (cmdline) => {
    expect(refusal(cmdline)).toBeNull();
  });

  it.each([
    ["quiet\nrw", "has a newline at character 6"],
    ["\n", null],
    ["quiet\0", "has a NUL at character 6"],
    ["a\x1bb", "has the control character 0x1b at character 2"],
    ["a\rb", "has the control character 0x0d at character 2"],
    ['a="b c" d="e f', "the quote at character 11 of the kernel command line is not closed"],
    ["x=à", '"à", which in UTF-8 contains the byte 0xa0'],
    ["x=a\u00a0b", "0xa0"],
  ])("answers %j with one line", (cmdline, message) => {
    const text = refusal(cmdline);
    if (message === null) return expect(text).toBeNull();
    expect(text).toContain(message);
    expect(text).toMatch(/^--cmdline: [^\n]*$/);
  });

  it("refuses what the kernel would cut off", () => {
    expect(refusal("x".repeat(2047))).toBeNull();
    expect(refusal("x".repeat(2048))).toContain("has 2048 bytes; Linux on x64 takes 2047");
    expect(refusal("ü".repeat(1024))).toContain("has 2048 bytes");
  });

  // arch/…/include/…/asm/setup.h of Linux 6.12; without one of its own an architecture has that of
  // include/uapi/asm-generic.
  it.each<[EfiArch, number]>([
    ["x64", 2048],
    ["ia32", 2048],
    ["aa64", 2048],
    ["arm", 1024],
    ["riscv32", 1024],
    ["riscv64", 1024],
    ["loongarch32", 4096],
    ["loongarch64", 4096],
  ])("knows that the kernel for %s has room for %d bytes, the final NUL among them", (arch, size) => {
    expect(refusal("x".repeat(size - 1), arch)).toBeNull();
    expect(refusal("x".repeat(size), arch)).toContain(`has ${size} bytes; Linux on ${arch} takes ${size - 1} and`);
  });
});

describe("composefsKarg", () => {
  const digest = { erofs: "v1", algorithm: "sha512", digest: SHA512 } as const;

  it("writes the short and the long form", () => {
    expect(composefsKarg(digest, "composefs")).toBe(`composefs=${SHA512}`);
    expect(composefsKarg(digest, "composefs", { allowMissingVerity: true })).toBe(`composefs=?${SHA512}`);
    expect(composefsKarg(digest, "composefs.digest")).toBe(`composefs.digest=v1-sha512-12:${SHA512}`);
    expect(composefsKarg(digest, "composefs.digest", { allowMissingVerity: true })).toBe(
      `composefs.digest=?v1-sha512-12:${SHA512}`,
    );
  });

  it("has no long form for v0", () => {
    expect(composefsKarg({ ...digest, erofs: "v0" }, "composefs")).toBe(`composefs=${SHA512}`);
    expect(() => composefsKarg({ ...digest, erofs: "v0" }, "composefs.digest")).toThrow(
      expect.objectContaining({ code: "usage" }),
    );
  });
});

describe("findComposefsDigests", () => {
  it("finds them in order among other arguments", () => {
    const cmdline = `rw composefs.digest=?v2-sha256-12:${SHA256} quiet composefs=${SHA512} composefs=?${SHA256}`;
    expect(findComposefsDigests(cmdline)).toEqual({
      digests: [
        { form: "composefs.digest", insecure: true, erofs: "v2", algorithm: "sha256", digest: SHA256 },
        { form: "composefs", insecure: false, erofs: null, algorithm: "sha512", digest: SHA512 },
        { form: "composefs", insecure: true, erofs: null, algorithm: "sha256", digest: SHA256 },
      ],
      malformed: [],
    });
  });

  it.each([
    ["composefs", "no value"],
    ["composefs=", "has 0 characters, not 64 or 128"],
    ["composefs=?", "has 0 characters"],
    ["composefs=foo", "has 3 characters"],
    [`composefs=${SHA256}0`, "has 65 characters"],
    [`composefs=??${SHA256}`, "has 65 characters"],
    [`composefs=${"AB".repeat(32)}`, "lower-case hex"],
    [`composefs=${"zz".repeat(32)}`, "lower-case hex"],
    [`composefs="${SHA256}"`, "quotes"],
    [`"composefs=${SHA256}"`, "quotes"],
    [`composefs.digest=${SHA256}`, "not of the form"],
    [`composefs.digest=v0-sha256-12:${SHA256}`, "not of the form"],
    [`composefs.digest=v1-sha256-16:${SHA256}`, "not of the form"],
    [`composefs.digest=v1-sha512-12:${SHA256}`, "has 64 characters, not 128"],
    [`composefs.digest=v1-?sha256-12:${SHA256}`, "not of the form"],
  ])("reports %j as malformed", (text, reason) => {
    const found = findComposefsDigests(`a ${text} b`);
    expect(found.digests).toEqual([]);
    expect(found.malformed).toEqual([{ text, reason: expect.stringContaining(reason) }]);
  });

  it("leaves other arguments alone", () => {
    expect(findComposefsDigests(`xcomposefs=${SHA256} composefs.x=1 composefs.digests=2 rd.composefs=3`)).toEqual({
      digests: [],
      malformed: [],
    });
  });

  it("reads what composefsKarg writes, and never throws", () => {
    const hash = fc.oneof(
      fc.tuple(fc.constant("sha256" as const), fc.uint8Array({ minLength: 32, maxLength: 32 })),
      fc.tuple(fc.constant("sha512" as const), fc.uint8Array({ minLength: 64, maxLength: 64 })),
    );
    fc.assert(
      fc.property(
        hash,
        fc.constantFrom("v1" as const, "v2" as const),
        fc.constantFrom(...KARG_STYLES),
        fc.boolean(),
        ([algorithm, digest], erofs, style, insecure) => {
          const karg = composefsKarg({ erofs, algorithm, digest: toHex(digest) }, style, {
            allowMissingVerity: insecure,
          });
          expect(findComposefsDigests(`a ${karg} b`).digests).toEqual([
            { form: style, insecure, erofs: style === "composefs" ? null : erofs, algorithm, digest: toHex(digest) },
          ]);
        },
      ),
    );
    fc.assert(
      fc.property(fc.string(), (text) => {
        const { digests, malformed } = findComposefsDigests(`composefs=${text} composefs.digest=?${text}`);
        expect(digests.length + malformed.length).toBeGreaterThanOrEqual(1);
      }),
    );
  });
});
