/** Finds the series of the bootc release that was named. */
import { SealError } from "../errors.ts";
import { LATEST_RELEASE, RELEASE_NOTES, SERIES } from "./releases.ts";
import type { Series } from "./series.ts";

/** A release that was named, and what to report about treating it as a known one. */
export interface NamedRelease {
  readonly series: Series;
  /** Null: it is one of those that are known. */
  readonly note: string | null;
}

/**
 * The series of a bootc release. One that is newer than all known ones is taken for the newest, one between two for the
 * older of them, and the note says so.
 * @param text a release (`1.16.4`, `v1.16.4`), a series whose releases behave alike (`1.15`), `latest`, or
 *   `next`, the newest known
 * @throws SealError `usage` for anything else, with the releases that are known
 */
export function namedRelease(text: string): NamedRelease {
  if (text === "next") {
    return taken(LATEST_RELEASE, `bootc next is not a release: treated as ${LATEST_RELEASE}, the newest one known`);
  }
  const wanted = text === "latest" ? LATEST_RELEASE : text.replace(/^v(?=\d)/, "");
  const matches = SERIES.filter(({ releases }) =>
    releases.some((release) => release === wanted || release.startsWith(`${wanted}.`)),
  );
  const [only] = matches;
  if (only !== undefined && matches.length === 1) return { series: only, note: RELEASE_NOTES[wanted] ?? null };
  if (matches.length > 1 && /^\d+\.\d+$/.test(wanted)) {
    const lines = matches.map(({ name }) => name).join(", ");
    throw new SealError("usage", `bootc ${text}: the releases of that series differ (${lines}); give one release`);
  }
  return unknownRelease(wanted) ?? refuse(text);
}

/** `namedRelease` without its note. */
export function seriesOf(text: string): Series {
  return namedRelease(text).series;
}

function taken(release: string, note: string): NamedRelease {
  const series = SERIES.find(({ releases }) => releases.includes(release));
  if (series === undefined) throw new Error(`${release} is in no line`);
  return { series, note };
}

function unknownRelease(version: string): NamedRelease | null {
  const parts = /^(\d{1,6})\.(\d{1,6})(?:\.(\d{1,6}))?$/.exec(version)?.slice(1);
  if (parts === undefined) return null;
  const known = SERIES.flatMap(({ releases }) => releases).filter((release) => isBefore(release, version));
  const before = known.at(-1);
  // A series without a known release can only mean the newest.
  if (before === undefined || (parts[2] === undefined && before !== LATEST_RELEASE)) return null;
  const which = before === LATEST_RELEASE ? "the newest one" : "the newest earlier one";
  return taken(before, `bootc ${version} is a release unknown to seal: treated as ${before}, ${which} known`);
}

function isBefore(a: string, b: string): boolean {
  const [left, right] = [a, b].map((version) => version.split(".").map(Number));
  for (let index = 0; index < 3; index++) {
    const difference = (left?.[index] ?? 0) - (right?.[index] ?? 0);
    if (difference !== 0) return difference < 0;
  }
  return false;
}

function refuse(text: string): never {
  const lines = SERIES.map(({ name }) => name).join(", ");
  throw new SealError(
    "usage",
    `bootc ${text}: not a known release; known are ${lines} and latest (${LATEST_RELEASE}); newer ones are treated as the latest`,
  );
}
