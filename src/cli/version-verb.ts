/** `seal version`: which seal this is, and what it knows. */
import { z } from "zod";
import { LATEST_RELEASE, SERIES } from "../composefs/releases.ts";
import { defineCommand } from "./command.ts";
import { printJson, printLine } from "./context.ts";
import { optionGroup } from "./options/group.ts";
import { flag } from "./options/option.ts";
import { renderTable } from "./terminal/report.ts";
import { commit, version } from "./version.ts";

/** What `seal version --json` prints. Its shape is stable within a major version. */
export const versionReportSchema = z.strictObject({
  version: z.string(),
  commit: z.string().nullable(),
  node: z.string(),
  platform: z.string(),
  /** The releases that it knows, those that behave alike in one line. */
  bootc: z.strictObject({ latest: z.string(), releases: z.array(z.string()) }),
});

export const versionCommand = defineCommand({
  examples: [
    ["", "the version only, like --version"],
    ["--verbose", "what to include in a bug report: commit, runtime and the known bootc releases"],
  ],
  arguments: {},
  options: optionGroup(null, { json: flag({ help: "print everything as JSON" }) }),
  run: async (context, { json }) => {
    const known = versionReportSchema.parse({
      version: version(),
      commit: commit(),
      node: process.version,
      platform: `${process.platform}-${process.arch}`,
      bootc: { latest: LATEST_RELEASE, releases: SERIES.map(({ name }) => name) },
    });
    if (json) printJson(context, known);
    else if (!context.ui.verbose) printLine(context, known.version);
    else {
      const { bootc, node, platform } = known;
      const rows = [
        ["seal", known.version],
        ["commit", known.commit ?? "not known"],
        ["runtime", `Node ${node}, ${platform}`],
        ["bootc", `${bootc.releases.join(", ")}; latest is ${bootc.latest}`],
      ];
      printLine(context, renderTable(rows, context.process.stdout.columns));
    }
    return 0;
  },
});
