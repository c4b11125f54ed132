/**
 * Random stacks of layers: everything that tar archives say about a root filesystem, in all the ways that they say it.
 */
import fc from "fast-check";
import { tarArchive, tarDirectory, tarFile, tarHeader, tarLong, tarPax } from "./tar.ts";

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

/** Directories that make it likely that parents are there: the lowest layer. */
export const BASE_LAYER = tarArchive(
  tarDirectory("./"),
  ...["usr", "boot", "sysroot", "run"].map((one) => tarDirectory(one, { mtime: 7 })),
  ...["usr", ...NAMES.map((one) => `usr/${one}`)].flatMap((parent) => [
    ...NAMES.map((one) => tarDirectory(`${parent}/${one}`)),
    tarFile(`${parent}/f`, Buffer.alloc(100, parent)),
  ]),
);
/** The layers above it. */
export const arbitraryLayers = fc.array(
  fc.array(entry, { maxLength: 4 }).map((entries) => tarArchive(...entries)),
  {
    minLength: 1,
    maxLength: 3,
  },
);
