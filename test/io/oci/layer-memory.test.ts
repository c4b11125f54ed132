import { describe, expect, it } from "vitest";
import { utf8 } from "../../../src/bytes.ts";
import type { Layer } from "../../../src/io/oci/layer.ts";
import { LayerMemory } from "../../../src/io/oci/layer-memory.ts";
import { type LayerStack, NO_LAYERS } from "../../../src/io/oci/layer-stack.ts";
import type { LayerReading } from "../../../src/io/oci/read-contents.ts";
import type { LayerContents } from "../../../src/tree/layer-contents.ts";

const digestOf = (digit: string) => ({ algorithm: "sha256", hex: digit.repeat(64) }) as const;
const LAYER: Layer = {
  file: { subject: "layer", path: "/nowhere", start: 0, size: 1 },
  digest: digestOf("1"),
  diffId: digestOf("2"),
  mediaType: null,
  negativeTimes: false,
};
const READING: LayerReading = { algorithm: "sha512", paxOwners: "count", needs: "all" };
const METADATA = { mode: 0o644, uid: 1, gid: 2, mtimeSec: 3n, mtimeNsec: 4, xattrs: [] };
const CONTENTS: LayerContents = {
  compression: "gzip",
  isOnePart: true,
  entries: [
    {
      path: Uint8Array.from(utf8("etc/selinux/config")),
      metadata: METADATA,
      item: {
        kind: "regular",
        content: { kind: "external", size: 100n, digest: new Uint8Array(64).fill(7), payload: "digest" },
      },
      headersDiffer: true,
    },
  ],
  contents: new Map([[0, new Uint8Array(100)]]),
};

describe("LayerMemory", () => {
  it("gives what a layer holds to whoever has the same blob", () => {
    const memory = new LayerMemory();
    expect(memory.recall(LAYER, READING)).toBeNull();
    memory.remember(LAYER, READING, CONTENTS);
    const elsewhere = { ...LAYER, file: { subject: "copy", path: "/copy", start: 5, size: 1 }, mediaType: "other" };
    expect(memory.knows(elsewhere, { ...READING, needs: "digest" })).toBe(true);
    expect(memory.recall(elsewhere, READING)).toEqual(CONTENTS);
  });

  it("keeps no contents but those that digests depend on: kernels of several platforms would be much", () => {
    const [config] = CONTENTS.entries;
    if (config === undefined) throw new Error("no entry");
    const kernel = { ...config, path: Uint8Array.from(utf8("usr/lib/modules/6.1/vmlinuz")) };
    const bytes = new Uint8Array(100);
    const contents = new Map([0, 1].map((entry) => [entry, bytes]));
    const memory = new LayerMemory();
    memory.remember(LAYER, READING, { ...CONTENTS, entries: [kernel, config], contents });
    expect(memory.recall(LAYER, READING)).toEqual({
      ...CONTENTS,
      entries: [kernel, config],
      contents: new Map([[1, bytes]]),
    });
  });

  it.each<[string, Partial<Layer>, Partial<LayerReading>]>([
    ["another blob", { digest: digestOf("3") }, {}],
    ["another archive", { diffId: digestOf("3") }, {}],
    ["a blob without a name", { digest: null }, {}],
    ["an archive without a name", { diffId: null }, {}],
    ["times that may be negative", { negativeTimes: true }, {}],
    ["another hash", {}, { algorithm: "sha256" }],
    ["no hash", {}, { algorithm: null }],
    ["owners that don't count", {}, { paxOwners: "ignored" }],
  ])("knows nothing of %s", (_, layer, reading) => {
    const memory = new LayerMemory();
    memory.remember(LAYER, READING, CONTENTS);
    const [other, otherwise] = [
      { ...LAYER, ...layer },
      { ...READING, ...reading },
    ];
    expect(memory.knows(other, otherwise)).toBe(false);
    expect(memory.recall(other, otherwise)).toBeNull();
    if (layer.digest !== null && layer.diffId !== null) return;
    memory.remember(other, otherwise, CONTENTS);
    expect(memory.knows(other, otherwise)).toBe(false);
  });
});

describe("LayerMemory of trees", () => {
  const [other, third] = ["4", "5"].map((digit): Layer => ({ ...LAYER, digest: digestOf(digit) }));
  const above = other ?? LAYER;
  const top = third ?? LAYER;
  const STACK: LayerStack = { ...NO_LAYERS, forms: [CONTENTS, CONTENTS] };

  it("gives what layers make to whatever has them, and others on top", () => {
    const memory = new LayerMemory("trees");
    expect(memory.recallStack([LAYER, above], READING)).toBeNull();
    memory.rememberStack([LAYER, above], READING, STACK);
    const elsewhere = { ...LAYER, file: { subject: "copy", path: "/copy", start: 5, size: 1 }, mediaType: "other" };
    expect(memory.recallStack([elsewhere, above], { ...READING, needs: "digest" })).toBe(STACK);
    expect(memory.recallStack([LAYER, above, top], READING)).toBe(STACK);
    for (const layers of [[LAYER], [above, LAYER], [LAYER, top], [top, LAYER, above], []]) {
      expect(memory.recallStack(layers, READING)).toBeNull();
    }
    for (const layer of [{ diffId: digestOf("3") }, { diffId: null }, { digest: null }, { negativeTimes: true }]) {
      expect(memory.recallStack([LAYER, { ...above, ...layer }], READING)).toBeNull();
    }
    for (const reading of [{ algorithm: "sha256" }, { algorithm: null }, { paxOwners: "ignored" }] as const) {
      expect(memory.recallStack([LAYER, above], { ...READING, ...reading })).toBeNull();
    }
  });

  it("knows nothing of layers one of which has no name", () => {
    const memory = new LayerMemory("trees");
    const unnamed = { ...above, digest: null };
    memory.rememberStack([LAYER, unnamed], READING, STACK);
    expect(memory.recallStack([LAYER, unnamed], READING)).toBeNull();
  });

  it("keeps trees or layers, not both", () => {
    const trees = new LayerMemory("trees");
    trees.remember(LAYER, READING, CONTENTS);
    expect(trees.knows(LAYER, READING)).toBe(false);
    const layers = new LayerMemory("layers");
    layers.rememberStack([LAYER], READING, STACK);
    expect(layers.recallStack([LAYER], READING)).toBeNull();
  });
});
