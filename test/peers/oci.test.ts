/** Images against cfsctl: random stacks of layers, and the real root filesystem. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { execaSync } from "execa";
import fc from "fast-check";
import { expect, it } from "vitest";
import { seal } from "../support/cli.ts";
import { writeLayout } from "../support/layout.ts";
import { describeWith, realRootfs, runPeer } from "../support/peers.ts";
import { tarArchive, tarDirectory, tarFile, tarHeader, tarLong, tarPax } from "../support/tar.ts";
import { tempDir } from "../support/temp.ts";

const RUNS = 60;

/** What cfsctl computes after a pull; null where it refuses the image. */
function peerDigest(layout: string, bootable: boolean): { digest: string | null; message: string } {
  const repository = join(tempDir(), "repository");
  runPeer("cfsctl", ["--repo", repository, "init", "--insecure"]);
  const pull = runPeer("cfsctl", ["--repo", repository, "oci", "pull", `oci:${layout}`, "image"]);
  if (pull.status !== 0) return { digest: null, message: pull.stderr };
  const flags = bootable ? ["--bootable"] : [];
  const computed = runPeer("cfsctl", [
    "--repo",
    repository,
    "--erofs-version",
    "1",
    "oci",
    "compute-id",
    ...flags,
    "image",
  ]);
  return { digest: computed.status === 0 ? computed.stdout.toString().trim() : null, message: computed.stderr };
}

async function ownDigest(layout: string, transform: "oci" | "boot") {
  const { stdout, stderr } = await seal([
    "compute-digest",
    `oci:${layout}`,
    "--bootc",
    "1.17.5",
    "--transform",
    transform,
  ]);
  return { digest: stdout === "" ? null : stdout.trim(), message: stderr };
}

const NAMES = ["a", "b", "c"];
const last = fc.constantFrom(...NAMES, "f", "f", "g", "\xff\xfe", "n".repeat(120));
const path = fc
  .tuple(fc.array(fc.constantFrom(...NAMES), { maxLength: 2 }), last)
  .map(([parents, base]) => ["usr", ...parents, base].join("/"));
const fields = fc.record({
  mode: fc.constantFrom(0o644, 0o755, 0o4755, 0o1777),
  uid: fc.constantFrom(0, 1000, 70000),
  gid: fc.constantFrom(0, 5),
  mtime: fc.constantFrom(0, 1, 1_700_000_000),
});
const pax = fc.record(
  {
    mtime: fc.constantFrom("5", "17.25", "1700000000.123456789", "9.x"),
    uid: fc.constantFrom("3", "100000"),
    "SCHILY.xattr.security.capability": fc.constantFrom("\x01\x00\xff", ""),
    "SCHILY.xattr.user.x": fc.constantFrom("1", "\xff\n="),
    "LIBARCHIVE.xattr.user.y": fc.constant("MQ"),
  },
  { requiredKeys: [] },
);

/** An entry of any kind, named by ustar, GNU or PAX headers. */
const entry = fc
  .record({
    path,
    fields,
    pax: fc.option(pax, { nil: null }),
    target: fc.oneof({ arbitrary: path, weight: 1 }, { arbitrary: fc.constantFrom("usr/f", "usr/a/f"), weight: 3 }),
    size: fc.constantFrom(0, 1, 64, 65, 5000, 70_000),
    kind: fc.constantFrom("file", "file", "directory", "directory", "directory", "symlink", "hardlink", "fifo", "char"),
    whiteout: fc.constantFrom(...Array<string>(12).fill(""), "name", "opaque"),
    naming: fc.constantFrom("gnu", "pax"),
  })
  .map((one) => {
    const { kind, target, size, naming } = one;
    const parent = one.path.replace(/[^/]*$/, "");
    const base = one.path.slice(parent.length);
    const full =
      one.whiteout === "" ? one.path : `${parent}${one.whiteout === "opaque" ? ".wh..wh..opq" : `.wh.${base}`}`;
    const long = full.length > 100;
    const records = { ...(one.pax ?? {}), ...(long && naming === "pax" ? { path: full } : {}) };
    const extensions = [
      ...(long && naming === "gnu" ? [tarLong("L", full)] : []),
      ...(kind === "hardlink" || kind === "symlink" ? [tarLong("K", target)] : []),
      ...(Object.keys(records).length > 0 ? [tarPax(records)] : []),
    ];
    const short = full.slice(0, 100);
    const link = target.slice(0, 100);
    const own = { ...one.fields, name: short };
    const body = {
      file: () => tarFile(short, Buffer.alloc(size, full), one.fields),
      directory: () => tarDirectory(short, one.fields),
      symlink: () => tarHeader({ ...own, type: "2", link }),
      hardlink: () => tarHeader({ ...own, type: "1", link }),
      fifo: () => tarHeader({ ...own, type: "6" }),
      char: () => tarHeader({ ...own, type: "3", device: [1, 3] }),
    }[kind as "file"]();
    return Buffer.concat([...extensions, body]);
  });

/** Directories that make it likely that parents are there. */
const BASE = tarArchive(
  tarDirectory("./"),
  ...["usr", "boot", "sysroot", "run"].map((one) => tarDirectory(one, { mtime: 7 })),
  ...["usr", ...NAMES.map((one) => `usr/${one}`)].flatMap((parent) => [
    ...NAMES.map((one) => tarDirectory(`${parent}/${one}`)),
    tarFile(`${parent}/f`, Buffer.alloc(100, parent)),
  ]),
);
const layers = fc.array(
  fc.array(entry, { maxLength: 4 }).map((entries) => tarArchive(...entries)),
  {
    minLength: 1,
    maxLength: 3,
  },
);

describeWith(["cfsctl"], "images against cfsctl", () => {
  it("have the digest that it computes after a pull, or are refused by both", async () => {
    let accepted = 0;
    await fc.assert(
      fc.asyncProperty(layers, fc.constantFrom("gzip", "zstd", "none"), async (stack, compression) => {
        const layout = join(tempDir(), "layout");
        writeLayout(layout, [BASE, ...stack], { compression });
        const peer = peerDigest(layout, true);
        const own = await ownDigest(layout, "boot");
        expect(own.digest, `${peer.message}${own.message}`).toBe(peer.digest);
        if (own.digest !== null) accepted++;
      }),
      { numRuns: RUNS },
    );
    expect(accepted).toBeGreaterThan(RUNS / 10);
  }, 120_000);
});

describeWith(["cfsctl", "root", "rootfs"], "the real root filesystem as an image", () => {
  it("has the same digest as directory, archive, gzip and zstd image, and after a pull", async () => {
    const directory = tempDir();
    const archive = join(directory, "rootfs.tar");
    const xattrs = ["--xattrs", "--xattrs-include=*"];
    const times = "--pax-option=delete=atime,delete=ctime";
    execaSync("tar", ["-C", realRootfs() ?? "", ...xattrs, "--format=pax", times, "-cf", archive, "."]);
    const tar = readFileSync(archive);
    for (const compression of ["gzip", "zstd"] as const) {
      writeLayout(join(directory, compression), [tar], { compression });
    }
    const { digest } = peerDigest(join(directory, "gzip"), true);
    expect(digest).toMatch(/^[0-9a-f]{128}$/);
    const { gzip, zstd } = { gzip: join(directory, "gzip"), zstd: join(directory, "zstd") };
    for (const spec of [`oci:${gzip}`, `oci:${zstd}:latest`, `tar:${archive}`, `dir:${realRootfs()}`]) {
      const { stdout, stderr } = await seal(["compute-digest", spec, "--bootc", "1.17.5", "--mtime", "exact"]);
      expect(`${spec} ${stdout.trim()}`, stderr).toBe(`${spec} ${digest}`);
    }
  }, 180_000);
});
