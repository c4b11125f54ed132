/** What a tar archive says about one file: its header and the extensions before it, put together. */
import { displayBytes } from "../../bytes.ts";
import { inputError } from "../../errors.ts";
import type { LayerEntry } from "../../tree/build.ts";
import type { Xattr } from "../../tree/node.ts";
import { ownBytes, type TarHeader } from "./header.ts";
import type { PaxValues } from "./pax.ts";

/** The extensions that precede an entry. */
export interface Extensions {
  readonly longName: Uint8Array | null;
  readonly longLink: Uint8Array | null;
  readonly pax: PaxValues | null;
}

/** An entry and how many bytes of content follow its header. */
export interface SizedEntry {
  readonly entry: LayerEntry<bigint>;
  readonly size: bigint;
}

const NO_XATTRS: readonly Xattr[] = [];
const MAX_ID = 0xffff_ffffn;

/** @throws SealError `input` for a type that layers don't have, and for values that no inode can have */
export function combineEntry(
  header: TarHeader,
  extensions: Extensions,
  { subject, paxOwners }: { readonly subject: string; readonly paxOwners: "count" | "ignored" },
): SizedEntry {
  const { pax } = extensions;
  const owners = paxOwners === "count" ? pax : null;
  const path = ownBytes(pax?.path ?? extensions.longName ?? header.name);
  if (path.length === 0) throw inputError(subject, "an entry has an empty name");
  // Made when it is needed: a layer may have a million entries.
  const where = () => `${subject}: ${displayBytes(path)}`;
  const link = () => ownBytes(pax?.linkPath ?? extensions.longLink ?? header.linkName);
  const size = pax?.size ?? header.size;
  if (size > BigInt(Number.MAX_SAFE_INTEGER)) throw inputError(where(), "its size is impossible");
  const uid = owners?.uid ?? header.uid;
  const gid = owners?.gid ?? header.gid;
  if (uid > MAX_ID || gid > MAX_ID) throw inputError(where(), `its owner ${uid}:${gid} is beyond 32 bits`);
  const metadata = {
    mode: header.mode,
    uid: Number(uid),
    gid: Number(gid),
    mtimeSec: owners?.mtime?.sec ?? header.mtime,
    mtimeNsec: owners?.mtime?.nsec ?? 0,
    xattrs: pax?.xattrs ?? NO_XATTRS,
  };
  return {
    entry: { path, metadata, item: itemOf(header, link, size, where), headersDiffer: headersDiffer(header, pax) },
    size,
  };
}

function headersDiffer({ uid, gid, mtime }: TarHeader, pax: PaxValues | null): boolean {
  if (pax === null) return false;
  const { sec, nsec } = pax.mtime ?? { sec: mtime, nsec: 0 };
  return (pax.uid ?? uid) !== uid || (pax.gid ?? gid) !== gid || sec !== mtime || nsec !== 0;
}

function itemOf(
  header: TarHeader,
  link: () => Uint8Array,
  size: bigint,
  where: () => string,
): LayerEntry<bigint>["item"] {
  switch (header.type) {
    case "0":
    case "7":
      return { kind: "regular", content: size };
    case "1":
      return { kind: "hardlink", target: link() };
    case "2": {
      const target = link();
      if (target.length === 0 || target.includes(0)) throw inputError(where(), "is a symlink without a valid target");
      return { kind: "symlink", target };
    }
    case "3":
      return { kind: "char", rdev: rdevOf(header, where) };
    case "4":
      return { kind: "block", rdev: rdevOf(header, where) };
    case "5":
      return { kind: "directory" };
    case "6":
      return { kind: "fifo" };
    case "S":
      throw inputError(where(), "sparse files in archives are not supported");
    default:
      throw inputError(
        where(),
        `has the type "${displayBytes(Buffer.from(header.type, "latin1"))}", which layers don't have`,
      );
  }
}

/** The kernel's `new_encode_dev`: 12 bits of major, 20 bits of minor. */
function rdevOf(header: TarHeader, where: () => string): number {
  if (header.device === null) throw inputError(where(), "is a device without a number");
  const { major, minor } = header.device;
  if (major > 0xfff || minor > 0xfffff) throw inputError(where(), `its device number ${major}:${minor} is too large`);
  return ((minor & 0xff) | (major << 8) | ((minor & ~0xff) << 12)) >>> 0;
}
