import { readdirSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { utf8 } from "../../src/bytes.ts";
import { concat } from "../../src/chunks.ts";
import { SealError } from "../../src/errors.ts";
import { parseDumpfile, readDumpfile, writeDumpfile } from "../../src/tree/dumpfile.ts";
import { type Directory, lookup } from "../../src/tree/node.ts";
import { vector } from "../support/vectors.ts";

const ROOT = "/ 0 40755 2 0 0 0 0.0 - - -";

function parse(lines: readonly string[], dialect: "composefs-rs" | "c" = "composefs-rs"): Directory {
  return parseDumpfile(Buffer.from(`${lines.join("\n")}\n`, "latin1"), "x.dump", dialect);
}

function rewrite(bytes: Uint8Array): string {
  return Buffer.from(concat([...writeDumpfile(parseDumpfile(bytes, "x.dump", "c"))])).toString("latin1");
}

const DUMPS = readdirSync(new URL("../vectors/composefs", import.meta.url))
  .filter((name) => /\.dump(\.gz)?$/.test(name))
  .sort();

describe("dump files of cfsctl", () => {
  it.each(DUMPS)("writes %s as it was", (name) => {
    const bytes = vector(`composefs/${name}`);
    expect(rewrite(bytes) === bytes.toString("latin1")).toBe(true);
  });
});

describe("reading", () => {
  it("undoes escapes", () => {
    const root = parse([ROOT, String.raw`/a\x20\n\r\t\\\xFf 0 100644 1 0 0 0 1.0 - - - user.a\x3d=\x3d=`]);
    const [entry] = root.entries;
    expect(entry?.name).toEqual(Uint8Array.from(Buffer.from("a \n\r\t\\\xff", "latin1")));
    expect(entry?.node.xattrs).toEqual([{ name: utf8("user.a="), value: utf8("==") }]);
  });

  it("takes lines that end with CR and LF, as composefs-rs does", () => {
    const root = parse([`${ROOT}\r`, "/a 0 100644 1 0 0 0 1.0 - - -\r", "\r", " \t"]);
    expect(root.entries.map(({ name, node }) => [Buffer.from(name).toString(), node.xattrs])).toEqual([["a", []]]);
    expect(() => parse([ROOT, "/a 0 100644 1 0 0 0 1.0 - - -\x0e"])).toThrow(SealError);
  });

  it("refuses a whiteout with several names, which no image stores", () => {
    const lines = (links: number) => [ROOT, `/a 0 20644 ${links} 0 0 0 1.0 - - -`];
    expect(() => parse(lines(2))).toThrow(/a hardlinked whiteout/);
    expect(parse(lines(1)).entries).toHaveLength(1);
  });

  it("keeps a payload that is not the path of the digest, as C does", () => {
    const digest = "ab".repeat(32);
    const payloadOf = (payload: string) => {
      const root = parse([ROOT, `/a 99 100644 1 0 0 0 1.0 ${payload} - ${digest}`], "c");
      const [entry] = root.entries;
      if (entry?.node.kind !== "regular" || entry.node.content.kind !== "external") throw new Error("no file");
      const own = entry.node.content.payload;
      return own instanceof Uint8Array ? Buffer.from(own).toString() : own;
    };
    expect(payloadOf(`ab/${"ab".repeat(31)}`)).toBe("digest");
    expect(payloadOf(`ab/${"ab".repeat(30)}cd`)).toBe(`ab/${"ab".repeat(30)}cd`);
    expect(payloadOf("x")).toBe("x");
  });

  it("gives hardlinks one node", () => {
    const root = parse([ROOT, "/a 0 100644 2 0 0 0 1.0 - - -", "/b 0 @120000 - - - - 0.0 /a - -"]);
    expect(lookup(root, utf8("b"))).toBe(lookup(root, utf8("a")));
  });

  it("sorts entries by bytes", () => {
    const lines = ["b", "a", "Z", String.raw`\xff`].map((name) => `/${name} 0 100644 1 0 0 0 1.0 - - -`);
    expect(parse([ROOT, ...lines]).entries.map((entry) => Buffer.from(entry.name).toString("latin1"))).toEqual([
      "Z",
      "a",
      "b",
      "\xff",
    ]);
  });

  it("keeps what mkcomposefs stores about links", () => {
    const dump = [
      ROOT,
      "/a 0 @120000 - - - - 0.0 /z - -",
      "/f 0 100644 7 0 0 0 1.0 - - -",
      "/z 0 100644 2 0 0 0 1.0 - - -",
    ];
    const { root, links } = readDumpfile(utf8(dump.join("\n")), "x.dump", "c");
    const [a, f, z] = root.entries;
    expect(a?.node).toBe(z?.node);
    expect([...links.values()]).toEqual([
      { first: f, count: 7 },
      { first: z, count: 2 },
    ]);
    expect([...links.values()][1]?.first).toBe(z);
  });

  it("resolves chains of late hardlinks", () => {
    const link = (from: string, to: string) => `/${from} 0 @120000 - - - - 0.0 /${to} - -`;
    const root = parse([ROOT, link("a", "b"), link("b", "c"), link("c", "d"), "/d 0 100644 4 0 0 0 1.0 - - -"], "c");
    expect(new Set(root.entries.map((entry) => entry.node)).size).toBe(1);
    expect(() => parse([ROOT, link("a", "b"), link("b", "a")], "c")).toThrow(/no line for the hardlink's target/);
  });

  it("reads a very deep tree without recursion", () => {
    const path = (depth: number) => "/d".repeat(depth);
    const lines = Array.from({ length: 20_00 }, (_, i) => `${path(i + 1)} 0 40755 2 0 0 0 1.0 - - -`);
    const text = [ROOT, ...lines].join("\n");
    expect(rewrite(utf8(text)).split("\n")).toHaveLength(2002);
  });
});

const FILE = "100644 1 0 0 0 1.0";
const REFUSED: readonly (readonly [string, readonly string[], RegExp])[] = [
  ["nothing", [""], /no line for the root|an empty path|less than 11 fields/],
  ["no root", [`/f 0 ${FILE} - - -`], /line 1: .*before the root/],
  ["a root that is a file", [`/ 0 ${FILE} - - -`], /root must be a directory/],
  ["two roots", [ROOT, ROOT], /line 2: \/ is there twice/],
  ["a missing parent", [ROOT, `/no/f 0 ${FILE} - - -`], /line 2: the parent directory of \/no\/f/],
  ["a path that is twice there", [ROOT, `/f 0 ${FILE} - - -`, `/f 0 ${FILE} - - -`], /line 3: \/f is there twice/],
  ["..", [ROOT, `/.. 0 ${FILE} - - -`], /\. or \.\. in the path/],
  [".", [ROOT, `/./f 0 ${FILE} - - -`], /\. or \.\. in the path/],
  ["//", [ROOT, `//f 0 ${FILE} - - -`], /empty name/],
  ["a slash at the end", [ROOT, "/d/ 0 40755 2 0 0 0 1.0 - - -"], /empty name/],
  ["an unknown escape", [ROOT, String.raw`/f\q 0 ${FILE} - - -`], /escape that does not exist/],
  ["half an escape", [ROOT, String.raw`/f\x1 0 ${FILE} - - -`], /escape that does not exist/],
  ["an escaped NUL in a name", [ROOT, String.raw`/f\x00 0 ${FILE} - - -`], /NUL/],
  ["a NUL", [ROOT, `/f\0 0 ${FILE} - - -`], /NUL/],
  ["missing fields", [ROOT, "/f 0 100644 1 0 0"], /less than 11 fields/],
  ["no number", [ROOT, "/f x 100644 1 0 0 0 1.0 - - -"], /size "x"/],
  ["a negative number", [ROOT, "/f -1 100644 1 0 0 0 1.0 - - -"], /size "-1"/],
  ["a size over 64 bits", [ROOT, "/f 18446744073709551616 100644 1 0 0 0 1.0 - - -"], /64-bit/],
  ["a uid over 32 bits", [ROOT, "/f 0 100644 1 4294967296 0 0 1.0 - - -"], /uid "4294967296"/],
  ["a device number over 32 bits", [ROOT, "/c 0 20644 1 0 0 4294967296 1.0 - - -"], /device number/],
  ["a mode that is no octal number", [ROOT, "/f 0 100648 1 0 0 0 1.0 - - -"], /octal/],
  ["a mode without a type", [ROOT, "/f 0 644 1 0 0 0 1.0 - - -"], /no file type/],
  ["an mtime without a dot", [ROOT, "/f 0 100644 1 0 0 0 1 - - -"], /without a dot/],
  ["a second of nanoseconds", [ROOT, "/f 0 100644 1 0 0 0 1.1000000000 - - -"], /more than a second/],
  ["a symlink without a target", [ROOT, "/l 0 120777 1 0 0 0 1.0 - - -"], /symlink without a target/],
  ["an xattr without =", [ROOT, `/f 0 ${FILE} - - - user.a`], /xattr without =/],
  ["an xattr without a name", [ROOT, `/f 0 ${FILE} - - - =a`], /xattr without a name/],
  ["a long xattr name", [ROOT, `/f 0 ${FILE} - - - user.${"a".repeat(251)}=`], /more than 255 bytes/],
  ["a long xattr value", [ROOT, `/f 0 ${FILE} - - - user.a=${"a".repeat(65536)}`], /more than 65535 bytes/],
  ["a short digest", [ROOT, "/f 100 100644 1 0 0 0 1.0 ab/cd - abcd"], /hex digits/],
  ["a hardlink without a target", [ROOT, "/h 0 @120000 - - - - 0.0 - - -"], /without a target/],
  ["a hardlink to nothing", [ROOT, "/h 0 @120000 - - - - 0.0 /x - -"], /hardlink's target \/x/],
  ["a hardlink to a directory", [ROOT, "/h 0 @120000 - - - - 0.0 / - -"], /hardlink to the directory/],
];

describe.each(["composefs-rs", "c"] as const)("as %s it refuses", (dialect) => {
  it.each(REFUSED)("%s", (_, lines, reason) => {
    expect(() => parse(lines, dialect)).toThrow(
      expect.objectContaining({ code: "input", message: expect.stringMatching(reason) }),
    );
  });

  it("nothing in a way that is not an error of the input", () => {
    const whole = vector("dumpfile/xattrs.dump");
    fc.assert(
      fc.property(fc.nat(whole.length - 1), fc.nat(255), fc.nat(whole.length), (at, byte, length) => {
        const damaged = Uint8Array.from(whole.subarray(0, length));
        if (at < length) damaged[at] = byte;
        try {
          readDumpfile(damaged, "x.dump", dialect);
        } catch (error) {
          expect(error).toBeInstanceOf(SealError);
          expect((error as Error).message).not.toContain("\n");
        }
      }),
      { numRuns: 500 },
    );
  });
});
