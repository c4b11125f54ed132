/**
 * Random trees for property tests: everything a root filesystem can hold, with values at the limits
 * that formats care about.
 */
import fc from "fast-check";
import { toHex, utf8 } from "../../src/bytes.ts";
import {
  type Directory,
  type Entry,
  type Leaf,
  type Metadata,
  sortEntries,
  sortXattrs,
  type Xattr,
} from "../../src/tree/node.ts";

export interface TreeOptions {
  /** Bytes of the digests of external files: 64 (SHA-512, default) or 32. */
  readonly digestLength?: 32 | 64;
  /** Only what both implementations read from a dump file: targets up to 1024 bytes, no times before 1970. */
  readonly portable?: boolean;
  /**
   * Only what a mounted image shows as it is: no ACLs, no xattr namespaces unknown to the kernel, no ID
   * that means "none" (-1).
   */
  readonly mountable?: boolean;
  readonly maxNodes?: number;
}

interface NodeSpec {
  readonly parent: number;
  readonly name: Uint8Array;
  readonly metadata: Metadata;
  readonly body: { readonly kind: "directory" } | { readonly kind: "link"; readonly to: number } | BodyOf<Leaf>;
}
type BodyOf<T> = T extends unknown ? Omit<T, keyof Metadata> : never;

/** A tree in which equal xattr lists are one object, as the readers of root filesystems make them. */
export function arbitraryTree(options: TreeOptions = {}): fc.Arbitrary<Directory> {
  const metadata = arbitraryMetadata(options);
  const spec = fc.record({ parent: fc.nat(), name: arbitraryName(), metadata, body: arbitraryBody(options) });
  return fc
    .tuple(metadata, fc.array(spec, { maxLength: options.maxNodes ?? 60 }))
    .map(([root, specs]) => build(root, specs));
}

function build(rootMetadata: Metadata, specs: readonly NodeSpec[]): Directory {
  const root = { kind: "directory" as const, ...rootMetadata, entries: [] as Entry[] };
  const directories = [root];
  const leaves: Leaf[] = [];
  const names = new Set<string>();
  for (const { parent, name, metadata, body } of specs) {
    const index = parent % directories.length;
    const directory = directories[index] as typeof root;
    const place = `${index}/${toHex(name)}`;
    if (names.has(place)) continue;
    if (body.kind === "directory") {
      const child = { kind: "directory" as const, ...metadata, entries: [] as Entry[] };
      directories.push(child);
      directory.entries.push({ name, node: child });
    } else if (body.kind === "link") {
      const target = leaves[body.to % leaves.length];
      // Whiteouts can't be hardlinked.
      if (target === undefined || (target.kind === "char" && target.rdev === 0)) continue;
      directory.entries.push({ name, node: target });
    } else {
      const leaf = { ...metadata, ...body } as Leaf;
      leaves.push(leaf);
      directory.entries.push({ name, node: leaf });
    }
    names.add(place);
  }
  for (const directory of directories) sortEntries(directory.entries);
  return root;
}

function arbitraryName(): fc.Arbitrary<Uint8Array> {
  const byte = fc.nat(255).filter((value) => value !== 0 && value !== 0x2f);
  const bytes = (minLength: number, maxLength: number) =>
    fc.array(byte, { minLength, maxLength }).map((b) => Uint8Array.from(b));
  return fc
    .oneof(
      {
        weight: 6,
        arbitrary: fc.string({ minLength: 1, maxLength: 12, unit: fc.constantFrom(..."abcdef0123.-+") }).map(utf8),
      },
      { weight: 2, arbitrary: bytes(1, 20) },
      { weight: 1, arbitrary: bytes(200, 255) },
    )
    .filter((name) => ![".", ".."].includes(Buffer.from(name).toString("latin1")));
}

function arbitraryMetadata({ portable = false, mountable = false }: TreeOptions): fc.Arbitrary<Metadata> {
  const id = fc.oneof(
    { weight: 4, arbitrary: fc.constantFrom(0, 1000) },
    fc.constantFrom(65535, 65536, 0xffff_fffe),
    fc.nat(mountable ? 0xffff_fffe : 0xffff_ffff),
  );
  const seconds = fc.oneof(
    { weight: 6, arbitrary: fc.constantFrom(1_700_000_000n, 1_700_000_001n) },
    fc.bigInt(portable ? 0n : -(2n ** 40n), 2n ** 40n),
  );
  return fc.record({
    mode: fc.oneof(fc.constantFrom(0o755, 0o644, 0o4755), fc.nat(0o7777)),
    uid: id,
    gid: id,
    mtimeSec: seconds,
    mtimeNsec: fc.oneof({ weight: 3, arbitrary: fc.constant(0) }, fc.nat(999_999_999)),
    xattrs: arbitraryXattrs(mountable),
  });
}

const SHARED_LISTS: readonly (readonly Xattr[])[] = [
  [],
  [{ name: utf8("security.selinux"), value: utf8("system_u:object_r:usr_t:s0") }],
  [{ name: utf8("security.selinux"), value: utf8("system_u:object_r:etc_t:s0") }],
];

const COMMON_NAMES = [
  "user.a",
  "security.selinux",
  "trusted.overlay.opaque",
  "trusted.overlay.metacopy",
  "trusted.overlay.redirect",
  "trusted.overlay.overlay.x",
  "trusted.z",
];
const OTHER_NAMES = [
  "user.",
  "security.capability",
  "system.posix_acl_access",
  "system.posix_acl_default",
  "system.posix_acl_accessory",
  "lustre.lov",
  "btrfs.x",
];

function arbitraryXattrs(mountable: boolean): fc.Arbitrary<readonly Xattr[]> {
  const name = fc.oneof(
    fc.constantFrom(...COMMON_NAMES, ...(mountable ? [] : OTHER_NAMES)),
    fc.string({ minLength: 1, maxLength: 8, unit: fc.constantFrom(..."abz.=- ") }).map((rest) => `user.${rest}`),
    fc.constant(`user.${"n".repeat(250)}`),
  );
  const value = fc.oneof(
    { weight: 3, arbitrary: fc.constantFrom("", "y", "-", "a=b", "\n").map(utf8) },
    fc.uint8Array({ maxLength: 40 }),
    fc.uint8Array({ minLength: 900, maxLength: 1100 }),
  );
  const own = fc.uniqueArray(fc.record({ name: name.map(utf8), value }), {
    maxLength: 5,
    selector: ({ name: key }) => toHex(key),
  });
  return fc.oneof(
    { weight: 4, arbitrary: fc.constantFrom(...SHARED_LISTS) },
    own.map((list) => sortXattrs(list.map((xattr) => ({ ...xattr })))),
  );
}

function arbitraryBody({ digestLength = 64, portable = false }: TreeOptions): fc.Arbitrary<NodeSpec["body"]> {
  const digest = fc.oneof(
    fc.constantFrom(1, 2, 3).map((n) => new Uint8Array(digestLength).fill(n)),
    fc.uint8Array({ minLength: digestLength, maxLength: digestLength }),
  );
  const size = fc.oneof(
    fc.bigInt(65n, 1n << 20n),
    fc.constantFrom(65n, 4095n, 4096n, 4097n, (1n << 32n) - 1n, 1n << 32n, 1n << 44n, (1n << 50n) + 7n, 1n << 53n),
  );
  const external = fc
    .record({ size, digest })
    .map((file) => ({ kind: "external" as const, ...file, payload: "digest" as const }));
  const inline = fc.uint8Array({ maxLength: 64 }).map((bytes) => ({ kind: "inline" as const, bytes }));
  const target = (maxLength: number) =>
    fc.array(fc.integer({ min: 1, max: 255 }), { minLength: 1, maxLength, size: "max" }).map((b) => Uint8Array.from(b));
  const rdev = fc.oneof(fc.constantFrom(0, 1, 0x103), fc.nat(0xffff_ffff));
  return fc.oneof(
    { weight: 4, arbitrary: fc.constant({ kind: "directory" as const }) },
    { weight: 4, arbitrary: external.map((content) => ({ kind: "regular" as const, content })) },
    { weight: 3, arbitrary: inline.map((content) => ({ kind: "regular" as const, content })) },
    { weight: 2, arbitrary: target(30).map((bytes) => ({ kind: "symlink" as const, target: bytes })) },
    {
      weight: 1,
      arbitrary: target(portable ? 1024 : 4095).map((bytes) => ({ kind: "symlink" as const, target: bytes })),
    },
    { weight: 2, arbitrary: fc.record({ kind: fc.constantFrom("char" as const, "block" as const), rdev }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constantFrom("fifo" as const, "socket" as const) }) },
    { weight: 2, arbitrary: fc.nat().map((to) => ({ kind: "link" as const, to })) },
  );
}
