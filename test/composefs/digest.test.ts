import { createHash } from "node:crypto";
import { describe, expect, it } from "vitest";
import { toHex, utf8 } from "../../src/bytes.ts";
import { composefsDigests, digestTrees, erofsDigest, type PlannedTree, planAhead } from "../../src/composefs/digest.ts";
import { seriesOf } from "../../src/composefs/named-release.ts";
import { VerityHasher } from "../../src/composefs/verity.ts";
import { writeErofs } from "../../src/composefs/writer.ts";
import { parseDumpfile } from "../../src/tree/dumpfile.ts";
import type { Directory } from "../../src/tree/node.ts";
import { PooledContent } from "../../src/tree/pooled-content.ts";
import type { Rootfs } from "../../src/tree/rootfs.ts";

const DUMP = ["/", "/boot", "/sysroot", "/usr"]
  .map((path, index) => `${path} 0 40755 2 0 0 0 ${index}.${index} - - -\n`)
  .join("");
const root = parseDumpfile(utf8(DUMP), "x.dump");
const rootfs: Rootfs = { subject: "x.dump", root, view: "layers", readContent: () => Promise.reject(new Error()) };
const latest = seriesOf("1.16.9").rules;
const next = seriesOf("1.17.5").rules;

describe("digests of a root filesystem", () => {
  // It is hashed in memory that serves one MiB after the other.
  it.each(["v0", "v1", "v2"] as const)("are those of the whole image, of several MiB: %s", (erofs) => {
    const files = Array.from(
      { length: 30_000 },
      (_, index) =>
        `/usr/${index} ${70 + (index % 5)} 100644 1 0 0 0 7.${index % 3} - ${index % 2 ? "a".repeat(70) : "-"} -\n`,
    );
    const many = parseDumpfile(utf8(DUMP + files.join("")), "x.dump");
    const image = [...writeErofs(many, { erofs, algorithm: "sha512" })];
    expect(image.length).toBeGreaterThan(2);
    const hasher = new VerityHasher("sha512");
    for (const chunk of image) hasher.update(chunk);
    expect(erofsDigest(many, { erofs, algorithm: "sha512" }).digest).toBe(toHex(hasher.digest()));
  });

  it("come in the order of the targets, with the trees that they are of", async () => {
    const targets = [
      { erofs: "v1", rules: latest },
      { erofs: "v1", rules: next },
      { erofs: "v2", rules: { ...latest } },
      { erofs: "v1", rules: latest },
    ] as const;
    const options = { targets, algorithm: "sha512", transform: "boot", xattrs: "allowlist", mtime: "exact" } as const;
    const digests = await composefsDigests(rootfs, options);
    expect(digests.map(({ erofs }) => erofs)).toEqual(["v1", "v1", "v2", "v1"]);
    // The nanoseconds of /boot and /sysroot tell the first two apart.
    expect(digests[0]?.digest).not.toBe(digests[1]?.digest);
    expect(digests[3]).toEqual(digests[0]);
    expect(digests[2]?.root).toBe(digests[0]?.root);
    for (const { root: tree, target: _, ...digest } of digests) expect(erofsDigest(tree, digest)).toEqual(digest);
  });

  it("leave the tree alone without a transform", async () => {
    const targets = [{ erofs: "v0", rules: latest }] as const;
    const options = { targets, algorithm: "sha256", transform: "none", xattrs: "allowlist", mtime: "exact" } as const;
    const [digest] = await composefsDigests(rootfs, options);
    expect(digest).toMatchObject(erofsDigest(root, { erofs: "v0", algorithm: "sha256" }));
  });
});

describe("an image that is planned before the digests of its files are there", () => {
  const LARGE = 50_000;

  /** A tree whose files have a digest of zeros until `fill` is called. */
  function tree(files: number) {
    const slab = { bytes: new Uint8Array(64 * files), digestLength: 64 };
    const metadata = { mode: 0o644, uid: 0, gid: 0, mtimeSec: 7n, mtimeNsec: 0, xattrs: [] };
    const entries = Array.from({ length: files }, (_, index) => ({
      name: utf8(String(index).padStart(6, "0")),
      node: { kind: "regular", ...metadata, content: new PooledContent(100n, slab, 64 * index) } as const,
    }));
    const usr = { kind: "directory", ...metadata, mode: 0o755, entries } as const;
    const root: Directory = { ...usr, entries: [{ name: utf8("usr"), node: usr }] };
    const fill = () => {
      for (let index = 0; index < files; index++) {
        // Two have the same.
        const digest = createHash("sha512").update(`${index % (files - 1)}`);
        slab.bytes.set(digest.digest(), 64 * index);
      }
    };
    return { root, fill };
  }

  it.each([
    ["a small one is not", 3, [false, false, false]],
    ["a large one is", LARGE, [true, true, true]],
  ])("has the digest of any other: %s", async (_, files, isPlanned) => {
    const { root: planned, fill } = tree(files);
    const targets = (["v1", "v2", "v1"] as const).map((erofs) => ({ erofs, rules: next }));
    const trees = planAhead(
      targets.map((target) => ({ target, root: planned })),
      "sha512",
    );
    expect(trees.map((one) => "plan" in one)).toEqual(isPlanned);
    fill();
    const digests = await digestTrees(trees, "sha512");
    const expected = targets.map(({ erofs }) => erofsDigest(planned, { erofs, algorithm: "sha512" }).digest);
    expect(digests.map(({ digest }) => digest)).toEqual(expected);
    for (const digest of digests) expect(digest).not.toHaveProperty("plan");
  });

  it("is planned once for targets that want the same", () => {
    const { root: planned } = tree(LARGE);
    const [first, second, third] = planAhead(
      (["v1", "v1", "v2"] as const).map((erofs) => ({ target: { erofs, rules: next }, root: planned })),
      "sha512",
    ) as PlannedTree[];
    expect(second?.plan).toBe(first?.plan);
    expect(third?.plan).not.toBe(first?.plan);
  });
});
