import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { hasMaglev } from "../../src/io/v8-settings.ts";
import { writeLayout } from "../support/layout.ts";
import { tarArchive, tarDirectory, tarFile } from "../support/tar.ts";
import { tempDir } from "../support/temp.ts";

const dist = fileURLToPath(new URL("../../dist", import.meta.url));

/** An image in a directory: 20,000 small files. */
function manyFiles(): string {
  const directory = tempDir();
  const files = Array.from({ length: 20_000 }, (_, number) =>
    tarFile(`usr/share/${number}`, Buffer.alloc(100, `${number}`)),
  );
  const archive = tarArchive(tarDirectory("usr"), tarDirectory("usr/share"), ...files);
  writeLayout(join(directory, "image"), [archive], { compression: "none" });
  return directory;
}

const PROGRAM = [join(dist, "cli/main.js"), "compute-digest", "oci:image", "--transform", "oci"];
const LIBRARY = [
  "--input-type=module",
  "--eval",
  `import { erofsDigest, openRootfs, parseImageOrDirectory } from ${JSON.stringify(join(dist, "index.js"))};
   const reading = { algorithm: "sha512", xattrs: [], cwd: process.cwd() };
   const { rootfs } = await openRootfs(parseImageOrDirectory("oci:image", "image"), reading);
   console.log(erofsDigest(rootfs.root, { erofs: "v1", algorithm: "sha512" }).digest);`,
];

/** What V8 says of its work. */
function trace(flag: string, args: readonly string[], cwd: string): string {
  const run = spawnSync(process.execPath, [flag, ...args], { cwd, encoding: "utf8", maxBuffer: 1 << 28 });
  expect(run.status, run.stderr).toBe(0);
  return run.stdout;
}

/** What functions were compiled with. */
function compilers(args: readonly string[], cwd: string): ReadonlySet<string> {
  const lines = trace("--trace-opt", args, cwd).matchAll(/^\[completed compiling .* \(target (\w+)\)/gm);
  return new Set([...lines].map(([, target = ""]) => target));
}

/** How often V8 has gone through new objects because their memory was full. */
function scavenges(args: readonly string[], cwd: string): number {
  return [...trace("--trace-gc", args, cwd).matchAll(/ ms: Scavenge /g)].length;
}

describe.runIf(hasMaglev(process.versions.node, process.arch))("V8", () => {
  it("does without Turbofan in the program, but not where the library is used", () => {
    const directory = manyFiles();
    expect(compilers(PROGRAM, directory)).toEqual(new Set(["MAGLEV"]));
    expect(compilers(LIBRARY, directory)).toEqual(new Set(["MAGLEV", "TURBOFAN_JS"]));
  });

  it("keeps the memory for new objects small in the program, but not where the library is used", () => {
    const directory = manyFiles();
    const inLibrary = scavenges(LIBRARY, directory);
    expect(inLibrary).toBeGreaterThan(3);
    expect(scavenges(PROGRAM, directory)).toBeGreaterThan(1.5 * inLibrary);
  });
});

describe("hasMaglev", () => {
  it.each([
    ["24.0.0", "x64", true],
    ["26.1.0", "arm64", true],
    ["22.12.0", "x64", false],
    ["24.0.0", "riscv64", false],
  ])("of node %s on %s: %s", (version, arch, has) => {
    expect(hasMaglev(version, arch)).toBe(has);
  });
});
