import { execFileSync, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import {
  appendFileSync,
  chmodSync,
  closeSync,
  ftruncateSync,
  linkSync,
  lstatSync,
  lutimesSync,
  mkdirSync,
  openSync,
  renameSync,
  rmSync,
  symlinkSync,
  truncateSync,
  unlinkSync,
  utimesSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import { describe, expect, it, onTestFinished } from "vitest";
import { toHex, utf8 } from "../../src/bytes.ts";
import { verityDigest } from "../../src/composefs/verity.ts";
import { type ScanOptions, type ScanStats, type ScanWork, scanAndFinish } from "../../src/io/scan.ts";
import { type Directory, lookup, type Node, splitPath } from "../../src/tree/node.ts";
import { sameTree } from "../../src/tree/same-tree.ts";
import { describeWith } from "../support/peers.ts";
import { scanDirectory } from "../support/scan.ts";
import { tempDir } from "../support/temp.ts";

const OPTIONS: ScanOptions = { algorithm: "sha256", xattrs: "all", jobs: 2 };
const TOUCHED: ScanWork<readonly string[], readonly string[]> = {
  prepare: async ({ touched }) => touched,
  finish: async (touched) => touched,
};

function at(root: Directory, path: string): Node | undefined {
  return splitPath(utf8(path)).reduce<Node | undefined>(
    (node, name) => (node?.kind === "directory" ? lookup(node, name) : undefined),
    root,
  );
}

function digestAt(root: Directory, path: string): string {
  const node = at(root, path);
  if (node?.kind !== "regular" || node.content.kind !== "external") throw new Error(`${path} is no external file`);
  return toHex(node.content.digest ?? new Uint8Array());
}

const hex = (bytes: Uint8Array) => toHex(verityDigest(bytes, "sha256"));

describe("scanDirectory", () => {
  it("hashes nothing when no hash is named", async () => {
    const path = tempDir();
    writeFileSync(join(path, "big"), "x".repeat(100));
    writeFileSync(join(path, "small"), "x");
    const { root, stats } = await scanDirectory(path, { algorithm: null, xattrs: [] });
    expect(at(root, "big")).toMatchObject({ content: { kind: "external", size: 100n, digest: null, payload: null } });
    expect(at(root, "small")).toMatchObject({ content: { kind: "inline" } });
    expect(stats).toMatchObject({ files: 2, bytesHashed: 0 });
  });

  it("reads files by their size: at most 64 bytes as they are, larger ones as digest", async () => {
    const path = tempDir();
    const bytes = (size: number) => Buffer.alloc(size, "abc");
    for (const size of [0, 1, 64, 65, 4096, 4097, 1 << 20, (1 << 20) + 1])
      writeFileSync(join(path, `${size}`), bytes(size));
    const { root, stats } = await scanDirectory(path, OPTIONS);
    for (const size of [0, 1, 64]) {
      expect(at(root, `${size}`)).toMatchObject({ content: { kind: "inline", bytes: new Uint8Array(bytes(size)) } });
    }
    for (const size of [65, 4096, 4097, 1 << 20, (1 << 20) + 1]) {
      expect(at(root, `${size}`)).toMatchObject({
        content: { kind: "external", size: BigInt(size), payload: "digest" },
      });
      expect(digestAt(root, `${size}`)).toBe(hex(bytes(size)));
    }
    expect(stats).toEqual({ files: 8, directories: 1, bytesHashed: 65 + 4096 + 4097 + (1 << 21) + 1 });
  });

  it("reads metadata exactly: permission bits and times with their nanoseconds", async () => {
    const path = tempDir();
    writeFileSync(join(path, "file"), "x");
    chmodSync(join(path, "file"), 0o4751);
    mkdirSync(join(path, "directory"));
    symlinkSync("some/where", join(path, "link"));
    execFileSync("touch", ["-d", "2001-02-03 04:05:06.123456789 UTC", join(path, "file")]);
    execFileSync("touch", ["-d", "1969-12-31 23:59:58.000000001 UTC", join(path, "directory")]);
    lutimesSync(join(path, "link"), 1, 7);
    const { root } = await scanDirectory(path, OPTIONS);
    expect(at(root, "file")).toMatchObject({ mode: 0o4751, mtimeSec: 981173106n, mtimeNsec: 123456789 });
    expect(at(root, "directory")).toMatchObject({ kind: "directory", mtimeSec: -2n, mtimeNsec: 1, entries: [] });
    expect(at(root, "link")).toMatchObject({ kind: "symlink", target: Buffer.from("some/where"), mtimeSec: 7n });
  });

  it("keeps names that are no UTF-8, and sorts them by their bytes", async () => {
    const path = tempDir();
    const names = [
      [0xff],
      [0x80, 0x2e],
      [0xc3, 0xa9],
      [0x0a],
      [0x61],
      [0x41],
      [0xf0, 0x9f, 0x98, 0x80],
      Array(255).fill(0xfe),
    ];
    for (const name of names)
      writeFileSync(Buffer.concat([Buffer.from(`${path}/`), Buffer.from(name)]), Buffer.from(name));
    const { root } = await scanDirectory(path, OPTIONS);
    expect(root.entries.map((entry) => toHex(entry.name))).toEqual(
      names.map((name) => toHex(Buffer.from(name))).sort(),
    );
    expect(root.entries[0]?.node).toMatchObject({ content: { bytes: new Uint8Array([0x0a]) } });
    expect(digestAtName(root, Buffer.alloc(255, 0xfe))).toBe(hex(Buffer.alloc(255, 0xfe)));
  });

  it("makes one node of a hardlink in several directories, and hashes it once", async () => {
    const path = tempDir();
    mkdirSync(join(path, "a/b"), { recursive: true });
    writeFileSync(join(path, "file"), Buffer.alloc(5000));
    linkSync(join(path, "file"), join(path, "a/one"));
    linkSync(join(path, "file"), join(path, "a/b/two"));
    symlinkSync("target", join(path, "s1"));
    linkSync(join(path, "s1"), join(path, "a/s2"));
    const { root, stats } = await scanDirectory(path, OPTIONS);
    expect(at(root, "a/one")).toBe(at(root, "file"));
    expect(at(root, "a/b/two")).toBe(at(root, "file"));
    expect(at(root, "a/s2")).toBe(at(root, "s1"));
    expect(stats).toEqual({ files: 1, directories: 3, bytesHashed: 5000 });
  });

  it("keeps sockets and FIFOs", async () => {
    const path = tempDir();
    execFileSync("mkfifo", ["-m", "600", join(path, "fifo")]);
    const server = createServer().listen(join(path, "socket"));
    onTestFinished(() => void server.close());
    await new Promise((resolve) => server.once("listening", resolve));
    const { root } = await scanDirectory(path, OPTIONS);
    expect(at(root, "fifo")).toMatchObject({ kind: "fifo", mode: 0o600 });
    expect(at(root, "socket")).toMatchObject({ kind: "socket" });
  });

  it("computes the same digests with any number of threads", async () => {
    const path = tempDir();
    for (let index = 0; index < 700; index++) {
      mkdirSync(join(path, `${index % 20}`), { recursive: true });
      writeFileSync(join(path, `${index % 20}/${index}`), Buffer.alloc(index * 37, `${index}`));
    }
    // Holes read as zeros; the file is much larger than what the pool reads at once.
    const sparse = openSync(join(path, "sparse"), "w");
    writeSync(sparse, "end", (40 << 20) + 5);
    closeSync(sparse);
    const results = [];
    for (const jobs of [1, 2, 3, 4]) results.push(await scanDirectory(path, { ...OPTIONS, jobs }));
    const content = Buffer.alloc((40 << 20) + 8);
    content.write("end", (40 << 20) + 5);
    for (const { root, stats } of results) {
      expect(digestAt(root, "sparse")).toBe(hex(content));
      expect(stats).toEqual(results[0]?.stats);
      for (let index = 2; index < 700; index++) {
        expect(digestAt(root, `${index % 20}/${index}`)).toBe(hex(Buffer.alloc(index * 37, `${index}`)));
      }
    }
  });

  it("reports how far it is", async () => {
    const path = tempDir();
    for (let index = 0; index < 600; index++) writeFileSync(join(path, `${index}`), Buffer.alloc(5000));
    const seen: number[] = [];
    const shares: (number | null)[] = [];
    const onProgress = (stats: ScanStats, share: number | null) => {
      seen.push(stats.bytesHashed);
      shares.push(share);
    };
    await scanDirectory(path, { ...OPTIONS, onProgress });
    expect(seen.length).toBeGreaterThan(2);
    expect(seen).toEqual(seen.toSorted((a, b) => a - b));
    expect(seen.at(-1)).toBe(600 * 5000);
    expect(shares[0]).toBeNull();
    expect(shares.at(-1)).toBe(1);
  });

  it("follows a symlink to the directory, and only that", async () => {
    const path = tempDir();
    mkdirSync(join(path, "real"));
    writeFileSync(join(path, "real/file"), "x");
    symlinkSync("real", join(path, "link"));
    const { root } = await scanDirectory(join(path, "link"), OPTIONS);
    expect(root.entries.length).toBe(1);
    const outer = await scanDirectory(path, OPTIONS);
    expect(at(outer.root, "link")).toMatchObject({ kind: "symlink" });
  });
});

describe("scanDirectory refuses", () => {
  it("the running system, by whatever name", async () => {
    const message = /^refusing to seal the running system's \/\. Mount the root filesystem to be sealed/;
    const link = join(tempDir(), "link");
    symlinkSync("/", link);
    for (const path of ["/", "//", "/usr/..", "/proc/self/root", link]) {
      await expect(scanDirectory(path, OPTIONS)).rejects.toThrow(message);
    }
  });

  it("what is not a directory or not there", async () => {
    const path = tempDir();
    writeFileSync(join(path, "file"), "x");
    await expect(scanDirectory(join(path, "none"), OPTIONS)).rejects.toThrow(
      `${path}/none: can't be read: no such file`,
    );
    await expect(scanDirectory(join(path, "file"), OPTIONS)).rejects.toThrow(`${path}/file: is not a directory`);
  });

  it("a path that is too long for Linux", async () => {
    const path = tempDir();
    execFileSync("sh", ["-c", "n=$(printf %0200d 0); for i in $(seq 21); do mkdir $n && cd -P $n || exit 1; done"], {
      cwd: path,
    });
    await expect(scanDirectory(path, OPTIONS)).rejects.toThrow("path is too long");
  });
});

/**
 * Runs a scan and changes the tree as soon as it has begun to read: the scan gives way at the first turn of the pool.
 */
async function scanWhile(path: string, change: () => void, jobs: number): Promise<unknown> {
  let changed = false;
  const onProgress = () => {
    if (!changed) change();
    changed = true;
  };
  return scanDirectory(path, { ...OPTIONS, jobs, onProgress }).catch((error: unknown) => error);
}

describe("scanDirectory notices that the tree changes while it is read", () => {
  /**
   * Many files in a first directory, so that the scan has given way before it comes to the rest, and their
   * digests are computed last.
   */
  function busyTree(): string {
    const path = tempDir();
    mkdirSync(join(path, "first"));
    mkdirSync(join(path, "second"));
    for (let index = 0; index < 2000; index++) writeFileSync(join(path, `first/${index}`), Buffer.alloc(9000));
    writeFileSync(join(path, "second/large"), Buffer.alloc(3 << 20));
    writeFileSync(join(path, "second/small"), "small");
    return path;
  }

  const CHANGES: Readonly<Record<string, (path: string) => void>> = {
    "a file that grows": (path) => appendFileSync(join(path, "second/large"), "x"),
    "a file that shrinks": (path) => {
      const descriptor = openSync(join(path, "second/large"), "r+");
      ftruncateSync(descriptor, 1 << 20);
      closeSync(descriptor);
    },
    "a file with other content and the old time": (path) => {
      utimesSync(join(path, "second/large"), 1, 1);
    },
    "a file that is replaced by another": (path) => {
      writeFileSync(join(path, "second/new"), Buffer.alloc(3 << 20));
      renameSync(join(path, "second/new"), join(path, "second/large"));
    },
    "a file that vanishes": (path) => unlinkSync(join(path, "second/large")),
    "a file that becomes a symlink": (path) => {
      unlinkSync(join(path, "second/large"));
      symlinkSync("/etc/passwd", join(path, "second/large"));
    },
    "a file that becomes a FIFO": (path) => {
      unlinkSync(join(path, "second/large"));
      execFileSync("mkfifo", [join(path, "second/large")]);
    },
    "a file that is added": (path) => writeFileSync(join(path, "second/added"), ""),
    "a directory that vanishes": (path) => rmSync(join(path, "second"), { recursive: true }),
  };
  for (const [title, change] of Object.entries(CHANGES)) {
    for (const jobs of [1, 2]) {
      it(`${title}, ${jobs} threads`, async () => {
        const path = busyTree();
        const error = await scanWhile(path, () => change(path), jobs);
        expect(error).toMatchObject({ code: "input" });
        expect(String(error)).toMatch(/\/second[^:]*: changed while it was read; make sure that nothing writes/);
      });
    }
  }
});

describe("directories that were touched", () => {
  it("are those in which nothing is as new as they are, and that are newer than the tree", async () => {
    const path = tempDir();
    for (const name of ["old", "kept", "b/inner", "empty", "grown"]) mkdirSync(join(path, name), { recursive: true });
    for (const name of ["old/f", "kept/f", "b/inner/f", "grown/f"]) writeFileSync(join(path, name), name);
    utimesSync(join(path, "old"), 1, 1);
    // ctime moves with the clock of the kernel, some milliseconds at a time.
    await setTimeout(20);
    for (const name of ["b", "b/inner", "empty", "grown", "."]) {
      writeFileSync(join(path, name, ".tmp"), "");
      unlinkSync(join(path, name, ".tmp"));
    }
    writeFileSync(join(path, "grown/g"), "");
    const { finished } = await scanAndFinish(path, OPTIONS, TOUCHED);
    // What is in b has changed with the directory in it: a layer lists b on the way there.
    expect(finished).toEqual(["b/inner", "empty"]);
    await setTimeout(20);
    utimesSync(join(path, "kept"), new Date(), new Date());
    const again = await scanAndFinish(path, OPTIONS, TOUCHED);
    expect(again.finished).toEqual(["b/inner", "empty", "kept"]);
  });
});

/**
 * What a builder does that links the files of a stage into another one: each file has a new ctime, and
 * nothing else is new.
 */
describe("a tree whose files get names elsewhere while it is read", () => {
  const LARGE = 3 << 20;
  const COUNT = 600;
  const BYTES = LARGE + COUNT * 9000;

  async function oldTree(): Promise<{ path: string; large: string; linkAll: () => void }> {
    const path = tempDir();
    mkdirSync(join(path, "first"));
    const large = join(path, "large");
    writeFileSync(large, Buffer.alloc(LARGE));
    utimesSync(large, 1, 1);
    for (let index = 0; index < COUNT; index++) writeFileSync(join(path, `first/${index}`), Buffer.alloc(9000));
    // ctime moves with the clock of the kernel, some milliseconds at a time.
    await setTimeout(20);
    const linkAll = () => {
      const elsewhere = tempDir();
      linkSync(large, join(elsewhere, "large"));
      for (let index = 0; index < COUNT; index++) linkSync(join(path, `first/${index}`), join(elsewhere, `${index}`));
    };
    return { path, large, linkAll };
  }

  const hasTree = (root: Directory) => (result: { readonly root: Directory }) => sameTree(result.root, root);

  it.each([1, 2])("has the digests that it had, %d threads", async (jobs) => {
    const { path, linkAll } = await oldTree();
    const before = await scanDirectory(path, { ...OPTIONS, jobs });
    // The small ones are read when they are looked at: nothing else can happen meanwhile in this process.
    await expect(scanWhile(path, linkAll, jobs)).resolves.toSatisfy(hasTree(before.root));
  });

  it("has the digests that it had while another process links all of it twice, as a build for two platforms does", async () => {
    const { path } = await oldTree();
    const before = await scanDirectory(path, OPTIONS);
    const elsewhere = tempDir();
    // A first tree has to be there, or the first scan might end before anything happens.
    const script = 'cp -al "$1" "$2/one"; echo begun; for n in 2 3; do cp -al "$1" "$2/$n"; done';
    const links = spawn("sh", ["-c", script, "sh", path, elsewhere], { stdio: ["ignore", "pipe", "inherit"] });
    const isOver = once(links, "exit");
    await once(links.stdout, "data");
    let scans = 0;
    for (; scans === 0 || links.exitCode === null; scans++) {
      await expect(scanDirectory(path, { ...OPTIONS, jobs: 2 })).resolves.toSatisfy(hasTree(before.root));
    }
    expect(await isOver).toEqual([0, null]);
    expect(lstatSync(join(path, "large")).nlink).toBe(4);
  });

  it.each<readonly [string, (path: string) => void]>([
    ["mode", (path) => chmodSync(path, 0o600)],
    ["time", (path) => utimesSync(path, 2, 2)],
  ])("has changed when one of them has another %s too", async (_, change) => {
    const { path, large, linkAll } = await oldTree();
    const both = () => {
      linkAll();
      change(large);
    };
    expect(String(await scanWhile(path, both, 1))).toContain("/large: changed while it was read");
  });

  it("has changed when one of them has other bytes when it is read again", async () => {
    const { path, large, linkAll } = await oldTree();
    let step = 0;
    const onProgress = ({ bytesHashed }: ScanStats) => {
      if (step === 0) linkAll();
      if (step <= 1) step = 1;
      if (step !== 1 || bytesHashed < BYTES) return;
      step = 2;
      writeFileSync(large, Buffer.alloc(LARGE, "x"));
      utimesSync(large, 1, 1);
    };
    await expect(scanDirectory(path, { ...OPTIONS, jobs: 1, onProgress })).rejects.toThrow(
      "/large: changed while it was read",
    );
    expect(step).toBe(2);
  });

  it("is given up where names come and go without end", async () => {
    const { path, large } = await oldTree();
    // Several pieces, and progress after each of them.
    truncateSync(large, 20 << 20);
    const elsewhere = tempDir();
    let count = 0;
    const onProgress = () => linkSync(large, join(elsewhere, `${count++}`));
    await expect(scanDirectory(path, { ...OPTIONS, jobs: 1, onProgress })).rejects.toThrow(
      "/large: changed while it was read",
    );
  });
});

describeWith(["root"], "scanDirectory as root", () => {
  it("reads device numbers in the kernel's encoding", async () => {
    const path = tempDir();
    execFileSync("mknod", [join(path, "c"), "c", "4095", "1048575"]);
    execFileSync("mknod", [join(path, "b"), "b", "259", "70000"]);
    execFileSync("mknod", [join(path, "whiteout"), "c", "0", "0"]);
    const { root } = await scanDirectory(path, OPTIONS);
    expect(at(root, "c")).toMatchObject({ kind: "char", rdev: 0xffffffff });
    expect(at(root, "b")).toMatchObject({
      kind: "block",
      rdev: ((70000 & 0xff) | (259 << 8) | ((70000 & ~0xff) << 12)) >>> 0,
    });
    expect(at(root, "whiteout")).toMatchObject({ kind: "char", rdev: 0 });
  });
});

function digestAtName(root: Directory, name: Uint8Array): string {
  const node = lookup(root, name);
  if (node?.kind !== "regular" || node.content.kind !== "external") throw new Error("no external file");
  return toHex(node.content.digest ?? new Uint8Array());
}

/** Runs a scan as the user nobody, in a process of its own that loads its modules before it gives up its rights. */
function scanAsNobody(path: string): { readonly status: number | null; readonly output: string } {
  const script = `
    import { scanDirectory } from ${JSON.stringify(new URL("../support/scan.ts", import.meta.url).href)};
    process.setgroups([]);
    process.setgid(65534);
    process.setuid(65534);
    try {
      const { stats } = await scanDirectory(${JSON.stringify(path)}, { algorithm: "sha256", xattrs: "all", jobs: 1 });
      console.log(JSON.stringify(stats));
    } catch (error) {
      console.log(error.code + " " + error.message);
      process.exitCode = 3;
    }`;
  const result = spawnSync(process.execPath, ["--input-type=module", "--eval", script], { encoding: "utf8" });
  return { status: result.status, output: (result.stdout + result.stderr).trim() };
}

describeWith(["root"], "scanDirectory without root's rights", () => {
  function readableTree(): string {
    const path = tempDir();
    chmodSync(path, 0o755);
    mkdirSync(join(path, "directory"));
    writeFileSync(join(path, "directory/file"), Buffer.alloc(100));
    writeFileSync(join(path, "directory/small"), "small");
    return path;
  }

  it("reads what can be read", () => {
    const stats = { files: 2, directories: 2, bytesHashed: 100 };
    expect(scanAsNobody(readableTree())).toEqual({ status: 0, output: JSON.stringify(stats) });
  });

  for (const name of ["directory", "directory/file", "directory/small"]) {
    it(`refuses an unreadable ${name}`, () => {
      const path = readableTree();
      chmodSync(join(path, name), 0o711);
      const message = `input ${join(path, name)}${name === "directory" ? "/" : ""}: can't be read: permission denied; run seal as root`;
      expect(scanAsNobody(path)).toEqual({ status: 3, output: message });
    });
  }
});
