import { describe, expect, it } from "vitest";
import { LATEST_RELEASE, PROFILES, profileFor } from "../../src/composefs/profile.ts";
import { SealError } from "../../src/errors.ts";

describe("profiles of bootc releases", () => {
  it.each([
    ["1.14.0", "2203e8f", "v2"],
    ["1.15.2", "2203e8f", "v2"],
    ["1.16.2", "e277075", "v2"],
    ["1.16.3", "679a342", "v2"],
    ["1.16.4", "a29622c", "v1"],
    ["1.16.6", "0a819c3", "v1"],
    ["1.16.9", "0fbc853", "v1"],
    ["latest", "0fbc853", "v1"],
    ["next", "0.9.4", "v1"],
  ])("%s is composefs-rs %s and %s", (version, composefs, erofs) => {
    expect(profileFor(version)).toMatchObject({ composefs, erofs });
  });

  it("takes a series whose releases behave alike", () => {
    expect(profileFor("1.14")).toBe(profileFor("1.14.1"));
    expect(profileFor("1.15")).toBe(profileFor("1.15.0"));
  });

  it("refuses a series whose releases differ", () => {
    expect(() => profileFor("1.16")).toThrow(
      new SealError(
        "usage",
        "bootc 1.16: the releases of that series compute different digests (1.16.0–1.16.2, 1.16.3, 1.16.4, 1.16.5–1.16.6, 1.16.7–1.16.9); name one release",
      ),
    );
  });

  it.each(["", "1", "1.1", "1.13.0", "1.16.10", "1.16.90", "1.14.0.1", "v1.16.9", "nex", "Latest", "constructor"])(
    "refuses %j with the releases that are known",
    (version) => {
      expect(() => profileFor(version)).toThrow(
        expect.objectContaining({
          code: "usage",
          message: expect.stringMatching(/not a known release; known are 1\.14/),
        }),
      );
    },
  );

  it("names each release once, and the newest one", () => {
    const releases = PROFILES.flatMap((profile) => profile.releases);
    expect(new Set(releases).size).toBe(releases.length);
    expect(releases.filter((release) => release !== "next").at(-1)).toBe(LATEST_RELEASE);
  });

  it("differs between latest and next in the nanoseconds of the boot transform alone", () => {
    expect(profileFor("next").rules).toEqual({ ...profileFor("latest").rules, bootMtime: "nanoseconds" });
  });
});
