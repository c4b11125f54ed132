import { describe, expect, it } from "vitest";
import { namedRelease, seriesOf } from "../../src/composefs/named-release.ts";
import { LATEST_RELEASE, SERIES } from "../../src/composefs/releases.ts";
import { FACTS } from "../../src/composefs/series.ts";
import { SealError } from "../../src/errors.ts";

/** The next patch release of the newest one. */
const AFTER_LATEST = LATEST_RELEASE.replace(/\d+$/, (patch) => String(Number(patch) + 1));

describe("seriesList of bootc releases", () => {
  it.each([
    ["1.14.0", "2203e8f", "v2"],
    ["1.15.2", "2203e8f", "v2"],
    ["1.16.2", "e277075", "v2"],
    ["1.16.3", "679a342", "v2"],
    ["1.16.4", "a29622c", "v1"],
    ["1.16.6", "0a819c3", "v1"],
    ["1.16.9", "0fbc853", "v1"],
    ["v1.16.9", "0fbc853", "v1"],
    ["1.16.10", "0fbc853", "v1"],
    ["1.16.11", "0.9.0", "v1"],
    ["1.17.2", "≤ 0.9.2", "v1"],
    ["1.17.5", "≥ 0.9.3", "v1"],
  ])("%s is composefs-rs %s and %s", (version, composefs, erofs) => {
    expect(seriesOf(version)).toMatchObject({ composefs, erofs });
  });

  it("takes a series whose releases behave alike", () => {
    expect(seriesOf("1.14")).toBe(seriesOf("1.14.1"));
    expect(seriesOf("1.15")).toBe(seriesOf("1.15.0"));
  });

  it.each([
    ["1.16", "1.16.0–1.16.2, 1.16.3, 1.16.4, 1.16.5–1.16.6, 1.16.7–1.16.10, 1.16.11, 1.16.12–1.16.13"],
    ["1.17", SERIES.flatMap(({ name }) => (name.startsWith("1.17.") ? [name] : [])).join(", ")],
  ])("refuses %s, whose releases differ", (series, lines) => {
    expect(() => seriesOf(series)).toThrow(
      new SealError("usage", `bootc ${series}: the releases of that series differ (${lines}); give one release`),
    );
  });

  it.each([
    [AFTER_LATEST, LATEST_RELEASE, "the newest one known"],
    ["v9.18.0", LATEST_RELEASE, "the newest one known"],
    ["9.18", LATEST_RELEASE, "the newest one known"],
    ["10.0", LATEST_RELEASE, "the newest one known"],
    ["1.16.14", "1.16.13", "the newest earlier one known"],
    ["1.15.3", "1.15.2", "the newest earlier one known"],
  ])("takes %s, which it does not know, for %s, and says so", (release, known, why) => {
    const { series, note } = namedRelease(release);
    expect(series).toBe(seriesOf(known));
    const version = release.replace("v", "");
    expect(note).toBe(`bootc ${version} is a release unknown to seal: treated as ${known}, ${why}`);
  });

  it("takes next for the newest, 1.17.2 for 1.17.1, and says so; nothing of others", () => {
    expect(namedRelease("next")).toEqual({
      series: seriesOf(LATEST_RELEASE),
      note: `bootc next is not a release: treated as ${LATEST_RELEASE}, the newest one known`,
    });
    expect(namedRelease("1.17.2")).toEqual({
      series: seriesOf("1.17.1"),
      note: "bootc 1.17.2 is a tag without release notes: treated as 1.17.1",
    });
    for (const release of ["latest", "1.15", "1.16.9", `v${LATEST_RELEASE}`])
      expect(namedRelease(release).note).toBeNull();
  });

  it.each(["", "1", "1.1", "1.13.0", "1.14.0.1", "vv1.16.9", "v", "nex", "Latest", "constructor", "1.16.x", "0.9"])(
    "refuses %j with the releases that are known",
    (version) => {
      expect(() => seriesOf(version)).toThrow(
        expect.objectContaining({
          code: "usage",
          message: expect.stringMatching(/not a known release; known are 1\.14/),
        }),
      );
    },
  );

  it("names each release once, and the newest one", () => {
    const releases = SERIES.flatMap((series) => series.releases);
    expect(new Set(releases).size).toBe(releases.length);
    expect(releases.at(-1)).toBe(LATEST_RELEASE);
    expect(seriesOf("latest")).toBe(SERIES.at(-1));
  });

  it("tells how each fact is known", () => {
    for (const { evidence } of SERIES) expect(Object.keys(evidence).sort()).toEqual([...FACTS].sort());
  });

  it("differs between 1.16.9 and 1.17.5 in the nanoseconds of the boot transform alone, as digests go", () => {
    expect(seriesOf("1.17.5").rules).toEqual({ ...seriesOf("1.16.9").rules, bootMtime: "nanoseconds" });
  });
});
