/**
 * Layers that were made to do harm, or to be too much: a clear error or the right digest, in bounded memory,
 * and nothing written.
 */
import { spawnSync } from "node:child_process";
import { createWriteStream, mkdirSync, readdirSync, truncateSync, utimesSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { pipeline } from "node:stream/promises";
import { createGzip, gzipSync } from "node:zlib";
import { describe, expect, it } from "vitest";
import { unpackLayer } from "../../../src/io/oci/layer.ts";
import { wholeFile } from "../../../src/io/oci/stored-file.ts";
import { seal } from "../../support/cli.ts";
import { writeLayout } from "../../support/layout.ts";
import { describeWith } from "../../support/peers.ts";
import { pullDigest } from "../../support/pull.ts";
import { OWN, TAR_END, tarArchive, tarDirectory, tarFile, tarHeader, tarLong, tarPadded } from "../../support/tar.ts";
import { tempDir } from "../../support/temp.ts";

const DIRECTORIES = ["./", "usr/", "sysroot/", "boot/"].map((name) => tarDirectory(name, OWN));
const FILE = tarFile("usr/file", Buffer.from("content"));
const GIB = 2 ** 30;
const MIB = 2 ** 20;

/** Runs the built program. @returns what it printed, and the most memory that it had, in MiB */
function measured(args: readonly string[], cwd: string) {
  const report = "process.on('exit', () => process.stderr.write('\\npeak ' + process.resourceUsage().maxRSS + '\\n'))";
  const main = resolve("dist/cli/main.js");
  const { stdout, stderr, status } = spawnSync(
    process.execPath,
    ["--import", `data:text/javascript,${encodeURIComponent(report)}`, main, ...args],
    { cwd, encoding: "utf8" },
  );
  const [, kibibytes = "NaN"] = /\npeak (\d+)\n/.exec(stderr) ?? [];
  return { stdout, stderr, status, peak: Number(kibibytes) / 1024 };
}

async function gzipped(path: string, parts: Iterable<Uint8Array>): Promise<void> {
  await pipeline(parts, createGzip({ level: 1 }), createWriteStream(path));
}

describe("an image without layers", () => {
  it.each([[["compute-digest", "oci:image"]], [["image", "--from", "oci:image", "--to", "oci:sealed"]]])(
    "is said to be empty by %j",
    async (args) => {
      const cwd = tempDir();
      writeLayout(join(cwd, "image"), []);
      const { code, stderr } = await seal(args, { cwd });
      expect({ code, stderr }).toEqual({ code: 3, stderr: expect.stringMatching(/^seal: oci:image: is empty: .*\n$/) });
      expect(readdirSync(cwd)).toEqual(["image"]);
    },
  );
});

describe("a hostile layer", () => {
  const link = (type: "1" | "2", name: string, target: string) => tarHeader({ name, type, link: target });
  const inside = tarFile("usr/out/file", Buffer.from("content"));
  const long = `usr/${"../".repeat(100)}etc/passwd`;
  it.each<[string, Uint8Array[], RegExp]>([
    ["..", [tarFile("../etc/passwd", Buffer.from("x"))], /\.\.\/etc\/passwd: .*\.\./],
    [".. further in", [tarFile("usr/../../etc/passwd", Buffer.from("x"))], /\.\./],
    ["a long name with ..", [tarLong("L", long), tarFile("x", Buffer.from("x"))], /\.\./],
    ["a file below a link out of the root", [link("2", "usr/out", "../../../.."), inside], /usr\/out/],
    ["a file below an absolute link", [link("2", "usr/out", "/tmp"), inside], /usr\/out/],
    ["a hardlink out of the root", [link("1", "usr/out", "../../etc/passwd")], /\.\./],
    ["a hardlink to what only this machine has", [link("1", "usr/out", "/etc/passwd")], /usr\/out: .*etc/],
    ["a parent that is a file", [FILE, tarFile("usr/file/x", Buffer.from("x"))], /usr\/file/],
  ])("with %s is refused, and nothing is written", async (_, parts, message) => {
    const cwd = tempDir();
    writeLayout(join(cwd, "layout"), [tarArchive(...DIRECTORIES, ...parts)]);
    for (const args of [["compute-digest"], ["rootfs", "--output", "out"]]) {
      const { code, stdout, stderr } = await seal([...args, "oci:layout"], { cwd });
      expect({ code, stdout }).toEqual({ code: 3, stdout: "" });
      expect(stderr).toMatch(/^seal: oci:layout: [^\n]*\n$/);
      expect(stderr).toMatch(message);
    }
    expect(readdirSync(cwd)).toEqual(["layout"]);
  });

  it("with absolute names, or whiteouts of nothing, has the digest of the one without", async () => {
    const digests = [];
    const named = (name: string) => tarFile(name, Buffer.from("content"));
    const whiteouts = ["usr/.wh...", ".wh.."].map((name) => tarHeader({ name }));
    for (const parts of [[FILE], [named("/usr/file")], [named("//usr/./file")], [FILE, ...whiteouts]]) {
      const cwd = tempDir();
      writeLayout(join(cwd, "layout"), [tarArchive(...DIRECTORIES, ...parts)]);
      digests.push((await seal(["compute-digest", "oci:layout"], { cwd })).stdout);
    }
    expect(digests[0]).toMatch(/^[0-9a-f]{128}\n$/);
    expect(new Set(digests).size).toBe(1);
  });

  it("that unpacks to more than a layer may is refused where that is seen", async () => {
    const file = join(tempDir(), "bomb.tar.gz");
    const zeros = Buffer.alloc(96 * MIB);
    writeFileSync(file, gzipSync(tarArchive(...DIRECTORIES, tarFile("usr/zeros", zeros)), { level: 1 }));
    const layer = {
      file: await wholeFile("bomb", file),
      digest: null,
      diffId: null,
      mediaType: null,
      negativeTimes: false,
    };
    const bytes = async (limit: number) => {
      let count = 0;
      for await (const chunk of unpackLayer(layer, {}, limit)) count += chunk.length;
      return count;
    };
    expect(await bytes(GIB)).toBeGreaterThan(96 * MIB);
    await expect(bytes(GIB / 16)).rejects.toThrow(
      /^bomb: unpacks to more than 0\.0625 GiB, more than seal accepts for a layer$/,
    );
  });

  it("that claims a size that it has not is refused", async () => {
    const cwd = tempDir();
    const claims = tarHeader({ name: "usr/file", size: 60 * GIB });
    writeLayout(join(cwd, "layout"), [Buffer.concat([...DIRECTORIES, claims, tarPadded(Buffer.from("x")), TAR_END])]);
    const { status, stderr, peak } = measured(["compute-digest", "oci:layout"], cwd);
    expect({ status, stderr: /truncated/.test(stderr) }).toEqual({ status: 3, stderr: true });
    expect(peak).toBeLessThan(400);
  });

  it("with a sparse file of 10 GiB, as GNU tar archives it, is refused at once", () => {
    const cwd = tempDir();
    writeFileSync(join(cwd, "sparse"), "");
    truncateSync(join(cwd, "sparse"), 10 * GIB);
    for (const format of ["gnu", "pax"]) {
      const made = spawnSync("tar", ["--sparse", `--format=${format}`, "-cf", `${format}.tar`, "sparse"], { cwd });
      expect(made.status).toBe(0);
      const { status, stderr, peak } = measured(["compute-digest", `tar:${format}.tar`], cwd);
      expect(status).toBe(3);
      expect(stderr).toMatch(/^seal: tar:\w+\.tar: .*sparse files in archives are not supported\n/);
      expect(peak).toBeLessThan(400);
    }
  });

  it("with a file of 512 MiB of zeros in few bytes has its digest, in little memory", async () => {
    const cwd = tempDir();
    const zeros = Buffer.alloc(MIB);
    const parts = [
      ...DIRECTORIES,
      tarHeader({ ...OWN, name: "usr/zeros", size: GIB / 2 }),
      ...Array(512).fill(zeros),
      TAR_END,
    ];
    await gzipped(join(cwd, "zeros.tar.gz"), parts);
    const { stdout, stderr, peak } = measured(["compute-digest", "tar:zeros.tar.gz"], cwd);
    for (const name of ["usr", "sysroot", "boot"]) mkdirSync(join(cwd, "tree", name), { recursive: true });
    writeFileSync(join(cwd, "tree/usr/zeros"), "", { mode: 0o644 });
    truncateSync(join(cwd, "tree/usr/zeros"), GIB / 2);
    for (const name of ["usr/zeros", "usr", "sysroot", "boot", ""]) utimesSync(join(cwd, "tree", name), 0, 0);
    expect(stdout, stderr).toBe((await seal(["compute-digest", "tree"], { cwd })).stdout);
    expect(peak).toBeLessThan(400);
  });
});

describeWith(["cfsctl"], "a layer with a million entries", () => {
  it("has the digest that cfsctl computes, in bounded memory", async () => {
    const cwd = tempDir();
    const archive = function* (): Generator<Buffer> {
      yield* DIRECTORIES;
      for (let directory = 0; directory < 1000; directory++) {
        yield tarDirectory(`usr/${directory}/`);
        const names = Array.from({ length: 1000 }, (_, index) => `usr/${directory}/${index}`);
        yield Buffer.concat(names.map((name) => tarHeader({ name })));
      }
      yield TAR_END;
    };
    const layout = join(cwd, "layout");
    writeLayout(layout, [Buffer.concat([...archive()])]);
    const { stdout, stderr, peak } = measured(["compute-digest", "oci:layout", "--bootc", "1.17.5"], cwd);
    expect(stdout.trim(), stderr).toBe(pullDigest(layout));
    expect(peak).toBeLessThan(2048);
  }, 600_000);
});
