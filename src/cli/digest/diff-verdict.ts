/** What a list of differences means, and what to do about it. */
import { isPreparedPath } from "../../boot/esp-sources.ts";
import { KERNEL_FILE } from "../../boot/kernel.ts";
import { displayBytes } from "../../bytes.ts";
import { freshStep, LISTED_DIRECTORIES } from "../../lint/digest-causes.ts";
import type { Builder } from "../../oci/history.ts";
import type { Difference } from "../../tree/compare.ts";
import type { TransformOptions } from "../../tree/transform.ts";
import { formatCount } from "../terminal/report.ts";

/** What container builders leave in a tree: files that they mount over while a step runs, and mount points. */
const BUILDER_PATHS = /^(?:etc\/(?:hosts|hostname|resolv\.conf)|dev|proc|sys|run)$/;

/**
 * Lines for people.
 * @param differences at least one, or none when only the formats differ
 * @param mtimes whether the nanoseconds of the one and the other count
 * @param image which side is an image, where the other one is not; null: neither or both
 */
export function diffVerdict(
  differences: readonly Difference[],
  mtimes: readonly [TransformOptions["mtime"], TransformOptions["mtime"]],
  image: ImageSide | null = null,
): string[] {
  const byPath = new Map<string, Difference[]>();
  for (const one of differences) {
    const path = displayBytes(one.path);
    byPath.set(path, [...(byPath.get(path) ?? []), one]);
  }
  const count = (test: (path: string, fields: readonly Difference[]) => boolean) =>
    [...byPath].filter(([path, fields]) => test(path, fields)).length;
  const total = byPath.size;
  const lines = [`${paths(total)} ${total === 1 ? "differs" : "differ"}.`];
  const subsecond = count((_, fields) => fields.every((one) => one.field === "mtime" && one.subsecond));
  if (subsecond > 0) {
    lines.push(`${some(subsecond, total)} only in sub-second mtime: ${subsecondAdvice(mtimes)}.`);
  }
  const isTime = (fields: readonly Difference[]) => fields.every((one) => one.field === "mtime" && !one.subsecond);
  const times = count((_, fields) => isTime(fields));
  if (times > 0) lines.push(`${some(times, total)} only in mtime: ${timesAdvice(differences, image)}`);
  const kernel = count((path, fields) => KERNEL_FILE.test(path) && isOneSided(fields));
  if (kernel > 0) {
    lines.push(
      `${some(kernel, total)} in the kernel, which sealing removes: the digest that boots is that of the side without it.`,
    );
  }
  const prepared = count((path, fields) => isPreparedPath(path) && isOneSided(fields));
  if (prepared > 0) {
    lines.push(
      `${some(prepared, total)} in the files that seal prepare and seal image add to /usr for bootc install: the digest that boots is that of the side with it.`,
    );
  }
  const builder = count((path, fields) => BUILDER_PATHS.test(path) && isOneSided(fields));
  if (builder > 0) {
    lines.push(`${some(builder, total)} in what a container builder leaves (etc/hosts, /dev, /proc and similar).`);
  }
  const links = count((_, fields) => fields.some((one) => one.field === "links"));
  if (links > 0) {
    lines.push(
      `${paths(links)} ${links === 1 ? "has" : "have"} different hardlinks: a builder may store a link to a file of a lower layer as a copy; create it in the layer of the file, or use a symlink.`,
    );
  }
  const lost = count((_, fields) => fields.some((one) => one.field === "xattr" && (one.a === null || one.b === null)));
  if (lost > 0) {
    lines.push(
      `${paths(lost)} ${lost === 1 ? "has" : "have"} an xattr on one side only: whatever wrote the other side dropped it; without security.capability a program lacks its privileges.`,
    );
  }
  const isExplained = (path: string, fields: readonly Difference[]) =>
    KERNEL_FILE.test(path) || BUILDER_PATHS.test(path) || (isPreparedPath(path) && isOneSided(fields));
  const changed = count((path, fields) => !isExplained(path, fields) && isChanged(fields));
  if (changed > 0) {
    const stale = image !== null && isLaterImage(differences, image) ? ` ${staleAdvice(image)}` : "";
    lines.push(
      `${some(changed, total)} in what ${changed === 1 ? "it is" : "they are"}: one side was changed after the other was built from it, or they are from different builds; seal what is shipped, as the last step.${stale}`,
    );
  }
  return total === 0 ? ["The trees are equal, but their digests differ."] : lines;
}

/** Many paths with the same time on one side: it was set on purpose. */
const REWRITTEN = 3;

/** An image that is compared with a mount of what it was made of, or with what was written down of one. */
export interface ImageSide {
  readonly side: "a" | "b";
  /** What built it; null: its history does not say. */
  readonly builder: Builder | null;
}

function wholeTimes(differences: readonly Difference[]): readonly Difference[] {
  return differences.filter((one) => one.field === "mtime" && !one.subsecond);
}

/** Whether every time that is another one is later in the image. */
function isLaterImage(differences: readonly Difference[], { side }: ImageSide): boolean {
  const times = wholeTimes(differences);
  return times.length > 0 && times.every(({ time }) => time?.later === side);
}

function staleAdvice({ builder }: ImageSide): string {
  return `The image is the later one: where it was sealed with the digest of the other side, the sealing step came from the builder's cache; ${freshStep(builder)}`;
}

/** @returns a clause or more, with its full stop */
function timesAdvice(differences: readonly Difference[], image: ImageSide | null): string {
  const times = wholeTimes(differences);
  const isDropped = times.every(({ time }) => time?.isDirectory === true && time.later !== image?.side);
  if (image !== null && image.builder !== "buildah" && isDropped) {
    return `these are directories, and no layer has their later times. BuildKit omits a directory from a layer if only its mtime changed (a file was created and removed in it): ${LISTED_DIRECTORIES}`;
  }
  const uniform = (["a", "b"] as const).map((side) => [...new Set(times.map((one) => one[side]))]);
  const [rewritten, other] = uniform.filter((values) => values.length === 1);
  // Of a mount and an image it is the image that a builder wrote.
  const isOfBuilder = image === null || uniform[image.side === "a" ? 0 : 1] === rewritten;
  if (times.length >= REWRITTEN && rewritten !== undefined && other === undefined && isOfBuilder) {
    return `on one side all have ${rewritten.join("")}, as a builder writes with --timestamp; build without it, or compute the digest of the image itself.`;
  }
  if (image !== null && isLaterImage(differences, image)) return `the image has later ones. ${staleAdvice(image)}`;
  return "something wrote there after the layers were created, or unpacking did; compute the digest from the image itself.";
}

/** One side is truncated: the other one has nanoseconds, which an installed system counts. */
function subsecondAdvice([a, b]: readonly [TransformOptions["mtime"], TransformOptions["mtime"]]): string {
  return a === b
    ? "most image layers carry whole seconds; compute with --mtime seconds"
    : "the directory is compared in whole seconds, but these layers carry nanoseconds; seal the image itself, or its mount with --mtime exact";
}

function paths(count: number): string {
  return count === 1 ? "1 path" : `${formatCount(count)} paths`;
}

function some(count: number, total: number): string {
  const subject = count === total ? (total === 1 ? "It" : "All") : paths(count);
  return `${subject} ${count === 1 ? "differs" : "differ"}`;
}

/** Added, removed, or with other content, mode, owner or the like, which does not come from how layers store things. */
function isChanged(fields: readonly Difference[]): boolean {
  return fields.some(({ field, a, b }) => {
    if (field === "xattr") return a !== null && b !== null;
    return field !== "mtime" && field !== "links";
  });
}

function isOneSided(fields: readonly Difference[]): boolean {
  return fields.some(({ field }) => field === "added" || field === "removed");
}
