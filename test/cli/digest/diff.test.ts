import { chmodSync, cpSync, linkSync, mkdirSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { diffReportSchema } from "../../../src/cli/digest/diff-schema.ts";
import { seal } from "../../support/cli.ts";
import { writeLayout } from "../../support/layout.ts";
import { OWN, tarArchive, tarDirectory, tarFile, tarPax } from "../../support/tar.ts";
import { tempDir } from "../../support/temp.ts";

function twoTrees(change: (path: string) => void): string {
  const cwd = tempDir();
  for (const name of ["usr/bin", "boot", "sysroot", "etc"]) mkdirSync(join(cwd, "a", name), { recursive: true });
  for (const name of ["one", "two", "three"]) writeFileSync(join(cwd, "a/usr/bin", name), name.repeat(50));
  for (const name of ["usr/bin/one", "usr/bin/two", "usr/bin/three", "usr/bin", "usr", "etc"]) {
    utimesSync(join(cwd, "a", name), 1_700_000_000, 1_700_000_000);
  }
  cpSync(join(cwd, "a"), join(cwd, "b"), { recursive: true, preserveTimestamps: true });
  for (const name of ["usr/bin", "usr", "etc"]) utimesSync(join(cwd, "b", name), 1_700_000_000, 1_700_000_000);
  // Their own nanoseconds would count.
  for (const tree of ["a", "b"]) for (const name of ["boot", "sysroot"]) utimesSync(join(cwd, tree, name), 1, 1);
  change(join(cwd, "b"));
  return cwd;
}

describe("seal diff", () => {
  it("says that trees are the same, whatever they are read from", async () => {
    const cwd = twoTrees(() => {});
    await seal(["compute-digest", "a", "--write-image-to", "a.erofs", "--write-dumpfile-to", "a.dump"], { cwd });
    const { code, stdout } = await seal(["diff", "a", "b"], { cwd });
    expect(stdout).toMatch(/^The same: [0-9a-f]{128}\n$/);
    expect(code).toBe(0);
    const image = await seal(["diff", "erofs:a.erofs", "dumpfile:a.dump", "--transform", "none"], { cwd });
    expect(image.stdout).toBe(stdout);
  });

  it("names what differs, and what to do about times", async () => {
    const cwd = twoTrees((path) => {
      utimesSync(join(path, "usr/bin/one"), 1_700_000_000.25, 1_700_000_000.25);
      chmodSync(join(path, "usr/bin/two"), 0o755);
      writeFileSync(join(path, "etc/hosts"), "");
      utimesSync(join(path, "etc"), 1_700_000_000, 1_700_000_000);
    });
    const { code, stdout } = await seal(["diff", "dir:a", "dir:b", "--mtime", "exact"], { cwd });
    expect(code).toBe(1);
    expect(stdout).toMatch(/^etc\/hosts +added +regular, 0 bytes, 0644$/m);
    expect(stdout).toMatch(/^usr\/bin\/one +mtime +2023-11-14 22:13:20 {2}→ {2}2023-11-14 22:13:20\.25\d*$/m);
    expect(stdout).toMatch(/^usr\/bin\/two +mode +0644 {2}→ {2}0755$/m);
    expect(stdout).toMatch(/^3 paths differ\.$/m);
    expect(stdout).toMatch(/^1 path differs only in sub-second mtime: .*--mtime seconds\.$/m);
    expect(stdout).toMatch(/^1 path differs in what a container builder leaves \(/m);
    expect(stdout).toMatch(/^1 path differs in what it is: one side was changed/m);
    const colours = await seal(["diff", "dir:a", "dir:b"], { cwd, env: { FORCE_COLOR: "1" } });
    const seen = colours.stdout.replaceAll("\x1b", "^");
    expect(seen).toMatch(/^\^\[1metc\/hosts +\^\[22m {2}\^\[32madded *\^\[39m {2}\^\[32mregular, /m);
    expect(seen).toMatch(/\^\[33mmode *\^\[39m {2}0644 /);
    const json = await seal(["diff", "a", "b", "--json"], { cwd });
    const report = diffReportSchema.parse(JSON.parse(json.stdout));
    expect(report.equal).toBe(false);
    expect(new Set(report.digests).size).toBe(2);
    expect(report.differences).toEqual([
      { path: "etc/hosts", field: "added", a: null, b: "regular, 0 bytes, 0644" },
      { path: "usr/bin/two", field: "mode", a: "0644", b: "0755" },
    ]);
  });

  it("says when layers carry nanoseconds that the digest of a directory leaves out", async () => {
    const cwd = twoTrees((path) => utimesSync(join(path, "usr/bin/one"), 1_700_000_000.5, 1_700_000_000.5));
    const time = { ...OWN, mtime: 1_700_000_000 };
    const archive = tarArchive(
      ...["usr", "usr/bin", "etc"].map((name) => tarDirectory(name, time)),
      ...["boot", "sysroot"].map((name) => tarDirectory(name, { ...OWN, mtime: 1 })),
      tarPax({ mtime: "1700000000.5" }),
      ...["one", "two", "three"].map((name) => tarFile(`usr/bin/${name}`, Buffer.from(name.repeat(50)), time)),
    );
    writeLayout(join(cwd, "layout"), [archive]);
    const auto = await seal(["diff", "b", "oci:layout"], { cwd });
    expect(auto).toMatchObject({
      code: 1,
      stdout: expect.stringMatching(/^usr\/bin\/one +mtime .* {2}→ {2}.*20\.500000000$/m),
    });
    expect(auto.stdout).toMatch(/these layers carry nanoseconds; seal the image itself/);
    expect((await seal(["diff", "b", "oci:layout", "--mtime", "exact"], { cwd })).code).toBe(0);
  });

  it("explains times that a builder rewrote, and hardlinks that became copies", async () => {
    const cwd = twoTrees((path) => {
      for (const name of ["one", "two", "three"]) utimesSync(join(path, "usr/bin", name), 1_600_000_000, 1_600_000_000);
    });
    utimesSync(join(cwd, "a/usr/bin/one"), 1_700_000_001, 1_700_000_001);
    const rewritten = await seal(["diff", "a", "b"], { cwd });
    expect(rewritten.stdout).toMatch(
      /^All differ only in mtime: on one side all have 2020-09-13 12:26:40, as a builder/m,
    );
    const linked = twoTrees((path) => {
      linkSync(join(path, "usr/bin/one"), join(path, "usr/bin/four"));
      utimesSync(join(path, "usr/bin"), 1_700_000_000, 1_700_000_000);
    });
    const { stdout } = await seal(["diff", "a", "b"], { cwd: linked });
    expect(stdout).toMatch(/^1 path has different hardlinks: a builder may store/m);
  });

  /** A tree, and an image with other times and, where it is to have some, other contents. */
  async function mountAndImage(times: Readonly<Record<string, number>>, comment: string, content = "one") {
    const cwd = twoTrees(() => {});
    const timeOf = (name: string) => ({ ...OWN, mtime: times[name] ?? 1_700_000_000 });
    const archive = tarArchive(
      ...["usr", "usr/bin", "etc"].map((name) => tarDirectory(name, timeOf(name))),
      ...["boot", "sysroot"].map((name) => tarDirectory(name, { ...OWN, mtime: 1 })),
      ...[content, "two", "three"].map((text, index) => {
        const name = `usr/bin/${["one", "two", "three"][index]}`;
        return tarFile(name, Buffer.from(text.repeat(50)), timeOf(name));
      }),
    );
    const history = [{ created_by: "RUN make # buildkit", comment }];
    writeLayout(join(cwd, "layout"), [archive], { config: { history } });
    return cwd;
  }

  it("names a sealing step from the cache where the image has later times, with the remedy for its builder", async () => {
    const later = { "usr/bin": 1_700_000_100, "usr/bin/one": 1_700_000_050 };
    const docker = await mountAndImage(later, "buildkit.dockerfile.v0");
    const { stdout } = await seal(["diff", "dir:a", "oci:layout"], { cwd: docker });
    expect(stdout).toMatch(
      /^All differ only in mtime: the image has later ones\. .* the sealing step came from the builder's cache; seal the resulting image [^\n]*seal image[^\n]*; or rebuild it: with Docker and BuildKit, pass --no-cache-filter [^\n]*\.$/m,
    );
    expect((await seal(["diff", "oci:layout", "dir:a"], { cwd: docker })).stdout).toContain("from the builder's cache");
    const edited = await mountAndImage(later, "", "uno");
    expect((await seal(["diff", "dir:a", "oci:layout"], { cwd: edited })).stdout).toMatch(
      /^1 path differs in what it is: .* from the builder's cache; seal the resulting image [^\n]*; or rebuild it: with Docker/m,
    );
  });

  it("names directories that BuildKit leaves out where the mount has later times of them only", async () => {
    const older = { "usr/bin": 1_600_000_000, etc: 1_600_000_001 };
    const cwd = await mountAndImage(older, "buildkit.dockerfile.v0");
    const { stdout } = await seal(["diff", "dir:a", "oci:layout"], { cwd });
    expect(stdout).toMatch(
      /^All differ only in mtime: these are directories, and no layer has .*\(FROM scratch, COPY --from/m,
    );
    const files = await mountAndImage({ ...older, "usr/bin/one": 1_600_000_000 }, "buildkit.dockerfile.v0");
    expect((await seal(["diff", "dir:a", "oci:layout"], { cwd: files })).stdout).toContain("something wrote there");
  });

  it("tells what sealing takes out from what was changed", async () => {
    const cwd = twoTrees(() => {});
    for (const tree of ["a", "b"]) {
      const modules = join(cwd, tree, "usr/lib/modules/6");
      mkdirSync(modules, { recursive: true });
      if (tree === "a") writeFileSync(join(modules, "vmlinuz"), "kernel");
      for (const path of [modules, join(modules, ".."), join(modules, "../.."), join(modules, "../../..")])
        utimesSync(path, 1, 1);
    }
    const { stdout } = await seal(["diff", "a", "b"], { cwd });
    expect(stdout).toMatch(/^1 path differs\.\nIt differs in the kernel, which sealing removes: .* without it\.$/m);
    expect(stdout).not.toContain("in what it is");
  });

  it("prints so many differences, or all", async () => {
    const cwd = twoTrees((path) => {
      for (let i = 0; i < 60; i++) writeFileSync(join(path, `etc/${i}`), "");
      utimesSync(join(path, "etc"), 1_700_000_000, 1_700_000_000);
    });
    const short = await seal(["diff", "a", "b"], { cwd });
    expect(short.stdout).toMatch(/^… and 10 more differences; --all prints them$/m);
    const all = await seal(["diff", "a", "b", "--all"], { cwd });
    expect(all.stdout.match(/ added /g)).toHaveLength(60);
  });

  it("compares images, and only one digest at a time", async () => {
    const image = fileURLToPath(new URL("../../vectors/oci/layers.oci.tar", import.meta.url));
    const same = await seal(["diff", `oci-archive:${image}`, `oci-archive:${image}:latest`]);
    expect(same.code).toBe(0);
    const two = await seal(["diff", "a", "b", "--bootc", "1.15", "--bootc", "latest"]);
    expect(two.stderr).toMatch(/give one --erofs and one --bootc only/);
    expect(two.code).toBe(2);
  });
});
