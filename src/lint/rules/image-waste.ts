import { KERNEL_FILE } from "../../boot/kernel.ts";
import { someOf } from "../../text.ts";
import type { HiddenFile } from "../../tree/layer-observer.ts";
import { formatMebibytes } from "../files.ts";
import { type LintImage, layerName } from "../image.ts";
import { visibleContents } from "../layer-history.ts";
import { checked, notApplicable, type Problem, type Rule } from "../rule.ts";

/** Every image has a total of less than this: package databases and caches that each layer rewrites. */
const WORTH_A_WARNING = 1 << 20;

export const imageWasteRule: Rule = {
  id: "image-waste",
  severity: "warning",
  finds: "files that later layers hide, the raw kernel among them",
  applies: "image",
  check: ({ image, rootfs }) => {
    if (image === null) return notApplicable("it is not an image");
    const { hiddenFiles } = image.history;
    const contents = hiddenFiles.map(({ content }) => content);
    const visible = visibleContents(rootfs.root, contents);
    const hidden = new Map(
      hiddenFiles.filter(({ content }) => !visible.has(content)).map((file) => [file.content, file]),
    );
    const files = [...hidden.values()].filter(({ content }) => sizeOf(content) > 0);
    return checked(
      ...files.filter(({ path }) => KERNEL_FILE.test(path)).map((file) => rawKernel(file, image)),
      waste(files, image),
    );
  },
};

/** In bytes. */
function sizeOf(content: HiddenFile["content"]): number {
  return content.kind === "inline" ? content.bytes.length : Number(content.size);
}

function rawKernel({ layer, hiddenBy, path, content }: HiddenFile, image: LintImage): Problem {
  return {
    path,
    message: `It is still in ${layerName(image, layer)} (${sizeOf(content)} bytes), though layer ${hiddenBy + 1} hides it: every pull transfers it for nothing.`,
    fix: "split it off in the stage before the final image (seal split-kernel), so that no layer of the final one has it, or rewrite the image with seal image --from dir:.",
  };
}

function waste(files: readonly HiddenFile[], image: LintImage): Problem | null {
  const sorted = files.toSorted((a, b) => sizeOf(b.content) - sizeOf(a.content) || (a.path < b.path ? -1 : 1));
  const [largest] = sorted;
  // Files of the kernel have findings of their own.
  if (largest === undefined || files.every(({ path }) => KERNEL_FILE.test(path))) return null;
  const total = files.reduce((sum, { content }) => sum + sizeOf(content), 0);
  const names = sorted.map(({ path, content, layer }) => `${path} (${sizeOf(content)} bytes in layer ${layer + 1})`);
  return {
    path: largest.path,
    ...(total < WORTH_A_WARNING ? { severity: "info" } : {}),
    message: `${files.length === 1 ? "One file is" : `${files.length} files are`} in a layer and hidden by a later one, ${total} bytes unpacked (${formatMebibytes(total)}) of ${image.layers.length} layers: ${someOf(names)}. Every pull transfers and every machine stores them for nothing.`,
    fix: "remove them in the step that makes them, or rewrite the image with seal image --from dir:.",
  };
}
