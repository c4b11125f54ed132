/** Every way to seal by every builder, after every change; the figures that docs/containers.md has are what this prints. */
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
import { pullDigest } from "../support/pull.ts";

vi.setConfig({ testTimeout: 1_800_000, hookTimeout: 300_000 });

const ALL = Object.keys(WAYS).filter((way): way is Way => way in WAYS);
const WITH_VALUE = ["two commands", "in the tools image, flat, with a value"] as const;
/** What each builder gives a right image by, whatever happens between builds; of the others this only tells. */
const SOUND: Readonly<Record<keyof typeof BUILDERS, readonly Way[]>> = {
  "podman of Debian 12": ["two commands"],
  "buildah of Debian 12": WITH_VALUE,
  "podman of Debian 13": [...WITH_VALUE, "in the tools image", "on top of the tree"],
  "docker with the containerd store": WITH_VALUE,
  "docker with overlay2": ["two commands"],
};
const soundOf = (name: string) => Object.entries(SOUND).find(([builder]) => builder === name)?.[1] ?? [];
const isDocker = (name: string) => name.startsWith("docker");
/** Docker builds stages again on demand; it does so by itself where a part of its cache is gone. */
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

  describe.each(Object.entries(BUILDERS).map(([name, make]) => ({ name, make, sound: soundOf(name) })))(
    "by $name",
    ({ name, make, sound }) => {
      let builder: ImageBuilder | string;
      beforeAll(async () => {
        builder = await make(join(lab.directory, name.replaceAll(" ", "-")));
        if (typeof builder !== "string") lab.stock(builder);
      });
      afterAll(async () => {
        if (typeof builder !== "string") await builder.close();
      });

      it.each(ALL)("%s", async (way) => {
        if (typeof builder === "string") throw new Error(builder);
        const built = new BuiltProject(lab, builder, way);
        const bad: Change[] = [];
        for (const change of isDocker(name) ? ([...CHANGES, "forced"] as const) : CHANGES) {
          const { image, layout, took, layers } = await built.build(change, ...(change === "forced" ? FORCED : []));
          const { stdout } = await lab.seal("lint", image, "--cert", "keys/db.crt", "--json");
          const { passed } = JSON.parse(stdout);
          const isRight = passed.includes("uki-digest");
          if (!isRight) bad.push(change);
          if (layout !== null) expect(pullDigest(layout)).toBe((await lab.seal("compute-digest", image)).stdout.trim());
          const seconds = [took.build, took.sealing].map((time) => (time / 1000).toFixed(1)).join(" + ");
          lines.push(`${name} | ${way} | ${change} | ${isRight ? "right" : "WRONG"} | ${layers} layers | ${seconds} s`);
        }
        if (sound.includes(way)) expect(bad).toEqual([]);
        else expect(bad).not.toEqual([]);
      });
    },
  );
});
