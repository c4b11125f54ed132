/**
 * The bootc in a root filesystem, from the databases of package managers: the program itself can only be
 * asked by running it.
 */
import { displayBytes, utf8 } from "../bytes.ts";
import { namedRelease } from "../composefs/named-release.ts";
import type { Series } from "../composefs/series.ts";
import { SealError } from "../errors.ts";
import { lookup, type Node } from "../tree/node.ts";
import { PROGRAM_LIMIT, type Rootfs, readTreeFile, resolvePath } from "../tree/rootfs.ts";

/** The version of bootc that a root filesystem has. */
export interface BootcVersion {
  /** The upstream version, without the distribution's revision: `1.16.9`. */
  readonly version: string;
  /** The package database that has it. */
  readonly path: string;
  /** Null: a release older than any that seal knows. */
  readonly series: Series | null;
  /** A note about treating it as one of that series, see `namedRelease`; null: none. */
  readonly note: string | null;
}

const DPKG = ["var/lib/dpkg/status", "usr/lib/sysimage/dpkg/status"] as const;
const PACMAN = ["usr/lib/sysimage/lib/pacman/local", "var/lib/pacman/local"] as const;
const RPM = ["usr/lib/sysimage/rpm", "usr/share/rpm", "var/lib/rpm"].map((path) => `${path}/rpmdb.sqlite`);

/**
 * @returns null when no package database names one version of it
 * @throws SealError `input` when a database can't be read
 */
export async function bootcVersion(rootfs: Rootfs): Promise<BootcVersion | null> {
  for (const path of DPKG) {
    const found = dpkgVersion((await readTreeFile(rootfs, path)) ?? new Uint8Array());
    if (found !== null) return describe(found, path);
  }
  for (const path of PACMAN) {
    const found = pacmanVersion(rootfs, path);
    if (found !== null) return describe(found, path);
  }
  for (const path of RPM) {
    const found = rpmVersion((await readTreeFile(rootfs, path, PROGRAM_LIMIT)) ?? new Uint8Array());
    if (found !== null) return describe(found, path);
  }
  return null;
}

/**
 * Whether a root filesystem has a bootc, which `bootc install` in a container made from it would run.
 * @throws SealError `input` as {@link bootcVersion}
 */
export async function hasBootc(rootfs: Rootfs): Promise<boolean> {
  const program = ["usr", "bin", "bootc"].reduce<Node | undefined>(
    (node, name) => (node?.kind === "directory" ? lookup(node, utf8(name)) : undefined),
    rootfs.root,
  );
  return program !== undefined || (await bootcVersion(rootfs)) !== null;
}

function describe(text: string, path: string): BootcVersion | null {
  // An epoch may precede it, a revision follow it; Debian marks pre-releases with a tilde.
  const version = /^(?:\d+:)?(\d+\.\d+\.\d+)(?![\d.])/.exec(text)?.[1];
  if (version === undefined) return null;
  return { version, path, ...seriesNamed(version) };
}

function seriesNamed(version: string): Pick<BootcVersion, "series" | "note"> {
  try {
    return namedRelease(version);
  } catch (error) {
    if (error instanceof SealError) return { series: null, note: null };
    throw error;
  }
}

/** The version in the paragraph of an installed package `bootc`. */
function dpkgVersion(status: Uint8Array): string | null {
  for (const paragraph of Buffer.from(status).toString("latin1").split(/\n\n+/)) {
    if (!/^Package: bootc$/m.test(paragraph) || !/^Status: .* installed$/m.test(paragraph)) continue;
    return /^Version: (.*)$/m.exec(paragraph)?.[1] ?? null;
  }
  return null;
}

/** A package is a directory there, NAME-VERSION-REVISION. */
function pacmanVersion(rootfs: Rootfs, path: string): string | null {
  const found = resolvePath(rootfs, path);
  if (found?.node.kind !== "directory") return null;
  const names = found.node.entries.map(({ name }) => /^bootc-([^-]+)-[^-]+$/.exec(displayBytes(name))?.[1]);
  return names.find((name) => name !== undefined) ?? null;
}

/**
 * rpm's SQLite database contains package headers verbatim, with their strings in the order of their tags: locale, name,
 * version, release. Searching for these needs no reader of the database. Freed pages may show an older version too: the
 * version is then unknown.
 */
function rpmVersion(database: Uint8Array): string | null {
  const bytes = Buffer.from(database.buffer, database.byteOffset, database.length);
  const versions = new Set<string>();
  for (let at = bytes.indexOf(RPM_NAME); at >= 0; at = bytes.indexOf(RPM_NAME, at + 1)) {
    const start = at + RPM_NAME.length;
    const text = /^(\d[\w.~^]*)\0[\w.~^]+\0/.exec(bytes.toString("latin1", start, start + 100))?.[1];
    if (text !== undefined) versions.add(text);
  }
  return versions.size === 1 ? ([...versions][0] ?? null) : null;
}

const RPM_NAME = utf8("C\0bootc\0");
