import { describe, expect, it } from "vitest";
import { findComposefsWords } from "../../src/boot/cmdline.ts";
import {
  describeVerdicts,
  hostVerdicts,
  type Initramfs,
  joinLines,
  optionFor,
  placeDigests,
  readDigest,
} from "../../src/boot/hosts.ts";
import type { HostDigest } from "../../src/composefs/host-digests.ts";
import { PROFILES, profileFor } from "../../src/composefs/profile.ts";

const V1 = "1".repeat(128);
const V2 = "2".repeat(128);
const OTHER = "3".repeat(128);
const SHA256 = "4".repeat(64);

/** A tree without anything that tells lines of one format apart. */
const HOSTS: readonly HostDigest[] = PROFILES.map((profile) => ({
  kind: "computes",
  profile,
  digest: profile.erofs === "v1" ? V1 : V2,
}));

/** The first release of each line by what happens there. */
function outcomes(cmdline: string, initramfs: Initramfs | null = null, hosts = HOSTS): Record<string, string> {
  const verdicts = hostVerdicts(findComposefsWords(cmdline), hosts, initramfs);
  return Object.fromEntries(
    verdicts.map((verdict) => [
      verdict.profile.releases[0],
      verdict.kind === "refuses" ? verdict.reason : verdict.kind,
    ]),
  );
}

const OLD = ["1.14.0", "1.16.0", "1.16.3"];
const NEW = ["1.16.4", "1.16.5", "1.16.7", "next"];
const all = (releases: readonly string[], outcome: string) =>
  Object.fromEntries(releases.map((release) => [release, outcome]));

describe("the digest that a release reads", () => {
  const short = `composefs=${V2}`;
  const long = `composefs.digest=v1-sha512-12:${V1}`;
  it.each([
    ["the only one", short, V2, V2],
    ["the first short one", `${short} composefs=${V1}`, V2, V2],
    ["the long one before and behind a short one", `${short} ${long}`, V2, V1],
    ["the long one before and behind a short one, again", `${long} ${short}`, V2, V1],
    ["a long one alone", long, null, V1],
    ["the first long one", `${long} composefs.digest=v2-sha512-12:${V2}`, null, V1],
    ["a long one of another hash is passed over", `composefs.digest=v1-sha256-12:${SHA256} ${short}`, V2, V2],
    ["nothing", "quiet", null, null],
  ])("%s", (_, cmdline, old, current) => {
    const words = findComposefsWords(cmdline);
    const digestOf = (reader: "composefs" | "composefs.digest") => {
      const word = readDigest(words, reader);
      return word !== null && "digest" in word ? word.digest : word;
    };
    expect([digestOf("composefs"), digestOf("composefs.digest")]).toEqual([old, current]);
  });

  it("is data of the release: 1.16.3 is the first that knows the long form", () => {
    expect(profileFor("1.16.2").reads).toBe("composefs");
    expect(profileFor("1.16.3").reads).toBe("composefs.digest");
  });
});

describe("verdicts", () => {
  it("accept a digest where it is computed and looked for", () => {
    expect(outcomes(`composefs=${V1}`)).toEqual({ ...all(OLD, "digest"), ...all(NEW, "accepts") });
    expect(outcomes(`composefs=?${V2} rw`)).toEqual({ ...all(OLD, "accepts"), ...all(NEW, "digest") });
  });

  it("know that one word counts", () => {
    expect(outcomes(`composefs=${V1} composefs=${V2}`)).toEqual({ ...all(OLD, "order"), ...all(NEW, "accepts") });
    expect(outcomes(`composefs=${V2} composefs=${V1}`)).toEqual({ ...all(OLD, "accepts"), ...all(NEW, "order") });
    const both = `composefs.digest=v1-sha512-12:${V1} composefs=${V2}`;
    expect(outcomes(both)).toEqual({
      ...all(["1.14.0", "1.16.0"], "accepts"),
      "1.16.3": "order",
      ...all(NEW, "accepts"),
    });
  });

  it("think of the initramfs where it could take another digest than the host", () => {
    const both = `composefs.digest=v1-sha512-12:${V1} composefs=${V2}`;
    expect(outcomes(both, "all")).toEqual(outcomes(both));
    expect(outcomes(both, "composefs.digest")).toMatchObject({
      "1.14.0": "initramfs",
      "1.16.7": "accepts",
    });
    expect(outcomes(both, "composefs")).toMatchObject({ "1.14.0": "accepts", "1.16.7": "initramfs" });
    expect(outcomes(`composefs=${V1}`, "composefs")).toEqual(outcomes(`composefs=${V1}`));
    const condition = (initramfs: Initramfs | null) => hostVerdicts(findComposefsWords(both), HOSTS, initramfs)[0];
    expect(condition(null)).toMatchObject({
      kind: "accepts",
      condition: expect.stringContaining("if the initramfs"),
    });
    expect(condition("all")).toMatchObject({ kind: "accepts", condition: null });
  });

  it("tell why else: no word, one that can't be read, another hash, the tree itself", () => {
    expect(outcomes("rw")).toEqual(all([...OLD, ...NEW], "no-digest"));
    expect(outcomes(`composefs=xyz composefs=${V1}`)).toEqual(all([...OLD, ...NEW], "malformed"));
    expect(outcomes(`composefs=${SHA256}`)).toEqual(all([...OLD, ...NEW], "malformed"));
    expect(outcomes(`composefs.digest=v1-sha256-12:${SHA256}`)).toEqual(all([...OLD, ...NEW], "no-digest"));
    const hosts = HOSTS.map(
      (host): HostDigest =>
        host.profile.line === "1.16.3"
          ? { kind: "refuses", profile: host.profile, why: "a symlink" }
          : host.profile.line === "1.14.0–1.15.2"
            ? { kind: "unknown", profile: host.profile, why: "PAX" }
            : host,
    );
    expect(outcomes(`composefs=${V1}`, null, hosts)).toMatchObject({
      "1.14.0": "unknown",
      "1.16.0": "digest",
      "1.16.3": "tree",
    });
  });

  it("say that bootc finds no composefs= to update by", () => {
    const verdict = hostVerdicts(findComposefsWords(`composefs.digest=v1-sha512-12:${V1}`), HOSTS).at(-1);
    expect(verdict).toMatchObject({
      kind: "accepts",
      condition: expect.stringContaining("its status looks for composefs="),
    });
  });

  it("become sentences with neighbours together and the way out", () => {
    expect(describeVerdicts(hostVerdicts(findComposefsWords(`composefs=${V1}`), HOSTS))).toEqual([
      "bootc 1.16.4–1.16.9, next",
      "not by 1.14.0–1.16.3: it computes v2 2222…2222 (seal with --bootc 1.15.2)",
    ]);
    expect(describeVerdicts(hostVerdicts(findComposefsWords(`composefs=${OTHER}`), HOSTS))[0]).toBe("no bootc release");
    expect(joinLines([profileFor("1.15"), profileFor("1.16.3"), profileFor("next")])).toBe(
      "1.14.0–1.15.2, 1.16.3, next",
    );
    const [refused] = hostVerdicts(findComposefsWords(`composefs=${V1}`), HOSTS);
    expect(refused === undefined ? null : optionFor(refused)).toBe("--bootc 1.15.2");
  });
});

describe("digests for several releases", () => {
  const wanted = (...releases: string[]) =>
    releases.map((release) => {
      const profile = profileFor(release);
      return { profile, digest: profile.erofs === "v1" ? V1 : V2 };
    });

  it("stand once where all compute the same", () => {
    expect(placeDigests(wanted("latest", "next"))).toEqual([{ digest: V1, style: "composefs" }]);
    expect(placeDigests([])).toEqual([]);
  });

  it("stand in the forms in which each release finds its own, whatever the order of the options", () => {
    const placed = [
      { digest: V1, style: "composefs.digest" },
      { digest: V2, style: "composefs" },
    ];
    expect(placeDigests(wanted("1.15", "latest"))).toEqual(placed);
    expect(placeDigests(wanted("latest", "1.16.2", "1.15"))).toEqual(placed);
  });

  it.each([
    ["1.16.3", "latest", /1\.16\.3 and 1\.16\.7–1\.16\.9 exclude each other.*first composefs\.digest= only/],
    ["1.16.9", "1.16.3", /1\.16\.3 and 1\.16\.7–1\.16\.9 exclude each other/],
  ])("are refused for %s and %s", (a, b, message) => {
    expect(() => placeDigests(wanted(a, b))).toThrow(
      expect.objectContaining({ code: "usage", message: expect.stringMatching(message) }),
    );
  });

  it("are refused for releases of one form that differ in details", () => {
    const details = [
      { profile: profileFor("1.15"), digest: V1 },
      { profile: profileFor("1.16.0"), digest: V2 },
    ];
    expect(() => placeDigests(details)).toThrow(
      /1\.14\.0–1\.15\.2 and 1\.16\.0–1\.16\.2 exclude each other.*composefs= only/,
    );
  });

  it("are accepted by each release that was named", () => {
    const releases = PROFILES.flatMap((profile) => profile.releases);
    for (const a of releases) {
      for (const b of releases) {
        try {
          const words = placeDigests(wanted(a, b)).map(({ digest, style }) =>
            style === "composefs" ? `composefs=${digest}` : `composefs.digest=v1-sha512-12:${digest}`,
          );
          const accepting = hostVerdicts(findComposefsWords(words.join(" ")), HOSTS, "all").filter(
            ({ kind }) => kind === "accepts",
          );
          for (const release of [a, b]) {
            expect(
              accepting.map(({ profile }) => profile),
              `${a} ${b}`,
            ).toContain(profileFor(release));
          }
        } catch (error) {
          // Only 1.16.3 stands against another line here.
          expect([a, b], String(error)).toContain("1.16.3");
        }
      }
    }
  });
});
