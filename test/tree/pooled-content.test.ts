import { describe, expect, it } from "vitest";
import { utf8 } from "../../src/bytes.ts";
import { erofsDigest } from "../../src/composefs/digest.ts";
import type { Directory, ExternalContent } from "../../src/tree/node.ts";
import { digestLength, digestMemory, digestStart, PooledContent } from "../../src/tree/pooled-content.ts";
import { sameTree } from "../../src/tree/same-tree.ts";

const METADATA = { mode: 0o644, uid: 0, gid: 0, mtimeSec: 0n, mtimeNsec: 0, xattrs: [] };
const BYTES = Uint8Array.from({ length: 64 * 3 }, (_, index) => (index * 37) % 251);

/** The second of three digests, by place and by itself. */
function both(): readonly [ExternalContent, ExternalContent] {
  const pooled = new PooledContent(100n, { bytes: BYTES, digestLength: 64 }, 64);
  return [pooled, { kind: "external", size: 100n, digest: BYTES.slice(64, 128), payload: "digest" }];
}

function treeOf(content: ExternalContent): Directory {
  const file = { kind: "regular", ...METADATA, content } as const;
  return { kind: "directory", ...METADATA, entries: [{ name: utf8("file"), node: file }] };
}

describe("PooledContent", () => {
  it("has the digest that lies at its place", () => {
    const [pooled, alone] = both();
    expect(pooled.digest).toEqual(alone.digest);
    expect(pooled.payload).toBe("digest");
    for (const content of [pooled, alone]) {
      const start = digestStart(content);
      expect(digestLength(content)).toBe(64);
      expect(digestMemory(content)?.slice(start, start + 64)).toEqual(alone.digest);
    }
  });

  it.each(["v0", "v1", "v2"] as const)("gives the image of the same digest in memory of its own, %s", (erofs) => {
    const [pooled, alone] = both().map(treeOf) as [Directory, Directory];
    const options = { erofs, algorithm: "sha512" } as const;
    expect(erofsDigest(pooled, options)).toEqual(erofsDigest(alone, options));
    expect(sameTree(pooled, alone)).toBe(true);
    const other = treeOf(new PooledContent(100n, { bytes: BYTES, digestLength: 64 }, 0));
    expect(erofsDigest(other, options)).not.toEqual(erofsDigest(alone, options));
    expect(sameTree(other, alone)).toBe(false);
  });

  it("is refused where the image needs another hash", () => {
    const tree = treeOf(new PooledContent(100n, { bytes: BYTES, digestLength: 32 }, 64));
    const refusal = /\/file: its fs-verity digest is not sha512, which the image needs/;
    expect(() => erofsDigest(tree, { erofs: "v1", algorithm: "sha512" })).toThrow(refusal);
  });

  it("leaves content without a digest as it is", () => {
    const none: ExternalContent = { kind: "external", size: 100n, digest: null, payload: null };
    expect([digestMemory(none), digestStart(none), digestLength(none)]).toEqual([null, 0, null]);
  });
});
