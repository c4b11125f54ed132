/** The dump files and digests that all the tools made of the same root filesystems, from archives of these. */
import { readdirSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { concat } from "../../src/chunks.ts";
import { erofsDigest } from "../../src/composefs/digest.ts";
import { seriesOf } from "../../src/composefs/named-release.ts";
import type { ErofsVersion, VerityAlgorithm } from "../../src/composefs/series.ts";
import { SealError } from "../../src/errors.ts";
import { transformTree } from "../../src/tree/apply.ts";
import { bootTransform } from "../../src/tree/bootable.ts";
import { writeDumpfile } from "../../src/tree/dumpfile.ts";
import type { Directory, Entry, Leaf } from "../../src/tree/node.ts";
import type { Rootfs } from "../../src/tree/rootfs.ts";
import type { TransformRules } from "../../src/tree/transform.ts";
import { archiveRootfs } from "../support/archive.ts";
import { vector, vectorJson } from "../support/vectors.ts";
import { hasWhiteouts } from "../support/whiteouts.ts";

type Transform = "raw" | "container" | "boot" | "raw-boot";

interface Result {
  readonly tool: string;
  readonly version: string;
  readonly erofs: ErofsVersion | "v0 (v1 when needed)";
  readonly algorithm: VerityAlgorithm;
  readonly transform: Transform;
  readonly xattrs?: "allowlist" | "keep-user" | "unfiltered";
  readonly hardlinks?: "broken";
  readonly digest?: string;
  readonly error?: string;
}

interface Case {
  readonly tar: string;
  readonly dumps: Readonly<Partial<Record<"raw" | "container" | "boot", string>>>;
  readonly results: readonly Result[];
}

/** By the version that a record names, the rules that it computes with. */
const RULES: Readonly<Record<string, TransformRules>> = {
  "0.9.4": seriesOf("1.17.5").rules,
  "1.0.8": seriesOf("1.16.9").rules,
  "1.16.9": seriesOf("1.16.9").rules,
  "git-0fbc853": seriesOf("1.16.9").rules,
  "git-0a819c3": seriesOf("1.16.5").rules,
  "git-e277075": seriesOf("1.16.0").rules,
  "git-2203e8f": seriesOf("1.15.2").rules,
  // No release of bootc has it.
  "0.7.0": seriesOf("1.16.3").rules,
};
/** bootc 1.12 is older than what seal supports: it invents the root's metadata and keeps all xattrs. */
const TOO_OLD = "git-1498349";
/** cfsctl 0.7.0 stumbles over what its own transform leaves behind; there is no such error in any release. */
const OWN_BUG = /Orphaned leaves/;
/** cfsctl 0.7.0 alone reads all of a policy as PCRE2; these policies tell. */
const PCRE_ONLY = ["selinux", "selinux-lookaround"];
/** bootc 1.16.9 marks only the first directory of a hardlinked whiteout; seal refuses those, as every cfsctl does. */
const REFUSED = "whiteout-hardlink";

const CASES = readdirSync(new URL("../vectors/composefs", import.meta.url))
  .filter((name) => name.endsWith(".json") && name !== "index.json")
  .map((name) => name.slice(0, -".json".length))
  .sort();

describe.each(CASES)("root filesystem %s", (name) => {
  const { tar, dumps, results } = vectorJson<Case>(`composefs/${name}.json`);
  const read = async (algorithm: VerityAlgorithm) =>
    archiveRootfs([vector(`composefs/${tar}`)], algorithm, { negativeTimes: true, subject: name });
  const rootfs = { sha512: once(() => read("sha512")), sha256: once(() => read("sha256")) };

  it.each(["raw", "container", "boot"] as const)("%s dump file", async (transform) => {
    const tree = transformed(await rootfs.sha512(), transform, "allowlist", seriesOf("1.17.5").rules);
    const expected = dumps[transform];
    if (expected === undefined) {
      await expect(tree).rejects.toThrow(SealError);
      return;
    }
    const text = Buffer.from(concat([...writeDumpfile(await tree)])).toString("latin1");
    expect(text.split("\n")).toEqual(vector(`composefs/${expected}`).toString("latin1").split("\n"));
  });

  it("every digest and every error of every tool", async () => {
    const trees = new Map<string, Promise<Directory>>();
    for (const result of results) {
      if (result.version === TOO_OLD || OWN_BUG.test(result.error ?? "")) continue;
      if (result.version === "0.7.0" && PCRE_ONLY.includes(name) && result.transform.endsWith("boot")) continue;
      const rules = RULES[result.version];
      if (rules === undefined || result.xattrs === "unfiltered") throw new Error(`unknown record: ${result.version}`);
      const xattrs = result.xattrs ?? "allowlist";
      const key = JSON.stringify([result.algorithm, result.transform, xattrs, rules]);
      const source = await rootfs[result.algorithm]();
      const tree = trees.get(key) ?? transformed(source, result.transform, xattrs, rules);
      trees.set(key, tree);
      const digest = tree.then((root) => digestOf(root, result));
      const title = `${result.tool} ${result.version} ${result.erofs} ${result.algorithm} ${result.transform} ${xattrs}`;
      const isRefused = result.error !== undefined || (name === REFUSED && result.hardlinks !== "broken");
      if (isRefused) await expect(digest, title).rejects.toThrow(SealError);
      else expect(await digest, title).toBe(result.digest);
    }
  });
});

async function transformed(
  rootfs: Rootfs,
  transform: Transform,
  xattrs: "allowlist" | "keep-user",
  rules: TransformRules,
): Promise<Directory> {
  if (transform === "raw-boot") {
    const root = await bootTransform(rootfs.root, rootfs, rules, { xattrs: "all", mtime: "exact" });
    return transformTree({ ...rootfs, root }, { rules, transform: "none", xattrs, mtime: "exact" });
  }
  const names = { raw: "none", container: "oci", boot: "boot" } as const;
  return transformTree(rootfs, { rules, transform: names[transform], xattrs, mtime: "exact" });
}

function digestOf(root: Directory, result: Result): string {
  const dialect = result.tool === "mkcomposefs" ? "c" : "composefs-rs";
  const tree = result.hardlinks === "broken" ? breakHardlinks(root) : root;
  const asked = result.erofs === "v0 (v1 when needed)" ? "v0" : result.erofs;
  // With whiteouts in the tree these raise the version by themselves.
  const raises = result.version === "0.7.0" || (dialect === "c" && result.erofs !== asked);
  const erofs = asked === "v0" && raises && hasWhiteouts(tree) ? "v1" : asked;
  return erofsDigest(tree, { erofs, algorithm: result.algorithm, dialect }).digest;
}

/** Every name its own inode, as both mkcomposefs read directories. */
function breakHardlinks(directory: Directory): Directory {
  const entries = directory.entries.map(
    ({ name, node }): Entry => ({
      name,
      node: node.kind === "directory" ? breakHardlinks(node) : ({ ...node } satisfies Leaf),
    }),
  );
  return { ...directory, entries };
}

function once<T>(make: () => Promise<T>): () => Promise<T> {
  let value: Promise<T> | null = null;
  return () => {
    value ??= make();
    return value;
  };
}
