import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { latin1, utf8 } from "../../../src/bytes.ts";
import { SealError } from "../../../src/errors.ts";
import { ContextIndex } from "../../../src/tree/selinux/contexts.ts";
import { type FileType, parseAliases, parseSelinuxType, parseSpecLines } from "../../../src/tree/selinux/lines.ts";
import { compileLine } from "../../../src/tree/selinux/pattern.ts";
import { buildPolicy, loadPolicy, sharePolicy } from "../../../src/tree/selinux/policy.ts";
import { PolicyText } from "../../../src/tree/selinux/policy-text.ts";
import { WorkBudget } from "../../../src/tree/selinux/regex/budget.ts";
import { memoryRootfs } from "../../support/tree.ts";

const RULES = { lookaround: "pcre2" } as const;
const BASE = "etc/selinux/t/contexts/files/file_contexts";

function policyOf(text: string) {
  return buildPolicy([{ bytes: utf8(text), subject: "file_contexts" }], new Map(), "pcre2", "policy");
}

function label(text: string, path: string, type: FileType = "-"): string | null {
  const found = policyOf(text).lookup(path, type);
  return found === null ? null : Buffer.from(found).toString();
}

describe("parseSelinuxType", () => {
  it.each([
    ["SELINUXTYPE=targeted\n", "targeted"],
    ["# SELINUXTYPE=x\n selinuxType = mls # not a comment\r\nSELINUXTYPE=second", "mls # not a comment"],
    ["\u00a0SELINUXTYPE\u3000=\u2003a=b", "a=b"],
    ["SELINUX=enforcing\nSELINUXTYPE\n", null],
    ["SELINUXTYPEX\nSELINUXTYPE=y\n", "y"],
    ["\ufeffSELINUXTYPE=x", null],
    ["", null],
  ])("%j", (text, expected) => {
    expect(parseSelinuxType(utf8(text), "config")).toBe(expected);
  });

  it("refuses bytes that are not UTF-8, as far as it has to read", () => {
    expect(() => parseSelinuxType(Buffer.from("a\n# \xff\n", "latin1"), "config")).toThrow(
      "config line 2: is not UTF-8",
    );
    expect(parseSelinuxType(Buffer.from("SELINUXTYPE=x\n\xff", "latin1"), "config")).toBe("x");
  });
});

describe("parseSpecLines", () => {
  it("reads fields between any white space, and comments at the start of a line only", () => {
    const lines = parseSpecLines(utf8("# c\n\n  # d\n/a\u00a0-d\tl\r\n /b#c l#m"), "f");
    expect(lines).toEqual([
      { where: "f line 4", pattern: "/a", type: "d", context: "l" },
      { where: "f line 5", pattern: "/b#c", type: null, context: "l#m" },
    ]);
  });

  it.each(["/a\tl", "/a\t--\tl", "/a  -d\x0bl \f", "/a -- -x", "/a -d -- ", "/a\\.b l#", '"!~ -b \x7f'])(
    "reads %j as with a blank before it",
    (text) => {
      expect(parseSpecLines(utf8(text), "f")).toEqual(parseSpecLines(utf8(` ${text}`), "f"));
      expect(parseSpecLines(utf8(text), "f")).toHaveLength(1);
    },
  );

  it.each([
    ["/a", /line 1: no label/],
    ["/a --", /no label after "--"/],
    ["/a -x l", /unknown file type "-x"/],
    ["/a - l", /unknown file type "-"/],
    ["/a l extra", /"extra" is one field too many/],
    ["/a -d l # comment", /one field too many/],
    [`/a ${"b".repeat(5000)} c`, /line 1: "c" is one field too many/],
    [`/a l ${"b".repeat(5000)}`, /line 1: "b{200}…" is one field too many/],
    ["x".repeat(5000), /line 1: no label after "x{200}…"$/],
    ["/ok l\n# \xff", /line 2: is not UTF-8/],
  ])("refuses %j", (text, message) => {
    expect(() => parseSpecLines(Buffer.from(text, "latin1"), "f")).toThrow(message);
  });
});

describe("parseAliases", () => {
  it("lets the later line win, and refuses lines without two fields", () => {
    const aliases = new Map([["/a", "/old"]]);
    parseAliases(utf8("# c\n/a /b\n/c /d\n/a /e\n"), "f", aliases);
    expect([...aliases]).toEqual([
      ["/a", "/e"],
      ["/c", "/d"],
    ]);
    expect(() => parseAliases(utf8("/a"), "f", aliases)).toThrow(/no original/);
    expect(() => parseAliases(utf8("/a /b /c"), "f", aliases)).toThrow(/too many/);
  });
});

describe("Policy", () => {
  it("takes the last line that matches path and type", () => {
    const text = "/.* any\n/a exact\n/a -d dir\n/a(/.*)? below\n/a/x -- <<none>>\n/[a-b]/y pattern";
    expect(label(text, "/z")).toBe("any");
    expect(label(text, "/a", "d")).toBe("below");
    expect(label(text, "/a/b/c")).toBe("below");
    expect(label(text, "/a/x")).toBeNull();
    expect(label(text, "/a/x", "l")).toBe("below");
    expect(label(text, "/a/y")).toBe("pattern");
    expect(label("/a l", "/b")).toBeNull();
  });

  it("reads escapes in paths without a pattern", () => {
    expect(label("/a\\.b\\+c l", "/a.b+c")).toBe("l");
    expect(label("/a\\.b l", "/axb")).toBeNull();
  });

  it("gives the same object for the same label", () => {
    const policy = policyOf("/a l\n/b l");
    expect(policy.lookup("/a", "-")).toBe(policy.lookup("/b", "-"));
  });

  it("gives up on a policy whose patterns cost more than any real one's", () => {
    const lines = Array.from({ length: 200 }, (_, i) => ({
      where: "w",
      pattern: `/.*[x]{${(i % 50) + 1}}.*[y]`,
      type: null,
      context: "l",
    }));
    const index = new ContextIndex(lines, "pcre2", new WorkBudget("the policy", 1_000_000));
    const lookups = () => {
      for (let i = 0; i < 1000; i++) index.lookup(`/${"x".repeat(200)}${i % 7}`, "-");
    };
    expect(lookups).toThrow(/the policy: its patterns take too long/);
  });

  it("finds by its index what trying every line finds", () => {
    const name = fc.constantFrom("a", "b", "lib", "x.so", "é");
    const path = fc.array(name, { maxLength: 3 }).map((names) => `/${names.join("/")}`);
    const tail = fc.constantFrom(
      "",
      "(/.*)?",
      "/.*",
      ".*",
      "[^/]*",
      "(b|/a)",
      ".*\\.so",
      "(/.*)?/(a|b)+",
      "s?",
      "/(?!a).*",
      ")|(/b",
    );
    const type = fc.constantFrom<FileType | null>(null, "-", "d");
    fc.assert(
      fc.property(
        fc.array(fc.tuple(path, tail, type), { maxLength: 10 }),
        fc.array(path, { minLength: 1, maxLength: 10 }),
        (specs, paths) => {
          const lines = specs.map(([p, t, y], i) => ({ where: "w", pattern: p + t, type: y, context: `l${i}` }));
          const text = lines.map(
            (line) => `${line.pattern}${line.type === null ? "" : ` -${line.type}`} ${line.context}\n`,
          );
          const policy = policyOf(text.join(""));
          const budget = new WorkBudget("policy");
          for (const p of paths) {
            const last = lines.findLast(
              (line) => (line.type ?? "-") === "-" && compileLine(line, "pcre2", budget).test(`${latin1(utf8(p))}-`),
            );
            const found = policy.lookup(latin1(utf8(p)), "-");
            expect(found && Buffer.from(found).toString()).toBe(last?.context ?? null);
            const few = new PolicyText([{ bytes: utf8(text.join("")), subject: "policy" }], "pcre2", budget);
            expect(few.of(latin1(utf8(p))).lookup(latin1(utf8(p)), "-")).toEqual(found);
          }
        },
      ),
      { numRuns: 300 },
    );
  });
});

describe("PolicyText", () => {
  const textOf = (lines: readonly string[]) =>
    new PolicyText([{ bytes: utf8(`${lines.join("\n")}\n`), subject: "policy" }], "pcre2", new WorkBudget("policy"));
  const many = (line: (index: number) => string) => Array.from({ length: 5000 }, (_, index) => line(index));

  it("reads the lines that may match a path, and all of them once where these are many", () => {
    const few = textOf(["/.* any", ...many((index) => `/opt/${index}(/.*)? opt`), "/opt|/usr/a either"]);
    expect(few.of("/usr/a")).not.toBe(few.of("/usr/a"));
    expect(Buffer.from(few.of("/usr/a").lookup("/usr/a", "-") ?? "").toString()).toBe("either");
    expect(Buffer.from(few.of("/opt/77/x").lookup("/opt/77/x", "-") ?? "").toString()).toBe("opt");
    const all = textOf(many((index) => `/(usr|opt)/${index}\\d+ some`));
    expect(all.of("/usr/a")).toBe(all.of("/usr/b"));
    expect(all.of("/usr/b")).toBe(all.whole());
  });

  it.each([
    ["/usr/liba? x", "/usr/lib"],
    ["/usr/liba* x", "/usr/lib"],
    ["/usr/liba{0,1} x", "/usr/lib"],
    ["/usr/lib)|(/opt/b x", "/opt/b"],
    ["/a|/b|/usr x", "/usr"],
    [" /usr x", "/usr"],
    ["(/opt)?/usr x", "/usr"],
    ["[/]usr x", "/usr"],
    ["/us\\x72 x", "/usr"],
    ["/usr/[|]x|/opt x", "/opt"],
    ["/usr/(?#(|)x|/opt x", "/opt"],
  ])("has %j for %s", (line, path) => {
    const text = textOf(["/.* any", line]);
    expect(text.of(path).lookup(path, "-")).toEqual(text.whole().lookup(path, "-"));
    expect(Buffer.from(textOf([line]).of(path).lookup(path, "-") ?? "").toString()).toBe("x");
  });
});

describe("loadPolicy", () => {
  const files = { "etc/selinux/config": "SELINUXTYPE=t\n", [BASE]: "/a one\n/b one\n" };

  it("reads the files in order and the aliases", async () => {
    const policy = await loadPolicy(
      memoryRootfs({
        ...files,
        [`${BASE}.local`]: "/a two",
        [`${BASE}.homedirs`]: "/b three",
        [`${BASE}.subs`]: "/x /1",
        [`${BASE}.subs_dist`]: "/x /2",
      }),
      RULES,
    );
    expect(policy?.lookup("/a", "-")).toEqual(utf8("two"));
    expect(policy?.lookup("/b", "-")).toEqual(utf8("three"));
    expect(policy?.alias("/x")).toBe("/2");
  });

  it("finds none without a configuration or a type", async () => {
    expect(await loadPolicy(memoryRootfs({}), RULES)).toBeNull();
    expect(await loadPolicy(memoryRootfs({ "etc/selinux/config": "SELINUX=disabled\n" }), RULES)).toBeNull();
  });

  it("reads a policy once for all rules to which it is the same", async () => {
    const rootfs = memoryRootfs({ ...files, [BASE]: "/a(/.*)? one" });
    const policy = await loadPolicy(rootfs, { lookaround: "refuse" });
    expect(await loadPolicy(rootfs, RULES)).toBe(policy);
    const withLookaround = memoryRootfs({ ...files, [BASE]: "/a(?!b) one" });
    const lenient = await loadPolicy(withLookaround, RULES);
    expect(await loadPolicy(withLookaround, RULES)).toBe(lenient);
    const strict = loadPolicy(withLookaround, { lookaround: "refuse" });
    await expect(strict).rejects.toThrow(/not a pattern that the chosen bootc release can read/);
  });

  it("takes one that another root filesystem has, where all of its files are the same", async () => {
    const all = { ...files, [`${BASE}.local`]: "/a two", [`${BASE}.subs`]: "/x /1" };
    const loadWith = async (own: Record<string, string>) => {
      const [rootfs, other] = [memoryRootfs(own), memoryRootfs(all)];
      await loadPolicy(other, RULES);
      await sharePolicy(rootfs, other);
      return { loaded: await loadPolicy(rootfs, RULES), known: await loadPolicy(other, RULES) };
    };
    const same = await loadWith({ ...all, "etc/other": "x" });
    expect(same.loaded).toBe(same.known);
    const { [`${BASE}.local`]: _local, ...fewer } = all;
    for (const own of [
      fewer,
      { ...all, [BASE]: "/a one\n/b two\n" },
      { ...all, [`${BASE}.local`]: "/a tw0" },
      { ...all, [`${BASE}.homedirs`]: "/a two" },
      { ...all, [`${BASE}.subs_dist`]: "" },
    ]) {
      const { loaded, known } = await loadWith(own);
      expect(loaded).not.toBe(known);
    }
    expect((await loadWith(fewer)).loaded?.lookup("/a", "-")).toEqual(utf8("one"));
    expect((await loadWith({ "etc/selinux/config": "SELINUX=disabled\n" })).loaded).toBeNull();
  });

  it("shares none that rules of another release read otherwise, and none that was not read", async () => {
    const lookaround = { ...files, [BASE]: "/a(?!b) one" };
    const [rootfs, other] = [memoryRootfs(lookaround), memoryRootfs(lookaround)];
    await sharePolicy(rootfs, other);
    const own = await loadPolicy(rootfs, RULES);
    expect(await loadPolicy(other, RULES)).not.toBe(own);
    const third = memoryRootfs(lookaround);
    await sharePolicy(third, other);
    await expect(loadPolicy(third, { lookaround: "refuse" })).rejects.toThrow(SealError);
  });

  it("follows relative symlinks in a directory, and refuses them in layers", async () => {
    const { [BASE]: text, ...rest } = files;
    const linked = { ...rest, "etc/selinux/t/real": text ?? "", [BASE]: { link: "../../real" } };
    expect((await loadPolicy(memoryRootfs(linked), RULES))?.lookup("/a", "-")).toEqual(utf8("one"));
    await expect(loadPolicy(memoryRootfs(linked, "layers"), RULES)).rejects.toThrow(/symlink/);
    const absolute = { ...rest, [BASE]: { link: "/etc/passwd" } };
    await expect(loadPolicy(memoryRootfs(absolute), RULES)).rejects.toThrow(/absolute/);
  });

  it.each([
    ["", /names no policy/],
    ["/abs", /names no policy/],
    ["../x", /names no policy/],
    ["missing", /file_contexts is missing/],
  ])("refuses SELINUXTYPE=%s", async (type, message) => {
    const rootfs = memoryRootfs({ ...files, "etc/selinux/config": `SELINUXTYPE=${type}` });
    await expect(loadPolicy(rootfs, RULES)).rejects.toThrow(SealError);
    await expect(loadPolicy(rootfs, RULES)).rejects.toThrow(message);
  });

  it("names the file and the line of a bad pattern", async () => {
    const rootfs = memoryRootfs({ ...files, [`${BASE}.local`]: "# c\n/a( l" });
    await expect(loadPolicy(rootfs, RULES)).rejects.toThrow(/^\/target\/etc\/.*file_contexts\.local line 2: .*\/a\(/);
  });
});
