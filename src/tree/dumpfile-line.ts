/** One line of a composefs dump file: its fields, and the node that they describe. */

import { equalBytes, fromHex, latin1, toHex, utf8 } from "../bytes.ts";
import { excerpt } from "../text.ts";
import { unescapeBytes } from "./dumpfile-escape.ts";
import {
  type ExternalContent,
  type InlineContent,
  type Metadata,
  type Node,
  type NodeKind,
  sortXattrs,
  TYPE_BITS,
  XATTR_NAME_MAX,
  XATTR_VALUE_MAX,
  type Xattr,
} from "./node.ts";

/** Whose reading of the format: cfsctl's or mkcomposefs'. */
export type DumpfileDialect = "composefs-rs" | "c";

/** Throws an error with the reason; whoever reads the file knows the line. */
export type Refuse = (reason: string) => never;

/** The fields of a line as written, still escaped. */
export interface LineFields {
  readonly path: Uint8Array;
  readonly size: Uint8Array;
  /** Without the `@` of a hardlink. */
  readonly mode: Uint8Array;
  readonly hardlink: boolean;
  readonly links: Uint8Array;
  readonly uid: Uint8Array;
  readonly gid: Uint8Array;
  readonly rdev: Uint8Array;
  readonly mtime: Uint8Array;
  readonly payload: Uint8Array;
  readonly content: Uint8Array;
  readonly digest: Uint8Array;
  readonly xattrs: readonly Uint8Array[];
}

/**
 * Longest content and symlink target that composefs-rs takes; C takes a page of content and what Linux takes for links.
 */
const LIMITS = {
  "composefs-rs": { content: 512, target: 1024 },
  c: { content: 5000, target: 4095 },
} as const;
const XATTR_LIST_MAX = 65535;
/** The lengths of SHA-256 and SHA-512 digests. */
const DIGEST_LENGTHS = [32, 64];
const SPACE = 0x20;
const DASH = 0x2d;
const EMPTY = new Uint8Array();

/** Undoes the escapes of a field that can't hold NUL. */
export function unescapeText(field: Uint8Array, refuse: Refuse): Uint8Array {
  const bytes = unescapeBytes(field) ?? refuse("an escape that does not exist");
  if (bytes.includes(0)) refuse("an escaped NUL byte in a name");
  return bytes;
}

export function splitLine(line: Uint8Array, refuse: Refuse): LineFields {
  const parts: Uint8Array[] = [];
  for (let start = 0; start <= line.length; ) {
    const space = line.indexOf(SPACE, start);
    const end = space < 0 ? line.length : space;
    parts.push(line.subarray(start, end));
    start = end + 1;
  }
  const [path, size, rawMode, links, uid, gid, rdev, mtime, payload, content, digest, ...xattrs] = parts;
  if (path === undefined || size === undefined || rawMode === undefined) return refuse("less than 11 fields");
  if (links === undefined || uid === undefined || gid === undefined) return refuse("less than 11 fields");
  if (rdev === undefined || mtime === undefined || payload === undefined) return refuse("less than 11 fields");
  const hardlink = rawMode[0] === 0x40;
  if (!hardlink && (content === undefined || digest === undefined)) return refuse("less than 11 fields");
  const mode = hardlink ? rawMode.subarray(1) : rawMode;
  const fixed = { path, size, mode, hardlink, links, uid, gid, rdev, mtime, payload };
  return { ...fixed, content: content ?? EMPTY, digest: digest ?? EMPTY, xattrs };
}

/** The node of a line that is not a hardlink, and the link count given there. */
export function parseNode(fields: LineFields, dialect: DumpfileDialect, refuse: Refuse): { node: Node; links: number } {
  const mode = parseMode(fields.mode, refuse);
  const kind = kindOf(mode) ?? refuse(`mode ${excerpt(latin1(fields.mode))} has no file type`);
  const links = parseU32(fields.links, "link count", refuse);
  const rdev = parseU32(fields.rdev, "device number", refuse);
  const size = parseU64(fields.size, "size", refuse);
  const metadata: Metadata = {
    mode: mode & 0o7777,
    uid: parseU32(fields.uid, "uid", refuse),
    gid: parseU32(fields.gid, "gid", refuse),
    ...parseMtime(fields.mtime, dialect, refuse),
    xattrs: parseXattrs(fields.xattrs, dialect, refuse),
  };
  if (dialect === "composefs-rs") checkUnused(fields, kind, rdev, links, refuse);
  return { node: makeNode(metadata, { kind, fields, dialect, rdev, size }, refuse), links };
}

interface Specifics {
  readonly kind: NodeKind;
  readonly fields: LineFields;
  readonly dialect: DumpfileDialect;
  readonly rdev: number;
  readonly size: bigint;
}

function makeNode(metadata: Metadata, { kind, fields, dialect, rdev, size }: Specifics, refuse: Refuse): Node {
  switch (kind) {
    case "directory":
      return { kind, ...metadata, entries: [] };
    case "regular":
      return {
        kind,
        ...metadata,
        content: dialect === "c" ? contentAsC(fields, size, refuse) : contentAsRust(fields, size, refuse),
      };
    case "symlink":
      return { kind, ...metadata, target: parseTarget(fields.payload, dialect, refuse) };
    case "char":
    case "block":
      return { kind, ...metadata, rdev };
    case "fifo":
    case "socket":
      return { kind, ...metadata };
  }
}

/** composefs-rs refuses values that mean nothing for the type; C ignores them. */
function checkUnused(fields: LineFields, kind: NodeKind, rdev: number, links: number, refuse: Refuse): void {
  const isDevice = kind === "char" || kind === "block";
  if (!isDevice && rdev !== 0) refuse("a device number on something that is not a device");
  if (kind === "char" && rdev === 0 && links > 1) refuse("a hardlinked whiteout");
  if (kind !== "regular" && !isNone(fields.content)) refuse("content on something that is not a regular file");
  if (kind !== "regular" && !isNone(fields.digest)) refuse("a digest on something that is not a regular file");
}

/**
 * With a payload the content is ignored; the object is the one of the digest, or of the payload where that names one.
 */
function contentAsRust(fields: LineFields, size: bigint, refuse: Refuse): InlineContent | ExternalContent {
  const digest = isNone(fields.digest) ? null : parseDigest(fields.digest, refuse);
  if (isNone(fields.payload)) {
    if (digest !== null) refuse("a digest without a payload");
    const bytes = parseContent(fields.content, LIMITS["composefs-rs"].content, refuse) ?? EMPTY;
    if (bytes.length > 0 || size === 0n) return { kind: "inline", bytes };
    return { kind: "external", size, digest: null, payload: null };
  }
  const payload = unescapeText(fields.payload, refuse);
  if (payload.length === 0) refuse("an empty payload");
  if (digest !== null) return { kind: "external", size, digest, payload: "digest" };
  return {
    kind: "external",
    size,
    digest: null,
    payload: objectPath(payload) ?? refuse("a payload that is not an object path"),
  };
}

/** The last part of a path that has the form of an object's: `xx/rest-of-hex`, in lower case. */
function objectPath(payload: Uint8Array): Uint8Array | null {
  for (const length of DIGEST_LENGTHS) {
    const tail = latin1(payload.subarray(-(2 * length + 1)));
    if (tail.length === 2 * length + 1 && /^[0-9a-f]{2}\/[0-9a-f]+$/i.test(tail)) return utf8(tail.toLowerCase());
  }
  return null;
}

/** Content wins; an empty file has neither payload nor digest; the payload is taken as it is. */
function contentAsC(fields: LineFields, size: bigint, refuse: Refuse): InlineContent | ExternalContent {
  const bytes = parseContent(fields.content, LIMITS.c.content, refuse);
  if (bytes !== null && BigInt(bytes.length) !== size)
    refuse(`content of ${bytes.length} bytes, but the size is ${size}`);
  const digest = isNone(fields.digest) ? null : parseDigest(fields.digest, refuse);
  if (bytes !== null || size === 0n) return { kind: "inline", bytes: bytes ?? EMPTY };
  const payload = isNone(fields.payload) ? EMPTY : unescapeText(fields.payload, refuse);
  if (payload.length === 0) return { kind: "external", size, digest, payload: null };
  return { kind: "external", size, digest, payload: digest !== null && isPathOf(payload, digest) ? "digest" : payload };
}

function isPathOf(payload: Uint8Array, digest: Uint8Array): boolean {
  const hex = toHex(digest);
  return equalBytes(payload, utf8(`${hex.slice(0, 2)}/${hex.slice(2)}`));
}

function parseContent(field: Uint8Array, limit: number, refuse: Refuse): Uint8Array | null {
  if (isNone(field)) return null;
  const bytes = unescapeBytes(field) ?? refuse("an escape that does not exist");
  if (bytes.length > limit) refuse(`content of more than ${limit} bytes`);
  return bytes.slice();
}

function parseTarget(field: Uint8Array, dialect: DumpfileDialect, refuse: Refuse): Uint8Array {
  const target = isNone(field) ? EMPTY : unescapeText(field, refuse).slice();
  const limit = LIMITS[dialect].target;
  if (target.length === 0) refuse("a symlink without a target");
  if (target.length > limit) refuse(`a symlink target of ${target.length} bytes; the limit is ${limit}`);
  return target;
}

function parseDigest(field: Uint8Array, refuse: Refuse): Uint8Array {
  const digest = fromHex(latin1(field));
  if (digest === null || !DIGEST_LENGTHS.includes(digest.length)) {
    return refuse("a digest that is not 64 or 128 hex digits (SHA-256 or SHA-512)");
  }
  return digest;
}

const NO_XATTRS: readonly Xattr[] = [];

function parseXattrs(fields: readonly Uint8Array[], dialect: DumpfileDialect, refuse: Refuse): readonly Xattr[] {
  // C takes a space at the end of the line for nothing.
  const present = dialect === "c" && fields.at(-1)?.length === 0 ? fields.slice(0, -1) : fields;
  if (present.length === 0) return NO_XATTRS;
  const byName = new Map<string, Xattr>();
  let nameBytes = 0;
  for (const field of present) {
    const xattr = parseXattr(field, refuse);
    nameBytes += xattr.name.length;
    if (nameBytes > XATTR_LIST_MAX) refuse(`xattr names of more than ${XATTR_LIST_MAX} bytes in all`);
    const key = latin1(xattr.name);
    const before = byName.get(key);
    // Of several values C takes the last, composefs-rs the greatest.
    if (before === undefined || dialect === "c" || Buffer.compare(before.value, xattr.value) < 0)
      byName.set(key, xattr);
  }
  return sortXattrs([...byName.values()]);
}

function parseXattr(field: Uint8Array, refuse: Refuse): Xattr {
  const equals = field.indexOf(0x3d);
  if (equals < 0) refuse("an xattr without =");
  const name = unescapeText(field.subarray(0, equals), refuse).slice();
  const value = (unescapeBytes(field.subarray(equals + 1)) ?? refuse("an escape that does not exist")).slice();
  if (name.length === 0) refuse("an xattr without a name");
  if (name.length > XATTR_NAME_MAX) refuse(`an xattr name of more than ${XATTR_NAME_MAX} bytes`);
  if (value.length > XATTR_VALUE_MAX) refuse(`an xattr value of more than ${XATTR_VALUE_MAX} bytes`);
  return { name, value };
}

function isNone(field: Uint8Array): boolean {
  return field.length === 1 && field[0] === DASH;
}

function kindOf(mode: number): NodeKind | undefined {
  const kinds = Object.keys(TYPE_BITS) as NodeKind[];
  return kinds.find((kind) => TYPE_BITS[kind] === (mode & 0o170000));
}

function parseMode(field: Uint8Array, refuse: Refuse): number {
  const digits = latin1(field);
  if (!/^[0-7]{1,11}$/.test(digits)) refuse(`mode ${JSON.stringify(excerpt(digits))} is not an octal number`);
  return Number.parseInt(digits, 8);
}

function parseMtime(
  field: Uint8Array,
  dialect: DumpfileDialect,
  refuse: Refuse,
): Pick<Metadata, "mtimeSec" | "mtimeNsec"> {
  const dot = field.indexOf(0x2e);
  if (dot < 0) refuse("an mtime without a dot");
  const negative = dialect === "c" && field[0] === DASH;
  const seconds = parseU64(field.subarray(negative ? 1 : 0, dot), "mtime", refuse);
  const mtimeNsec = parseU32(field.subarray(dot + 1), "mtime's nanoseconds", refuse);
  if (mtimeNsec > 999_999_999) refuse(`${mtimeNsec} nanoseconds are more than a second`);
  return { mtimeSec: BigInt.asIntN(64, negative ? -seconds : seconds), mtimeNsec };
}

function parseU64(field: Uint8Array, what: string, refuse: Refuse): bigint {
  const digits = latin1(field);
  const value = /^[0-9]{1,20}$/.test(digits) ? BigInt(digits) : -1n;
  if (value < 0n || value > 0xffff_ffff_ffff_ffffn)
    refuse(`${what} ${JSON.stringify(excerpt(digits))} is not a 64-bit number`);
  return value;
}

function parseU32(field: Uint8Array, what: string, refuse: Refuse): number {
  const digits = latin1(field);
  const value = /^[0-9]{1,10}$/.test(digits) ? Number(digits) : -1;
  if (value < 0 || value > 0xffff_ffff) refuse(`${what} ${JSON.stringify(excerpt(digits))} is not a 32-bit number`);
  return value;
}
