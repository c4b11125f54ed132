import { describe, expect, it } from "vitest";
import { latin1, utf8 } from "../../src/bytes.ts";
import { canonicalTree } from "../../src/tree/canonical.ts";
import { allEntries } from "../../src/tree/links.ts";
import type { Leaf } from "../../src/tree/node.ts";
import { withEntries } from "../../src/tree/rebuild.ts";
import { type MemoryFiles, memoryRootfs } from "../support/tree.ts";

const METADATA = { mode: 0o755, uid: 0, gid: 0, mtimeSec: 7n, mtimeNsec: 5, xattrs: [] };
const USR = { ...METADATA, content: null };

function canonical(files: MemoryFiles, xattrs: "allowlist" | "keep-user" = "allowlist") {
  return canonicalTree(memoryRootfs({ usr: USR, boot: null, ...files }).root, xattrs, "/target");
}

function withLeaf(name: string, leaf: Leaf) {
  const { root } = memoryRootfs({ boot: null, usr: USR });
  return canonicalTree(withEntries(root, [{ name: utf8(name), node: leaf }, ...root.entries]), "allowlist", "/target");
}

describe("canonicalTree", () => {
  it("has whole seconds, and the root is like /usr", () => {
    const { root, notes } = canonical({ "etc/f": { ...METADATA, mtimeNsec: 9, content: "x" } });
    expect(root).toMatchObject({ mode: 0o755, mtimeSec: 7n, mtimeNsec: 0 });
    expect([...allEntries(root)].filter(({ node }) => node.mtimeNsec !== 0)).toEqual([]);
    expect(notes).toEqual([]);
  });

  it("leaves out what is in /run and /boot, and says so", () => {
    const { root, notes } = canonical({
      "run/secrets/key": "k",
      "boot/a": "",
      "boot/b": "",
      "boot/c": "",
      "boot/d": "",
    });
    for (const { name, node } of root.entries) {
      if (latin1(name) === "usr") continue;
      expect(node).toMatchObject({ kind: "directory", entries: [], mtimeSec: 7n, mtimeNsec: 0 });
    }
    expect(notes).toEqual([
      "/target: what is in /boot (a, b, c, …) is not taken into the image",
      "/target: what is in /run (secrets) is not taken into the image",
    ]);
  });

  it("keeps the xattrs that a digest counts", () => {
    const names = ["security.capability", "security.selinux", "trusted.x", "user.a"];
    const file = { ...METADATA, xattrs: names.map((name) => ({ name: utf8(name), value: utf8("1") })), content: "x" };
    const kept = (mode: "allowlist" | "keep-user") =>
      [...allEntries(canonical({ f: file }, mode).root)].flatMap(({ node }) =>
        node.xattrs.map(({ name }) => latin1(name)),
      );
    expect(kept("allowlist")).toEqual(["security.capability"]);
    expect(kept("keep-user")).toEqual(["security.capability", "user.a"]);
  });

  it("leaves sockets out", () => {
    const { root, notes } = withLeaf("a", { ...METADATA, kind: "socket" });
    expect(root.entries.map(({ name }) => latin1(name))).toEqual(["boot", "usr"]);
    expect(notes).toEqual(["/target: a socket is left out"]);
  });

  it.each<readonly [string, Leaf, string]>([
    [".wh.a", { ...METADATA, kind: "fifo" }, "/target: .wh.a: has a name that means a removal"],
    ["a", { ...METADATA, kind: "char", rdev: 0 }, "/target: a: is a device 0:0"],
    ["a", { ...METADATA, mtimeSec: -1n, kind: "fifo" }, "/target: a: has a time before 1970"],
  ])("refuses what container tools would not unpack as it is: %s", (name, leaf, message) => {
    expect(() => withLeaf(name, leaf)).toThrow(message);
  });

  it("needs /usr and /boot", () => {
    expect(() => canonicalTree(memoryRootfs({ usr: null }).root, "allowlist", "/target")).toThrow("/boot is missing");
    expect(() => canonicalTree(memoryRootfs({ boot: null }).root, "allowlist", "/target")).toThrow("/usr is missing");
  });
});
