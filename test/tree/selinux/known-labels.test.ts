/** Labels of an earlier run: they are those of the policy, whatever has become of the tree. */
import { createHash } from "node:crypto";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { latin1 } from "../../../src/bytes.ts";
import { writeDumpfile } from "../../../src/tree/dumpfile-writer.ts";
import type { LabelStore, Rootfs } from "../../../src/tree/rootfs.ts";
import { applyLabels } from "../../../src/tree/selinux/label.ts";
import { LABELS_VERSION } from "../../../src/tree/selinux/label-table.ts";
import { keepLabels, loadPolicy, sharePolicy } from "../../../src/tree/selinux/policy.ts";
import { type MemoryFiles, memoryRootfs } from "../../support/tree.ts";

const RULES = { lookaround: "pcre2" } as const;
const BASE = "etc/selinux/t/contexts/files/file_contexts";
const LINES = [
  "/.* default",
  "/ -d root",
  "/usr(/.*)? usr",
  "/usr/lib/.*\\.so(\\.[0-9]+)* -- lib",
  "/usr/lib/x? x",
  "/usr/lib/(a|b)(/.*)? ab",
  "/opt|/srv either",
  "/srv -d srv",
  "/usr/[^/]+ -l link",
  "/etc/é(/.*)? accent",
  "/var/run/.* <<none>>",
];

/** A store in memory. */
function memoryStore(): LabelStore & { readonly tables: Map<string, Uint8Array> } {
  const tables = new Map<string, Uint8Array>();
  const keyOf = (policy: readonly Uint8Array[]) => policy.map((part) => `${part.length} ${latin1(part)}`).join();
  return {
    tables,
    find: async (policy) => tables.get(keyOf(policy)) ?? null,
    keep: async (policy, labels) => void tables.set(keyOf(policy), labels),
  };
}

function rootfsOf(files: MemoryFiles, lines: readonly string[], aliases: string, labels?: LabelStore): Rootfs {
  const policy = {
    "etc/selinux/config": "SELINUXTYPE=t\n",
    [BASE]: `${lines.join("\n")}\n`,
    [`${BASE}.subs`]: aliases,
  };
  return { ...memoryRootfs({ ...files, ...policy }), labels };
}

/** The labelled tree, as a dump file. */
async function labelled(rootfs: Rootfs, hardlinks: "split" | "last" = "split"): Promise<string> {
  const root = applyLabels(rootfs.root, await loadPolicy(rootfs, RULES), hardlinks);
  await keepLabels(rootfs);
  return Buffer.concat([...writeDumpfile(root)]).toString("latin1");
}

const name = fc.constantFrom("a", "b", "lib", "lib64", "x.so", "x.so.1", "usr", "etc", "run", "opt", "srv", "\xe9");
const path = fc.array(name, { minLength: 1, maxLength: 4 }).map((names) => names.join("/"));
/** Paths that are directories of others are none. */
const tree = fc.uniqueArray(path, { maxLength: 30 }).map((paths): MemoryFiles => {
  const leaves = paths.filter((one) => !paths.some((other) => other.startsWith(`${one}/`)) && !one.startsWith("etc"));
  return Object.fromEntries(leaves.map((one, index) => [one, [null, "", { link: "x" }][index % 3] ?? null]));
});
const policy = fc.array(fc.constantFrom(...LINES, "/a(?!b).* look", "/usr/lib/a)|(/b stray"), { maxLength: 12 });
const aliases = fc.constantFrom("", "/run /var/run\n", "/usr/lib64 /usr/lib\n/b /a/\n");

describe("labels that are known", () => {
  it("are those of the policy, for any tree before and now", async () => {
    const hardlinks = fc.constantFrom("split" as const, "last" as const);
    await fc.assert(
      fc.asyncProperty(policy, aliases, tree, tree, hardlinks, async (lines, subs, before, now, mode) => {
        const store = memoryStore();
        const without = async (files: MemoryFiles) => labelled(rootfsOf(files, lines, subs), mode);
        const known = async (files: MemoryFiles) => labelled(rootfsOf(files, lines, subs, store), mode);
        expect(await known(before)).toBe(await without(before));
        expect(store.tables.size).toBe(1);
        expect(await known(now)).toBe(await without(now));
        expect(await known(before)).toBe(await without(before));
        expect(store.tables.size).toBe(1);
      }),
      { numRuns: 200 },
    );
  });

  it("are taken, and the policy is asked for what is new only", async () => {
    const store = memoryStore();
    const files = { "usr/lib/a/x": "", "usr/lib/b/y": "", "opt/z": "" };
    await labelled(rootfsOf(files, LINES, "", store));
    const [[key = "", table = new Uint8Array()] = []] = store.tables;
    // What the store says counts, so that this shows what is taken from it.
    store.tables.set(key, Buffer.from(latin1(table).replaceAll("ab", "AB"), "latin1"));
    const text = await labelled(rootfsOf({ ...files, "usr/lib/b/new": "", "usr/lib/new": "" }, LINES, "", store));
    const labelOf = (path: string) => new RegExp(`^${path} .*security.selinux=(\\S+)`, "m").exec(text)?.[1];
    expect(["/usr/lib/a", "/usr/lib/a/x", "/usr/lib/b/y"].map(labelOf)).toEqual(["AB", "AB", "AB"]);
    expect(["/usr/lib/b/new", "/usr/lib/new", "/usr/lib", "/opt"].map(labelOf)).toEqual(["ab", "usr", "usr", "either"]);
  });

  it("are of one policy and one way to read it", async () => {
    const store = memoryStore();
    const load = async (lines: readonly string[], lookaround: "pcre2" | "refuse", subs = "") => {
      const rootfs = rootfsOf({ a: "" }, lines, subs, store);
      applyLabels(rootfs.root, await loadPolicy(rootfs, { lookaround }), "split");
      await keepLabels(rootfs);
      return store.tables.size;
    };
    const sizes = [await load(LINES, "pcre2"), await load(LINES, "pcre2"), await load(LINES, "refuse")];
    expect([...sizes, await load(LINES.slice(1), "pcre2"), await load(LINES, "pcre2", "/x /y\n")]).toEqual([
      1, 1, 2, 3, 4,
    ]);
  });

  it("are written anew when the tree is another, and not for a few files", async () => {
    const store = memoryStore();
    const files = Object.fromEntries(Array.from({ length: 100 }, (_, index) => [`usr/${index}`, ""]));
    const size = async (more: MemoryFiles) => {
      await labelled(rootfsOf({ ...files, ...more }, LINES, "", store));
      return [...store.tables.values()][0]?.length;
    };
    const first = await size({});
    expect(await size({ new: "", other: "" })).toBe(first);
    const many = Object.fromEntries(Array.from({ length: 50 }, (_, index) => [`usr/new/${index}`, ""]));
    expect(await size(many)).toBeGreaterThan(first ?? 0);
  });

  it("count as the work that they were", async () => {
    const slow = ["/.* any", "/usr/z/(a*)*b(?=x).* slow"];
    const cheap = Object.fromEntries(Array.from({ length: 20_000 }, (_, index) => [`usr/${index}`, ""]));
    const names = (count: number) =>
      Object.fromEntries(Array.from({ length: count }, (_, index) => [`usr/z/${"a".repeat(19)}${index}`, ""]));
    const store = memoryStore();
    const outcome = async (files: MemoryFiles, labels?: LabelStore) =>
      labelled(rootfsOf(files, slow, "", labels)).then(
        (text) => text,
        (error: unknown) => String(error),
      );
    // One that takes long is nothing beside so many others, known or not.
    for (const files of [cheap, { ...cheap, ...names(1) }])
      expect(await outcome(files, store)).toBe(await outcome(files));
    store.tables.clear();
    // Too many are refused, although nearly all were known.
    const refused = await outcome(names(40));
    expect(refused).toMatch(/its patterns take too long to match/);
    for (let count = 1; count < 40; count++) await outcome(names(count), store);
    expect(await outcome(names(40), store)).toBe(refused);
  });

  it("are not shared with who reads the tree again", async () => {
    const store = memoryStore();
    const [first, second] = [rootfsOf({ a: "" }, LINES, "", store), rootfsOf({ a: "" }, LINES, "")];
    const known = await loadPolicy(first, RULES);
    await sharePolicy(second, first);
    expect(await loadPolicy(second, RULES)).not.toBe(known);
  });

  it("are no way around a policy that is wrong", async () => {
    const store = memoryStore();
    await expect(labelled(rootfsOf({ a: "" }, ["/a( x"], "", store))).rejects.toThrow(/line 1/);
    expect(store.tables.size).toBe(0);
  });

  it("are those of version 1", async () => {
    const store = memoryStore();
    const files = { "usr/lib/a/x": "", "usr/lib64/x.so.1": "", "var/run/x": "", "run/y": "", "srv/z": null, opt: null };
    await labelled(rootfsOf(files, LINES, "/run /var/run\n/usr/lib64 /usr/lib\n", store));
    const [table = new Uint8Array()] = store.tables.values();
    const hash = createHash("sha256").update(table).digest("hex");
    // Has this changed? Then tables that older versions wrote say something else than this one would: raise
    // LABELS_VERSION.
    expect({ LABELS_VERSION, hash }).toEqual({
      LABELS_VERSION: 1,
      hash: "65867df876d6950a0a9a6b5181c984eb434181dc39b69e77a4a7ba35297f4fb3",
    });
  });
});
