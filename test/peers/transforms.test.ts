/** Labels and transforms against cfsctl: random patterns, random policies, the real root filesystem. */
import { linkSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { expect, it } from "vitest";
import { latin1 } from "../../src/bytes.ts";
import { concat } from "../../src/chunks.ts";
import { composefsDigests } from "../../src/composefs/digest.ts";
import { seriesOf } from "../../src/composefs/named-release.ts";
import { SealError } from "../../src/errors.ts";
import { openRootfs } from "../../src/io/rootfs.ts";
import { parseRootfsSource } from "../../src/io/rootfs-source.ts";
import { transformTree } from "../../src/tree/apply.ts";
import { writeDumpfile } from "../../src/tree/dumpfile.ts";
import { compileLine } from "../../src/tree/selinux/pattern.ts";
import { WorkBudget } from "../../src/tree/selinux/regex/budget.ts";
import { describeWith, realRootfs, runPeer } from "../support/peers.ts";
import { tempDir } from "../support/temp.ts";

const { rules } = seriesOf("1.17.5");
const POLICY = "etc/selinux/t/contexts/files";

/**
 * Pieces that patterns are made of: what both syntaxes know, what one reads in another way, and what only one knows.
 */
const PIECES = [
  ..."aabbcAB_1.*+?|()^$-#",
  ...[
    "[ab]",
    "[^a]",
    "[a-c]",
    "[a-c&&[^b]]",
    "[a-c--b]",
    "[ab~~bc]",
    "[]a]",
    "[^]a]",
    "[a-]",
    "[[:alpha:]]",
    "[[:^alpha:]b]",
    "[[:upper:]]",
  ],
  ...[
    "\\d",
    "\\D",
    "\\w",
    "\\W",
    "\\S",
    "\\b",
    "\\B",
    "\\<",
    "\\>",
    "\\A",
    "\\z",
    "\\.",
    "\\-",
    "\\n",
    "\\x61",
    "\\x{62}",
    "\\xff",
    "\\u00e9",
    "é",
  ],
  ...["{2}", "{1,2}", "{1,}", "{,2}", "{0}", "*?", "+?", "??", "++", "*+", "?+", "**", "+*"],
  ...["(?:", "(?i)", "(?i:", "(?s-m:", "(?-s:", "(?m)", "(?x)", "(?U)", "(?R)", "(?P<n>", "(?<m>"],
  ...[
    "(?=a)",
    "(?!b)",
    "(?<=a)",
    "(?<!b)",
    "(?>a*)",
    "\\1",
    "\\2",
    "(?=",
    "(?!",
    "(?<!",
    "(?>",
    "\\Q.\\E",
    "\\h",
    "\\N",
    "\\R",
    "\\Z",
  ],
  ...["(a|b)", "(ab)*", "(a|bc)+", "(a*)*", ".*", ".+", "[^/]*", "(.*)?"],
] as const;

/** Names that the patterns are tried on. */
const NAMES = [
  "a",
  "b",
  "ab",
  "ba",
  "aa",
  "bb",
  "abc",
  "cab",
  "aab",
  "AB",
  "Ab",
  "a_1",
  "1",
  "a.b",
  "a-b",
  ".",
  "a#",
  "-",
  "aé",
  "é",
  "a\n",
  "\na",
  "a\nb",
  "a\r\n",
  "aaaa",
  "abab",
  "a+",
  "a{,2}",
  "a\tb",
];

/** The file of that name in a directory that is already there, both as latin1 text. */
function touch(directory: string, name: string): void {
  writeFileSync(Buffer.concat([Buffer.from(`${directory}/`), Buffer.from(name)]), "");
}

function makeRoot(policy: string, files: Record<string, string> = {}): string {
  const root = tempDir();
  for (const path of ["usr", "boot", "sysroot", POLICY]) mkdirSync(join(root, path), { recursive: true });
  writeFileSync(join(root, "etc/selinux/config"), "SELINUXTYPE=t\n");
  writeFileSync(join(root, POLICY, "file_contexts"), policy);
  for (const [suffix, text] of Object.entries(files)) writeFileSync(join(root, POLICY, `file_contexts${suffix}`), text);
  return root;
}

async function sealDump(path: string): Promise<string[]> {
  const rootfs = await open(path);
  const root = await transformTree(rootfs, { rules, transform: "boot", xattrs: "allowlist", mtime: "exact" });
  return latin1(concat([...writeDumpfile(root)])).split("\n");
}

async function open(path: string) {
  return (await openRootfs(parseRootfsSource(path), { algorithm: "sha512", xattrs: "all", cwd: "/" })).rootfs;
}

/** Lines of the dump; null when cfsctl refuses. */
function peerDump(path: string): string[] | null {
  const { status, stdout } = runPeer("cfsctl", [
    "--no-repo",
    "--hash",
    "sha512",
    "create-dumpfile",
    "--bootable",
    path,
  ]);
  return status === 0 ? stdout.toString("latin1").split("\n") : null;
}

function isReadable(pattern: string): boolean {
  try {
    compileLine({ where: "line", pattern, type: null, context: "c" }, "pcre2", new WorkBudget("policy"));
    return true;
  } catch (error) {
    if (error instanceof SealError) return false;
    throw error;
  }
}

const seed = 20_261_121;

describeWith(["cfsctl"], "the transforms against cfsctl", () => {
  it("random patterns match what they match there", async () => {
    const pattern = fc
      .array(fc.constantFrom(...PIECES), { minLength: 1, maxLength: 6 })
      .map((pieces) => pieces.join(""));
    const patterns = [...new Set(fc.sample(pattern, { numRuns: 1200, seed }))];
    const readable = patterns.filter((text) => isReadable(`/t/${text}`)).slice(0, 250);
    expect(readable.length).toBeGreaterThan(150);
    const root = makeRoot(readable.map((text, i) => `/t${i}/${text} u:r:l${i}`).join("\n"));
    readable.forEach((_, i) => {
      const directory = join(root, `t${i}`);
      mkdirSync(directory);
      for (const name of NAMES) if (name !== ".") touch(directory, name);
    });
    const theirs = peerDump(root);
    expect(theirs, "cfsctl refuses a pattern that seal reads").not.toBeNull();
    const differing = (await sealDump(root)).flatMap((line, i) => {
      if (line === theirs?.[i]) return [];
      return [`${readable[Number(/^\/t(\d+)/.exec(line)?.[1])]}: seal ${line}, cfsctl ${theirs?.[i]}`];
    });
    expect(differing).toEqual([]);
    const labelled = theirs?.filter((line) => /u:r:l\d/.test(line)) ?? [];
    expect(labelled.length).toBeGreaterThan(readable.length);
  });

  it("what cfsctl can't read is refused too", async () => {
    const pattern = fc
      .array(fc.constantFrom(...PIECES), { minLength: 1, maxLength: 5 })
      .map((pieces) => pieces.join(""));
    const patterns = [...new Set(fc.sample(pattern, { numRuns: 300, seed: seed + 1 }))].filter(
      (text) => !isReadable(`/t/${text}`),
    );
    const unsupported: string[] = [];
    for (const text of patterns.slice(0, 40))
      if (peerDump(makeRoot(`/t/${text} u:r:l`)) !== null) unsupported.push(text);
    // seal may refuse a little more than PCRE2 does, but only what no policy has.
    expect(unsupported.length, unsupported.join("  ")).toBeLessThan(20);
  });

  it("random policies, aliases and hardlinks give the same tree", async () => {
    const name = fc.constantFrom("a", "b", "usr", "lib", "x.so", "home");
    const path = fc.array(name, { minLength: 1, maxLength: 3 }).map((names) => `/${names.join("/")}`);
    const tail = fc.constantFrom("", "(/.*)?", "/.*", "/[^/]*", ".*\\.so", "(/|$)", "/(a|b)", "s?");
    const type = fc.constantFrom("", " --", " -d", " -l");
    const context = fc.constantFrom("<<none>>", "u:r:one", "u:r:two", "u:r:three");
    const line = fc.tuple(path, tail, type, context).map(([p, t, y, c]) => `${p}${t}${y} ${c}`);
    const alias = fc
      .tuple(path, fc.oneof(path, fc.constantFrom("/usr/", "/", "//", "/a/.", "rel")))
      .map((pair) => pair.join(" "));
    const files = fc.uniqueArray(path, { minLength: 3, maxLength: 12 });
    await fc.assert(
      fc.asyncProperty(
        fc.array(line, { minLength: 1, maxLength: 12 }),
        fc.array(alias, { maxLength: 4 }),
        files,
        async (lines, aliases, paths) => {
          const root = makeRoot(lines.join("\n"), { ".subs": aliases.join("\n") });
          for (const p of paths) mkdirSync(join(root, p), { recursive: true });
          for (const p of paths) touch(join(root, p), "f");
          for (const p of paths.slice(1)) linkSync(join(root, paths[0] ?? "", "f"), join(root, p, "linked"));
          const theirs = peerDump(root);
          expect(await sealDump(root)).toEqual(theirs);
        },
      ),
      { numRuns: 40, seed },
    );
  });
});

describeWith(["cfsctl", "rootfs"], "the real root filesystem against cfsctl", () => {
  it.each(["v1", "v2"] as const)("%s digest with the boot transform and Debian's policy", async (erofs) => {
    const path = realRootfs() ?? "";
    const args = ["--no-repo", "--hash", "sha512", "--erofs-version", erofs.slice(1), "compute-id", "--bootable", path];
    const expected = runPeer("cfsctl", args).stdout.toString().trim();
    const options = { transform: "boot", xattrs: "allowlist", mtime: "exact", algorithm: "sha512" } as const;
    const [result] = await composefsDigests(await open(path), { ...options, targets: [{ erofs, rules }] });
    expect(result?.digest).toBe(expected);
  });
});
