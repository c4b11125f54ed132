import { describe, expect, it } from "vitest";
import { sameTarget } from "../../src/composefs/digest.ts";
import { seriesOf } from "../../src/composefs/named-release.ts";
import { LATEST_RELEASE, SERIES } from "../../src/composefs/releases.ts";
import { parseRootfsSource } from "../../src/io/rootfs-source.ts";
import { DIGEST_DEFAULTS, type DigestPlan, mtimeFor, planDigest, withCandidates } from "../../src/seal/digest-plan.ts";
import { sameRules } from "../../src/tree/transform.ts";

describe("planDigest", () => {
  it("plans the digest of the newest release where nothing is said", () => {
    const latest = seriesOf("latest");
    expect(planDigest()).toEqual(planDigest(DIGEST_DEFAULTS));
    expect(planDigest()).toMatchObject({
      algorithm: "sha512",
      targets: [{ erofs: latest.erofs, rules: latest.rules }],
      transform: { transform: "boot", xattrs: "allowlist" },
      mtime: "auto",
      hosts: [],
      isOpen: true,
      notes: [],
    });
  });

  it("wants each digest once, in the order of releases and formats", () => {
    const { targets, hosts } = planDigest({ bootc: ["1.16.9", "1.16.4", "1.15", "latest"] });
    expect(targets.map(({ erofs }) => erofs)).toEqual(["v1", "v2", "v1"]);
    expect(hosts.map(({ name }) => name)).toEqual([
      "1.16.7–1.16.10",
      "1.16.4",
      "1.14.0–1.15.2",
      seriesOf("latest").name,
    ]);
    expect(planDigest({ bootc: ["latest", LATEST_RELEASE] }).hosts).toHaveLength(1);
    expect(planDigest({ bootc: ["latest"], erofs: ["v1", "v2", "v1"] })).toMatchObject({
      targets: [{ erofs: "v1" }, { erofs: "v2" }],
      hosts: [],
    });
  });

  it("takes none for the newest, and refuses what nobody knows", () => {
    expect(planDigest({ bootc: [] })).toEqual(planDigest());
    expect(() => planDigest({ bootc: ["1.0"] })).toThrow("bootc 1.0: not a known release");
    expect(planDigest({ bootc: ["1.99.0"] }).notes).toEqual([expect.stringMatching(/^bootc 1\.99\.0 is a release/)]);
  });

  it("has both formats of one release for the pair, and for a command line that is open", () => {
    const formats = (plan: DigestPlan) => plan.targets.map(({ erofs }) => erofs);
    expect(formats(planDigest({ kargStyle: "both" }))).toEqual(["v1", "v2"]);
    expect(formats(withCandidates(planDigest()))).toEqual(["v1", "v2"]);
    for (const options of [{ bootc: ["latest"] }, { kargStyle: "composefs" }, { xattrs: "keep-user" }] as const) {
      expect(formats(withCandidates(planDigest(options)))).toEqual(["v1"]);
    }
    expect(() => planDigest({ kargStyle: "both", erofs: ["v1"] })).toThrow("leave out --erofs");
    expect(() => planDigest({ kargStyle: "composefs", erofs: ["v1", "v2"] })).toThrow("refuses a second composefs=");
  });
});

describe("mtimeFor", () => {
  it("cuts what layers made of a directory don't keep, and nothing else", () => {
    const auto = (text: string, transform: "boot" | "oci" | "none" = "boot") =>
      mtimeFor(planDigest({ transform }), parseRootfsSource(text));
    expect([auto("/target"), auto("dir:x", "oci"), auto("dir:x", "none")]).toEqual(["seconds", "seconds", "exact"]);
    for (const text of ["oci:x", "docker://x", "tar:x", "erofs:x", "dumpfile:x"]) expect(auto(text)).toBe("exact");
  });

  it("takes what is said", () => {
    const said = (mtime: "exact" | "seconds", text: string) => mtimeFor(planDigest({ mtime }), parseRootfsSource(text));
    expect([said("exact", "dir:x"), said("seconds", "oci:x")]).toEqual(["exact", "seconds"]);
  });
});

describe("targets", () => {
  it("are the same by value", () => {
    for (const [index, { erofs, rules }] of SERIES.entries()) {
      expect(sameTarget({ erofs, rules }, structuredClone({ erofs, rules })), `${index}`).toBe(true);
      expect(sameTarget({ erofs, rules }, { erofs: "v0", rules }), `${index}`).toBe(false);
    }
    const { rules } = seriesOf("1.16.9");
    for (const [key, other] of Object.entries({
      bootMtime: "nanoseconds",
      hardlinkLabels: "last",
      lookaround: "refuse",
      symlinkMax: 1024,
      layerXattrs: "all",
      paxOwners: "ignored",
    })) {
      expect(sameRules(rules, { ...rules, [key]: other }), key).toBe(false);
    }
  });
});
