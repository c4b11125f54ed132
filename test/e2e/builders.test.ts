/**
 * Builders as people have them: the way that the documentation shows first gives an image that boots, however often it
 * is built and whatever changed; others don't, and seal says why.
 */

import { cpSync, mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { setTimeout } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { type BuilderLab, BuiltProject, CHANGES, makeBuilderLab } from "../support/builder-lab.ts";
import { BUILDERS, type ImageBuilder, missingBuilders } from "../support/builders.ts";
import { peersRequired } from "../support/peers.ts";
import { pullDigest } from "../support/pull.ts";

vi.setConfig({ testTimeout: 300_000, hookTimeout: 300_000 });

const project = fileURLToPath(new URL("../..", import.meta.url));
const canRun = missingBuilders().length === 0 || peersRequired;
/** The others are for test/long. */
const { "docker with overlay2": _, ...IN_CI } = BUILDERS;

describe.skipIf(!canRun)("an image that is built again and again", () => {
  let lab: BuilderLab;
  beforeAll(async () => {
    lab = await makeBuilderLab();
  });
  afterAll(() => lab.close());

  const isStale = { "podman of Debian 12": true, "docker with the containerd store": true } as Readonly<
    Record<string, boolean>
  >;

  describe.each(Object.entries(IN_CI))("by %s", (name, make) => {
    let builder: ImageBuilder | string;
    beforeAll(async () => {
      builder = await make(join(lab.directory, name.replaceAll(" ", "-")));
      if (typeof builder === "string") console.log(`skipped: ${name}: ${builder}`);
      else lab.stock(builder);
    });
    afterAll(async () => {
      if (typeof builder !== "string") await builder.close();
    });

    it("builds the tools image, on a base that has all it needs", ({ skip }) => {
      if (typeof builder === "string") return skip();
      const context = join(lab.directory, `${name.replaceAll(" ", "-")}-tools`);
      const write = (path: string, text: string) => {
        mkdirSync(dirname(join(context, path)), { recursive: true });
        writeFileSync(join(context, path), text, { mode: 0o755 });
      };
      const efi = "/usr/lib/systemd/boot/efi";
      const copies = `cp ${efi}/linuxx64.efi.stub ${efi}/linuxaa64.efi.stub && cp ${efi}/systemd-bootx64.efi ${efi}/systemd-bootaa64.efi`;
      write("base/Containerfile", `FROM localhost/base\nRUN ${copies}\n`);
      builder.build(join(context, "base"), "localhost/both", "--file", join(context, "base/Containerfile"));
      // A program that is there in no time stands for the real one.
      write("tools/other/seal", "#!/bin/sh\necho called with $*\n");
      cpSync(join(project, "Containerfile.tools"), join(context, "tools/Containerfile"));
      const given = ["--build-arg", "BASE=localhost/both", "--build-arg", "BUNDLE=other"];
      builder.build(
        join(context, "tools"),
        "localhost/tools",
        "--file",
        join(context, "tools/Containerfile"),
        ...given,
      );
      write("use/Containerfile", `FROM localhost/tools\nRUN seal lint /target && ls ${efi}\n`);
      const file = ["--file", join(context, "use/Containerfile")];
      const log = builder.build(join(context, "use"), "localhost/used", ...file);
      expect(log).toContain("called with lint /target");
      expect(log).toContain("systemd-bootaa64.efi");
    });

    /** What lint says of the digest. */
    async function digestFinding(image: string): Promise<{ message: string; fix: string } | undefined> {
      const { stdout } = await lab.seal("lint", image, "--cert", "keys/db.crt", "--json");
      const { findings, passed } = JSON.parse(stdout);
      const finding = findings.find(({ id }: { id: string }) => id === "uki-digest");
      expect(finding !== undefined || passed.includes("uki-digest"), stdout).toBe(true);
      return finding;
    }

    it("has the digest of its layers after any change when seal image seals it", async ({ skip }) => {
      if (typeof builder === "string") return skip();
      const built = new BuiltProject(lab, builder, "two commands");
      for (const change of CHANGES) {
        const { image, layout } = await built.build(change);
        expect(await digestFinding(image), change).toBeUndefined();
        const digest = (await lab.seal("compute-digest", image)).stdout.trim();
        expect(pullDigest(layout ?? ""), change).toBe(digest);
      }
    });

    it("has the digest of its layers after any change when a step seals one layer, with a value that is new each time", async ({
      skip,
    }) => {
      // When all steps of the mounted stage come from its cache, podman 4.3 runs the sealing one first, and the
      // digest is another one.
      if (typeof builder === "string" || name === "podman of Debian 12") return skip();
      const built = new BuiltProject(lab, builder, "in the tools image, flat, with a value");
      for (const change of CHANGES) {
        const { image, log } = await built.build(change);
        expect(await digestFinding(image), change).toBeUndefined();
        expect(log).not.toMatch(/! (?:mounted files|touched times)/);
      }
    });

    it("is found out when the sealing step came from the cache", async ({ skip }) => {
      if (typeof builder === "string" || isStale[name] !== true) return skip();
      const built = new BuiltProject(lab, builder, "in the tools image");
      const first = await built.build("first");
      // The mount that was sealed had times of directories that no layer lists.
      if (name.startsWith("docker")) {
        expect(first.log).toMatch(/! touched times +2 paths have mtimes newer/);
        expect((await digestFinding(first.image))?.message).toContain(
          "BuildKit built it, which leaves a directory out",
        );
      }
      // Layers have whole seconds: in the same one nothing would tell the UKI's time from later ones.
      await setTimeout(1_500);
      const { image, log } = await built.build("times");
      expect(log).toMatch(/Using cache|CACHED/);
      const finding = await digestFinding(image);
      expect(finding?.message).toMatch(/The sealing step came from the builder's cache: the UKI dates from /);
      expect(finding?.fix).toMatch(
        name.startsWith("docker") ? /--no-cache-filter/ : /podman and buildah, pass --no-cache/,
      );
    });
  });
});
