import { spawnSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { setEnvironmentData } from "node:worker_threads";
import { afterEach, describe, expect, it, vi } from "vitest";
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

  it("takes the code that was kept of all that the program loads, also when it works", () => {
    const directory = manyFiles();
    writeFileSync(
      join(directory, "note.cjs"),
      `const fs = require("node:fs");
       const vm = require("node:vm");
       const { Script } = vm;
       let taken = 0;
       vm.Script = class extends Script {
         constructor(text, options) {
           super(text, options);
           if (this.cachedDataRejected) console.log("refused", options.filename);
           if (this.cachedDataRejected === false) taken++;
         }
       };
       process.on("exit", () => fs.writeSync(1, "taken: " + (taken > 20) + "\\n"));`,
    );
    const { stdout } = spawnSync(process.execPath, ["--require", "./note.cjs", ...PROGRAM], {
      cwd: directory,
      encoding: "utf8",
    });
    expect(stdout).toMatch(/^[0-9a-f]{128}\ntaken: true\n$/);
  });

  it("keeps the memory for new objects small in the program, but not where the library is used", () => {
    const directory = manyFiles();
    const inLibrary = scavenges(LIBRARY, directory);
    expect(inLibrary).toBeGreaterThan(3);
    expect(scavenges(PROGRAM, directory)).toBeGreaterThan(1.5 * inLibrary);
  });
});

describe.runIf(hasMaglev(process.versions.node, process.arch))("settings for work", () => {
  const set: string[] = [];
  const isForWork = () =>
    set.includes("--no-turbofan") && set.lastIndexOf("--no-turbofan") > set.lastIndexOf("--turbofan");

  async function fresh() {
    set.length = 0;
    vi.resetModules();
    vi.doMock("node:v8", () => ({ setFlagsFromString: (flag: string) => void set.push(flag) }));
    setEnvironmentData("seal: settings of V8", undefined);
    vi.stubGlobal("SEAL_OWNS_PROCESS", true);
    return import("../../src/io/v8-settings.ts");
  }

  afterEach(() => {
    vi.doUnmock("node:v8");
    vi.unstubAllGlobals();
  });

  it("wait until the last thread is up", async () => {
    const { noteThreadStarts, noteThreadUp, setForWork } = await fresh();
    setForWork();
    expect(isForWork()).toBe(true);
    noteThreadStarts();
    noteThreadStarts();
    noteThreadUp();
    setForWork();
    expect(isForWork()).toBe(false);
    noteThreadUp();
    expect(isForWork()).toBe(true);
  });

  it("are put back while something is loaded, and what it loads", async () => {
    const { loadAsAtStart, setForWork } = await fresh();
    expect(loadAsAtStart(() => "before work")).toBe("before work");
    expect(set).toEqual([]);
    setForWork();
    const seen = loadAsAtStart(() => [isForWork(), loadAsAtStart(isForWork), isForWork()]);
    expect(seen).toEqual([false, false, false]);
    expect(isForWork()).toBe(true);
    const fail = () => {
      throw new Error("can't be loaded");
    };
    expect(() => loadAsAtStart(fail)).toThrow("can't be loaded");
    expect(isForWork()).toBe(true);
  });

  it("stay as at the start after loading while a thread starts", async () => {
    const { loadAsAtStart, noteThreadStarts, noteThreadUp, setForWork } = await fresh();
    setForWork();
    loadAsAtStart(noteThreadStarts);
    expect(isForWork()).toBe(false);
    noteThreadUp();
    expect(isForWork()).toBe(true);
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
