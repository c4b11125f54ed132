import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { hasMaglev } from "../../src/io/turbofan.ts";
import { writeLayout } from "../support/layout.ts";
import { tarArchive, tarDirectory, tarFile } from "../support/tar.ts";
import { tempDir } from "../support/temp.ts";

const dist = fileURLToPath(new URL("../../dist", import.meta.url));

/** What each line of V8 says that it compiles a function with. */
function compilers(args: readonly string[], cwd: string): ReadonlySet<string> {
  const run = spawnSync(process.execPath, ["--trace-opt", ...args], { cwd, encoding: "utf8", maxBuffer: 1 << 28 });
  expect(run.status, run.stderr).toBe(0);
  const lines = run.stdout.matchAll(/^\[completed compiling .* \(target (\w+)\)/gm);
  return new Set([...lines].map(([, target = ""]) => target));
}

describe("V8's compilers", () => {
  it.runIf(hasMaglev(process.versions.node, process.arch))(
    "are all but Turbofan in the program, and all where the library is used",
    () => {
      const directory = tempDir();
      const files = Array.from({ length: 20_000 }, (_, number) =>
        tarFile(`usr/share/${number}`, Buffer.alloc(100, `${number}`)),
      );
      writeLayout(join(directory, "image"), [tarArchive(tarDirectory("usr"), tarDirectory("usr/share"), ...files)], {
        compression: "none",
      });

      const program = compilers(
        [join(dist, "cli/main.js"), "compute-digest", "oci:image", "--transform", "oci"],
        directory,
      );
      expect(program).toEqual(new Set(["MAGLEV"]));
      const code = `
        import { erofsDigest, openRootfs, parseImageOrDirectory } from ${JSON.stringify(join(dist, "index.js"))};
        const reading = { algorithm: "sha512", xattrs: [], cwd: process.cwd() };
        const { rootfs } = await openRootfs(parseImageOrDirectory("oci:image", "image"), reading);
        console.log(erofsDigest(rootfs.root, { erofs: "v1", algorithm: "sha512" }).digest);`;
      const library = compilers(["--input-type=module", "--eval", code], directory);
      expect(library).toEqual(new Set(["MAGLEV", "TURBOFAN_JS"]));
    },
  );

  it.each([
    ["24.0.0", "x64", true],
    ["26.1.0", "arm64", true],
    ["22.12.0", "x64", false],
    ["24.0.0", "riscv64", false],
  ])("of node %s on %s include Maglev: %s", (version, arch, has) => {
    expect(hasMaglev(version, arch)).toBe(has);
  });
});
