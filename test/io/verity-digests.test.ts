import { randomFillSync } from "node:crypto";
import { expect, it } from "vitest";
import { withLayer } from "../../src/boot/layered.ts";
import { utf8 } from "../../src/bytes.ts";
import { type Chunks, concat } from "../../src/chunks.ts";
import { verityDigest } from "../../src/composefs/verity.ts";
import { verityDigests } from "../../src/io/verity-digests.ts";
import type { LayerEntry } from "../../src/tree/build.ts";
import type { Directory } from "../../src/tree/node.ts";
import type { Rootfs } from "../../src/tree/rootfs.ts";

const METADATA = { mode: 0o644, uid: 0, gid: 0, mtimeSec: 0n, mtimeNsec: 0, xattrs: [] };
const bytes = (size: number) => randomFillSync(new Uint8Array(size));
/** Pieces of all sizes, one content twice, and one that needs no digest. */
const LARGE: Chunks = [bytes(3), bytes(3 << 20), bytes(0), bytes(4097), bytes(512 << 10)];
const CONTENTS: readonly Chunks[] = [LARGE, [bytes(65)], [bytes(64)], LARGE];
const ENTRIES = CONTENTS.map(
  (content, number): LayerEntry<Chunks> => ({
    path: utf8(`file-${number}`),
    metadata: METADATA,
    item: { kind: "regular", content },
  }),
);

it.each(["sha512", "sha256"] as const)(
  "contents have the digests that they have by themselves: %s",
  async (algorithm) => {
    const digests = await verityDigests(ENTRIES, algorithm);
    expect([...digests.keys()]).toEqual([LARGE, CONTENTS[1]]);
    for (const [content, digest] of digests) expect(digest).toEqual(verityDigest(concat(content), algorithm));
    const root: Directory = { kind: "directory", ...METADATA, mode: 0o755, entries: [] };
    const empty: Rootfs = { subject: "empty", root, view: "layers", readContent: async () => new Uint8Array() };
    expect(withLayer(empty, ENTRIES, algorithm, digests).root).toEqual(withLayer(empty, ENTRIES, algorithm).root);
  },
);

it("other work gets its turn in between", async () => {
  const hashed = verityDigests(ENTRIES, "sha512");
  let turns = 0;
  const other = setInterval(() => turns++, 0);
  await hashed;
  clearInterval(other);
  expect(turns).toBeGreaterThan(1);
});
