/**
 * The series of bootc releases, as {@link Series} has them. A new release is added to the series whose facts it has, or
 * as one more entry: with what differs from the line before it, and how each of its facts is known. Then
 * LATEST_RELEASE, and the table in docs/hosts.md, which a test compares with this.
 */
import type { TransformRules } from "../tree/transform.ts";
import type { Evidence, Fact, Series } from "./series.ts";

/** What bootc 1.16.4 to 1.17.2 do to a tree; other series are described by what differs. */
const RULES: TransformRules = {
  bootMtime: "seconds",
  hardlinkLabels: "split",
  lookaround: "pcre2",
  symlinkMax: null,
  layerXattrs: "filtered",
  paxOwners: "count",
};

/** Of the series whose source was read. What they want of `.osrel` is known of newer ones. */
const READ: Readonly<Record<Fact, Evidence>> = {
  digest: "run",
  reads: "source",
  layers: "source",
  mark: "source",
  aboot: "source",
  osrel: "inferred",
  status: "source",
  initramfs: "source",
  verity: "source",
};

/** What the series up to 1.16.13 share. */
const BEFORE_1_17 = {
  rules: RULES,
  layers: "first",
  mark: "noted",
  aboot: false,
  osrel: "named",
  status: "composefs",
  verity: "not-always",
} as const;

/** 1.16.4 to 1.16.13. */
const FIRST_OF_V1 = { ...BEFORE_1_17, erofs: "v1", reads: "composefs.digest", initramfs: "composefs.digest" } as const;

/** 1.17.0 and newer. */
const SINCE_1_17 = {
  erofs: "v1",
  rules: { ...RULES, bootMtime: "nanoseconds" },
  reads: "all",
  layers: "all",
  mark: "binding",
  aboot: true,
  osrel: "named",
  status: "any",
  initramfs: "all",
  verity: "not-always",
} as const;

/** Of 1.17: the rules were read in its source, and the code that it shares with cfsctl 0.9.4 was run. */
const READ_1_17: Readonly<Record<Fact, Evidence>> = {
  digest: "run",
  reads: "source",
  layers: "run",
  mark: "source",
  aboot: "run",
  osrel: "source",
  status: "source",
  initramfs: "source",
  verity: "source",
};

/** Oldest first. */
export const SERIES: readonly Series[] = [
  {
    ...BEFORE_1_17,
    name: "1.14.0–1.15.2",
    releases: ["1.14.0", "1.14.1", "1.15.0", "1.15.1", "1.15.2"],
    composefs: "2203e8f",
    erofs: "v2",
    rules: { ...RULES, hardlinkLabels: "last", lookaround: "refuse", layerXattrs: "all", paxOwners: "ignored" },
    reads: "composefs",
    initramfs: "composefs",
    evidence: READ,
  },
  {
    ...BEFORE_1_17,
    name: "1.16.0–1.16.2",
    releases: ["1.16.0", "1.16.1", "1.16.2"],
    composefs: "e277075",
    erofs: "v2",
    rules: { ...RULES, lookaround: "refuse", symlinkMax: 1024, layerXattrs: "all" },
    reads: "composefs",
    initramfs: "composefs",
    evidence: READ,
  },
  {
    ...BEFORE_1_17,
    name: "1.16.3",
    releases: ["1.16.3"],
    composefs: "679a342",
    erofs: "v2",
    rules: { ...RULES, symlinkMax: 1024, layerXattrs: "all" },
    reads: "composefs.digest",
    initramfs: "composefs.digest",
    evidence: { ...READ, digest: "source" },
  },
  {
    ...FIRST_OF_V1,
    name: "1.16.4",
    releases: ["1.16.4"],
    composefs: "a29622c",
    evidence: { ...READ, digest: "source" },
  },
  { ...FIRST_OF_V1, name: "1.16.5–1.16.6", releases: ["1.16.5", "1.16.6"], composefs: "0a819c3", evidence: READ },
  {
    ...FIRST_OF_V1,
    name: "1.16.7–1.16.10",
    releases: ["1.16.7", "1.16.8", "1.16.9", "1.16.10"],
    composefs: "0fbc853",
    evidence: { ...READ, osrel: "source" },
  },
  {
    ...FIRST_OF_V1,
    name: "1.16.11",
    releases: ["1.16.11"],
    composefs: "0.9.0",
    evidence: { ...READ, reads: "inferred", layers: "run", osrel: "source", initramfs: "inferred" },
  },
  {
    ...FIRST_OF_V1,
    name: "1.16.12–1.16.13",
    releases: ["1.16.12", "1.16.13"],
    composefs: "0.9.1–0.9.2",
    layers: "all",
    evidence: { ...READ, digest: "inferred", reads: "inferred", initramfs: "inferred" },
  },
  {
    ...SINCE_1_17,
    name: "1.17.0–1.17.2",
    releases: ["1.17.0", "1.17.1", "1.17.2"],
    composefs: "≤ 0.9.2",
    rules: RULES,
    aboot: false,
    evidence: { ...READ_1_17, digest: "inferred", layers: "source", aboot: "inferred" },
  },
  {
    ...SINCE_1_17,
    name: "1.17.3–1.17.4",
    releases: ["1.17.3", "1.17.4"],
    composefs: "≥ 0.9.3",
    evidence: READ_1_17,
  },
  {
    ...SINCE_1_17,
    name: "1.17.5",
    releases: ["1.17.5"],
    composefs: "≥ 0.9.3",
    verity: "insists",
    evidence: READ_1_17,
  },
];

/** The newest release that is out. */
export const LATEST_RELEASE = "1.17.5";

/** What is to be said of releases that are known, but not like the others of their line. */
export const RELEASE_NOTES: Readonly<Record<string, string>> = {
  "1.17.2": "bootc 1.17.2 is a tag without release notes: treated as 1.17.1",
};
