/**
 * Every way to seal by every builder, after every change; the figures that docs/containers.md has are what this prints.
 */
import { rmSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import {
  type BuilderLab,
  BuiltProject,
  CHANGES,
  type Change,
  makeBuilderLab,
  WAYS,
  type Way,
} from "../support/builder-lab.ts";
import { BUILDERS, type ImageBuilder, missingBuilders } from "../support/builders.ts";
import { buildkitBuilder } from "../support/buildkit.ts";
import { containerTools } from "../support/containers.ts";
import { peersRequired } from "../support/peers.ts";
import { pullDigest } from "../support/pull.ts";

vi.setConfig({ testTimeout: 1_800_000, hookTimeout: 300_000 });

const ALL = Object.keys(WAYS).filter((way): way is Way => way in WAYS);
const TRIED = { ...BUILDERS, BuildKit: buildkitBuilder };
const WITH_VALUE = ["two commands", "in the tools image, flat, with a value"] as const;
/** What each builder gives a right image by, whatever happens between builds; of the others this only tells. */
const SOUND: Readonly<Record<keyof typeof TRIED, readonly Way[]>> = {
  "podman of Debian 12": ["two commands"],
  "buildah of Debian 12": WITH_VALUE,
  "podman of Debian 13": [...WITH_VALUE, "in the tools image", "on top of the tree"],
  "docker with the containerd store": WITH_VALUE,
  "docker with overlay2": ["two commands"],
  BuildKit: WITH_VALUE,
};
/** What lint tells of a wrong digest where BuildKit built the image. */
const CAUSES = /came from the builder's cache|leaves a directory out of a layer/;
const soundOf = (name: string) => Object.entries(SOUND).find(([builder]) => builder === name)?.[1] ?? [];
const isBuildKit = (name: string) => name.startsWith("docker") || name === "BuildKit";
/** BuildKit builds stages again on demand; it does so by itself where a part of its cache is gone. */
const FORCED = ["rootfs", "split", "flat"].flatMap((stage) => ["--no-cache-filter", stage]);

describe.skipIf(missingBuilders().length > 0)("the ways to seal", () => {
  let lab: BuilderLab;
  const lines: string[] = [];
  beforeAll(async () => {
    lab = await makeBuilderLab();
  });
  afterAll(() => {
    console.log(lines.join("\n"));
    lab.close();
  });

  describe.each(Object.entries(TRIED).map(([name, make]) => ({ name, make, sound: soundOf(name) })))(
    "by $name",
    ({ name, make, sound }) => {
      let builder: ImageBuilder | string;
      beforeAll(async () => {
        builder = await make(join(lab.directory, name.replaceAll(" ", "-")));
        if (typeof builder === "string") console.log(`skipped: ${name}: ${builder}`);
        else lab.stock(builder);
      });
      afterAll(async () => {
        if (typeof builder !== "string") await builder.close();
      });

      it.for(ALL)("%s", async (way, { skip }) => {
        if (typeof builder === "string" && peersRequired) throw new Error(builder);
        if (typeof builder === "string") return skip(builder);
        const { skopeo } = containerTools(lab.directory);
        const built = new BuiltProject(lab, builder, way);
        const bad: Change[] = [];
        for (const change of isBuildKit(name) ? ([...CHANGES, "forced"] as const) : CHANGES) {
          const { image, layout, took, layers } = await built.build(change, ...(change === "forced" ? FORCED : []));
          const { stdout } = await lab.seal("lint", image, "--cert", "keys/db.crt", "--json");
          const { findings, passed } = JSON.parse(stdout);
          const isRight = passed.includes("uki-digest");
          if (!isRight) bad.push(change);
          // The digest of the layers is what a pull computes, whatever the mount showed.
          const pulled = layout ?? `${image.replace(/^docker-archive:/, "")}.layout`;
          if (layout === null) skopeo("copy", "--quiet", image, `oci:${pulled}:latest`);
          expect(pullDigest(pulled)).toBe((await lab.seal("compute-digest", image)).stdout.trim());
          rmSync(pulled, { recursive: true });
          const finding = findings.find(({ id }: { id: string }) => id === "uki-digest");
          if (!isRight && isBuildKit(name)) expect(finding.message, stdout).toMatch(CAUSES);
          const seconds = [took.build, took.sealing].map((time) => (time / 1000).toFixed(1)).join(" + ");
          const verdict = isRight ? "right" : `WRONG: ${CAUSES.exec(finding.message)?.[0] ?? finding.message}`;
          lines.push(`${name} | ${way} | ${change} | ${verdict} | ${layers} layers | ${seconds} s`);
        }
        if (sound.includes(way)) expect(bad).toEqual([]);
        else expect(bad).not.toEqual([]);
      });
    },
  );
});
