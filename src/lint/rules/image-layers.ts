import { displayBytes } from "../../bytes.ts";
import { composefsDigests } from "../../composefs/digest.ts";
import { shortDigest, someOf } from "../../text.ts";
import { compareTrees } from "../../tree/compare.ts";
import type { Rootfs } from "../../tree/rootfs.ts";
import type { LintContext } from "../context.ts";
import { type LintImage, layerName } from "../image.ts";
import type { LayerPlace } from "../layer-history.ts";
import { checked, notApplicable, type Problem, type Rule } from "../rule.ts";

export const imageLayersRule: Rule = {
  id: "image-layers",
  severity: "error",
  finds: "layers that give another digest than the tree (implied directories, whiteouts)",
  applies: "image",
  check: async (context) => {
    const { image } = context;
    if (image === null) return notApplicable("it is not an image");
    return checked(
      ...impliedProblems(image),
      ...whiteoutProblems(image),
      image.mounted === null ? null : await mountProblem(context, image.mounted),
    );
  },
};

function impliedProblems(image: LintImage): Problem[] {
  return perLayer(image.history.impliedDirectories).map(([layer, first, paths]) => ({
    path: first,
    message: `${layerName(image, layer)} has files below ${someOf(paths)}, but no entry for ${paths.length === 1 ? "that directory" : "these directories"}: container engines make one up, but bootc refuses the image.`,
    fix: "write the layer with an entry for every directory (a RUN step does), or rewrite the whole image with seal image --from dir:.",
  }));
}

function whiteoutProblems(image: LintImage): Problem[] {
  return perLayer(image.history.ownWhiteouts).map(([layer, first, paths]) => ({
    path: first,
    message: `${layerName(image, layer)} has ${someOf(paths)} and, after ${paths.length === 1 ? "it, its whiteout" : "them, their whiteouts"}: container engines show ${paths.length === 1 ? "it" : "them"}, bootc leaves ${paths.length === 1 ? "it" : "them"} out, so the digest of the mounted tree is not that of the layers.`,
    fix: "write that layer with its whiteouts first, or rewrite the whole image with seal image --from dir:.",
  }));
}

/** Layer, its first path, all of its paths. */
function perLayer(places: readonly LayerPlace[]): [number, string, readonly string[]][] {
  const layers = new Map<number, string[]>();
  for (const { layer, path } of places) {
    const paths = layers.get(layer) ?? [];
    paths.push(path);
    layers.set(layer, paths);
  }
  return [...layers].map(([layer, paths]) => [layer, paths[0] ?? "", paths]);
}

/** The mount is read as it is sealed by default, with whole seconds; layers are read as they are. */
async function mountProblem(context: LintContext, mounted: Rootfs): Promise<Problem | null> {
  const { rootfs, seriesList } = context;
  // One that includes nanoseconds shows the most differences.
  const series = seriesList.find(({ erofs }) => erofs !== "v2") ?? seriesList[0];
  const options = { targets: [series], algorithm: "sha512", transform: "boot", xattrs: "allowlist" } as const;
  const [layers] = await composefsDigests(rootfs, { ...options, mtime: "exact" });
  const [mount] = await composefsDigests(mounted, { ...options, mtime: "seconds" });
  if (layers === undefined || mount === undefined || layers.digest === mount.digest) return null;
  const nanoseconds = series.erofs !== "v2";
  const paths = new Map<string, string[]>();
  for (const { path, field } of compareTrees(layers.root, mount.root, { nanoseconds })) {
    const name = displayBytes(path);
    paths.set(name, [...(paths.get(name) ?? []), FIELDS[field] ?? field]);
  }
  const shown = [...paths].map(([path, fields]) => `${path} (${fields.join(", ")})`);
  const [first] = paths.keys();
  return {
    path: first ?? "",
    message: `The layers give ${shortDigest(layers.digest, 8)}, ${mounted.subject} gives ${shortDigest(mount.digest, 8)}: a UKI with the digest of the mount will not boot. ${paths.size === 1 ? "One path differs" : `${paths.size} paths differ`}: ${someOf(shown)}.`,
    fix: "seal the image itself with seal image, which reads the layers; seal diff shows every difference.",
  };
}

/** How a path differs between the layers and the mount. */
const FIELDS: Readonly<Record<string, string>> = { added: "only in the mount", removed: "only in the layers" };
