/**
 * A lint report as SARIF (Static Analysis Results Interchange Format 2.1.0, OASIS), which code hosts show with the
 * code. Paths are relative to the root filesystem, `%ROOTFS%`.
 */
import type { Rule, Severity } from "./rule.ts";
import type { LintReport } from "./run.ts";

const SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json";
const LEVELS: Readonly<Record<Severity, string>> = { error: "error", warning: "warning", info: "note" };

/** What was linted, with the result. */
export interface SarifReport {
  readonly report: LintReport;
  /** Distinguishes the runs of several root filesystems, `linux/arm64`; absent: there is one. */
  readonly name?: string | undefined;
}

/**
 * The report in SARIF 2.1.0.
 * @param rules all rules of the run, for their descriptions
 * @param version of seal
 */
export function toSarif(report: LintReport, rules: readonly Rule[], version: string): unknown {
  return toSarifRuns([{ report }], rules, version);
}

/**
 * @param reports each becomes a run
 * @param rules all rules of a run, for their descriptions
 * @param version of seal
 */
export function toSarifRuns(reports: readonly SarifReport[], rules: readonly Rule[], version: string): unknown {
  const driver = {
    name: "seal",
    version,
    rules: rules.map(({ id, severity, finds }) => ({
      id,
      shortDescription: { text: finds },
      defaultConfiguration: { level: LEVELS[severity] },
    })),
  };
  return {
    $schema: SCHEMA,
    version: "2.1.0",
    runs: reports.map((one) => ({ tool: { driver }, ...runOf(one, rules) })),
  };
}

function runOf({ report, name }: SarifReport, rules: readonly Rule[]): object {
  return {
    // Code hosts merge two runs of one tool unless these differ (section 3.17).
    ...(name === undefined ? {} : { automationDetails: { id: `seal/${name}/` } }),
    invocations: [
      {
        // A rule that could not run says nothing about the tree.
        executionSuccessful: true,
        toolExecutionNotifications: report.couldNotRun.map(({ id, reason }) => ({
          level: "warning",
          message: { text: reason },
          associatedRule: { id },
        })),
      },
    ],
    results: report.findings.map(({ id, severity, path, message, fix }) => ({
      ruleId: id,
      ruleIndex: rules.findIndex((rule) => rule.id === id),
      level: LEVELS[severity],
      message: { text: fix === "" ? message : `${message} Fix: ${fix}` },
      locations: [
        {
          physicalLocation: { artifactLocation: { uri: encodePath(path), uriBaseId: "%ROOTFS%" } },
        },
      ],
    })),
  };
}

/** A path as a relative URI reference (RFC 3986): everything but unreserved characters and slashes is escaped. */
function encodePath(path: string): string {
  return path.split("/").map(encodeURIComponent).join("/");
}
