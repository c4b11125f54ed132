/**
 * Seals a root filesystem: reads it, computes its digest, makes and signs the files of its `/boot`, and judges it for
 * bootc releases.
 */
import type { BootFile } from "../boot/plan.ts";
import type { RootfsSource } from "../io/rootfs-source.ts";
import { inTheWay } from "../lint/boot-entries.ts";
import { bootDefects } from "../lint/image-defects.ts";
import type { PeImage } from "../pe/headers.ts";
import { someOf } from "../text.ts";
import type { Rootfs } from "../tree/rootfs.ts";
import type { RootfsDigests } from "./digest.ts";
import { openNamed } from "./name-digests.ts";
import { checkSealOptions, planOf, type SealOptions, sealTreeWith } from "./options.ts";
import type { Ports } from "./ports.ts";
import { type SealedTree, whenMeasured } from "./tree.ts";
import { treeWarnings } from "./tree-warnings.ts";
import { type Judged, judgeHosts } from "./verdicts.ts";
import { type ViewNote, type ViewOptions, viewNotes } from "./view-notes.ts";

/** How a root filesystem is sealed. */
export interface SealRootfsOptions extends SealOptions {
  /** The digest, if it is known already: 128 or 64 lower-case hex digits. Nothing is hashed then. */
  readonly digest?: string | undefined;
  /** SOURCE_DATE_EPOCH of the build, for {@link RootfsSealing.views}; absent: not set. */
  readonly sourceDate?: Date | null | undefined;
  /** Called with the finished UKI, before it is judged, which keeps this thread busy for a while. */
  readonly onUki?: ((uki: PeImage) => void) | undefined;
}

/** A sealed root filesystem; nothing is written yet. */
export interface RootfsSealing {
  readonly rootfs: Rootfs;
  /** Null: the digest was given, so that nothing was hashed. */
  readonly computed: RootfsDigests | null;
  readonly sealed: SealedTree;
  /** Which bootc releases accept it; null: unknown, as the digest was given. */
  readonly judged: Judged | null;
  /** How layers made from a mount may differ from it (docs/two-views.md). */
  readonly views: readonly ViewNote[];
  /** Of all steps, in order, one line each. */
  readonly warnings: readonly string[];
}

/**
 * Seals a root filesystem.
 * @returns `sealed.plan.files` are the files of its `/boot`
 * @throws SealError as `openNamed` and `sealTreeWith`
 * @example
 * ```ts
 * import { readFile } from "node:fs/promises";
 * import { createSignerFrom, openKeyFile, parseRootfsSource, QUIET, readCertificateFile, sealRootfs } from "seal";
 *
 * const { privateKey } = await openKeyFile(await readFile("db.key"), "db.key", null);
 * const signer = createSignerFrom(privateKey, readCertificateFile(await readFile("db.crt"), "db.crt"), []);
 * const signing = { signer, time: null, now: new Date(), kernel: null };
 * const { sealed } = await sealRootfs(parseRootfsSource("root"), { signing }, { ...QUIET, cwd: process.cwd() });
 * for (const { path } of sealed.plan.files) console.log(path);
 * ```
 */
export async function sealRootfs(
  source: RootfsSource,
  options: SealRootfsOptions,
  ports: Ports,
): Promise<RootfsSealing> {
  checkSealOptions(options);
  const { digest, allowMissingVerity, uki } = options;
  const { onDigest } = options;
  const named = await openNamed(source, { plan: planOf(options), digest, allowMissingVerity, uki, onDigest }, ports);
  const { rootfs, computed, mount } = named;
  const ahead = await sealTreeWith(options, rootfs, named);
  options.onUki?.(ahead.uki);
  const { signing, now, enrolled } = options;
  const tree = await treeWarnings(rootfs, {
    arch: ahead.tree.arch,
    trust: now === undefined ? null : { certificates: signing ? [signing.signer.certificate] : [], now },
    enrolls: Boolean(enrolled),
  });
  const warnings = [...ahead.warnings, ...bootWarnings(rootfs, ahead.plan.files), ...tree];
  if (computed === null) {
    return { rootfs, computed, sealed: await whenMeasured(ahead), judged: null, views: [], warnings };
  }
  const { cmdline, words } = ahead.tree;
  const judged = await judgeHosts(computed, {
    cmdline,
    words,
    uki: ahead.uki,
    defects: bootDefects(rootfs),
    mount,
  });
  const views = await viewNotes(computed.digestedTree, viewOptions(computed, options.sourceDate ?? null));
  return { rootfs, computed, sealed: await whenMeasured(ahead), judged, views, warnings };
}

/** Files in the tree's /boot stay there when the result is copied to it. */
function bootWarnings(rootfs: Rootfs, files: readonly BootFile[]): readonly string[] {
  const paths = inTheWay(
    rootfs,
    files.map(({ path }) => path),
  );
  if (paths.length === 0) return [];
  return [
    `${rootfs.subject}: its /boot has ${someOf(paths)}, which stays next to what is sealed: bootc takes boot entries before UKIs, checks every UKI, and refuses the image. Remove it in the stage that is sealed`,
  ];
}

function viewOptions({ digests, mtime }: RootfsDigests, sourceDate: Date | null): ViewOptions {
  const isStored = digests.some(({ erofs }) => erofs !== "v2");
  return { nanoseconds: !isStored ? "none" : mtime === "exact" ? "counted" : "cut", sourceDate };
}
