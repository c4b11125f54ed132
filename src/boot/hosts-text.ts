/** Verdicts on a sealed image for people and for programs. */

import { SERIES } from "../composefs/releases.ts";
import type { Series } from "../composefs/series.ts";
import { type HostVerdict, type ReasonId, STEPS, type Step, type StepName } from "./hosts.ts";

/** Series in words: `1.14.0–1.15.2, 1.16.4–1.17.5`. Neighbours are joined. */
export function joinSeries(seriesList: readonly Series[]): string {
  const runs: Series[][] = [];
  for (const [index, series] of SERIES.entries()) {
    if (!seriesList.some(({ name }) => name === series.name)) continue;
    const run = runs.at(-1);
    if (run !== undefined && run.at(-1) === SERIES[index - 1]) run.push(series);
    else runs.push([series]);
  }
  return runs.map(rangeOf).join(", ");
}

function rangeOf(run: readonly Series[]): string {
  const first = run[0]?.releases[0] ?? "";
  const last = run.at(-1)?.releases.at(-1) ?? "";
  return first === last ? first : `${first}–${last}`;
}

/** The verdicts in one sentence each: who accepts, then who does not and why. */
export function describeVerdicts(verdicts: readonly HostVerdict[]): string[] {
  const groups = new Map<string, HostVerdict[]>();
  for (const verdict of [...verdicts.filter(isAccepting), ...verdicts.filter((one) => !isAccepting(one))]) {
    const key = JSON.stringify([verdict.kind, textOf(verdict)]);
    groups.set(key, [...(groups.get(key) ?? []), verdict]);
  }
  const lines = [...groups.values()].map((group) => {
    const [first] = group as [HostVerdict];
    const releases = joinSeries(group.map(({ series }) => series));
    const text = textOf(first);
    if (first.kind === "accepts") return `bootc ${releases}${text === "" ? "" : `, ${text}`}`;
    if (first.kind === "unknown") return `not known for ${releases}: ${text}`;
    const option = optionFor(first);
    return `not by ${releases}: ${text}${option === null ? "" : ` (seal with ${option})`}`;
  });
  return verdicts.some(isAccepting) ? lines : ["no bootc release", ...lines];
}

function isAccepting({ kind }: HostVerdict): boolean {
  return kind === "accepts";
}

/** Whether the image is accepted, whatever protects it afterwards. */
const TAKING = ["accepts", "installs", "boots"] as const;

/** All reasons why it fails, or further conditions. */
function textOf(verdict: HostVerdict): string {
  const steps = TAKING.map((name) => verdict[name]).filter(({ ok }) => verdict.kind !== "refuses" || ok === false);
  return [...new Set(steps.flatMap(({ reasons }) => reasons.map(({ text }) => text)))].join("; ");
}

/** What releases do about fs-verity if it is not always enforced; the same for all series of one image. */
export function describeEnforcement([first]: readonly HostVerdict[]): readonly string[] {
  return first === undefined ? [] : first.enforces.reasons.map(({ text }) => text);
}

/** A step as reports for programs have it. */
export interface StepReport {
  readonly ok: boolean | null;
  readonly reasons: readonly string[];
}

/** A verdict as reports for programs have it. */
export interface HostReport extends Readonly<Record<StepName, StepReport>> {
  /** The series of releases: `1.16.7–1.16.10`. */
  readonly releases: string;
  /** The first reason why not. */
  readonly reason: ReasonId | null;
  /** All reasons in words, or further conditions. */
  readonly why: string | null;
  /** The digest that it computes, of SHA-512. */
  readonly expected: string | null;
  /** With which option it would accept. */
  readonly option: string | null;
}

export function reportVerdicts(verdicts: readonly HostVerdict[]): HostReport[] {
  return verdicts.map((verdict) => {
    const { accepts, installs, boots, enforces } = verdict;
    const why = textOf(verdict);
    return {
      releases: verdict.series.name,
      accepts: reportStep(accepts),
      installs: reportStep(installs),
      boots: reportStep(boots),
      enforces: reportStep(enforces),
      reason: verdict.refusal?.id ?? null,
      why: why === "" ? null : why,
      expected: verdict.expected,
      option: optionFor(verdict),
    };
  });
}

function reportStep({ ok, reasons }: Step): StepReport {
  return { ok, reasons: reasons.map(({ text }) => text) };
}

/** The reasons that another digest would remove. */
const CURED: readonly ReasonId[] = ["digest", "unfound", "order", "no-digest", "malformed", "duplicate", "initramfs"];

/** With which options sealing again would make a release accept; null: with none. */
export function optionFor(verdict: HostVerdict): string | null {
  const failing = STEPS.filter((name) => name !== "enforces" && verdict[name].ok === false);
  const reasons = failing.flatMap((name) => verdict[name].reasons);
  const isCurable = reasons.every(({ id }) => id === "layers" || CURED.includes(id));
  if (reasons.length === 0 || !isCurable) return null;
  return [
    ...(reasons.some(({ id }) => id !== "layers") ? [`--bootc ${verdict.series.releases.at(-1)}`] : []),
    ...(reasons.some(({ id }) => id === "layers") ? ["--recompress"] : []),
  ].join(" ");
}
