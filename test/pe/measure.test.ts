import { describe, expect, it } from "vitest";
import { measuredSets } from "../../src/pe/measure.ts";
import { combinePolicies } from "../../src/pe/pcr-policy.ts";
import { profileId } from "../../src/pe/profiles.ts";
import { spacedJson } from "../../src/text.ts";

const section = (name: string, text = name) => ({ name, content: [Buffer.from(text)] });

describe("measuredSets", () => {
  const base = [".linux", ".cmdline", ".own", ".pcrsig", ".profile"].map((name) => section(name));
  const names = (sets: ReturnType<typeof measuredSets>) =>
    sets.map(({ sections }) => sections.map(({ name }) => name).toSorted());

  it("gives a profile what it lacks from the base, but not the base's description", () => {
    const own = [section(".profile", "ID=x"), section(".cmdline", "other")];
    const [set] = measuredSets([base, own], 1);
    expect(set?.sections).toEqual([...own, section(".linux")]);
    expect(names(measuredSets([base, own], 0))).toEqual([[".cmdline", ".linux", ".profile"]]);
  });

  it("has one for each device tree that the stub may pick, in all profiles", () => {
    const trees = [section(".dtbauto", "a"), section(".dtbauto", "b")];
    const groups = [[...base, ...trees], [section(".profile", "ID=x")]];
    for (const profile of [0, 1]) {
      const sets = measuredSets(groups, profile);
      expect(sets.map(({ devicetree }) => devicetree)).toEqual([0, 1]);
      expect(sets.map(({ sections }) => sections.filter(({ name }) => name === ".dtbauto"))).toEqual(
        trees.map((tree) => [tree]),
      );
    }
  });
});

describe("policies", () => {
  it("are written as Python writes JSON", () => {
    expect(spacedJson({ a: [1, "ä\x7f\u{1f600}\n"], b: {} })).toBe(
      '{"a": [1, "\\u00e4\\u007f\\ud83d\\ude00\\n"], "b": {}}',
    );
  });
  it("are there once each, in order", () => {
    const [a, b] = ["aa", "bb"].map((pol) => ({ pcrs: [11], pkfp: "00", pol, sig: "x" }));
    if (a === undefined || b === undefined) throw new Error("unreachable");
    const combined = combinePolicies([{ sha256: [a] }, { sha1: [b], sha256: [b, a] }]);
    expect(Object.entries(combined)).toEqual([
      ["sha256", [a, b]],
      ["sha1", [b]],
    ]);
  });
});

describe("profileId", () => {
  it("reads the ID as os-release is read", () => {
    const id = (text: string) => profileId(section(".profile", text), "uki");
    expect(["TITLE=x\nID=main\n", 'ID="a b"', "ID='c'\r\n", "XID=no", ""].map(id)).toEqual([
      "main",
      "a b",
      "c",
      null,
      null,
    ]);
  });
});
