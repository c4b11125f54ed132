import { describe, expect, it } from "vitest";
import { displayBytes, utf8 } from "../../src/bytes.ts";
import { transformTree } from "../../src/tree/apply.ts";
import { type Directory, type Entry, lookup, type Node, sortEntries } from "../../src/tree/node.ts";
import type { Rootfs } from "../../src/tree/rootfs.ts";
import type { TransformOptions } from "../../src/tree/transform.ts";
import { memoryRootfs } from "../support/tree.ts";

const OPTIONS: TransformOptions = {
  rules: {
    bootMtime: "nanoseconds",
    hardlinkLabels: "split",
    lookaround: "pcre2",
    symlinkMax: null,
    layerXattrs: "filtered",
    paxOwners: "count",
  },
  transform: "boot",
  xattrs: "allowlist",
  mtime: "exact",
};

const BASE = { usr: null, boot: null, sysroot: null };
const POLICY = {
  "etc/selinux/config": "SELINUXTYPE=t\n",
  "etc/selinux/t/contexts/files/file_contexts":
    "/.* u:r:default\n/usr(/.*)? u:r:usr\n/one -- u:r:one\n/run/.* <<none>>\n",
};

/** The node at a path of names joined by `/`. */
function at(root: Directory, path: string): Node {
  let node: Node = root;
  for (const name of path.split("/").filter((part) => part !== "")) {
    if (node.kind !== "directory") throw new Error(`${path}: a part is not a directory`);
    const next = lookup(node, utf8(name));
    if (next === undefined) throw new Error(`${path} is not there`);
    node = next;
  }
  return node;
}

/** A copy of the root filesystem with one node changed or added; parents are there. */
function withNode(rootfs: Rootfs, path: string, change: (old: Node | undefined) => Node): Rootfs {
  const edit = (directory: Directory, [name = "", ...rest]: string[]): Directory => {
    const bytes = utf8(name);
    const old = lookup(directory, bytes);
    const node = rest.length === 0 ? change(old) : edit(old as Directory, rest);
    const others = directory.entries.filter((entry: Entry) => displayBytes(entry.name) !== name);
    return { ...directory, entries: sortEntries([...others, { name: bytes, node }]) };
  };
  return { ...rootfs, root: edit(rootfs.root, path.split("/")) };
}

function xattrsOf(node: Node): string[] {
  return node.xattrs.map(({ name, value }) => `${displayBytes(name)}=${displayBytes(value)}`);
}

const xattr = (name: string, value: string) => ({ name: utf8(name), value: utf8(value) });

describe("transformTree", () => {
  it("leaves the tree alone without a transform, whatever is in it", async () => {
    const rootfs = withNode(memoryRootfs({ a: "1" }), "a", (old) => ({
      ...(old as Node),
      mtimeNsec: 5,
      xattrs: [xattr("user.x", "1")],
    }));
    expect(await transformTree(rootfs, { ...OPTIONS, transform: "none" })).toBe(rootfs.root);
  });

  it("cuts times to whole seconds before anything else", async () => {
    const rootfs = withNode(memoryRootfs(BASE), "usr", (old) => ({ ...(old as Node), mtimeSec: 7n, mtimeNsec: 9 }));
    for (const transform of ["none", "oci", "boot"] as const) {
      const root = await transformTree(rootfs, { ...OPTIONS, transform, mtime: "seconds" });
      expect(at(root, "usr")).toMatchObject({ mtimeSec: 7n, mtimeNsec: 0 });
    }
    expect(at(rootfs.root, "usr").mtimeNsec).toBe(9);
  });

  it("gives the root the metadata of /usr and empties /run", async () => {
    const metadata = {
      mode: 0o751,
      uid: 1,
      gid: 2,
      mtimeSec: 3n,
      mtimeNsec: 4,
      xattrs: [xattr("security.capability", "c")],
    };
    const rootfs = withNode(memoryRootfs({ ...BASE, "run/secret": "x" }), "usr", (old) => ({
      ...(old as Node),
      ...metadata,
    }));
    const root = await transformTree(rootfs, { ...OPTIONS, transform: "oci" });
    expect(root).toMatchObject(metadata);
    expect(at(root, "run")).toMatchObject({ entries: [], mode: 0o755, uid: 0, mtimeSec: 3n, mtimeNsec: 4 });
  });

  it("keeps only the xattrs that count", async () => {
    const xattrs = [
      xattr("security.capability", "c"),
      xattr("security.ima", "i"),
      xattr("trusted.t", "t"),
      xattr("user.u", "u"),
    ];
    const rootfs = withNode(memoryRootfs({ ...BASE, f: "" }), "f", (old) => ({ ...(old as Node), xattrs }));
    const allowed = await transformTree(rootfs, { ...OPTIONS, transform: "oci" });
    expect(xattrsOf(at(allowed, "f"))).toEqual(["security.capability=c"]);
    const user = await transformTree(rootfs, { ...OPTIONS, transform: "oci", xattrs: "keep-user" });
    expect(xattrsOf(at(user, "f"))).toEqual(["security.capability=c", "user.u=u"]);
  });

  it("empties /boot and /sysroot with the time of /usr, nanoseconds as the release does", async () => {
    let rootfs = withNode(memoryRootfs({ ...BASE, "boot/vmlinuz": "k" }), "usr", (old) => ({
      ...(old as Node),
      mtimeSec: 3n,
      mtimeNsec: 4,
    }));
    rootfs = withNode(rootfs, "boot", (old) => ({ ...(old as Node), mtimeSec: 30n, mtimeNsec: 40 }));
    const next = await transformTree(rootfs, OPTIONS);
    expect(at(next, "boot")).toMatchObject({ entries: [], mtimeSec: 3n, mtimeNsec: 4 });
    const released = await transformTree(rootfs, { ...OPTIONS, rules: { ...OPTIONS.rules, bootMtime: "seconds" } });
    expect(at(released, "boot")).toMatchObject({ entries: [], mtimeSec: 3n, mtimeNsec: 40 });
    expect(at(released, "sysroot")).toMatchObject({ entries: [], mtimeSec: 3n, mtimeNsec: 0 });
  });

  it.each([
    ["usr", "oci"],
    ["usr", "boot"],
    ["boot", "boot"],
    ["sysroot", "boot"],
  ] as const)("refuses a tree without /%s for %s, and one where it is a symlink", async (name, transform) => {
    const { [name]: _, ...rest } = BASE;
    await expect(transformTree(memoryRootfs(rest), { ...OPTIONS, transform })).rejects.toThrow(`/${name} is missing`);
    const linked = memoryRootfs({ ...rest, [name]: { link: "elsewhere" } });
    await expect(transformTree(linked, { ...OPTIONS, transform })).rejects.toThrow(
      `/${name} is a symlink to elsewhere`,
    );
  });

  it("refuses a /run that is not a directory, and does without one", async () => {
    await expect(transformTree(memoryRootfs({ ...BASE, run: "file" }), OPTIONS)).rejects.toThrow(
      "/run is a regular file",
    );
    await expect(transformTree(memoryRootfs(BASE), OPTIONS)).resolves.toMatchObject({ kind: "directory" });
  });

  it("refuses a symlink over the limit of the release", async () => {
    const rootfs = memoryRootfs({ ...BASE, "usr/long": { link: "x".repeat(1025) } });
    const rules = { ...OPTIONS.rules, symlinkMax: 1024 };
    await expect(transformTree(rootfs, { ...OPTIONS, rules })).rejects.toThrow("1025 bytes");
    await expect(transformTree(rootfs, OPTIONS)).resolves.toMatchObject({ kind: "directory" });
  });

  it("labels every node and removes the labels of the build host", async () => {
    const rootfs = withNode(memoryRootfs({ ...BASE, ...POLICY, "usr/x": "", one: "" }), "one", (old) => ({
      ...(old as Node),
      xattrs: [xattr("security.selinux", "host\0")],
    }));
    const root = await transformTree(rootfs, OPTIONS);
    expect(xattrsOf(root)).toEqual(["security.selinux=u:r:default"]);
    expect(xattrsOf(at(root, "usr/x"))).toEqual(["security.selinux=u:r:usr"]);
    expect(xattrsOf(at(root, "one"))).toEqual(["security.selinux=u:r:one"]);
    expect(at(root, "usr/x").xattrs).toBe(at(root, "usr").xattrs);
  });

  it("puts the label where the order of xattrs has it", async () => {
    const xattrs = [xattr("security.capability", "c"), xattr("user.a", "a"), xattr("user.b", "b")];
    const rootfs = withNode(memoryRootfs({ ...BASE, ...POLICY, one: "" }), "one", (old) => ({
      ...(old as Node),
      xattrs,
    }));
    const root = await transformTree(rootfs, { ...OPTIONS, xattrs: "keep-user" });
    expect(xattrsOf(at(root, "one"))).toEqual([
      "security.capability=c",
      "security.selinux=u:r:one",
      "user.a=a",
      "user.b=b",
    ]);
  });

  it("keeps all xattrs of layers for the releases that do, and none of a directory", async () => {
    const xattrs = [xattr("trusted.t", "t"), xattr("user.u", "u")];
    const tree = (view: Rootfs["view"]) =>
      withNode(memoryRootfs({ ...BASE, f: "" }, view), "f", (old) => ({ ...(old as Node), xattrs }));
    const all = { ...OPTIONS, rules: { ...OPTIONS.rules, layerXattrs: "all" } } as const;
    expect(xattrsOf(at(await transformTree(tree("layers"), all), "f"))).toEqual(["trusted.t=t", "user.u=u"]);
    expect(xattrsOf(at(await transformTree(tree("layers"), OPTIONS), "f"))).toEqual([]);
    expect(xattrsOf(at(await transformTree(tree("mounted"), all), "f"))).toEqual([]);
  });

  it("removes all labels when there is no policy", async () => {
    const rootfs = withNode(memoryRootfs(BASE), "usr", (old) => ({
      ...(old as Node),
      xattrs: [xattr("security.selinux", "host")],
    }));
    const root = await transformTree({ ...rootfs }, OPTIONS);
    expect([root.xattrs, at(root, "usr").xattrs]).toEqual([[], []]);
  });

  it("keeps a hardlink one inode, and splits one whose names get different labels", async () => {
    const leaf: Node = at(memoryRootfs({ f: "shared" }).root, "f");
    let rootfs = memoryRootfs({ ...BASE, ...POLICY });
    for (const name of ["one", "two", "usr/a", "usr/b"]) rootfs = withNode(rootfs, name, () => leaf);
    const split = await transformTree(rootfs, OPTIONS);
    const inodes = ["one", "two", "usr/a", "usr/b"].map((path) => at(split, path));
    expect(new Set(inodes).size).toBe(4);
    expect(inodes.map((node) => xattrsOf(node)[0])).toEqual(
      ["one", "default", "usr", "usr"].map((name) => `security.selinux=u:r:${name}`),
    );
    const last = await transformTree(rootfs, { ...OPTIONS, rules: { ...OPTIONS.rules, hardlinkLabels: "last" } });
    expect(new Set(["one", "two", "usr/a", "usr/b"].map((path) => at(last, path))).size).toBe(1);
    expect(xattrsOf(at(last, "one"))).toEqual(["security.selinux=u:r:usr"]);
    const plain = await transformTree(rootfs, { ...OPTIONS, transform: "oci" });
    expect(at(plain, "one")).toBe(at(plain, "usr/b"));
  });

  it("takes a very deep tree", async () => {
    let deep: Directory = at(memoryRootfs(BASE).root, "usr") as Directory;
    for (let i = 0; i < 20_000; i++) deep = { ...deep, mtimeNsec: 1, entries: [{ name: utf8("d"), node: deep }] };
    const rootfs = withNode(memoryRootfs(BASE), "usr/deep", () => deep);
    const root = await transformTree(rootfs, { ...OPTIONS, mtime: "seconds" });
    expect(at(root, "usr/deep").mtimeNsec).toBe(0);
  });
});
