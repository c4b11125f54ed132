import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { utf8 } from "../../src/bytes.ts";
import { SERIES } from "../../src/composefs/releases.ts";
import { transformTree } from "../../src/tree/apply.ts";
import { sameBooted } from "../../src/tree/bootable.ts";
import { allEntries } from "../../src/tree/links.ts";
import { type Directory, type Entry, type Metadata, type Node, sortEntries } from "../../src/tree/node.ts";
import type { Rootfs } from "../../src/tree/rootfs.ts";
import { sameTree } from "../../src/tree/same-tree.ts";
import { arbitraryTree } from "../support/arbitrary-tree.ts";

const METADATA: Metadata = { mode: 0o755, uid: 0, gid: 0, mtimeSec: 1n, mtimeNsec: 5, xattrs: [] };
const directory = (entries: Readonly<Record<string, Node>>, metadata = METADATA): Directory => ({
  kind: "directory",
  ...metadata,
  entries: sortEntries(Object.entries(entries).map(([name, node]): Entry => ({ name: utf8(name), node }))),
});
const file = (text: string): Node => ({ kind: "regular", ...METADATA, content: { kind: "inline", bytes: utf8(text) } });

const CONTEXTS = `/.* system_u:object_r:root_t:s0
/usr(/.*)? system_u:object_r:usr_t:s0
/boot(/.*)? system_u:object_r:boot_t:s0
/usr/.*[0-3] system_u:object_r:digit_t:s0
`;
const ETC = directory({
  selinux: directory({
    config: file("SELINUXTYPE=x\n"),
    x: directory({ contexts: directory({ files: directory({ file_contexts: file(CONTEXTS) }) }) }),
  }),
});

function image(usr: Directory, boot: Directory, view: Rootfs["view"] = "layers"): Rootfs {
  const root = directory({ etc: ETC, usr, boot, sysroot: directory({}) });
  return { subject: "image", root, view, readContent: () => Promise.reject(new Error("nothing is read")) };
}

const tree = arbitraryTree({ maxNodes: 15 });

describe("sameBooted", () => {
  it("holds whatever is in /boot, and then all releases make the same of both", async () => {
    await fc.assert(
      fc.asyncProperty(tree, tree, tree, async (usr, first, second) => {
        const files = [...allEntries(usr)].filter(({ node }) => node.kind !== "directory");
        // Names of files that have others outside, too.
        const links = sortEntries(files.map(({ node }, index) => ({ name: utf8(`l${index}`), node })));
        const boot = (entries: readonly Entry[]): Directory => ({ ...directory({}), entries });
        const a = image(usr, boot([{ name: utf8("a"), node: first }]));
        const b = image(usr, boot([...links, { name: utf8("z"), node: second }]));
        expect(sameBooted(a, b)).toBe(true);
        for (const { rules } of SERIES) {
          const options = { rules, transform: "boot", xattrs: "allowlist", mtime: "exact" } as const;
          const trees = await Promise.all([a, b].map((one) => transformTree(one, options).catch(String)));
          const [left, right] = trees;
          if (typeof left === "object" && typeof right === "object") expect(sameTree(left, right)).toBe(true);
          else expect(left).toEqual(right);
        }
      }),
    );
  });

  it("holds for nothing else that differs", () => {
    const boot = directory({});
    const usr = directory({ f: file("x") });
    const one = image(usr, boot);
    expect(sameBooted(one, image(directory({ f: file("x") }), directory({ f: file("y") })))).toBe(true);
    expect(sameBooted(one, image(directory({ f: file("y") }), boot))).toBe(false);
    expect(sameBooted(one, image(usr, directory({}, { ...METADATA, mtimeNsec: 6 })))).toBe(false);
    expect(sameBooted(one, image(usr, boot, "mounted"))).toBe(false);
    const link: Node = { kind: "symlink", ...METADATA, target: utf8("x") };
    expect(sameBooted(one, { ...one, root: directory({ etc: ETC, usr, boot: link, sysroot: directory({}) }) })).toBe(
      false,
    );
  });
});
