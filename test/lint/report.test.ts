import { describe, expect, it } from "vitest";
import { z } from "zod";
import { findComposefsWords } from "../../src/boot/cmdline.ts";
import { hostVerdicts } from "../../src/boot/hosts.ts";
import { SERIES } from "../../src/composefs/releases.ts";
import { toJson } from "../../src/lint/report-json.ts";
import { toJunit } from "../../src/lint/report-junit.ts";
import { toSarif } from "../../src/lint/report-sarif.ts";
import { toText } from "../../src/lint/report-text.ts";
import { RULES } from "../../src/lint/rules/index.ts";
import type { LintReport } from "../../src/lint/run.ts";

const REPORT: LintReport = {
  findings: [
    { id: "uki-digest", severity: "error", path: "boot/EFI/Linux/a b.efi", message: "Wrong.", fix: "seal again." },
    { id: "bootloader-signature", severity: "warning", path: "x", message: "Two\nlines.", fix: "y." },
  ],
  passed: ["kernel"],
  notApplicable: [{ id: "bootupd", reason: "the tree is not sealed" }],
  couldNotRun: [{ id: "secrets", reason: "x: permission denied" }],
  hosts: [],
  after: null,
};
const HOSTS = hostVerdicts(
  {
    words: findComposefsWords(`composefs=${"1".repeat(128)}`),
    mount: { kind: "unknown", why: "its initramfs can't be read" },
    defects: [],
  },
  SERIES.map((series) => {
    const digest = (series.erofs === "v1" ? "1" : "2").repeat(128);
    return { kind: "computes", series, digest, finds: [{ erofs: series.erofs, digest }] };
  }),
);
const plain = { error: same, warning: same, info: same, dim: same, bold: same, good: same };
function same(text: string): string {
  return text;
}

/** What SARIF 2.1.0 demands of the parts that are used. */
const sarif = z.strictObject({
  $schema: z.url(),
  version: z.literal("2.1.0"),
  runs: z.tuple([
    z.strictObject({
      tool: z.strictObject({
        driver: z.strictObject({
          name: z.string(),
          version: z.string(),
          rules: z.array(
            z.strictObject({
              id: z.string(),
              shortDescription: z.strictObject({ text: z.string().min(1) }),
              defaultConfiguration: z.strictObject({ level: z.enum(["none", "note", "warning", "error"]) }),
            }),
          ),
        }),
      }),
      invocations: z.array(
        z.strictObject({
          executionSuccessful: z.boolean(),
          toolExecutionNotifications: z.array(
            z.strictObject({
              level: z.enum(["none", "note", "warning", "error"]),
              message: z.strictObject({ text: z.string() }),
              associatedRule: z.strictObject({ id: z.string() }),
            }),
          ),
        }),
      ),
      results: z.array(
        z.strictObject({
          ruleId: z.string(),
          ruleIndex: z.int().min(0),
          level: z.enum(["none", "note", "warning", "error"]),
          message: z.strictObject({ text: z.string() }),
          locations: z.array(
            z.strictObject({
              physicalLocation: z.strictObject({
                artifactLocation: z.strictObject({
                  uri: z.string().regex(/^[\w\-.~%/!'()*]+$/),
                  uriBaseId: z.string(),
                }),
              }),
            }),
          ),
        }),
      ),
    }),
  ]),
});

describe("lint reports", () => {
  it("are aligned text, with the sums in the last line", () => {
    expect(toText(REPORT, plain, null)).toBe(
      [
        "error    uki-digest            boot/EFI/Linux/a b.efi",
        "         Wrong.",
        "         Fix: seal again.",
        "",
        "warning  bootloader-signature  x",
        "         Two lines.",
        "         Fix: y.",
        "",
        "not run  secrets",
        "         x: permission denied",
        "",
        "2 findings (1 error, 1 warning) · 1 rule passed · 1 not applicable · 1 could not run",
      ].join("\n"),
    );
    expect(
      toText(
        { findings: [], passed: ["a", "b"], notApplicable: [], couldNotRun: [], hosts: [], after: null },
        plain,
        null,
      ),
    ).toBe("no findings · 2 rules passed");
  });

  it("break long lines between words on a terminal", () => {
    const message = "word ".repeat(20).trim();
    const report = {
      ...REPORT,
      findings: [{ ...REPORT.findings[0], id: "x", severity: "info", path: "p", message, fix: "f." }],
    } as const;
    const lines = toText(report, plain, 60).split("\n");
    expect(lines.slice(1, 4)).toEqual([
      `         ${"word ".repeat(10).trim()}`,
      `         ${"word ".repeat(10).trim()}`,
      "         Fix: f.",
    ]);
  });

  it("mark the severity, the rule, the path and the sums", () => {
    const paint = {
      ...plain,
      error: (text: string) => `<${text}>`,
      bold: (text: string) => `*${text}*`,
      good: (text: string) => `+${text}+`,
    };
    const marked = toText(REPORT, paint, null).split("\n");
    expect(marked[0]).toBe("<error    >*uki-digest*            *boot/EFI/Linux/a b.efi*");
    expect(marked.at(-1)).toMatch(/^\*2 findings\* \(<1 error>, 1 warning\) · /);
    expect(toText({ ...REPORT, findings: [] }, paint, null)).toMatch(/\n\n\+no findings\+ · /);
  });

  it("fit into narrow terminals, a long path in a line of its own", () => {
    const lines = toText(REPORT, plain, 40).split("\n");
    expect(lines.slice(0, 4)).toEqual([
      "error    uki-digest",
      "  boot/EFI/Linux/a b.efi",
      "  Wrong.",
      "  Fix: seal again.",
    ]);
  });

  it("are JUnit's cases, which fail as the check does", () => {
    const lines = (fatal: boolean) => toJunit([{ report: REPORT }], fatal).split("\n");
    expect(lines(false)).toEqual([
      '<?xml version="1.0" encoding="UTF-8"?>',
      '<testsuites name="seal lint">',
      '  <testsuite name="seal lint" tests="5" failures="1" errors="0" skipped="2">',
      '    <testcase classname="seal.uki-digest" name="uki-digest: boot/EFI/Linux/a b.efi">',
      '      <failure type="error" message="Wrong.">error: boot/EFI/Linux/a b.efi&#10;Wrong.&#10;Fix: seal again.</failure>',
      "    </testcase>",
      '    <testcase classname="seal.bootloader-signature" name="bootloader-signature: x">',
      "      <system-out>warning: x&#10;Two&#10;lines.&#10;Fix: y.</system-out>",
      "    </testcase>",
      '    <testcase classname="seal.kernel" name="kernel"/>',
      '    <testcase classname="seal.secrets" name="secrets">',
      '      <skipped message="x: permission denied"/>',
      "    </testcase>",
      '    <testcase classname="seal.bootupd" name="bootupd">',
      '      <skipped message="the tree is not sealed"/>',
      "    </testcase>",
      "  </testsuite>",
      "</testsuites>",
    ]);
    expect(lines(true)[2]).toContain('failures="2"');
    expect(
      toJunit(
        [
          { report: REPORT, name: "a" },
          { report: REPORT, name: "b" },
        ],
        false,
      ).match(/<testsuite /g),
    ).toHaveLength(2);
  });

  it("say who accepts each UKI, for people and for programs", () => {
    const report = { ...REPORT, hosts: [{ path: "boot/EFI/Linux/a.efi", verdicts: HOSTS }] };
    expect(toText(report, plain, null)).toMatch(
      /^hosts {4}boot\/EFI\/Linux\/a\.efi\n {9}Accepted by bootc 1\.16\.4–[\d.]+\.\n {9}Not by 1\.14\.0–1\.16\.3: .*\.\n\n2 findings/m,
    );
    const { hosts } = toJson(report) as { hosts: { path: string; verdicts: unknown[] }[] };
    expect(hosts[0]?.path).toBe("boot/EFI/Linux/a.efi");
    expect(hosts[0]?.verdicts).toHaveLength(SERIES.length);
    expect(hosts[0]?.verdicts.at(-1)).toEqual({
      releases: SERIES.at(-1)?.name,
      accepts: { ok: true, reasons: [] },
      installs: { ok: true, reasons: [] },
      boots: { ok: true, reasons: [] },
      enforces: { ok: null, reasons: ["not checked: its initramfs can't be read"] },
      ...{ reason: null, why: null, expected: "1".repeat(128), option: null },
    });
  });

  it("are JSON with findings and passed rules", () => {
    expect(toJson(REPORT)).toEqual({ ...REPORT });
    expect(JSON.stringify(toJson(REPORT))).toMatch(/^\{"findings":\[\{"id":"uki-digest","severity":"error","path":/);
  });

  it("are SARIF 2.1.0", () => {
    const [run] = sarif.parse(toSarif(REPORT, RULES, "1.2.3")).runs;
    expect(run.tool.driver).toMatchObject({ name: "seal", version: "1.2.3" });
    expect(run.tool.driver.rules).toHaveLength(RULES.length);
    for (const [index, result] of run.results.entries()) {
      expect(run.tool.driver.rules[result.ruleIndex]?.id).toBe(REPORT.findings[index]?.id);
    }
    expect(run.results[0]?.locations[0]?.physicalLocation.artifactLocation.uri).toBe("boot/EFI/Linux/a%20b.efi");
    expect(run.invocations[0]?.toolExecutionNotifications[0]?.associatedRule.id).toBe("secrets");
  });
});
