/** What layers hold is remembered: nothing is computed otherwise for it, whatever lies in the cache. */
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import zlib from "node:zlib";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, it, onTestFinished, vi } from "vitest";
import { utf8 } from "../../src/bytes.ts";
import {
  type CacheKey,
  decodeCacheEntry,
  encodeCacheEntry,
  keyText,
  packedTableSize,
} from "../../src/io/oci/cache-entry.ts";
import type * as Decompress from "../../src/io/oci/decompress.ts";
import { encodeKeyedEntry } from "../../src/io/oci/keyed-entry.ts";
import { arbitraryLayers, BASE_LAYER } from "../support/arbitrary-layers.ts";
import { type CliOptions, type CliResult, seal } from "../support/cli.ts";
import { KVER, MODULES } from "../support/inputs.ts";
import { sha256, writeLayout } from "../support/layout.ts";
import { sealableLayers } from "../support/sealable.ts";
import { tarArchive, tarDirectory, tarFile } from "../support/tar.ts";
import { tempDir } from "../support/temp.ts";
import { vector } from "../support/vectors.ts";

/** How many layers were unpacked. */
const unpacked = vi.hoisted(() => ({ count: 0 }));
vi.mock("../../src/io/oci/decompress.ts", async (importOriginal) => {
  const original = await importOriginal<typeof Decompress>();
  return {
    ...original,
    decompressed: (...args: Parameters<typeof Decompress.decompressed>) => {
      unpacked.count++;
      return original.decompressed(...args);
    },
  };
});
beforeEach(() => {
  unpacked.count = 0;
});
afterEach(() => vi.restoreAllMocks());

const COMPUTE = ["compute-digest", "oci:in", "--transform", "oci"];
const WITH = ["--cache", "cache"];

function run(cwd: string, args: readonly string[], options: CliOptions = {}): Promise<CliResult> {
  return seal([...args, "--no-progress"], { cwd, ...options });
}

/** What lies in the cache. */
function cached(cwd: string, ending: string): string[] {
  return readdirSync(join(cwd, "cache")).filter((name) => name.endsWith(ending));
}

/** Names of the entries of layers, and of whatever else lies there. */
function entries(cwd: string): string[] {
  return readdirSync(join(cwd, "cache")).filter((name) => !/^cleaned$|\.(?:labels|stack)$/.test(name));
}

/** Leaves nothing but entries of layers. */
function withoutStacks(cwd: string): void {
  for (const name of cached(cwd, ".stack")) rmSync(join(cwd, "cache", name));
}

/** A directory with the image `in` of two layers. */
function workspace(...more: Uint8Array[]): string {
  const cwd = tempDir();
  const upper = tarArchive(tarFile("usr/a/f", Buffer.alloc(300, "upper")), tarFile("usr/.wh.b", utf8("")));
  writeLayout(join(cwd, "in"), [BASE_LAYER, upper, ...more]);
  return cwd;
}

describe("the cache of layers", () => {
  it("changes no answer, for any image", async () => {
    const lint = ["lint", "oci:in", "--json"];
    await fc.assert(
      fc.asyncProperty(arbitraryLayers, fc.constantFrom("gzip", "zstd", "none"), async (stack, compression) => {
        const cwd = tempDir();
        writeLayout(join(cwd, "in"), [BASE_LAYER, ...stack], { compression });
        const ways = [COMPUTE, [...COMPUTE, "--bootc", "1.15", "--algorithm", "sha256"], lint];
        for (const args of ways) {
          const without = await run(cwd, args);
          expect(await run(cwd, [...args, ...WITH])).toEqual(without);
        }
        for (const args of ways) {
          const without = await run(cwd, args);
          unpacked.count = 0;
          expect(await run(cwd, [...args, ...WITH])).toEqual(without);
          if (without.code === 0) expect(unpacked.count).toBe(0);
        }
      }),
      { numRuns: 15 },
    );
  }, 240_000);

  it("is taken from the options, else from SEAL_CACHE or seal.toml, and --no-cache wins", async () => {
    const cwd = workspace();
    const count = async (args: readonly string[], options: CliOptions = {}) => {
      unpacked.count = 0;
      const { code, stderr } = await run(cwd, args, options);
      expect([code, stderr.replace(/^.*from seal.toml.*\n/, "")]).toEqual([0, ""]);
      return unpacked.count;
    };
    const env = { SEAL_CACHE: "cache" };
    expect(await count(COMPUTE, { env })).toBe(2);
    expect(statSync(join(cwd, "cache")).mode & 0o777).toBe(0o700);
    expect(entries(cwd)).toHaveLength(2);
    expect(await count(COMPUTE, { env })).toBe(0);
    expect(await count(COMPUTE)).toBe(2);
    expect(await count([...COMPUTE, "--no-cache"], { env })).toBe(2);
    expect(await count([...COMPUTE, "--cache", "other"], { env })).toBe(2);
    writeFileSync(join(cwd, "seal.toml"), 'cache = "cache"\n');
    const config = ["--config", "seal.toml"];
    expect(await count([...COMPUTE, ...config])).toBe(0);
    expect(await count([...COMPUTE, ...config, "--no-cache"])).toBe(2);
    expect(await count([...COMPUTE, ...config], { env: { SEAL_CACHE: "another" } })).toBe(2);
    writeFileSync(join(cwd, "seal.toml"), "no-cache = true\n");
    expect(await count(COMPUTE)).toBe(2);
    expect((await run(cwd, [...COMPUTE, "--cache", ""])).stderr).toContain("--cache: give a directory");
  });

  it("reads a new layer only, and each kind of digest once", async () => {
    const cwd = workspace();
    await run(cwd, [...COMPUTE, ...WITH]);
    rmSync(join(cwd, "in"), { recursive: true });
    const upper = tarArchive(tarFile("usr/a/f", Buffer.alloc(300, "upper")), tarFile("usr/.wh.b", utf8("")));
    writeLayout(join(cwd, "in"), [BASE_LAYER, upper, tarArchive(tarFile("usr/new", utf8("new")))]);
    unpacked.count = 0;
    const { stdout } = await run(cwd, [...COMPUTE, ...WITH]);
    expect(unpacked.count).toBe(1);
    expect(stdout).toBe((await run(cwd, COMPUTE)).stdout);
    unpacked.count = 0;
    await run(cwd, ["diff", "oci:in", "oci:in", ...WITH]);
    expect(unpacked.count).toBe(0);
    await run(cwd, [...COMPUTE, "--algorithm", "sha256", ...WITH]);
    expect(unpacked.count).toBe(3);
    expect(entries(cwd)).toHaveLength(6);
  });

  it("hashes each layer before its entry counts", async () => {
    const cwd = workspace();
    await run(cwd, [...COMPUTE, ...WITH]);
    const blobs = join(cwd, "in/blobs/sha256");
    for (const name of readdirSync(blobs)) {
      const bytes = readFileSync(join(blobs, name));
      if (bytes[0] !== 0x1f) continue;
      bytes[bytes.length - 1] = (bytes.at(-1) ?? 0) ^ 1;
      writeFileSync(join(blobs, name), bytes);
    }
    const { code, stderr } = await run(cwd, [...COMPUTE, ...WITH]);
    expect([code, stderr]).toEqual([3, expect.stringMatching(/the blob has the digest sha256:.*, not sha256:/)]);
  });

  it.each([COMPUTE, ["lint", "oci:in"], ["diff", "oci:in", "oci:in"]])(
    "says that a layer is damaged which it knows, below one that it does not: %j",
    async (...args) => {
      const cwd = workspace();
      await run(cwd, [...COMPUTE, ...WITH]);
      const blobs = join(cwd, "in/blobs/sha256");
      const known = readdirSync(blobs).filter((name) => readFileSync(join(blobs, name))[0] === 0x1f);
      const upper = tarArchive(tarFile("usr/a/f", Buffer.alloc(300, "upper")), tarFile("usr/.wh.b", utf8("")));
      for (const above of ["usr/new", "no/such/new"]) {
        rmSync(join(cwd, "in"), { recursive: true });
        const layers = [BASE_LAYER, upper, tarArchive(tarFile(above, Buffer.alloc(300, "new")))];
        writeLayout(join(cwd, "in"), layers);
        for (const name of known) {
          const bytes = readFileSync(join(blobs, name));
          bytes[bytes.length - 1] = (bytes.at(-1) ?? 0) ^ 1;
          writeFileSync(join(blobs, name), bytes);
        }
        const { code, stdout, stderr } = await run(cwd, [...args, ...WITH]);
        expect([code, stdout, stderr]).toEqual([
          3,
          "",
          expect.stringMatching(/the blob has the digest sha256:.*, not /),
        ]);
      }
    },
  );

  it("is no excuse for a configuration that says of a layer what it is not", async () => {
    const cwd = workspace();
    const wrong = {
      config: { rootfs: { type: "layers", diff_ids: [`sha256:${sha256(BASE_LAYER)}`, `sha256:${"0".repeat(64)}`] } },
    };
    const upper = tarArchive(tarFile("usr/a/f", Buffer.alloc(300, "upper")), tarFile("usr/.wh.b", utf8("")));
    writeLayout(join(cwd, "wrong"), [BASE_LAYER, upper], wrong);
    await run(cwd, [...COMPUTE, ...WITH]);
    const args = ["compute-digest", "oci:wrong", "--transform", "oci"];
    const without = await run(cwd, args);
    expect(without.code).toBe(3);
    expect(without.stderr).toMatch(/the unpacked layer has the digest/);
    unpacked.count = 0;
    expect(await run(cwd, [...args, ...WITH])).toEqual(without);
    expect(unpacked.count).toBe(0);
  });

  it("serves archives of docker save, whose layers have no digest of their own", async () => {
    const cwd = tempDir();
    const layer = tarArchive(tarDirectory("./"), tarDirectory("usr"), tarFile("usr/f", utf8("f")));
    const config = utf8(
      JSON.stringify({
        os: "linux",
        architecture: "amd64",
        rootfs: { type: "layers", diff_ids: [`sha256:${sha256(layer)}`] },
      }),
    );
    const manifest = [{ Config: `${sha256(config)}.json`, RepoTags: ["a:1"], Layers: ["layer.tar"] }];
    writeFileSync(
      join(cwd, "a.tar"),
      tarArchive(
        tarFile("manifest.json", utf8(JSON.stringify(manifest))),
        tarFile(`${sha256(config)}.json`, config),
        tarFile("layer.tar", layer),
      ),
    );
    const args = ["compute-digest", "docker-archive:a.tar", "--transform", "oci"];
    const without = await run(cwd, args);
    expect(without.code).toBe(0);
    expect(await run(cwd, [...args, ...WITH])).toEqual(without);
    unpacked.count = 0;
    expect(await run(cwd, [...args, ...WITH])).toEqual(without);
    expect(unpacked.count).toBe(0);
  });
});

/** Does something to each entry. */
function forEntries(cwd: string, change: (path: string) => void): void {
  for (const name of entries(cwd)) change(join(cwd, "cache", name));
}

function toSymlink(path: string): void {
  const moved = `${dirname(path)}.${sha256(utf8(path))}`;
  renameSync(path, moved);
  symlinkSync(moved, path);
}

const DAMAGE: [string, (path: string) => void][] = [
  ["is empty", (path) => writeFileSync(path, "")],
  ["is cut off", (path) => writeFileSync(path, readFileSync(path).subarray(0, -1))],
  ["is longer", (path) => writeFileSync(path, Buffer.concat([readFileSync(path), Buffer.of(0)]))],
  ["was written by another version", (path) => writeFileSync(path, readFileSync(path).fill(99, 7, 8))],
  [
    "has another byte",
    (path) =>
      writeFileSync(
        path,
        readFileSync(path).map((byte, at) => (at === 60 ? byte ^ 1 : byte)),
      ),
  ],
  ["is something else", (path) => writeFileSync(path, Buffer.alloc(1000, "x"))],
  ["is a symlink", toSymlink],
  ["can be written by others", (path) => chmodSync(path, 0o666)],
];

describe("what lies in the cache", () => {
  it.each(DAMAGE)("is ignored with a line where it %s, and written anew", async (_, change) => {
    const cwd = workspace();
    const without = await run(cwd, COMPUTE);
    await run(cwd, [...COMPUTE, ...WITH]);
    withoutStacks(cwd);
    forEntries(cwd, change);
    unpacked.count = 0;
    const { stderr, ...rest } = await run(cwd, [...COMPUTE, ...WITH]);
    expect(rest).toEqual({ ...without, stderr: undefined });
    expect(unpacked.count).toBe(2);
    expect(stderr.trimEnd().split("\n")).toEqual(
      Array(2).fill(expect.stringMatching(/^warning: --cache cache: .*\. The layer is read again$/)),
    );
    expect(await run(cwd, [...COMPUTE, ...WITH])).toEqual(without);
    expect(unpacked.count).toBe(2);
  });

  it("is not taken for another layer under its name", async () => {
    const cwd = workspace();
    const without = await run(cwd, COMPUTE);
    await run(cwd, [...COMPUTE, ...WITH]);
    const [first = "", second = ""] = entries(cwd).map((name) => join(cwd, "cache", name));
    cpSync(first, second);
    withoutStacks(cwd);
    const { stdout, stderr } = await run(cwd, [...COMPUTE, ...WITH]);
    expect(stdout).toBe(without.stdout);
    expect(stderr).toMatch(
      /is damaged: it is for another layer, or another way of reading it\. The layer is read again\n$/,
    );
  });

  it("may be written by several at once, and by somebody who is killed meanwhile", async () => {
    const cwd = workspace();
    const without = await run(cwd, COMPUTE);
    const all = await Promise.all(Array.from({ length: 5 }, () => run(cwd, [...COMPUTE, ...WITH])));
    expect(all).toEqual(Array(5).fill(without));
    expect(entries(cwd)).toHaveLength(2);
    const [name = ""] = entries(cwd);
    const partial = `.${name}.00ff.partial`;
    writeFileSync(join(cwd, "cache", partial), readFileSync(join(cwd, "cache", name)).subarray(0, 20));
    unpacked.count = 0;
    expect(await run(cwd, [...COMPUTE, ...WITH])).toEqual(without);
    expect(unpacked.count).toBe(0);
  });

  it("is removed when nobody has used it for thirty days, and nothing else is", async () => {
    const cwd = workspace();
    const at = (day: number) => ({ now: new Date(Date.UTC(2026, 0, day)) });
    const age = (name: string, day: number) => utimesSync(join(cwd, "cache", name), at(day).now, at(day).now);
    await run(cwd, [...COMPUTE, ...WITH], at(1));
    const [used = "", old = ""] = entries(cwd);
    writeFileSync(join(cwd, "cache/mine"), "");
    writeFileSync(join(cwd, "cache", `.${old}.00ff.partial`), "");
    for (const name of [...entries(cwd), ...cached(cwd, ".stack"), "cleaned"]) age(name, 1);
    // Writes something, so that it may clean up, and uses what was there.
    const more = ["compute-digest", "oci:in", "--transform", "oci", "--algorithm", "sha256", ...WITH];
    await run(cwd, [...COMPUTE, ...WITH], at(20));
    age(old, 1);
    await run(cwd, more, at(35));
    expect(statSync(join(cwd, "cache", used)).mtime).toEqual(at(20).now);
    expect(entries(cwd)).toHaveLength(4);
    expect(entries(cwd)).toEqual(expect.arrayContaining([used, "mine"]));
    expect(entries(cwd)).not.toContain(old);
  });

  it("is not used where node has no Zstandard", async () => {
    const cwd = workspace();
    const without = await run(cwd, COMPUTE);
    const { createZstdDecompress } = zlib;
    const setTo = (value: unknown) => Reflect.defineProperty(zlib, "createZstdDecompress", { value });
    setTo(undefined);
    onTestFinished(() => void setTo(createZstdDecompress));
    expect(await run(cwd, [...COMPUTE, ...WITH])).toEqual({
      ...without,
      stderr: `warning: --cache cache: needs Zstandard, which Node ${process.versions.node} does not have; use Node 22.15, 23.8 or later. It is not used\n`,
    });
    expect(existsSync(join(cwd, "cache"))).toBe(false);
  });

  it("that can't be written is said once, and all goes on", async () => {
    const cwd = workspace();
    const without = await run(cwd, COMPUTE);
    writeFileSync(join(cwd, "file"), "");
    const occupied = await run(cwd, [...COMPUTE, "--cache", "file/cache"]);
    expect(occupied).toEqual({
      ...without,
      stderr: "warning: --cache file/cache: can't be used: part of the path is not a directory. It is not used\n",
    });
    await run(cwd, [...COMPUTE, ...WITH]);
    withoutStacks(cwd);
    forEntries(cwd, (path) => {
      rmSync(path);
      mkdirSync(path);
    });
    const { stdout, stderr } = await run(cwd, [...COMPUTE, ...WITH]);
    expect(stdout).toBe(without.stdout);
    expect(stderr.match(/can't be written: .*\. The next run reads these layers again/g)).toHaveLength(1);
    chmodSync(join(cwd, "cache"), 0o777);
    expect((await run(cwd, [...COMPUTE, ...WITH])).stderr).toBe(
      "warning: --cache cache: others can write to it and so change what seal computes; make it writable by you alone: chmod go-w. It is not used\n",
    );
  });
});

describe("trees of layers in the cache", () => {
  /** The image of a workspace with another layer on top. */
  function rebuild(cwd: string, ...names: string[]): void {
    rmSync(join(cwd, "in"), { recursive: true });
    const upper = tarArchive(tarFile("usr/a/f", Buffer.alloc(300, "upper")), tarFile("usr/.wh.b", utf8("")));
    const more = names.map((name) => tarArchive(tarFile(`usr/${name}`, Buffer.alloc(100, name))));
    writeLayout(join(cwd, "in"), [BASE_LAYER, upper, ...more]);
  }

  const stacks = (cwd: string) => cached(cwd, ".stack");

  it("are of all layers of a new image, and of those that were known below others", async () => {
    const cwd = workspace();
    const counts: number[] = [];
    const same = async (...names: string[]) => {
      rebuild(cwd, ...names);
      expect(await run(cwd, [...COMPUTE, ...WITH])).toEqual(await run(cwd, COMPUTE));
      counts.push(stacks(cwd).length);
    };
    // Two layers; the same twice, and below another; three; of four the two lowest.
    await same();
    await same();
    await same("new");
    await same("new");
    await same("newer", "newest");
    expect(counts).toEqual([1, 1, 1, 2, 2]);
    for (const name of stacks(cwd)) rmSync(join(cwd, "cache", name));
    await same("newer", "new");
    expect(stacks(cwd)).toHaveLength(1);
  });

  it("change no answer, for any image on top of any other", async () => {
    await fc.assert(
      fc.asyncProperty(arbitraryLayers, arbitraryLayers, arbitraryLayers, async (below, first, second) => {
        const cwd = tempDir();
        for (const above of [first, second, first, []]) {
          rmSync(join(cwd, "in"), { recursive: true, force: true });
          writeLayout(join(cwd, "in"), [BASE_LAYER, ...below, ...above]);
          for (const args of [COMPUTE, ["compute-digest", "oci:in", "--transform", "none"]]) {
            expect(await run(cwd, [...args, ...WITH])).toEqual(await run(cwd, args));
          }
          const dump = ["dump", "oci:in"];
          expect(await run(cwd, [...dump, ...WITH])).toEqual(await run(cwd, dump));
        }
      }),
      { numRuns: 15 },
    );
  }, 240_000);

  it("count when all layers have their digests", async () => {
    const cwd = workspace();
    await run(cwd, [...COMPUTE, ...WITH]);
    const blobs = join(cwd, "in/blobs/sha256");
    const layers = readdirSync(blobs).filter((name) => readFileSync(join(blobs, name))[0] === 0x1f);
    for (const name of layers) {
      const bytes = readFileSync(join(blobs, name));
      bytes[bytes.length - 1] = (bytes.at(-1) ?? 0) ^ 1;
      writeFileSync(join(blobs, name), bytes);
    }
    rmSync(join(cwd, "cache"), { recursive: true });
    const changed = await run(cwd, [...COMPUTE, ...WITH]);
    expect(changed.code).toBe(3);
    expect(stacks(cwd)).toEqual([]);
  });

  it("are not those of layers whose archives are said to be others", async () => {
    const cwd = workspace();
    await run(cwd, [...COMPUTE, ...WITH]);
    for (const name of entries(cwd)) rmSync(join(cwd, "cache", name));
    const wrong = {
      config: { rootfs: { type: "layers", diff_ids: [`sha256:${sha256(BASE_LAYER)}`, `sha256:${"0".repeat(64)}`] } },
    };
    const upper = tarArchive(tarFile("usr/a/f", Buffer.alloc(300, "upper")), tarFile("usr/.wh.b", utf8("")));
    writeLayout(join(cwd, "wrong"), [BASE_LAYER, upper], wrong);
    const { code, stderr } = await run(cwd, ["compute-digest", "oci:wrong", "--transform", "oci", ...WITH]);
    expect([code, stderr]).toEqual([3, expect.stringMatching(/the unpacked layer has the digest/)]);
  });

  it.each(DAMAGE)("are put together again with a line where their file %s", async (_, change) => {
    const cwd = workspace();
    const without = await run(cwd, COMPUTE);
    await run(cwd, [...COMPUTE, ...WITH]);
    change(join(cwd, "cache", stacks(cwd)[0] ?? ""));
    const { stderr, ...rest } = await run(cwd, [...COMPUTE, ...WITH]);
    expect(rest).toEqual({ ...without, stderr: undefined });
    expect(stderr).toMatch(/^warning: --cache cache: .*\. The layers are put together again\n$/);
    expect(await run(cwd, [...COMPUTE, ...WITH])).toEqual(without);
  });

  it("are as good as not there where their file leads nowhere", async () => {
    const cwd = workspace();
    const without = await run(cwd, COMPUTE);
    await run(cwd, [...COMPUTE, ...WITH]);
    const [name = ""] = stacks(cwd);
    for (const target of [name, "x".repeat(300)]) {
      rmSync(join(cwd, "cache", name));
      symlinkSync(target, join(cwd, "cache", name));
      expect(await run(cwd, [...COMPUTE, ...WITH])).toEqual(without);
      expect(statSync(join(cwd, "cache", name)).isFile()).toBe(true);
    }
  });

  it("have contents read from where they are, be it from a layer", async () => {
    const cwd = tempDir();
    const policy = "etc/selinux/t/contexts/files";
    const parents = ["etc", "etc/selinux", "etc/selinux/t", "etc/selinux/t/contexts", policy, "boot", "sysroot"];
    const contexts = Buffer.from("/.* everything:s0\n".padEnd(200, "#"));
    const layer = tarArchive(
      ...parents.map((name) => tarDirectory(`${name}/`)),
      tarFile("etc/selinux/config", Buffer.from("SELINUXTYPE=t\n".padEnd(100, "#"))),
      tarFile(`${policy}/file_contexts`, contexts),
    );
    writeLayout(join(cwd, "in"), [BASE_LAYER, layer]);
    const args = ["compute-digest", "oci:in"];
    const without = await run(cwd, args);
    expect(without.code).toBe(0);
    await run(cwd, [...args, ...WITH]);
    for (const name of entries(cwd)) {
      expect(await run(cwd, [...args, ...WITH])).toEqual(without);
      rmSync(join(cwd, "cache", name));
    }
    // Nothing is left but the tree of both.
    unpacked.count = 0;
    expect(await run(cwd, [...args, ...WITH])).toEqual(without);
    expect(unpacked.count).toBeGreaterThan(0);
  });
});

describe("labels in the cache", () => {
  const LABELLED = ["compute-digest", "oci:in"];
  const policy = "etc/selinux/t/contexts/files";

  /** The sealable image with a policy, and a layer above. */
  function labelledImage(...more: Uint8Array[]): string {
    const cwd = tempDir();
    const directories = ["etc", "etc/selinux", "etc/selinux/t", "etc/selinux/t/contexts", policy];
    const layer = tarArchive(
      ...directories.map((name) => tarDirectory(`${name}/`)),
      tarFile("etc/selinux/config", utf8("SELINUXTYPE=t\n")),
      tarFile(`${policy}/file_contexts`, utf8("/.* everything:s0\n/usr/(lib|share)/.* usr:s0\n")),
    );
    writeLayout(join(cwd, "in"), [...sealableLayers(), layer, ...more]);
    for (const kind of ["key", "crt"])
      writeFileSync(join(cwd, `db.${kind}`), vector(`authenticode/keys/signer.${kind}`));
    return cwd;
  }

  const tables = (cwd: string) => cached(cwd, ".labels");

  /** Has the cache say of files in /usr/lib what no policy says. */
  function forge(cwd: string): void {
    const [name = ""] = tables(cwd);
    const path = join(cwd, "cache", name);
    const bytes = readFileSync(path);
    const table = Buffer.from(bytes.subarray(76).toString("latin1").replaceAll("usr:s0", "USR:s0"), "latin1");
    writeFileSync(path, encodeKeyedEntry(bytes.subarray(0, 8), Buffer.from(name, "hex").subarray(0, 32), table));
  }

  it("are taken where the policy is the same, with files above too", async () => {
    const cwd = labelledImage();
    const without = await run(cwd, LABELLED);
    expect(await run(cwd, [...LABELLED, ...WITH])).toEqual(without);
    expect(tables(cwd)).toHaveLength(1);
    expect(await run(cwd, [...LABELLED, ...WITH])).toEqual(without);
    const added = labelledImage(tarArchive(tarFile("usr/share/new", utf8("new"))));
    cpSync(join(cwd, "cache"), join(added, "cache"), { recursive: true });
    expect(await run(added, [...LABELLED, ...WITH])).toEqual(await run(added, LABELLED));
    expect(tables(added)).toHaveLength(1);
    forge(cwd);
    expect((await run(cwd, [...LABELLED, ...WITH])).stdout).not.toBe(without.stdout);
  });

  it("are found again for another policy", async () => {
    const cwd = labelledImage();
    await run(cwd, [...LABELLED, ...WITH]);
    const other = labelledImage(tarArchive(tarFile(`${policy}/file_contexts.local`, utf8("/usr/lib/.* mine\n"))));
    cpSync(join(cwd, "cache"), join(other, "cache"), { recursive: true });
    expect(await run(other, [...LABELLED, ...WITH])).toEqual(await run(other, LABELLED));
    expect(tables(other)).toHaveLength(2);
  });

  it.each(DAMAGE)("are found again with a line where their file %s", async (_, change) => {
    const cwd = labelledImage();
    const without = await run(cwd, LABELLED);
    await run(cwd, [...LABELLED, ...WITH]);
    change(join(cwd, "cache", tables(cwd)[0] ?? ""));
    const { stderr, ...rest } = await run(cwd, [...LABELLED, ...WITH]);
    expect(rest).toEqual({ ...without, stderr: undefined });
    expect(stderr).toMatch(/^warning: --cache cache: .*\. The labels are found again\n$/);
    expect(await run(cwd, [...LABELLED, ...WITH])).toEqual(without);
  });

  it("are not taken by seal image, or found out by it in the end", async () => {
    const cwd = labelledImage();
    const image = ["image", "--from", "oci:in", "--to", "oci:out:sealed", "--key", "db.key", "--cert", "db.crt"];
    const index = async (...args: string[]) => {
      rmSync(join(cwd, "out"), { recursive: true, force: true });
      const { code, stderr } = await run(cwd, [...image, "--quiet", ...args]);
      return code === 0 ? readFileSync(join(cwd, "out/index.json"), "utf8") : stderr;
    };
    const without = await index();
    await run(cwd, [...LABELLED, ...WITH]);
    forge(cwd);
    expect(await index(...WITH)).toBe(without);
    expect(await index("--recompress=all", ...WITH)).toContain("read back, the image has the digests");
  });
});

describe("seal image with a cache", () => {
  const SEAL = ["image", "--from", "oci:in", "--to", "oci:out:sealed", "--key", "db.key", "--cert", "db.crt"];

  function sealable(): string {
    const cwd = tempDir();
    writeLayout(join(cwd, "in"), sealableLayers(Buffer.alloc(100_000, "content")));
    for (const kind of ["key", "crt"])
      writeFileSync(join(cwd, `db.${kind}`), vector(`authenticode/keys/signer.${kind}`));
    return cwd;
  }

  it("writes the same image, and reads all of it back", async () => {
    const cwd = sealable();
    const index = async (...args: string[]) => {
      rmSync(join(cwd, "out"), { recursive: true, force: true });
      unpacked.count = 0;
      const { code, stderr } = await run(cwd, [...SEAL, "--quiet", ...args]);
      expect([code, stderr]).toEqual([0, expect.not.stringContaining("cache")]);
      return readFileSync(join(cwd, "out/index.json"), "utf8");
    };
    const without = await index();
    expect(await index(...WITH)).toBe(without);
    // Two of the image that is sealed, and the two that are added. What this run has read of the others is known.
    expect(unpacked.count).toBe(4);
    expect(await index(...WITH)).toBe(without);
    // What the cache says of those of the image that is sealed is not taken: all are read, once.
    expect(unpacked.count).toBe(4);
  });

  it("uses contents that are intact only", async () => {
    const cwd = sealable();
    const kernel = vector("uki/inputs/kernel");
    const long = Buffer.concat([kernel, Buffer.alloc(100_000, sha256(kernel))]);
    const layers = sealableLayers();
    const more = tarArchive(tarFile(`${MODULES}/${KVER}/initramfs.img`, long));
    writeLayout(join(cwd, "in"), [...layers, more]);
    const args = [...SEAL, "--recompress=all", "--quiet", ...WITH];
    expect((await run(cwd, args)).code).toBe(0);
    const index = readFileSync(join(cwd, "out/index.json"), "utf8");
    let damaged = 0;
    forEntries(cwd, (path) => {
      const bytes = readFileSync(path);
      const table = 48 + packedTableSize(bytes, path);
      if (bytes.length === table) return;
      damaged++;
      bytes.writeUInt8(bytes.readUInt8(table + 20) ^ 1, table + 20);
      writeFileSync(path, bytes);
    });
    rmSync(join(cwd, "out"), { recursive: true });
    const { code, stderr } = await run(cwd, args);
    expect([damaged > 0, code, readFileSync(join(cwd, "out/index.json"), "utf8")]).toEqual([true, 0, index]);
    expect(stderr).toContain("is damaged: a content in it. The layer is read again");
  });

  it("takes nothing of what somebody has put into it, or finds it out in the end", async () => {
    const cwd = sealable();
    expect((await run(cwd, [...SEAL, "--quiet", ...WITH])).code).toBe(0);
    const index = readFileSync(join(cwd, "out/index.json"), "utf8");
    const plain = await run(cwd, ["compute-digest", "oci:in"]);
    const [digest = ""] = readdirSync(join(cwd, "in/blobs/sha256")).filter((name) =>
      readFileSync(join(cwd, "in/blobs/sha256", name)).includes("\x1f\x8b", 0, "latin1"),
    );
    const key: CacheKey = {
      digest: { algorithm: "sha256", hex: digest },
      mediaType: "application/vnd.oci.image.layer.v1.tar+gzip",
      algorithm: "sha512",
      paxOwners: "count",
    };
    const path = join(cwd, "cache", `${sha256(utf8(keyText(key)))}.layer`);
    const bytes = readFileSync(path);
    const {
      contents: _,
      diffId,
      ...held
    } = decodeCacheEntry(bytes.subarray(0, 48 + packedTableSize(bytes, path)), bytes.length, key, path);
    const forged = held.entries.map((entry) => ({ ...entry, metadata: { ...entry.metadata, mode: 0o4755 } }));
    writeFileSync(path, await encodeCacheEntry(key, diffId, { ...held, entries: forged, contents: new Map() }), {
      mode: 0o600,
    });
    expect((await run(cwd, ["compute-digest", "oci:in", ...WITH])).stdout).not.toBe(plain.stdout);
    rmSync(join(cwd, "out"), { recursive: true });
    expect((await run(cwd, [...SEAL, "--quiet", ...WITH])).code).toBe(0);
    expect(readFileSync(join(cwd, "out/index.json"), "utf8")).toBe(index);
    rmSync(join(cwd, "out"), { recursive: true });
    const { code, stderr } = await run(cwd, [...SEAL, "--recompress=all", "--quiet", ...WITH]);
    expect(code).not.toBe(0);
    expect(stderr).toContain("read back, the image has the digests");
    expect(readdirSync(cwd)).not.toContain("out");
  });
});
