/** docs/json.md against the schemas that the output of `--json` is checked with. */
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { z } from "zod";
import { attestJson } from "../src/cli/attest/command.ts";
import { verifyImageJson } from "../src/cli/attest/verify.ts";
import { bootLayoutReport } from "../src/cli/boot-layout.ts";
import { bootTestSchema } from "../src/cli/boot-test/schema.ts";
import { ukiReportSchema } from "../src/cli/build-uki/report.ts";
import { configJson } from "../src/cli/config/rows.ts";
import { computeDigestReport, computeDigestsReport } from "../src/cli/digest/compute.ts";
import { diffReport } from "../src/cli/digest/diff-schema.ts";
import { doctorJson } from "../src/cli/doctor/command.ts";
import { imageInspection } from "../src/cli/inspect/image-report.ts";
import { peReportSchema } from "../src/cli/inspect/pe-report.ts";
import { treeReportSchema } from "../src/cli/inspect/tree-report.ts";
import { keysAuthReport } from "../src/cli/keys/auth.ts";
import { keysEslReport } from "../src/cli/keys/esl.ts";
import { keysReport } from "../src/cli/keys/generate.ts";
import { keysShowJson } from "../src/cli/keys/show-report.ts";
import { lintJson, lintsJson, ruleListJson } from "../src/cli/lint/schema.ts";
import { measureReportSchema } from "../src/cli/measure/command.ts";
import { eventLogJson } from "../src/cli/measure/log.ts";
import { referenceSchema } from "../src/cli/measure/reference.ts";
import { prepareReport } from "../src/cli/prepare/command.ts";
import { indexReportSchema } from "../src/cli/sealing/image-platforms.ts";
import { imageReportSchema } from "../src/cli/sealing/image-report.ts";
import { sealReportSchema } from "../src/cli/sealing/report.ts";
import { withUkiReport } from "../src/cli/sealing/with-uki.ts";
import { splitKernelReport } from "../src/cli/split-kernel.ts";
import { VERBS } from "../src/cli/verbs.ts";
import { verifyJson } from "../src/cli/verify/command.ts";
import { verifyDirectoryJson } from "../src/cli/verify/directory.ts";
import { versionJson } from "../src/cli/version-verb.ts";
import { shapeOf } from "./support/json-shape.ts";

/** What is told of each image beside what is told of one. */
const platformOf = (image: z.ZodObject<{ platform: z.ZodString }>) =>
  z.object({ images: z.array(image.pick({ platform: true })) });

/** By heading of the page. */
const SHAPES = {
  "seal rootfs": shapeOf(sealReportSchema),
  "seal image": shapeOf(imageReportSchema.pick({ image: true })),
  "seal image --all-platforms": shapeOf(indexReportSchema.pick({ index: true })),
  "seal with-uki": shapeOf(withUkiReport),
  "seal boot-layout": shapeOf(bootLayoutReport),
  "seal compute-digest": shapeOf(computeDigestReport),
  "seal compute-digest --all-platforms": shapeOf(platformOf(computeDigestsReport.shape.images.element)),
  "seal diff": shapeOf(diffReport),
  "seal inspect, of a program": shapeOf(peReportSchema),
  "seal inspect, of a composefs image or dump file": shapeOf(treeReportSchema),
  "seal inspect, of a container image": shapeOf(imageInspection),
  "seal prepare": shapeOf(prepareReport),
  "seal split-kernel": shapeOf(splitKernelReport),
  "seal build-uki": shapeOf(ukiReportSchema),
  "seal measure": shapeOf(measureReportSchema),
  "seal measure --reference": shapeOf(referenceSchema),
  "seal measure --event-log": shapeOf(eventLogJson),
  "seal keys generate": shapeOf(keysReport),
  "seal keys esl": shapeOf(keysEslReport),
  "seal keys auth": shapeOf(keysAuthReport),
  "seal keys show, seal keys enroll": shapeOf(keysShowJson),
  "seal verify": shapeOf(verifyJson),
  "seal verify, of a directory": shapeOf(verifyDirectoryJson),
  "seal attest": shapeOf(attestJson),
  "seal verify-attestation": shapeOf(verifyImageJson),
  "seal lint": shapeOf(lintJson),
  "seal lint --all-platforms": shapeOf(platformOf(lintsJson.shape.images.element)),
  "seal lint --list": shapeOf(ruleListJson),
  "seal boot-test": shapeOf(bootTestSchema),
  "seal config": shapeOf(configJson),
  "seal doctor": shapeOf(doctorJson),
  "seal version": shapeOf(versionJson),
};

describe("docs/json.md", () => {
  const page = readFileSync(fileURLToPath(new URL("../docs/json.md", import.meta.url)), "utf8");
  const sections = new Map(
    page
      .split(/^## /m)
      .slice(1)
      .map((section) => [section.split("\n", 1)[0] ?? "", /```ts\n(.*?)\n```/s.exec(section)?.[1]]),
  );

  it.each(Object.entries(SHAPES))("says what %s prints", (heading, shape) => {
    expect(sections.get(heading)).toBe(shape);
  });

  it("has every verb that takes --json, and no other", async () => {
    const headings = [...sections.keys()];
    expect(headings).toEqual(Object.keys(SHAPES));
    for (const { name, load } of VERBS) {
      const takes = Object.hasOwn((await load()).options, "json");
      expect(
        headings.some((heading) => heading.split(", ").some((one) => `${one} `.startsWith(`seal ${name} `))),
        name,
      ).toBe(takes);
    }
  });
});
