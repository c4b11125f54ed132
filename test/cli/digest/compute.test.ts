import { mkdirSync, readFileSync, symlinkSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { computeDigestReportSchema } from "../../../src/cli/digest/compute.ts";
import { LATEST_RELEASE } from "../../../src/composefs/releases.ts";
import { seal } from "../../support/cli.ts";
import { writeLayout } from "../../support/layout.ts";
import { tarArchive, tarDirectory, tarFile, tarPax } from "../../support/tar.ts";
import { tempDir } from "../../support/temp.ts";
import { vector } from "../../support/vectors.ts";

/** A tree that the boot transform accepts. */
function bootTree(): string {
  const path = tempDir();
  for (const name of ["usr/bin", "boot", "sysroot", "run", "etc"]) mkdirSync(join(path, name), { recursive: true });
  writeFileSync(join(path, "usr/bin/program"), Buffer.alloc(10_000, "program"));
  writeFileSync(join(path, "etc/small"), "small");
  writeFileSync(join(path, "boot/left-out"), Buffer.alloc(100));
  return path;
}

const hex = (length: number) => new RegExp(`^[0-9a-f]{${length}}$`);

describe("seal compute-digest", () => {
  it("prints the digest and nothing else", async () => {
    const result = await seal(["compute-digest", bootTree()]);
    expect(result).toMatchObject({ code: 0, stderr: "" });
    expect(result.stdout).toMatch(/^[0-9a-f]{128}\n$/);
  });

  it("answers to bootc's name for it", async () => {
    const path = bootTree();
    const own = await seal(["compute-digest", path]);
    expect(await seal(["compute-composefs-digest", path])).toEqual(own);
  });

  it("does not depend on what the boot transform leaves out, nor on the number of threads", async () => {
    const path = bootTree();
    const first = await seal(["compute-digest", path, "--jobs", "1"]);
    writeFileSync(join(path, "boot/left-out"), "changed");
    mkdirSync(join(path, "run/more"));
    for (const jobs of ["1", "2", "4"]) {
      expect((await seal(["compute-digest", path, "--jobs", jobs])).stdout).toBe(first.stdout);
    }
  });

  it("computes several digests in the order of the options", async () => {
    const path = bootTree();
    const formats = ["v2", "v0", "v1"];
    const single: string[] = [];
    for (const erofs of formats) {
      single.push((await seal(["compute-digest", path, "--erofs", erofs, "--algorithm", "sha256"])).stdout);
    }
    const args = ["compute-digest", path, "--algorithm", "sha256", ...formats.flatMap((erofs) => ["--erofs", erofs])];
    const all = await seal(args);
    expect(all.stdout).toBe(single.join(""));
    expect(new Set(single).size).toBe(3);
    for (const line of all.stdout.trim().split("\n")) expect(line).toMatch(hex(64));
  });

  it("takes format and rules from the bootc release", async () => {
    const path = bootTree();
    const v1 = await seal(["compute-digest", path, "--erofs", "v1"]);
    const v2 = await seal(["compute-digest", path, "--erofs", "v2"]);
    const both = await seal(["compute-digest", path, "--bootc", "1.15", "--bootc", "latest", "--bootc", "1.16.4"]);
    expect(both.stdout).toBe(v2.stdout + v1.stdout);
    expect((await seal(["compute-digest", path, "--bootc", "1.15", "--erofs", "v1"])).stdout).toBe(v1.stdout);
  });

  it("leaves nanoseconds of a directory out, unless they are asked for or nothing is transformed", async () => {
    const path = bootTree();
    utimesSync(join(path, "etc/small"), 1_700_000_000.5, 1_700_000_000.5);
    const digest = async (...args: string[]) => (await seal(["compute-digest", path, ...args])).stdout;
    expect(await digest()).toBe(await digest("--mtime", "seconds"));
    expect(await digest()).not.toBe(await digest("--mtime", "exact"));
    expect(await digest("--mtime", "auto", "--transform", "oci")).toBe(
      await digest("--mtime", "seconds", "--transform", "oci"),
    );
    expect(await digest("--transform", "none")).toBe(await digest("--transform", "none", "--mtime", "exact"));
  });

  it("counts the nanoseconds that layers, archives, images and dump files have", async () => {
    const cwd = tempDir();
    const directories = ["usr", "boot", "sysroot", "etc"].map((name) => tarDirectory(name));
    const archive = tarArchive(...directories, tarPax({ mtime: "5.25" }), tarFile("etc/x", Buffer.from("x")));
    writeFileSync(join(cwd, "a.tar"), archive);
    writeLayout(join(cwd, "layout"), [archive]);
    await seal(["compute-digest", "tar:a.tar", "--write-image-to", "a.erofs", "--write-dumpfile-to", "a.dump"], {
      cwd,
    });
    const digests = new Set<string>();
    for (const spec of ["tar:a.tar", "oci:layout", "erofs:a.erofs", "dumpfile:a.dump"]) {
      const args = ["compute-digest", spec, ...(/erofs|dump/.test(spec) ? ["--transform", "none"] : [])];
      const auto = (await seal(args, { cwd })).stdout;
      expect((await seal([...args, "--mtime", "exact"], { cwd })).stdout, spec).toBe(auto);
      expect((await seal([...args, "--mtime", "seconds"], { cwd })).stdout, spec).not.toBe(auto);
      digests.add(auto);
    }
    expect(digests.size).toBe(1);
    expect([...digests][0]).toMatch(/^[0-9a-f]{128}\n$/);
  });

  it("prints kernel arguments in both styles", async () => {
    const path = bootTree();
    const digest = (await seal(["compute-digest", path])).stdout;
    expect((await seal(["compute-digest", path, "--karg"])).stdout).toBe(`composefs=${digest}`);
    const long = await seal(["compute-digest", path, "--karg", "--karg-style", "composefs.digest"]);
    expect(long.stdout).toBe(`composefs.digest=v1-sha512-12:${digest}`);
  });

  it("prints the pair that bootc 1.17 writes", async () => {
    const path = bootTree();
    const { stdout } = await seal(["compute-digest", path, "--karg", "--karg-style", "both"]);
    const digests = (await seal(["compute-digest", path, "--erofs", "v1", "--erofs", "v2"])).stdout.trim().split("\n");
    expect(stdout).toBe(`composefs.digest=v1-sha512-12:${digests[0]}\ncomposefs=${digests[1]}\n`);
  });

  it.each([
    ["9.9.9", `bootc 9.9.9 is a release unknown to seal: treated as ${LATEST_RELEASE}, the newest one known`],
    ["next", `bootc next is not a release: treated as ${LATEST_RELEASE}, the newest one known`],
    ["1.17.2", "bootc 1.17.2 is a tag without release notes: treated as 1.17.1"],
    [`v${LATEST_RELEASE}`, ""],
  ])("takes --bootc %s, and says for what", async (release, note) => {
    const path = bootTree();
    const { stdout, stderr } = await seal(["compute-digest", path, "--bootc", release]);
    expect(stdout).toBe((await seal(["compute-digest", path])).stdout);
    expect(stderr).toBe(note === "" ? "" : `warning: ${note}\n`);
  });

  it("prints JSON of the documented shape", async () => {
    const path = bootTree();
    const result = await seal(["compute-digest", path, "--json", "--erofs", "v1", "--erofs", "v2"]);
    const report = computeDigestReportSchema.parse(JSON.parse(result.stdout));
    expect(report).toMatchObject({ files: 3, directories: 7, bytesHashed: 10_100 });
    expect(report.digests.map(({ erofs, algorithm }) => `${erofs} ${algorithm}`)).toEqual(["v1 sha512", "v2 sha512"]);
    expect(report.digests[0]?.karg).toBe(`composefs.digest=v1-sha512-12:${report.digests[0]?.digest}`);
    // bootc 1.17 refuses a second short one.
    expect(report.digests[1]?.karg).toBe(`composefs=${report.digests[1]?.digest}`);
    expect(report.imageBytes).toBeGreaterThan(8192);
  });

  it("writes the dump file and the image that the digest is of", async () => {
    const path = bootTree();
    const out = tempDir();
    const files = ["--write-dumpfile-to", join(out, "sub/root.dump"), "--write-image-to", join(out, "root.erofs")];
    const result = await seal(["compute-digest", path, ...files, "--json"]);
    const report = computeDigestReportSchema.parse(JSON.parse(result.stdout));
    const image = readFileSync(join(out, "root.erofs"));
    expect(image.length).toBe(report.imageBytes);
    expect(image.readUInt32LE(1024)).toBe(0xe0f5e1e2);
    const dump = readFileSync(join(out, "sub/root.dump"), "latin1");
    expect(dump).toMatch(/^\/usr\/bin\/program 10000 100644 1 /m);
    expect(dump).not.toContain("left-out");
    const again = await seal(["compute-digest", `dumpfile:${join(out, "sub/root.dump")}`, "--transform", "none"]);
    expect(again.stdout.trim()).toBe(report.digests[0]?.digest);
  });

  it("reads dump files", async () => {
    const path = join(tempDir(), "a.dump");
    writeFileSync(path, vector("composefs/toplevel.dump"));
    const result = await seal(["compute-digest", `dumpfile:${path}`, "--transform", "none", "--json"]);
    expect(computeDigestReportSchema.parse(JSON.parse(result.stdout))).toMatchObject({ bytesHashed: 0 });
  });

  it("takes paths relative to where it is called", async () => {
    const path = bootTree();
    const whole = await seal(["compute-digest", path]);
    expect(await seal(["compute-digest", "dir:."], { cwd: path })).toEqual(whole);
  });

  it("shows its progress on a terminal", async () => {
    const result = await seal(["compute-digest", bootTree()], { columns: 100 });
    expect(result.stderr).toContain("3 files");
    expect(result.stderr.endsWith("\r\x1b[K")).toBe(true);
  });
});

describe("seal compute-digest refuses", () => {
  const cases: readonly (readonly [title: string, args: (path: string) => string[], code: number, message: RegExp])[] =
    [
      [
        "the running system",
        () => ["/"],
        3,
        /^seal: refusing to seal the running system's \/\. Mount .*\/target\)\.\n$/,
      ],
      ["a directory that is not there", (path) => [`${path}/none`], 3, /none: can't be read: no such file/],
      ["a tree without /usr", (path) => [join(path, "etc")], 3, /^seal: .*usr.*\n$/],
      [
        "a kind of source it does not know",
        () => ["ftp:x"],
        2,
        /"ftp:x" is not a root filesystem; give a directory, dir:PATH, oci:PATH/,
      ],
      ["a release older than all", (path) => [path, "--bootc", "1.9"], 2, /bootc 1\.9: not a known release; known are/],
      [
        "two short words",
        (path) => [path, "--erofs", "v1", "--erofs", "v2", "--karg-style", "composefs"],
        2,
        /refuses a second composefs=/,
      ],
      ["the pair and a format", (path) => [path, "--erofs", "v1", "--karg-style", "both"], 2, /leave out --erofs/],
      ["an unknown format", (path) => [path, "--erofs", "v9"], 2, /--erofs: /],
      ["no threads", (path) => [path, "--jobs", "0"], 2, /--jobs: /],
      [
        "several images in one file",
        (path) => [path, "--erofs", "v1", "--erofs", "v2", "--write-image-to", "x"],
        2,
        /--write-image-to takes one of 2/,
      ],
      [
        "trees that differ in one dump file",
        (path) => [path, "--bootc", "1.17.5", "--bootc", "1.16.9", "--write-dumpfile-to", "x"],
        2,
        /--write-dumpfile-to takes one of 2 trees/,
      ],
      [
        "v0 in the long form",
        (path) => [path, "--erofs", "v0", "--karg-style", "composefs.digest"],
        2,
        /has no name for EROFS v0/,
      ],
      [
        "a policy in a dump file",
        (path) => [`dumpfile:${path}/dump`],
        3,
        /a dump file has no contents; give the directory itself/,
      ],
      [
        "an output that can't be written",
        (path) => [path, "--write-image-to", join(path, "etc/small/x")],
        3,
        /x: can't be written/,
      ],
    ];
  for (const [title, args, code, message] of cases) {
    it(title, async () => {
      const path = bootTree();
      mkdirSync(join(path, "etc/selinux/x/contexts/files"), { recursive: true });
      if (title === "a policy in a dump file") {
        writeFileSync(join(path, "etc/selinux/config"), "SELINUXTYPE=x\n");
        writeFileSync(
          join(path, "etc/selinux/x/contexts/files/file_contexts"),
          "/.* system_u:object_r:a_t:s0\n".repeat(9),
        );
        await seal(["compute-digest", path, "--transform", "none", "--write-dumpfile-to", join(path, "dump")]);
      }
      const result = await seal(["compute-digest", ...args(path)]);
      expect(result).toMatchObject({ code, stdout: "" });
      expect(result.stderr).toMatch(message);
      expect(result.stderr.trim().split("\n").length).toBe(1);
    });
  }

  it("a policy that lies behind a symlink out of the tree", async () => {
    const path = bootTree();
    symlinkSync("/etc/selinux", join(path, "etc/selinux"));
    const result = await seal(["compute-digest", path]);
    expect(result.code).toBe(3);
    expect(result.stderr).toContain("which is absolute");
  });
});
