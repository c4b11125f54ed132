/** docs/json.md against the schemas that the output of `--json` is checked with. */
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { z } from "zod";
import { attestReportSchema } from "../src/cli/attest/command.ts";
import { verifyAttestationReportSchema } from "../src/cli/attest/verify.ts";
import { bootLayoutReportSchema } from "../src/cli/boot-layout.ts";
import { bootTestReportSchema } from "../src/cli/boot-test/schema.ts";
import { ukiReportSchema } from "../src/cli/build-uki/report.ts";
import { configReportSchema } from "../src/cli/config/rows.ts";
import { computeDigestReportSchema, computeDigestsReportSchema } from "../src/cli/digest/compute.ts";
import { diffReportSchema } from "../src/cli/digest/diff-schema.ts";
import { doctorReportSchema } from "../src/cli/doctor/command.ts";
import { inspectImageReportSchema } from "../src/cli/inspect/image-report.ts";
import { peReportSchema } from "../src/cli/inspect/pe-report.ts";
import { treeReportSchema } from "../src/cli/inspect/tree-report.ts";
import { keysAuthReportSchema } from "../src/cli/keys/auth.ts";
import { keysEslReportSchema } from "../src/cli/keys/esl.ts";
import { keysGenerateReportSchema } from "../src/cli/keys/generate.ts";
import { keysShowReportSchema } from "../src/cli/keys/show-report.ts";
import { lintReportSchema, lintsReportSchema, ruleListReportSchema } from "../src/cli/lint/schema.ts";
import { measureReportSchema } from "../src/cli/measure/command.ts";
import { eventLogReportSchema } from "../src/cli/measure/log.ts";
import { referenceReportSchema } from "../src/cli/measure/reference.ts";
import { prepareReportSchema } from "../src/cli/prepare/command.ts";
import { indexReportSchema } from "../src/cli/sealing/image-platforms.ts";
import { imageReportSchema } from "../src/cli/sealing/image-report.ts";
import { sealReportSchema } from "../src/cli/sealing/report.ts";
import { withUkiReportSchema } from "../src/cli/sealing/with-uki.ts";
import { splitKernelReportSchema } from "../src/cli/split-kernel.ts";
import { VERBS } from "../src/cli/verbs.ts";
import { verifyReportSchema } from "../src/cli/verify/command.ts";
import { verifyDirectoryReportSchema } from "../src/cli/verify/directory.ts";
import { versionReportSchema } from "../src/cli/version-verb.ts";
import { shapeOf } from "./support/json-shape.ts";

/** What is told of each image beside what is told of one. */
const platformOf = (image: z.ZodObject<{ platform: z.ZodString }>) =>
  z.object({ images: z.array(image.pick({ platform: true })) });

/** By heading of the page. */
const SHAPES = {
  "seal rootfs": shapeOf(sealReportSchema),
  "seal image": shapeOf(imageReportSchema.pick({ image: true })),
  "seal image --all-platforms": shapeOf(indexReportSchema.pick({ index: true })),
  "seal with-uki": shapeOf(withUkiReportSchema),
  "seal boot-layout": shapeOf(bootLayoutReportSchema),
  "seal compute-digest": shapeOf(computeDigestReportSchema),
  "seal compute-digest --all-platforms": shapeOf(platformOf(computeDigestsReportSchema.shape.images.element)),
  "seal diff": shapeOf(diffReportSchema),
  "seal inspect, of a program": shapeOf(peReportSchema),
  "seal inspect, of a composefs image or dump file": shapeOf(treeReportSchema),
  "seal inspect, of a container image": shapeOf(inspectImageReportSchema),
  "seal prepare": shapeOf(prepareReportSchema),
  "seal split-kernel": shapeOf(splitKernelReportSchema),
  "seal build-uki": shapeOf(ukiReportSchema),
  "seal measure": shapeOf(measureReportSchema),
  "seal measure --reference": shapeOf(referenceReportSchema),
  "seal measure --event-log": shapeOf(eventLogReportSchema),
  "seal keys generate": shapeOf(keysGenerateReportSchema),
  "seal keys esl": shapeOf(keysEslReportSchema),
  "seal keys auth": shapeOf(keysAuthReportSchema),
  "seal keys show, seal keys enroll": shapeOf(keysShowReportSchema),
  "seal verify": shapeOf(verifyReportSchema),
  "seal verify, of a directory": shapeOf(verifyDirectoryReportSchema),
  "seal attest": shapeOf(attestReportSchema),
  "seal verify-attestation": shapeOf(verifyAttestationReportSchema),
  "seal lint": shapeOf(lintReportSchema),
  "seal lint --all-platforms": shapeOf(platformOf(lintsReportSchema.shape.images.element)),
  "seal lint --list": shapeOf(ruleListReportSchema),
  "seal boot-test": shapeOf(bootTestReportSchema),
  "seal config": shapeOf(configReportSchema),
  "seal doctor": shapeOf(doctorReportSchema),
  "seal version": shapeOf(versionReportSchema),
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
