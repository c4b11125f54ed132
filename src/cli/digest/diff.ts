/** `seal diff A B`: what makes the digests of two root filesystems differ. */
import { displayBytes } from "../../bytes.ts";
import { SealError } from "../../errors.ts";
import type { Layer } from "../../io/oci/layer.ts";
import { parseRootfsSource } from "../../io/rootfs-source.ts";
import { builderOf, layerSteps } from "../../oci/history.ts";
import type { StoredImage } from "../../oci/schemas.ts";
import { digestRootfs } from "../../seal/digest.ts";
import { compareTrees, type Difference } from "../../tree/compare.ts";
import { defineCommand } from "../command.ts";
import { type Context, printJson, printLine } from "../context.ts";
import { digestOptions } from "../options/digest.ts";
import { optionGroup } from "../options/group.ts";
import { checkPage, htmlOptions, writePage } from "../options/html.ts";
import { flag, parsed } from "../options/option.ts";
import { portsOf } from "../ports.ts";
import { renderTable } from "../terminal/report.ts";
import { diffReportSchema } from "./diff-schema.ts";
import { diffVerdict, type ImageSide } from "./diff-verdict.ts";
import { planFrom } from "./plan.ts";

/** So many differences are printed; `--all` prints the others too. */
const SHOWN = 50;
/** Longer values are cut in the table; `--json` has them whole. */
const VALUE_LENGTH = 48;

export const diffCommand = defineCommand({
  examples: [
    ["dir:/target oci:out:latest", "what the build saw compared with the image"],
    ["oci:old:1 oci:new:1 --transform none --all", "all changes between two images"],
    ["erofs:root.erofs dumpfile:root.dump --transform none", "two metadata-only trees, untransformed"],
  ],
  arguments: {
    a: parsed(parseRootfsSource, {
      required: "give a root filesystem",
      help: "root filesystem, as for compute-digest",
    }),
    b: parsed(parseRootfsSource, {
      required: "give a root filesystem",
      help: "the root filesystem to compare it with",
    }),
  },
  options: digestOptions.and(
    optionGroup("Output", {
      all: flag({ help: `print all differences, not only the first ${SHOWN}` }),
      json: flag({ help: "print digests and all differences as JSON" }),
    }).and(htmlOptions),
  ),
  run: async (context, options) => {
    const plan = planFrom(context, options);
    const [target, second] = plan.targets;
    if (second !== undefined) {
      throw new SealError("usage", "diff compares one digest; give one --erofs and one --bootc only");
    }
    await checkPage(context, options);
    const inA = await digestRootfs(options.a, plan, portsOf(context, options), { needs: "digest" });
    const inB = await digestRootfs(options.b, plan, portsOf(context, options), { needs: "digest" });
    const [a] = inA.digests;
    const [b] = inB.digests;
    if (a === undefined || b === undefined) throw new Error("a digest is missing");
    const differences = [...compareTrees(a.root, b.root, { nanoseconds: target.erofs !== "v2" })];
    const equal = differences.length === 0 && a.digest === b.digest;
    const verdict = () => diffVerdict(differences, [inA.mtime, inB.mtime], imageSide(inA.image, inB.image));
    const report = () =>
      diffReportSchema.parse({
        equal,
        digests: [a.digest, b.digest],
        differences: differences.map(({ path, ...one }) => ({
          path: displayBytes(path),
          field: one.field,
          a: one.a,
          b: one.b,
        })),
      });
    await writePage(context, options, async () => {
      const { differencesPage } = await import("../html/differences.ts");
      return [differencesPage([options.a.subject, options.b.subject], report(), equal ? [] : verdict())];
    });
    if (options.json) {
      printJson(context, report());
      return equal ? 0 : 1;
    }
    const shown = options.all ? differences : differences.slice(0, SHOWN);
    if (shown.length > 0) {
      printLine(context, renderTable(shown.map(tableRow), context.process.stdout.columns, painter(context, shown)));
    }
    if (shown.length < differences.length) {
      printLine(context, `… and ${differences.length - shown.length} more differences; --all prints them`);
    }
    for (const line of equal ? [`The same: ${a.digest}`] : verdict()) printLine(context, line);
    return equal ? 0 : 1;
  },
});

/** Null: neither is an image, or both are. */
function imageSide(a: StoredImage<Layer> | null, b: StoredImage<Layer> | null): ImageSide | null {
  const image = a ?? b;
  if (image === null || (a !== null && b !== null)) return null;
  const { documents, layers } = image;
  const steps = layerSteps(documents.config, layers.length, "its configuration");
  const builders = steps.map(builderOf);
  return { side: a === null ? "b" : "a", builder: builders.findLast((one) => one !== null) ?? null };
}

/** Paths stand out; what came, went or changed has a colour, as in other diffs. */
function painter({ ui: { out } }: Context, differences: readonly Difference[]) {
  return (cell: string, row: number, column: number): string => {
    if (column === 0) return out.bold(cell);
    switch (differences[row]?.field) {
      case "added":
        return out.green(cell);
      case "removed":
        return out.red(cell);
      default:
        return column === 1 ? out.yellow(cell) : cell;
    }
  };
}

function tableRow({ path, field, a, b }: Difference): string[] {
  const change =
    field === "added" ? (b ?? "") : field === "removed" ? (a ?? "") : `${shortened(a)}  →  ${shortened(b)}`;
  return [displayBytes(path), field, change];
}

function shortened(text: string | null): string {
  if (text === null) return "(none)";
  return text.length <= VALUE_LENGTH ? text : `${text.slice(0, VALUE_LENGTH - 1)}…`;
}
