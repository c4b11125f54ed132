/** EROFS images and digests beside cfsctl, mkcomposefs, erofs-utils and the kernel. */
import { spawnSync } from "node:child_process";
import { lstatSync, mkdirSync, readFileSync, readlinkSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { expect, it } from "vitest";
import { displayBytes, toHex } from "../../src/bytes.ts";
import { concat } from "../../src/chunks.ts";
import { erofsDigest } from "../../src/composefs/digest.ts";
import { verityDigest } from "../../src/composefs/verity.ts";
import { writeErofs } from "../../src/composefs/writer.ts";
import { storedNames } from "../../src/composefs/xattrs.ts";
import { getXattr } from "../../src/io/libc.ts";
import { parseDumpfile, readDumpfile, writeDumpfile } from "../../src/tree/dumpfile.ts";
import { hardlinks } from "../../src/tree/links.ts";
import { contentSize, type Directory, fullMode, type Leaf, type Node, TYPE_BITS } from "../../src/tree/node.ts";
import { arbitraryTree } from "../support/arbitrary-tree.ts";
import { imageDifference } from "../support/erofs-diff.ts";
import { describeWith, findPeer, realRootfs, runPeer } from "../support/peers.ts";
import { tempDir } from "../support/temp.ts";
import { hasWhiteouts } from "../support/whiteouts.ts";

const VERSIONS = ["v0", "v1"] as const;

describeWith(["cfsctl", "mkcomposefs"], "images of random trees", () => {
  const peers = [
    { name: "cfsctl", dialect: "composefs-rs", args: ["mkcomposefs"] },
    { name: "mkcomposefs", dialect: "c", args: [] },
  ] as const;

  it.each(peers)("are those of $name", ({ name, dialect, args }) => {
    const directory = tempDir();
    const dump = join(directory, "dump");
    const image = join(directory, "image");
    fc.assert(
      fc.property(arbitraryTree({ digestLength: 32, portable: true }), fc.constantFrom(...VERSIONS), (tree, erofs) => {
        const text = concat([...writeDumpfile(tree)]);
        writeFileSync(dump, text);
        const version = erofs.slice(1);
        const limits = [`--min-version=${version}`, `--max-version=${version}`];
        const made = runPeer(name, [...args, "--from-file", "--print-digest", ...limits, dump, image]);
        expect(made.stderr).toBe("");
        const { root, links } = readDumpfile(text, "dump", dialect);
        const ours = concat([...writeErofs(root, { erofs, algorithm: "sha256", dialect, links })]);
        expect(imageDifference(ours, readFileSync(image))).toBe("");
        expect(toHex(verityDigest(ours, "sha256"))).toBe(made.stdout.toString().trim());
      }),
      { numRuns: 60 },
    );
  });
});

describeWith(["cfsctl", "root", "rootfs"], "a real root filesystem", () => {
  it("has the digests of cfsctl, read from its own dump", () => {
    const rootfs = realRootfs() ?? "";
    const cfsctl = (...args: string[]) => {
      const result = spawnSync(findPeer("cfsctl") ?? "", ["--no-repo", "--hash", "sha512", ...args], {
        maxBuffer: 1 << 28,
      });
      expect(result.stderr.toString()).toBe("");
      return result.stdout;
    };
    const dump = cfsctl("create-dumpfile", "--bootable", rootfs);
    const root = parseDumpfile(dump, "dump", "c");
    expect(Buffer.compare(concat([...writeDumpfile(root)]), dump)).toBe(0);
    for (const version of ["0", "1", "2"]) {
      const id = cfsctl("--erofs-version", version, "compute-id", "--bootable", rootfs).toString().trim();
      expect(
        erofsDigest(root, { erofs: `v${version}` as "v0" | "v1" | "v2", algorithm: "sha512" }).digest,
        `v${version}`,
      ).toBe(id);
    }
  });
});

describeWith(["fsck.erofs", "dump.erofs"], "erofs-utils", () => {
  it.each(["v0", "v1", "v2"] as const)("accepts %s", (erofs) => {
    const path = join(tempDir(), "image");
    fc.assert(
      fc.property(arbitraryTree({ portable: true }), (tree) => {
        const { imageBytes } = writeTo(path, tree, erofs);
        const check = runPeer("fsck.erofs", [path]);
        expect(`${check.stdout}${check.stderr}`).toMatch(/No errors found|^$/);
        expect(check.status).toBe(0);
        expect(runPeer("dump.erofs", [path]).stdout.toString()).toContain(`${imageBytes / 4096}\n`);
      }),
      { numRuns: 15 },
    );
  });
});

function writeTo(path: string, tree: Directory, erofs: "v0" | "v1" | "v2"): { readonly imageBytes: number } {
  const image = concat([...writeErofs(tree, { erofs, algorithm: "sha512" })]);
  writeFileSync(path, image);
  return { imageBytes: image.length };
}

describeWith(["root"], "the kernel", () => {
  it.each(["v0", "v1", "v2"] as const)("mounts %s and shows the tree", (erofs) => {
    const directory = tempDir();
    const target = join(directory, "mnt");
    mkdirSync(target);
    let images = 0;
    fc.assert(
      fc.property(arbitraryTree({ portable: true, mountable: true }), (tree) => {
        // A loop device outlives its mount while anybody has it open, and mount takes it again for the same
        // file with its old cache.
        const path = join(directory, `image-${images++}`);
        writeTo(path, tree, erofs);
        const mounted = spawnSync("mount", ["-t", "erofs", "-o", "loop,ro", path, target]);
        expect(mounted.stderr.toString()).toBe("");
        try {
          compareMounted(tree, target, erofs);
        } finally {
          expect(spawnSync("umount", [target]).stderr.toString()).toBe("");
          rmSync(path);
        }
      }),
      { numRuns: 12 },
    );
  });
});

/** Compares what the kernel says of each node with the tree. */
function compareMounted(tree: Directory, mountPoint: string, erofs: "v0" | "v1" | "v2"): void {
  const links = hardlinks(tree);
  const inodes = new Map<Leaf, bigint>();
  const marksWhiteouts = erofs !== "v2" && hasWhiteouts(tree);
  const pending: { readonly path: Buffer; readonly node: Node }[] = [{ path: Buffer.from(mountPoint), node: tree }];
  for (let next = pending.pop(); next !== undefined; next = pending.pop()) {
    const { path, node } = next;
    const stat = lstatSync(path, { bigint: true });
    const isWhiteout = marksWhiteouts && node.kind === "char" && node.rdev === 0;
    const what = displayBytes(path);
    const nsec = erofs === "v2" ? 0 : node.mtimeNsec;
    expect(
      {
        mode: Number(stat.mode),
        uid: Number(stat.uid),
        gid: Number(stat.gid),
        mtime: stat.mtimeNs,
        rdev: Number(stat.rdev),
      },
      what,
    ).toEqual({
      // A whiteout of the root that looks like a stub stays what it is.
      mode: isWhiteout && Number(stat.mode) >= TYPE_BITS.regular ? TYPE_BITS.regular | node.mode : fullMode(node),
      uid: node.uid,
      gid: node.gid,
      mtime: node.mtimeSec * 1_000_000_000n + BigInt(nsec),
      rdev: node.kind === "char" || node.kind === "block" ? node.rdev : 0,
    });
    compareXattrs(node, path);
    if (node.kind === "directory") {
      pending.push(
        ...node.entries.map((entry) => ({
          path: Buffer.concat([path, Buffer.from("/"), entry.name]),
          node: entry.node,
        })),
      );
      continue;
    }
    expect(Number(stat.nlink), what).toBe(links.get(node)?.count ?? 1);
    expect(inodes.get(node) ?? stat.ino, what).toBe(stat.ino);
    inodes.set(node, stat.ino);
    if (node.kind === "symlink")
      expect(Buffer.compare(readlinkSync(path, { encoding: "buffer" }), node.target), what).toBe(0);
    if (node.kind !== "regular") continue;
    expect(stat.size, what).toBe(contentSize(node));
    if (node.content.kind === "inline") expect(Buffer.compare(readFileSync(path), node.content.bytes), what).toBe(0);
  }
}

/** The kernel shows those xattrs that it has a handler for, `user.` only on files and directories. */
function compareXattrs(node: Node, path: Buffer): void {
  const isPlain = node.kind === "regular" || node.kind === "directory";
  for (const { name, value } of storedNames(node.xattrs)) {
    const text = Buffer.from(name).toString("latin1");
    if (!/^(trusted|security)\../.test(text) && !(isPlain && /^user\../.test(text))) continue;
    expect(Buffer.compare(getXattr(terminated(path), terminated(name)), value), `${displayBytes(path)} ${text}`).toBe(
      0,
    );
  }
}

function terminated(bytes: Uint8Array): Uint8Array {
  return concat([bytes, Uint8Array.of(0)]);
}
