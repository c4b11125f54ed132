import { describe, expect, it } from "vitest";
import { composefsKarg, findComposefsWords } from "../../src/boot/cmdline.ts";
import { hostVerdicts, type RootMount } from "../../src/boot/hosts.ts";
import { placeDigests } from "../../src/boot/place-digests.ts";
import type { HostDigest } from "../../src/composefs/host-digests.ts";
import { seriesOf } from "../../src/composefs/named-release.ts";
import { SERIES } from "../../src/composefs/releases.ts";
import type { DigestReader } from "../../src/composefs/series.ts";

const V1 = { erofs: "v1", digest: "1".repeat(128) } as const;
const V2 = { erofs: "v2", digest: "2".repeat(128) } as const;
/** V2 by the rules of old releases, where they make another one of a tree. */
const OLD_V2 = { erofs: "v2", digest: "3".repeat(128) } as const;

function hosts(oldV2: { readonly digest: string } = V2): readonly HostDigest[] {
  return SERIES.map((series) => ({
    kind: "computes",
    series,
    digest: series.erofs === "v1" ? V1.digest : oldV2.digest,
    finds: series.reads === "all" ? [V1, V2] : [],
  }));
}

function mounts(reads: DigestReader | null): RootMount {
  return { kind: "mounts", name: "a program", reads, verity: "insists" };
}
const UNKNOWN: RootMount = { kind: "unknown", why: "" };

function placed(
  named: readonly string[],
  mount: RootMount,
  digests = [V1, V2] as readonly (typeof V1 | typeof V2)[],
  all = hosts(),
) {
  const words = placeDigests({ digests, hosts: all, named: named.map(seriesOf), mount });
  return words.map(({ erofs, style }) => `${style} ${erofs}`);
}

const PAIR = ["composefs.digest v1", "composefs v2"];

describe("the command line that serves most hosts", () => {
  it("is the pair where the initramfs tries all, and one word that all take elsewhere", () => {
    expect(placed([], mounts("all"))).toEqual(PAIR);
    for (const mount of [UNKNOWN, mounts(null), mounts("composefs.digest"), mounts("composefs")]) {
      expect(placed([], mount)).toEqual(["composefs v1"]);
    }
  });

  it("is one word where the second would help nobody, or be refused by the newest", () => {
    expect(placed([], mounts("all"), [V1, V2], hosts(OLD_V2))).toEqual(["composefs v1"]);
    expect(placed([], mounts("all"), [V1])).toEqual(["composefs v1"]);
    expect(placed([], mounts("all"), [])).toEqual([]);
  });

  it("serves all releases that were named, whatever their order", () => {
    expect(placed(["1.15", "1.16.9"], UNKNOWN)).toEqual(PAIR);
    expect(placed(["1.16.9", "1.16.2", "1.15"], mounts("all"))).toEqual(PAIR);
    // 1.17 finds either, so that one word serves 1.16.3 too.
    expect(placed(["1.16.3", "1.17.5"], UNKNOWN)).toEqual(["composefs v2"]);
    expect(placed(["1.15", "1.17.5"], UNKNOWN)).toEqual(["composefs v2"]);
    expect(placed(["1.15", "1.17.5"], mounts("all"))).toEqual(PAIR);
    expect(placed(["1.16.9", "1.17.5"], UNKNOWN)).toEqual(["composefs v1"]);
  });

  it.each([
    ["1.16.3", "1.16.9", mounts("all"), /^--bootc: 1\.16\.3 and 1\.16\.7–1\.16\.10 exclude each other/],
    ["1.16.9", "1.16.3", UNKNOWN, /^--bootc: 1\.16\.3 and 1\.16\.7–1\.16\.10 exclude each other/],
    ["1.15", "1.16.9", mounts("composefs.digest"), /serves both, with a program in the initramfs\. Seal an image/],
  ])("is refused for %s and %s", (a, b, mount, message) => {
    expect(() => placed([a, b], mount)).toThrow(
      expect.objectContaining({ code: "usage", message: expect.stringMatching(message) }),
    );
    // The third is not the one to blame.
    expect(() => placed(["1.17.5", a, b], mount)).toThrow(message);
  });

  it("is never one that a named release refuses, and never has two bare words", () => {
    const releases = SERIES.flatMap((series) => series.releases);
    for (const mount of [UNKNOWN, mounts("all"), mounts("composefs.digest")]) {
      for (const a of releases) {
        for (const b of releases) {
          const named = [...new Set([a, b].map(seriesOf))];
          try {
            const words = placeDigests({ digests: [V1, V2], hosts: hosts(), named, mount });
            expect(words.filter(({ style }) => style === "composefs").length).toBeLessThan(2);
            const cmdline = words.map((word) => composefsKarg({ ...word, algorithm: "sha512" }, word.style)).join(" ");
            const verdicts = hostVerdicts({ words: findComposefsWords(cmdline), mount, defects: [] }, hosts());
            const accepting = verdicts.filter(({ kind }) => kind === "accepts").map(({ series }) => series);
            expect(accepting, `${a} ${b}`).toEqual(expect.arrayContaining(named));
          } catch (error) {
            expect(String(error), `${a} ${b}`).toMatch(/exclude each other/);
            const formats = new Set(named.filter(({ reads }) => reads !== "all").map(({ erofs }) => erofs));
            expect(formats.size, `${a} ${b}`).toBe(2);
          }
        }
      }
    }
  });
});
