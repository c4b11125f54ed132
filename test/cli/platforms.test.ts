import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { utf8 } from "../../src/bytes.ts";
import { computeDigestsReportSchema } from "../../src/cli/digest/compute.ts";
import { lintReportSchema, lintsReportSchema } from "../../src/cli/lint/schema.ts";
import { seal } from "../support/cli.ts";
import { expectRefusal } from "../support/inputs.ts";
import { writePlatforms } from "../support/platforms.ts";
import { sealableLayers } from "../support/sealable.ts";
import { tarArchive, tarDirectory, tarFile } from "../support/tar.ts";
import { tempDir } from "../support/temp.ts";

const LINTED = ["dev", "usr", "etc", "boot", "sysroot", "proc", "run", "sys", "tmp", "var"].map((name) =>
  tarDirectory(`${name}/`, { mtime: 1_600_000_000 }),
);

/** A directory with the layout `in`. */
function indexed(attest = true): string {
  const cwd = tempDir();
  writePlatforms(
    join(cwd, "in"),
    [
      { architecture: "arm64", variant: "v8", layers: sealableLayers(utf8("arm"), "aa64") },
      { architecture: "amd64", layers: sealableLayers() },
    ],
    { tag: "1", attest },
  );
  return cwd;
}

describe("seal compute-digest --all-platforms", () => {
  it("prints the digest of each image, and nothing of attestations", async () => {
    const cwd = indexed();
    const { code, stdout, stderr } = await seal(["compute-digest", "oci:in:1", "--all-platforms"], { cwd });
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    const lines = ["linux/arm64/v8", "linux/amd64"].map(async (platform) => {
      const alone = await seal(["compute-digest", "oci:in:1", "--platform", platform], { cwd });
      return `${platform} ${alone.stdout}`;
    });
    expect(stdout).toBe((await Promise.all(lines)).join(""));
  });

  it("prints kernel arguments, and all of it as JSON", async () => {
    const cwd = indexed();
    const karg = await seal(["compute-digest", "oci:in:1", "--all-platforms", "--karg"], { cwd });
    expect(karg.stdout).toMatch(/^linux\/arm64\/v8 composefs=[0-9a-f]{128}\nlinux\/amd64 composefs=[0-9a-f]{128}\n$/);
    const { stdout } = await seal(["compute-digest", "oci:in:1", "--all-platforms", "--json"], { cwd });
    const { images } = computeDigestsReportSchema.parse(JSON.parse(stdout));
    expect(images.map(({ platform, digests }) => `${platform} ${digests[0]?.karg}`)).toEqual(
      karg.stdout.trim().split("\n"),
    );
  });

  it("refuses what is not an image, and files of one image", async () => {
    const cwd = indexed();
    const run = (...args: string[]) => seal(["compute-digest", ...args, "--all-platforms"], { cwd });
    expectRefusal(await run("dir:in"), 2, /--all-platforms: dir:in is not an image/);
    expectRefusal(await run("oci:in:1", "--write-image-to", "x"), 2, /takes one image; choose it with --platform/);
    expectRefusal(
      await run("oci:in:1", "--platform", "linux/amd64"),
      2,
      /--platform and --all-platforms|--all-platforms and --platform/,
    );
    writeFileSync(join(cwd, "old.tar"), tarArchive(tarFile("manifest.json", utf8("[]"))));
    expectRefusal(await run("docker-archive:old.tar"), 3, /docker-archive:old\.tar: has no index/);
  });
});

describe("seal lint --all-platforms", () => {
  it("says of each image what lint says of it alone, and fails where one does", async () => {
    const cwd = indexed();
    const all = await seal(["lint", "oci:in:1", "--all-platforms", "--json"], { cwd });
    const { images } = lintsReportSchema.parse(JSON.parse(all.stdout));
    expect(images.map(({ platform }) => platform)).toEqual(["linux/arm64/v8", "linux/amd64"]);
    for (const { platform, ...report } of images) {
      const alone = await seal(["lint", "oci:in:1", "--platform", platform, "--json"], { cwd });
      expect(report).toEqual(lintReportSchema.parse(JSON.parse(alone.stdout)));
      expect(alone.code).toBe(1);
    }
    expect(all.code).toBe(1);
    const text = await seal(["lint", "oci:in:1", "--all-platforms"], { cwd });
    expect(text.stdout).toMatch(/^linux\/arm64\/v8\n.* findings .*^linux\/amd64\n.* findings /ms);
  });

  it.each([
    ["all pass", LINTED, 0],
    ["one fails", LINTED.slice(1), 1],
  ] as const)("exits as the worst of them does: %s", async (_, second, code) => {
    const cwd = tempDir();
    const image = (architecture: string, entries: readonly Buffer[]) => ({
      architecture,
      layers: [tarArchive(...entries)],
    });
    writePlatforms(join(cwd, "in"), [image("amd64", LINTED), image("arm64", second)], { tag: "1" });
    // What no such small tree has.
    const skip = ["kernel", "baseimage-root", "baseimage-composefs"].flatMap((id) => ["--skip", id]);
    const result = await seal(["lint", "oci:in:1", "--all-platforms", ...skip], { cwd });
    expect(result.code, result.stdout).toBe(code);
  });

  it("makes a run of SARIF for each, with a name of its own", async () => {
    const cwd = indexed(false);
    const { stdout } = await seal(["lint", "oci:in:1", "--all-platforms", "--format", "sarif"], { cwd });
    const { runs } = JSON.parse(stdout);
    expect(runs.map((run: { automationDetails?: object }) => run.automationDetails)).toEqual([
      { id: "seal/linux/arm64/v8/" },
      { id: "seal/linux/amd64/" },
    ]);
  });

  it("refuses what tells of one image", async () => {
    const cwd = indexed(false);
    const args = ["lint", "oci:in:1", "--all-platforms", "--mounted", "dir:in"];
    expectRefusal(await seal(args, { cwd }), 2, /takes one image; choose it with --platform/);
  });
});
