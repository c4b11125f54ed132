/** JUnit reports by a parser of XML of others: whatever files are called, they are documents, and names are text. */
import { spawnSync } from "node:child_process";
import fc from "fast-check";
import { expect, it } from "vitest";
import { toJunit } from "../../src/lint/report-junit.ts";
import type { LintReport } from "../../src/lint/run.ts";
import { describeWith, findPeer, runPeer } from "../support/peers.ts";

function xmllint(xml: string, ...args: readonly string[]) {
  const { status, stdout, stderr } = spawnSync(findPeer("xmllint") ?? "", [...args, "-"], {
    input: xml,
    encoding: "utf8",
  });
  return { status, stdout: stdout.replace(/\n$/, ""), stderr };
}

function reportOf(paths: readonly string[]): LintReport {
  const findings = paths.map((path) => ({ id: "utf8", severity: "error", path, message: path, fix: path }) as const);
  const reason = paths.join();
  return { findings, passed: ["a"], notApplicable: [{ id: "b", reason }], couldNotRun: [], hosts: [], after: null };
}

const hostile = [
  "]]><failure/><!--",
  "a\"b'c<d>&amp;&#0;",
  "\x1b[31m\0\x7f\x85\ufffe\uffff",
  "\ud800 \udfff",
  "😀 日本\u2028",
  "a\r\nb\tc",
];
const random = fc.sample(fc.string({ unit: "binary", maxLength: 20 }), { numRuns: 200, seed: 1 });

describeWith(["xmllint"], "seal lint --format junit", () => {
  it("is XML, whatever is in the names of files", () => {
    const xml = toJunit([{ report: reportOf([...hostile, ...random]), name: hostile.join(" ") }], false);
    expect(xmllint(xml, "--noout")).toEqual({ status: 0, stdout: "", stderr: "" });
    expect(xmllint(xml, "--xpath", "count(//testcase)").stdout).toBe(String(hostile.length + random.length + 2));
    expect(xmllint(xml, "--xpath", "count(//failure)").stdout).toBe(String(hostile.length + random.length));
    expect(xmllint(xml, "--xpath", "string((//testcase/@name)[1])").stdout).toBe(`utf8: ${hostile[0]}`);
    expect(xmllint(xml, "--xpath", "string((//testcase/@name)[5])").stdout).toBe(`utf8: ${hostile[4]}`);
  });
});

describeWith(["junit-validate"], "the schema of Jenkins' xUnit plugin", () => {
  const validate = (xml: string) => runPeer("junit-validate", ["-"], { input: Buffer.from(xml) });

  it.each([false, true])(
    "takes reports with every outcome, whatever is in the names of files (warnings fail: %s)",
    (fatal) => {
      const paths = [...hostile, ...random];
      const report = reportOf(paths);
      const findings = (["error", "warning", "info"] as const).flatMap((severity) =>
        report.findings.map((finding) => ({ ...finding, severity })),
      );
      const couldNotRun = paths.map((reason) => ({ id: "c", reason }));
      const xml = toJunit(
        [{ report: { ...report, findings, couldNotRun }, name: paths.join(" ") }, { report: reportOf([]) }],
        fatal,
      );
      expect(validate(xml)).toMatchObject({ status: 0, stderr: "- validates\n" });
      expect(validate(xml.replace("<testcase ", "<test ").replace("</testcase>", "</test>")).status).not.toBe(0);
      expect(validate(xml.replace(/ failures="\d+"/, "")).stderr).toContain("failures");
    },
  );
});
