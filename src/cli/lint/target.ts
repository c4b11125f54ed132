/** What `seal lint` looks at: a root filesystem or an image, and what is known of it. */
import { namedRelease } from "../../composefs/named-release.ts";
import type { Series, VerityAlgorithm } from "../../composefs/series.ts";
import { SealError } from "../../errors.ts";
import { isImage, type OpenedRootfs, type RootfsSource } from "../../io/rootfs-source.ts";
import { createContext } from "../../lint/context.ts";
import { isLabelledSealed, type LintImage, type RecordOf } from "../../lint/image.ts";
import { LayerHistory } from "../../lint/layer-history.ts";
import type { RootfsReader } from "../../lint/tree-digests.ts";
import { formatBlobDigest } from "../../oci/digest.ts";
import type { TransformRules } from "../../tree/transform.ts";
import type { Context } from "../context.ts";
import { readSbatLevel } from "../options/sbat-level.ts";
import { readCertificates } from "../options/signing.ts";
import { readReport, recordOf, stepsOf } from "../sealing/record.ts";
import { openMachine, readVariable } from "./machine.ts";
import type { TargetOptions } from "./options.ts";
import { scan } from "./scan.ts";

/** What the rules are run over. */
export async function openTarget(context: Context, options: TargetOptions) {
  const certificates = (await Promise.all(options.cert.map((file) => readCertificates(context, file)))).flat();
  const seriesList = seriesFor(context, options.bootc);
  const sbatLevel = await readSbatLevel(context, options.sbatLevel);
  const { rootfs: source, mounted, report } = options;
  if (mounted !== undefined && !isImage(source)) {
    throw new SealError("usage", `--mounted compares an image with a mount of it; ${source.subject} is not an image`);
  }
  if (report !== undefined && !isImage(source)) {
    throw new SealError("usage", `--report describes what an image was made from; ${source.subject} is not an image`);
  }
  const reported = report === undefined ? null : await readReport(context, report);
  const firmware = { db: await readVariable(context, options.db), dbx: await readVariable(context, options.dbx) };
  const now = context.process.now();
  const target = await openForRules(context, source, options, seriesList);
  const described = await describeImage(context, options, target, reported);
  const after = await openMachine(context, options, firmware, seriesList);
  return createContext(target.opened.rootfs, {
    certificates,
    mustBeSealed: options.sealed ?? (certificates.length > 0 || after !== null || isLabelledSealed(described)),
    now,
    seriesList,
    sbatLevel,
    rootfsFor: target.rootfsFor,
    image: described,
    after,
  });
}

/** A root filesystem as rules look at it. */
interface RuleTarget {
  readonly opened: OpenedRootfs;
  readonly rootfsFor: RootfsReader;
  readonly history: LayerHistory;
}

/** Reads a root filesystem, and again only where a rule asks for other digests than its release's. */
async function openForRules(
  context: Context,
  source: RootfsSource,
  options: TargetOptions,
  seriesList: readonly [Series, ...Series[]],
): Promise<RuleTarget> {
  const { platform } = options;
  const image = isImage(source);
  const history = new LayerHistory();
  const { paxOwners } = seriesList[0].rules;
  const first = await scan(context, options, source, { algorithm: "sha512", paxOwners, observer: history, platform });
  // Where the headers of the layers say the same, both readings of them are one.
  const keyOf = (algorithm: VerityAlgorithm, owners: TransformRules["paxOwners"]) =>
    image && first.rootfs.headersDiffer === true ? `${algorithm} ${owners}` : algorithm;
  const trees = new Map([[keyOf("sha512", paxOwners), Promise.resolve(first.rootfs)]]);
  const rootfsFor: RootfsReader = (algorithm, owners) => {
    const key = keyOf(algorithm, owners);
    // Everything that is wrong with the layers has been reported by the first reading.
    const read = () =>
      scan(context, options, source, { algorithm, paxOwners: owners, observer: new LayerHistory(), platform });
    const known = trees.get(key) ?? read().then(({ rootfs }) => rootfs);
    trees.set(key, known);
    return known;
  };
  return { opened: first, rootfsFor, history };
}

/** Those that were named, each once; else the newest. */
function seriesFor(context: Context, [first = "latest", ...others]: readonly string[]): readonly [Series, ...Series[]] {
  const named = (text: string): Series => {
    const { series, note } = namedRelease(text);
    if (note !== null) context.ui.warn(note);
    return series;
  };
  const series = named(first);
  return [series, ...new Set(others.map(named).filter((other) => other !== series))];
}

async function describeImage(
  context: Context,
  options: TargetOptions,
  { opened: { rootfs, image, forms = [] }, history }: RuleTarget,
  reported: RecordOf | null,
): Promise<LintImage | null> {
  if (image === null) return null;
  const { mounted } = options;
  const { config } = image.documents;
  const { created } = config;
  return {
    config: image.config,
    steps: stepsOf(image, rootfs.subject),
    created: typeof created === "string" ? created : null,
    records: [recordOf(image), reported].filter((record) => record !== null),
    layers: image.layers.map(({ file, digest, diffId }, index) => {
      const known = digest ?? diffId;
      return { digest: known === null ? null : formatBlobDigest(known), size: file.size, form: forms[index] ?? null };
    }),
    history,
    mounted: mounted === undefined ? null : (await scan(context, options, mounted, { algorithm: "sha512" })).rootfs,
  };
}
