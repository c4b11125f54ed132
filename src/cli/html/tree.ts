/** `seal inspect` of an EROFS image or a dump file. */
import type { TreeReport } from "../inspect/tree-report.ts";
import { formatBytes, formatCount } from "../terminal/report.ts";
import { code, facts, type Page } from "./parts.ts";

export function treePage({ file, type, size, image, digests, counts, contentBytes }: TreeReport): Page {
  return {
    subject: file,
    kind: type === "erofs" ? "EROFS image" : "Dump file",
    verdict: { mark: "good", text: `${formatBytes(size)} · contents ${formatBytes(contentBytes)}` },
    sections: [
      {
        title: "Digests",
        body: facts(digests.map(({ erofs, algorithm, digest }) => [`${erofs} ${algorithm}`, code(digest)])),
      },
      {
        title: "Holds",
        body: facts([
          ...(image === null
            ? []
            : [
                ["Format", `EROFS ${image.erofs}`] as const,
                ["Inodes", formatCount(image.inodes)] as const,
                ["Build time", image.buildTime] as const,
              ]),
          ...Object.entries(counts).map(([name, count]) => [name, formatCount(count)] as const),
        ]),
      },
    ],
  };
}
