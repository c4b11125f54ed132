import { describe, expect, it } from "vitest";
import { findComposefsWords } from "../../src/boot/cmdline.ts";
import { readDigest, triedDigests } from "../../src/boot/digest-words.ts";
import {
  type DefectId,
  type HostVerdict,
  hostVerdicts,
  type ImageDefect,
  type RootMount,
  STEPS,
} from "../../src/boot/hosts.ts";
import { describeVerdicts, joinSeries, optionFor, reportVerdicts } from "../../src/boot/hosts-text.ts";
import type { HostDigest } from "../../src/composefs/host-digests.ts";
import { seriesOf } from "../../src/composefs/named-release.ts";
import { LATEST_RELEASE, SERIES } from "../../src/composefs/releases.ts";
import type { DigestReader } from "../../src/composefs/series.ts";

const V1 = "1".repeat(128);
const V2 = "2".repeat(128);
const OTHER = "3".repeat(128);
const SHA256 = "4".repeat(64);

/** A tree without anything that tells lines of one format apart. */
const HOSTS: readonly HostDigest[] = SERIES.map((series) => ({
  kind: "computes",
  series,
  digest: series.erofs === "v1" ? V1 : V2,
  finds:
    series.reads === "all"
      ? [
          { erofs: "v1", digest: V1 },
          { erofs: "v2", digest: V2 },
        ]
      : [],
}));

function mounts(reads: DigestReader | null, verity: "insists" | "not-always" = "insists"): RootMount {
  return { kind: "mounts", name: "a program", reads, verity };
}
const UNKNOWN: RootMount = { kind: "unknown", why: "its initramfs can't be read" };

function verdictsOn(
  cmdline: string,
  mount: RootMount = UNKNOWN,
  hosts = HOSTS,
  defects: readonly ImageDefect[] = [],
): readonly HostVerdict[] {
  return hostVerdicts({ words: findComposefsWords(cmdline), mount, defects }, hosts);
}

/** The first release of each line by what happens there. */
function outcomes(cmdline: string, mount: RootMount = UNKNOWN, hosts = HOSTS): Record<string, string> {
  return Object.fromEntries(
    verdictsOn(cmdline, mount, hosts).map((verdict) => [
      verdict.series.releases[0],
      verdict.refusal?.id ?? verdict.kind,
    ]),
  );
}

const OLD = ["1.14.0", "1.16.0", "1.16.3"];
const MIDDLE = ["1.16.4", "1.16.5", "1.16.7", "1.16.11", "1.16.12"];
const NEW = SERIES.flatMap(({ reads, releases }) => (reads === "all" ? releases.slice(0, 1) : []));
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
    expect(seriesOf("1.16.2").reads).toBe("composefs");
    expect(seriesOf("1.16.3").reads).toBe("composefs.digest");
  });
});

describe("the digests that an initramfs tries", () => {
  const [a, b, c] = ["aa", "bb", "cc"].map((byte) => byte.repeat(64));
  const tried = (reads: DigestReader, cmdline: string) =>
    triedDigests(findComposefsWords(cmdline), reads).map(({ digest }) => digest);

  it("are all for composefs-setup-root and bootc 1.17, and one for older ones", () => {
    const both = `composefs=${a} composefs.digest=v1-sha512-12:${b} composefs.digest=v2-sha512-12:${c}`;
    expect(tried("all", both)).toEqual([a, b, c]);
    expect(tried("composefs.digest", both)).toEqual([b]);
    expect(tried("composefs", both)).toEqual([a]);
    expect(tried("composefs.digest", `composefs=${a} composefs=${b}`)).toEqual([a]);
    expect(tried("composefs.digest", `composefs.digest=v1-sha256-12:${SHA256} composefs=${b}`)).toEqual([b]);
    expect(tried("composefs.digest", `composefs=${SHA256} composefs=${b}`)).toEqual([]);
    expect(tried("composefs.digest", "quiet")).toEqual([]);
  });
});

describe("verdicts", () => {
  const PAIR = `composefs.digest=v1-sha512-12:${V1} composefs=${V2}`;

  it("accept a digest where it is computed and looked for", () => {
    expect(outcomes(`composefs=${V1}`)).toEqual({ ...all(OLD, "digest"), ...all([...MIDDLE, ...NEW], "accepts") });
    expect(outcomes(`composefs=?${V2} rw`)).toEqual({ ...all([...OLD, ...NEW], "accepts"), ...all(MIDDLE, "digest") });
    expect(outcomes(`composefs=${OTHER}`)).toEqual(all([...OLD, ...MIDDLE, ...NEW], "digest"));
  });

  it("know which word counts, and that 1.17 wants to find all and takes one short one", () => {
    const long = (erofs: string, digest: string) => `composefs.digest=${erofs}-sha512-12:${digest}`;
    expect(outcomes(`composefs=${V1} composefs=${V2}`)).toEqual({
      ...{ ...all(OLD, "order"), ...all(MIDDLE, "accepts"), ...all(NEW, "duplicate") },
    });
    expect(outcomes(`composefs=${V2} composefs=${V1}`)).toEqual({
      ...{ ...all(OLD, "accepts"), ...all(MIDDLE, "order"), ...all(NEW, "duplicate") },
    });
    expect(outcomes(PAIR)).toEqual({
      ...all(["1.14.0", "1.16.0", ...MIDDLE, ...NEW], "accepts"),
      "1.16.3": "order",
    });
    expect(outcomes(`${long("v1", V1)} ${long("v2", V2)}`)).toMatchObject(all(NEW, "accepts"));
    expect(outcomes(`${long("v2", V1)} composefs=${V2}`)).toMatchObject(all(NEW, "unfound"));
    expect(outcomes(`${long("v1", V1)} composefs=${OTHER}`)).toMatchObject({
      ...all(MIDDLE, "accepts"),
      ...all(NEW, "unfound"),
    });
    expect(outcomes(`${long("v1", V1)} composefs=?${V2}`)).toMatchObject({
      ...all(MIDDLE, "accepts"),
      ...all(NEW, "mixed-marks"),
    });
  });

  it("think of the initramfs where it could take another digest than the host", () => {
    expect(outcomes(PAIR, mounts("all"))).toEqual(outcomes(PAIR));
    expect(outcomes(PAIR, mounts("composefs.digest"))).toMatchObject({
      ...all(["1.14.0", "1.16.0"], "initramfs"),
      ...all([...MIDDLE, ...NEW], "accepts"),
    });
    expect(outcomes(PAIR, mounts("composefs"))).toMatchObject({ "1.14.0": "accepts", ...all(MIDDLE, "initramfs") });
    expect(outcomes(`composefs=${V1}`, mounts("composefs"))).toEqual(outcomes(`composefs=${V1}`));
    const boots = (mount: RootMount, index = 0) => verdictsOn(PAIR, mount)[index]?.boots;
    const condition = { ok: null, reasons: [{ id: "initramfs", text: expect.stringContaining("if the initramfs") }] };
    for (const mount of [UNKNOWN, mounts(null)]) expect(boots(mount)).toMatchObject(condition);
    expect(boots(mounts("all"))).toEqual({ ok: true, reasons: [] });
    // A deployment of 1.17 is named by V1, whatever comes first.
    const turned = `composefs=${V2} composefs.digest=v1-sha512-12:${V1}`;
    expect(verdictsOn(turned, mounts("all")).at(-1)?.boots.ok).toBeNull();
    expect(verdictsOn(turned, mounts("composefs.digest")).at(-1)?.boots.ok).toBe(true);
  });

  it("tell why else: no word, one that can't be read, another hash, the tree itself", () => {
    const every = [...OLD, ...MIDDLE, ...NEW];
    expect(outcomes("rw")).toEqual(all(every, "no-digest"));
    expect(outcomes(`composefs=xyz composefs=${V1}`)).toEqual(all(every, "malformed"));
    expect(outcomes(`composefs=${SHA256}`)).toEqual(all(every, "malformed"));
    expect(outcomes(`composefs.digest=v1-sha256-12:${SHA256}`)).toEqual(all(every, "no-digest"));
    const hosts = HOSTS.map(
      (host): HostDigest =>
        host.series.name === "1.16.3"
          ? { kind: "refuses", series: host.series, why: "a symlink" }
          : host.series.name === "1.14.0–1.15.2"
            ? { kind: "unknown", series: host.series, why: "PAX" }
            : host,
    );
    expect(outcomes(`composefs=${V1}`, UNKNOWN, hosts)).toMatchObject({
      "1.14.0": "unknown",
      "1.16.0": "digest",
      "1.16.3": "tree",
    });
  });

  it("say that bootc before 1.17 finds no composefs= to update by", () => {
    const verdicts = verdictsOn(`composefs.digest=v1-sha512-12:${V1}`);
    const last = verdicts.find(({ series }) => series.releases.includes("1.16.13"));
    expect(last?.installs).toMatchObject({ ok: true, reasons: [{ id: "status" }] });
    expect(verdicts.at(-1)?.installs).toEqual({ ok: true, reasons: [] });
  });

  it("tell what enforces fs-verity", () => {
    const enforces = (cmdline: string, mount: RootMount) => verdictsOn(cmdline, mount).at(-1)?.enforces;
    expect(enforces(`composefs=${V1}`, mounts("all"))).toEqual({ ok: true, reasons: [] });
    expect(enforces(`composefs=${V1}`, mounts("all", "not-always"))).toMatchObject({
      ...{ ok: false, reasons: [{ id: "verity" }] },
    });
    expect(enforces(`composefs=?${V1}`, mounts("all"))).toMatchObject({ ok: false, reasons: [{ id: "insecure" }] });
    for (const mount of [UNKNOWN, { kind: "none", why: "its initramfs can't be read" }] as const) {
      expect(enforces(`composefs=${V1}`, mount)).toEqual({
        ok: null,
        reasons: [{ id: "verity", text: "not checked: its initramfs can't be read" }],
      });
    }
  });

  it("say that a strict host of 1.17 refuses ?", () => {
    const verdicts = verdictsOn(`composefs=?${V1}`);
    const outcome = (release: string) => verdicts.find(({ series }) => series.releases.includes(release))?.installs;
    expect(outcome("1.16.9")).toEqual({ ok: true, reasons: [] });
    expect(outcome("1.17.0")).toMatchObject({ ok: null, reasons: [{ id: "insecure" }] });
  });

  it("say of all lines that nothing mounts the root", () => {
    const verdicts = verdictsOn(`composefs=${V1}`, { kind: "none", why: "nothing mounts it" });
    expect(verdicts.map(({ boots }) => boots)).toEqual(
      HOSTS.map(() => ({ ok: false, reasons: [{ id: "no-mount", text: "nothing mounts it" }] })),
    );
    expect(verdicts.some(({ kind }) => kind === "accepts")).toBe(false);
  });

  it.each<[DefectId, (typeof STEPS)[number], string | null, string | null]>([
    ["layers", "accepts", "1.14.0", "1.16.11"],
    ["media-type", "accepts", "1.14.0", LATEST_RELEASE],
    ["aboot", "accepts", "1.17.3", LATEST_RELEASE],
    ["mixed-marks", "installs", "1.17.0", LATEST_RELEASE],
    ["osrel", "installs", "1.14.0", LATEST_RELEASE],
    ["boot-entry", "installs", "1.14.0", LATEST_RELEASE],
  ])("stop at %s in the step that %s, in lines from %s to %s", (id, step, first, last) => {
    // Every line computes the one digest here, so that nothing else stops any.
    const hosts = HOSTS.map(
      ({ series }): HostDigest => ({
        ...{ kind: "computes", series, digest: V1, finds: [{ erofs: "v1", digest: V1 }] },
      }),
    );
    const releases = SERIES.map((series) => series.releases);
    const concerned = releases.slice(
      releases.findIndex((line) => line.includes(first ?? "")),
      releases.findIndex((line) => line.includes(last ?? "")) + 1,
    );
    const sound = verdictsOn(`composefs=${V1}`, mounts("all"), hosts);
    expect(sound.flatMap((verdict) => STEPS.flatMap((name) => verdict[name].reasons))).toEqual([]);
    for (const verdict of verdictsOn(`composefs=${V1}`, mounts("all"), hosts, [{ id, text: "why" }])) {
      const isConcerned = concerned.includes(verdict.series.releases);
      expect(verdict[step].ok, verdict.series.name).toBe(!isConcerned);
      expect(verdict.refusal).toEqual(isConcerned ? { id, text: "why" } : null);
    }
  });

  it("doubt that a kernel boots which refuses fs-verity, where that is demanded", () => {
    const defects: ImageDefect[] = [{ id: "kernel", text: "it refuses" }];
    const boots = (word: string) => verdictsOn(`composefs=${word}`, mounts("all"), HOSTS, defects).at(-1);
    expect(boots(V1)).toMatchObject({ kind: "accepts", boots: { ok: null, reasons: defects } });
    expect(describeVerdicts(verdictsOn(`composefs=${V1}`, mounts("all"), HOSTS, defects))[0]).toMatch(/, it refuses$/);
    expect(boots(`?${V1}`)?.boots).toEqual({ ok: true, reasons: [] });
  });

  it("become sentences with neighbours together and the way out", () => {
    expect(describeVerdicts(verdictsOn(`composefs=${V1}`))).toEqual([
      `bootc 1.16.4–${LATEST_RELEASE}`,
      "not by 1.14.0–1.16.3: it computes v2 2222…2222 (seal with --bootc 1.15.2)",
    ]);
    expect(describeVerdicts(verdictsOn(`composefs=${OTHER}`))[0]).toBe("no bootc release");
    expect(joinSeries([seriesOf("1.15"), seriesOf("1.16.3"), seriesOf("1.17.5")])).toBe(
      "1.14.0–1.15.2, 1.16.3, 1.17.5",
    );
    const [refused] = verdictsOn(`composefs=${V1}`);
    expect(refused === undefined ? null : optionFor(refused)).toBe("--bootc 1.15.2");
    const frames: ImageDefect[] = [{ id: "layers", text: "frames" }];
    const packed = verdictsOn(`composefs=${V1}`, mounts("all"), HOSTS, frames);
    expect(packed.map((one) => optionFor(one))).toEqual([
      ...["1.15.2", "1.16.2", "1.16.3"].map((release) => `--bootc ${release} --recompress`),
      ...Array(4).fill("--recompress"),
      ...Array(packed.length - 7).fill(null),
    ]);
    expect(describeVerdicts(packed)).toContain("not by 1.16.4–1.16.11: frames (seal with --recompress)");
    const defects: ImageDefect[] = [{ id: "osrel", text: "no name" }];
    const [both] = verdictsOn(`composefs=${V1}`, UNKNOWN, HOSTS, defects);
    // Another digest alone does not help.
    expect(both === undefined ? null : optionFor(both)).toBeNull();
    expect(reportVerdicts(both === undefined ? [] : [both])).toEqual([
      {
        releases: "1.14.0–1.15.2",
        accepts: { ok: false, reasons: ["it computes v2 2222…2222"] },
        installs: { ok: false, reasons: ["no name"] },
        boots: { ok: null, reasons: [] },
        enforces: { ok: null, reasons: ["not checked: its initramfs can't be read"] },
        reason: "digest",
        why: "it computes v2 2222…2222; no name",
        expected: V2,
        option: null,
      },
    ]);
  });
});
