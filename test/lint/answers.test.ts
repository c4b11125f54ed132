/** Whether the next image starts, and whether there is a way back, from what rules found. */
import { describe, expect, it } from "vitest";
import { answersOf } from "../../src/lint/answers.ts";
import type { Answer } from "../../src/lint/rule.ts";
import { RULES } from "../../src/lint/rules/index.ts";
import { lintContext, UNSEALED } from "../support/lint.ts";

const AFTER = { subject: "oci:a", runs: lintContext(UNSEALED), db: null, dbx: null, seriesList: null };
const ALL = RULES.map(({ id }) => id);
const finding = (id: string, answer?: Answer, severity: "error" | "warning" = "error") => ({
  id,
  severity,
  ...(answer === undefined ? {} : { answer }),
});

const answers = (...findings: ReturnType<typeof finding>[]) =>
  answersOf({ after: AFTER }, { findings, passed: ALL, couldNotRun: [] });
const YES = { ok: true, rules: [] };

describe("answersOf", () => {
  it("says nothing where nobody asks, and yes where nothing was found", () => {
    expect(answersOf({ after: null }, { findings: [], passed: ALL, couldNotRun: [] })).toBeNull();
    expect(answers()).toEqual({ image: "oci:a", starts: YES, back: YES });
    expect(answers(finding("after-keys", undefined, "warning"), finding("secrets"))).toMatchObject({
      starts: YES,
      back: YES,
    });
  });

  it("says no by the rules that say so, and leaves out those that are in doubt", () => {
    const no = finding("after-signature", { question: "starts", ok: false });
    const doubt = finding("after-release", { question: "starts", ok: null });
    expect(answers(doubt, no, no)).toMatchObject({ starts: { ok: false, rules: ["after-signature"] }, back: YES });
    expect(answers(doubt)).toMatchObject({ starts: { ok: null, rules: ["after-release"] }, back: YES });
    expect(answers(finding("after-sbat", { question: "back", ok: null }))).toMatchObject({
      starts: YES,
      back: { ok: null, rules: ["after-sbat"] },
    });
  });

  it("is in doubt of an image that starts nowhere", () => {
    expect(answers(finding("uki-digest"))).toMatchObject({ starts: { ok: null, rules: ["uki-digest"] }, back: YES });
    expect(answers(finding("uki-digest", undefined, "warning"))).toMatchObject({ starts: YES });
  });

  it("is in doubt where a rule did not look: left out, not applicable, or not able to", () => {
    const found = { findings: [], passed: ALL.filter((id) => id !== "after-rollback"), couldNotRun: [] };
    expect(answersOf({ after: AFTER }, found)).toMatchObject({
      starts: YES,
      back: { ok: null, rules: ["after-rollback"] },
    });
    for (const id of ["uki-initramfs", "after-sbat", "after-signature"]) {
      const passed = ALL.filter((one) => one !== id);
      expect(answersOf({ after: AFTER }, { findings: [], passed, couldNotRun: [{ id }] })).toMatchObject({
        starts: { ok: null, rules: [id] },
      });
    }
  });

  it("asks rules that there are", () => {
    const nothing = answersOf({ after: AFTER }, { findings: [], passed: [], couldNotRun: [] });
    for (const id of [...(nothing?.starts.rules ?? []), ...(nothing?.back.rules ?? [])]) expect(ALL).toContain(id);
  });
});
