import { contentSize, type RegularFile } from "../../tree/node.ts";
import { type Rootfs, readNode } from "../../tree/rootfs.ts";
import { displayPath, type Place, walk } from "../files.ts";
import { type LintImage, layerName } from "../image.ts";
import { visibleContents } from "../layer-history.ts";
import { keyKind, mayBeKey } from "../private-keys.ts";
import { checked, type Problem, type Rule } from "../rule.ts";

const FIX =
  "remove it in the step that makes it (a later layer only hides it), and treat it as leaked: make a new one. Give keys to a build as secrets (RUN --mount=type=secret).";

export const secretsRule: Rule = {
  id: "secrets",
  severity: "error",
  finds: "a private key in the tree, or in any layer of an image",
  applies: "any",
  check: async ({ rootfs, image }) =>
    checked(...(image === null ? await keysInTree(rootfs) : keysInLayers(rootfs, image))),
};

/** Layers were searched while they were read, so files that a later layer hides are found too. */
function keysInLayers(rootfs: Rootfs, image: LintImage): Problem[] {
  const { secrets } = image.history;
  const contents = secrets.map(({ content }) => content);
  const visible = visibleContents(rootfs.root, contents);
  return secrets.map(({ layer, path, kind, content }) => {
    const where = layerName(image, layer);
    const place = visible.has(content) ? `in ${where}` : `in ${where}, though a later one hides it`;
    return {
      path,
      message: `It holds ${kind}, ${place}: everyone who gets the image has it, and all machines share it.`,
      fix: FIX,
    };
  });
}

async function keysInTree(rootfs: Rootfs): Promise<Problem[]> {
  const problems: Problem[] = [];
  for (const place of candidates(rootfs)) {
    const kind = keyKind(await readNode(rootfs, place.components, place.node));
    if (kind === null) continue;
    problems.push({
      path: displayPath(place.components),
      message: `It holds ${kind}: everyone who gets the image has it, and all machines share it.`,
      fix: FIX,
    });
  }
  return problems;
}

interface FilePlace extends Place {
  readonly node: RegularFile;
}

function* candidates(rootfs: Rootfs): Generator<FilePlace> {
  const seen = new Set<RegularFile>();
  for (const { components, node } of walk(rootfs, "")) {
    if (node.kind !== "regular" || seen.has(node) || !mayBeKey(components, contentSize(node))) continue;
    seen.add(node);
    yield { components, node };
  }
}
