/**
 * Finds out why the root filesystem of an image is not the one that was sealed, as far as the image itself shows it. A
 * builder that takes the sealing step from its cache runs nothing that could warn, so it has to be inferred from the
 * result: the UKI is older than the layers below it.
 */
import { treeRecord } from "../composefs/tree-record.ts";
import { type Builder, builderOf } from "../oci/history.ts";
import { formatTime } from "../tree/compare.ts";
import type { Rootfs } from "../tree/rootfs.ts";
import { type LintImage, layerName } from "./image.ts";
import type { Problem } from "./rule.ts";
import type { RootfsReader } from "./tree-digests.ts";

/** A message in whole sentences, and what to do. */
type Cause = Pick<Problem, "message" | "fix">;

/** What always works, whatever the builder does. */
const SEAL_IMAGE = "seal the resulting image instead (seal image), which reads its layers";

/** How to keep a builder from taking the sealing step from its cache. @param builder null: not known */
export function freshStep(builder: Builder | null): string {
  const docker =
    "with Docker and BuildKit, pass --no-cache-filter with the name of the sealing stage (buildctl: --opt no-cache=)";
  const podman =
    "with podman and buildah, pass --no-cache, or give an ARG in the sealing stage a new value each time (podman 5 and newer)";
  const how = { buildkit: docker, buildah: podman, none: `${docker}; ${podman}` }[builder ?? "none"];
  return `${SEAL_IMAGE}; or rebuild it: ${how}.`;
}

/** What to do if the builder leaves directories out of layers when only their mtime changed. */
export const LISTED_DIRECTORIES = `copy the tree into one layer before sealing (FROM scratch, COPY --from=… / /), which lists every directory; or ${SEAL_IMAGE}.`;

/**
 * Why the layers don't give the digest of a UKI; null: nothing shows it.
 * @param path of the UKI
 */
export function digestCause(image: LintImage, path: string): Cause | null {
  const { times } = image.history;
  const sealed = times.findLastIndex(({ ukis }) => ukis.has(path));
  const time = times[sealed]?.ukis.get(path);
  if (time === undefined) return null;
  return (
    rewrittenTimes(image, time) ??
    laterLayer(image, sealed) ??
    staleStep(image, sealed, time) ??
    droppedDirectories(image, sealed)
  );
}

/**
 * Builders that rewrite timestamps also set those of the image and of all steps; otherwise no two steps end in the same
 * fraction of a second.
 */
function rewrittenTimes({ created, steps }: LintImage, time: bigint): Cause | null {
  if (secondsOf(created) !== time || steps.filter((step) => step?.created === created).length < 2) return null;
  return {
    message: `All timestamps that the build wrote are ${whenOf(time)}: the builder rewrote them (--timestamp, --rewrite-timestamp) after the digest was computed.`,
    fix: `build without rewriting timestamps; or ${SEAL_IMAGE}.`,
  };
}

function laterLayer(image: LintImage, sealed: number): Cause | null {
  const above = image.history.times.findIndex(({ some }, layer) => layer > sealed && some !== null);
  const path = image.history.times[above]?.some;
  if (path === undefined || path === null) return null;
  return {
    message: `${capital(layerName(image, above))}${commandOf(image, above)} adds ${path} after the UKI: it was changed after sealing.`,
    fix: "seal again, as the last step: write nothing but /boot after it.",
  };
}

function staleStep(image: LintImage, sealed: number, time: bigint): Cause | null {
  const below = [...image.history.times.slice(0, sealed + 1).entries()];
  const builder = builderOf(image.steps[sealed] ?? null);
  const later = below.find(([, { newest }]) => newest !== null && newest.time > time);
  const built = below.find(
    ([layer]) => (secondsOf(image.steps[layer]?.created ?? null) ?? time) > time && layer < sealed,
  );
  const [layer, what] =
    later !== undefined
      ? [later[0], `has ${later[1].newest?.path} from ${whenOf(later[1].newest?.time ?? 0n)}`]
      : built !== undefined
        ? [built[0], `was created at ${whenOf(secondsOf(image.steps[built[0]]?.created ?? null) ?? 0n)}`]
        : [null, ""];
  if (layer === null) return null;
  return {
    message: `The sealing step came from the builder's cache: the UKI dates from ${whenOf(time)}, but ${layerName(image, layer)} below it ${what}, so it is newer than what was sealed.`,
    fix: freshStep(builder),
  };
}

/** The only cause that remains, if the builder is known to do it. */
function droppedDirectories(image: LintImage, sealed: number): Cause | null {
  if (builderOf(image.steps[sealed] ?? null) !== "buildkit") return null;
  return {
    message:
      "BuildKit built it, which leaves a directory out of a layer when only its mtime changed (a file was added and removed): the sealed mount had that mtime, the layers don't.",
    fix: LISTED_DIRECTORIES,
  };
}

/**
 * Whether the layers hold what was sealed, apart from mtimes, according to a record of the sealing; null: there is none
 * with that digest.
 * @param digest that the UKI requires
 */
export async function recordedDifference(
  { records }: LintImage,
  digest: string,
  rootfsFor: (algorithm: Parameters<RootfsReader>[0]) => Promise<Rootfs>,
): Promise<string | null> {
  const record = records.find(({ digests }) => digests.includes(digest));
  if (record === undefined) return null;
  const now = treeRecord(await rootfsFor(record.algorithm), record.algorithm);
  const newest = `its newest mtime was ${whenOf(record.newest)} and is now ${whenOf(now.newest)}`;
  return now.timeless === record.timeless
    ? `It is the tree that was sealed, with different mtimes: ${newest}.`
    : `It is not the tree that was sealed: that one had ${record.entries} files and directories, this one has ${now.entries}; ${newest}.`;
}

function commandOf({ steps }: LintImage, layer: number): string {
  const command = steps[layer]?.createdBy ?? null;
  if (command === null) return "";
  const line = command.replace(/\s+/g, " ").trim();
  return ` (${line.length > COMMAND_LENGTH ? `${line.slice(0, COMMAND_LENGTH)}…` : line})`;
}

/** Commands are shown to be recognised, and may be whole scripts. */
const COMMAND_LENGTH = 60;

function secondsOf(time: string | null): bigint | null {
  const milliseconds = time === null ? Number.NaN : Date.parse(time);
  return Number.isNaN(milliseconds) ? null : BigInt(Math.floor(milliseconds / 1000));
}

function whenOf(time: bigint): string {
  return `${formatTime({ mtimeSec: time, mtimeNsec: 0 })} UTC`;
}

function capital(text: string): string {
  return text.slice(0, 1).toUpperCase() + text.slice(1);
}
