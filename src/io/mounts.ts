/** What the kernel says about the mounts that a directory consists of, as proc_pid_mountinfo(5) has them. */
import { readFileSync, realpathSync } from "node:fs";
import { hostname } from "node:os";
import { displayBytes } from "../bytes.ts";

/** A mount, all of it with one byte a character. */
interface Mount {
  /** What of its filesystem it shows. */
  readonly root: string;
  readonly point: string;
  readonly type: string;
  /** Of the filesystem, where an overlay names its layers. */
  readonly options: string;
}

export interface DirectoryMounts {
  /** What is mounted in the directory: readable paths, relative to it. */
  readonly mounted: readonly string[];
  /**
   * Whether it is a mount of BuildKit's, from a store whose layers have no directory of which only the time changed.
   */
  readonly buildkit: boolean;
}

/**
 * The mounts in a directory and of it; none if the kernel does not list them.
 * @param path absolute
 */
export function directoryMounts(path: string): DirectoryMounts {
  let text: string;
  let real: Buffer;
  try {
    text = readFileSync("/proc/self/mountinfo", "latin1");
    real = realpathSync(path, { encoding: "buffer" });
  } catch {
    return { mounted: [], buildkit: false };
  }
  return parseDirectoryMounts(text, real.toString("latin1"), hostname());
}

/** BuildKit names its containers so, unless the build argument BUILDKIT_SANDBOX_HOSTNAME says otherwise. */
const BUILDKIT_HOSTNAME = "buildkitsandbox";

/**
 * As {@link directoryMounts}, of the text of `/proc/self/mountinfo`.
 * @param path absolute, without symlinks, its bytes as latin1
 * @param host name of the machine
 */
export function parseDirectoryMounts(text: string, path: string, host: string): DirectoryMounts {
  const mounts = text.split("\n").flatMap(parseMount);
  const prefix = path.endsWith("/") ? path : `${path}/`;
  const inside = mounts.filter(({ point }) => point.startsWith(prefix) && point !== prefix);
  // Of several at one place the last one is on top.
  const own = mounts
    .filter(({ point }) => path === point || prefix.startsWith(point.endsWith("/") ? point : `${point}/`))
    .reduce<Mount | null>((best, one) => (best === null || one.point.length >= best.point.length ? one : best), null);
  // The files that its executor mounts over those of a step are in a directory of that name.
  const isBuildkit = host === BUILDKIT_HOSTNAME || mounts.some(({ root }) => /\/buildkit\/.*executor\//.test(root));
  return {
    mounted: [...new Set(inside.map(({ point }) => displayBytes(Buffer.from(point.slice(prefix.length), "latin1"))))],
    // Docker's older store writes layers in its own way, with all directories.
    buildkit: isBuildkit && own?.type === "overlay" && !/[=:][^:,]*\/overlay2\//.test(own.options),
  };
}

/**
 * `36 35 98:0 /root /point options optional… - type source options`: proc_pid_mountinfo(5). Nothing for any other line.
 */
function parseMount(line: string): Mount[] {
  const [first = "", second = ""] = line.split(" - ");
  const [, , , root, point] = first.split(" ");
  const [type, , options] = second.split(" ");
  if (root === undefined || point === undefined || type === undefined || options === undefined) return [];
  return [{ root: unescaped(root), point: unescaped(point), type, options: unescaped(options) }];
}

/** Blanks, tabs, newlines and backslashes are octal numbers. */
function unescaped(field: string): string {
  return field.replace(/\\([0-7]{3})/g, (_, digits: string) => String.fromCharCode(Number.parseInt(digits, 8)));
}
