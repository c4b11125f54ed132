/** What each line of bootc releases computes, from one reading of the tree. */
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { utf8 } from "../../src/bytes.ts";
import { composefsDigests } from "../../src/composefs/digest.ts";
import { hostDigests } from "../../src/composefs/host-digests.ts";
import { seriesOf } from "../../src/composefs/named-release.ts";
import { SERIES } from "../../src/composefs/releases.ts";
import { openRootfs } from "../../src/io/rootfs.ts";
import { parseRootfsSource } from "../../src/io/rootfs-source.ts";
import { lookup } from "../../src/tree/node.ts";
import type { Rootfs } from "../../src/tree/rootfs.ts";
import { type MemoryFiles, memoryRootfs } from "../support/tree.ts";
import { vectorJson } from "../support/vectors.ts";

interface Vectors {
  readonly results: readonly {
    readonly tool: string;
    readonly version: string;
    readonly algorithm: string;
    readonly erofs: string;
    readonly bootable: boolean;
    readonly xattrs?: string;
    readonly digest?: string;
    readonly error?: string;
  }[];
}

/** The line whose behaviour a revision is. */
const LINES: Readonly<Record<string, string>> = {
  "0.9.4": "1.17.5",
  "git-0fbc853": "1.16.9",
  "git-0a819c3": "1.16.6",
  "git-e277075": "1.16.0",
  "git-2203e8f": "1.15",
};

const TREE: MemoryFiles = { boot: null, sysroot: null, "usr/bin/x": "x".repeat(100), "etc/y": "y" };
const CONFIG: MemoryFiles = {
  "etc/selinux/config": "SELINUXTYPE=t\n",
  "etc/selinux/t/contexts/files/file_contexts": "/usr(/.*)? u:r:usr_t:s0\n/etc/y u:r:etc_t:s0\n",
};

/** One by one, as `seal compute-digest --bootc` does it. */
async function alone(rootfs: Rootfs, mtime: "exact" | "seconds"): Promise<(string | null)[]> {
  const digests: (string | null)[] = [];
  for (const { erofs, rules } of SERIES) {
    const options = {
      targets: [{ erofs, rules }],
      algorithm: "sha512",
      transform: "boot",
      xattrs: "allowlist",
    } as const;
    const result = await composefsDigests(rootfs, { ...options, mtime }).catch(() => []);
    digests.push(result[0]?.digest ?? null);
  }
  return digests;
}

async function together(rootfs: Rootfs, mtime: "exact" | "seconds"): Promise<(string | null)[]> {
  return (await hostDigests(rootfs, { mtime })).map((host) => (host.kind === "computes" ? host.digest : null));
}

describe("digests of all lines of releases", () => {
  it.each(["boot-selinux", "hardlink-odd", "layers", "usr-meta"])("are those of the tools: %s", async (name) => {
    const { results } = vectorJson<Vectors>(`oci/${name}.json`);
    const archive = fileURLToPath(new URL(`../vectors/oci/${name}.oci.tar`, import.meta.url));
    const open = async (paxOwners: "count" | "ignored") => {
      const options = { algorithm: "sha512", xattrs: "all", cwd: "/", paxOwners } as const;
      return (await openRootfs(parseRootfsSource(`oci-archive:${archive}`), options)).rootfs;
    };
    const hosts = await hostDigests(await open("count"), { mtime: "exact", readOtherwise: () => open("ignored") });
    let compared = 0;
    for (const { tool, version, algorithm, erofs, bootable, xattrs, digest, error } of results) {
      const line = LINES[version];
      if (tool !== "cfsctl" || line === undefined || algorithm !== "sha512" || !bootable || xattrs === "keep-user")
        continue;
      const host = hosts.find(({ series }) => series === seriesOf(line));
      if (host === undefined || (erofs !== host.series.erofs && erofs !== "any")) continue;
      if (error?.includes("Splitstream incorrectly stored") === true) continue;
      if (error === undefined) expect(host, version).toMatchObject({ kind: "computes", digest });
      else expect(host.kind, version).toBe("refuses");
      compared++;
    }
    expect(compared).toBeGreaterThan(0);
  });

  it.each<[string, MemoryFiles, Rootfs["view"]]>([
    ["a plain tree", TREE, "mounted"],
    ["nanoseconds of /boot", { ...TREE, boot: { content: null, mtimeNsec: 5 } }, "mounted"],
    ["a policy", { ...TREE, ...CONFIG }, "mounted"],
    [
      "a policy that old releases refuse",
      { ...TREE, ...CONFIG, "etc/selinux/t/contexts/files/file_contexts.local": "/usr/(?!bin).* u:r:x_t:s0\n" },
      "mounted",
    ],
    ["a symlink that some refuse", { ...TREE, "etc/link": { link: "x".repeat(1025) } }, "mounted"],
    [
      "xattrs of layers",
      { ...TREE, "etc/z": { content: "", xattrs: [{ name: utf8("user.a"), value: utf8("b") }] } },
      "layers",
    ],
  ])("are the same together as one by one: %s", async (_, files, view) => {
    for (const mtime of ["exact", "seconds"] as const) {
      const rootfs = memoryRootfs(files, view);
      expect(await together(rootfs, mtime)).toEqual(await alone(rootfs, mtime));
    }
  });

  it.each([
    ["with different labels", "etc", false],
    ["with one label", "usr", true],
  ])("tell hardlinks %s apart as the lines do", async (_, other, isSame) => {
    const shared = memoryRootfs({ ...TREE, ...CONFIG, "usr/file": "file", "etc/file": "file" });
    const directory = (name: string) => {
      const node = lookup(shared.root, utf8(name));
      if (node?.kind !== "directory") throw new Error(`no ${name}`);
      return node;
    };
    const file = lookup(directory(other), utf8("file"));
    if (file === undefined) throw new Error("no file");
    const usr = { ...directory("usr"), entries: [...directory("usr").entries, { name: utf8("z"), node: file }] };
    const entries = shared.root.entries.map((entry) =>
      entry.node === directory("usr") ? { ...entry, node: usr } : entry,
    );
    const rootfs: Rootfs = { ...shared, root: { ...shared.root, entries } };
    const digests = await together(rootfs, "seconds");
    expect(digests).toEqual(await alone(rootfs, "seconds"));
    expect(digests[0] === digests[1]).toBe(isSame);
  });

  it("finds the other formats, and user.* xattrs kept, where releases look for them", async () => {
    const rootfs = memoryRootfs(
      { ...TREE, "etc/z": { content: "", xattrs: [{ name: utf8("user.a"), value: utf8("b") }] } },
      "layers",
    );
    const { rules } = seriesOf("latest");
    const targets = [
      { erofs: "v1", rules },
      { erofs: "v2", rules },
    ] as const;
    const digests: string[] = [];
    for (const xattrs of ["allowlist", "keep-user"] as const) {
      const options = { targets, algorithm: "sha512", transform: "boot", xattrs, mtime: "exact" } as const;
      digests.push(...(await composefsDigests(rootfs, options)).map(({ digest }) => digest));
    }
    expect(new Set(digests).size).toBe(4);
    for (const host of await hostDigests(rootfs, { mtime: "exact" })) {
      const found = host.kind === "computes" ? host.finds.map(({ digest }) => digest) : null;
      expect(found, host.series.name).toEqual(host.series.reads === "all" ? digests : []);
    }
  });

  it("takes what is known, and reads layers again only where their headers differ", async () => {
    const rootfs = memoryRootfs(TREE, "layers");
    const { erofs, rules } = seriesOf("latest");
    const options = { algorithm: "sha512", transform: "boot", xattrs: "allowlist", mtime: "exact" } as const;
    const [known] = await composefsDigests(rootfs, { ...options, targets: [{ erofs, rules }] });
    if (known === undefined) throw new Error("no digest");
    const marked = { ...known, digest: "f".repeat(128) as typeof known.digest };
    const hosts = await hostDigests(rootfs, { mtime: "exact", known: [marked] });
    expect(hosts.at(-1)).toMatchObject({ kind: "computes", digest: marked.digest });
    expect(hosts[0]).toMatchObject({ kind: "computes" });

    const odd: Rootfs = { ...rootfs, headersDiffer: true };
    const [unknown, next] = await hostDigests(odd, { mtime: "exact" });
    expect(unknown).toMatchObject({ kind: "unknown", why: expect.stringMatching(/PAX headers.*--bootc 1\.15\.2/) });
    expect(next).toMatchObject({ kind: "computes" });
    const byHeaders = memoryRootfs({ ...TREE, "etc/y": { content: "y", uid: 7 } }, "layers");
    const read = await hostDigests(odd, { mtime: "exact", readOtherwise: async () => byHeaders });
    expect(read[0]).toEqual((await hostDigests(byHeaders, { mtime: "exact" }))[0]);
  });
});
