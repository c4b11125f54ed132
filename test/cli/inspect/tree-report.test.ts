import { writeFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { concat } from "../../../src/chunks.ts";
import { treeReportSchema } from "../../../src/cli/inspect/tree-report.ts";
import { writeErofs } from "../../../src/composefs/writer.ts";
import { parseDumpfile } from "../../../src/tree/dumpfile.ts";
import { seal } from "../../support/cli.ts";
import { describeWith, runPeer } from "../../support/peers.ts";
import { tempDir } from "../../support/temp.ts";
import { vector, vectorJson } from "../../support/vectors.ts";

function inspect(bytes: Uint8Array, ...args: string[]) {
  const cwd = tempDir();
  writeFileSync(join(cwd, "x"), bytes);
  return seal(["inspect", "x", ...args], { cwd });
}

async function report(bytes: Uint8Array) {
  const result = await inspect(bytes, "--json");
  expect(result).toMatchObject({ code: 0, stderr: "" });
  return treeReportSchema.parse(JSON.parse(result.stdout));
}

interface Case {
  readonly results: { tool: string; erofs: string; algorithm: string; transform: string; digest: string }[];
}

/** What cfsctl computes for a tree as it is. */
const expected = (name: string) =>
  vectorJson<Case>(`composefs/${name}.json`).results.filter(
    ({ tool, transform, algorithm }) => tool === "cfsctl" && transform === "raw" && algorithm === "sha512",
  );

const image = (name: string, erofs: "v0" | "v1" | "v2") =>
  concat([...writeErofs(parseDumpfile(vector(`composefs/${name}.dump`), name), { erofs, algorithm: "sha512" })]);

describe("seal inspect of a dump file", () => {
  it.each(["hardlinks", "devices", "minimal", "mtimes-equal"])("tells the digests and counts of %s", async (name) => {
    const { type, digests } = await report(vector(`composefs/${name}.dump`));
    expect(type).toBe("dumpfile");
    const results = expected(name);
    expect(results.length).toBeGreaterThan(0);
    for (const { erofs, digest } of results) {
      expect(digests).toContainEqual({ erofs, algorithm: "sha512", digest });
    }
  });

  it("counts inodes once and hardlinks apart", async () => {
    const { counts } = await report(vector("composefs/hardlinks.dump"));
    expect(counts).toEqual({
      directories: 18,
      regular: 7,
      inline: 2,
      symlinks: 1,
      devices: 1,
      fifos: 1,
      sockets: 0,
      hardlinks: 51,
    });
    const { stdout } = await inspect(vector("composefs/hardlinks.dump"));
    expect(stdout).toMatch(/^x {2}composefs dump file · 5\.5 kB\n/);
    expect(stdout).toMatch(/\n {2}hardlinks {4}51\n/);
  });
});

describe("seal inspect of an EROFS image", () => {
  it.each(["v0", "v1", "v2"] as const)("tells the digest, header and counts of an image of %s", async (erofs) => {
    const bytes = image("hardlinks", erofs);
    const result = await report(bytes);
    const [wanted] = expected("hardlinks").filter((candidate) => candidate.erofs === erofs);
    expect(result.digests[0]).toEqual({ erofs, algorithm: "sha512", digest: wanted?.digest });
    expect(result).toMatchObject({ type: "erofs", size: bytes.length, image: { erofs, blocks: bytes.length / 4096 } });
    expect(result.counts).toEqual((await report(vector("composefs/hardlinks.dump"))).counts);
    expect((await inspect(bytes)).stdout).toContain(`composefs image · EROFS ${erofs}`);
  });

  it("has no sections or Authenticode hash", async () => {
    expect(await inspect(image("minimal", "v1"), "--authenticode-hash")).toMatchObject({ code: 3, stdout: "" });
    expect(await inspect(image("minimal", "v1"), "--section", ".text")).toMatchObject({ code: 3, stdout: "" });
  });

  it("never fails in another way than with one line, whatever is changed or cut off", async () => {
    const files = [image("hardlinks", "v1"), vector("composefs/hardlinks.dump")];
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(...files),
        fc.array(fc.tuple(fc.nat(), fc.nat(255)), { maxLength: 4 }),
        fc.option(fc.nat(), { nil: null }),
        async (file, changes, cut) => {
          const bytes = Uint8Array.from(cut === null ? file : file.subarray(0, cut % file.length));
          for (const [at, value] of changes) if (bytes.length > 0) bytes[at % bytes.length] = value;
          const result = await inspect(bytes);
          expect([0, 3]).toContain(result.code);
          if (result.code === 3) expect(result.stderr).toMatch(/^seal: [^\n]*\n$/);
        },
      ),
      { numRuns: 100 },
    );
  });
});

describeWith(["mkcomposefs", "composefs-info"], "seal inspect of an image of mkcomposefs", () => {
  it("tells the digest that composefs-info measures", async () => {
    const directory = tempDir();
    const [dump, path] = [join(directory, "dump"), join(directory, "image")];
    writeFileSync(dump, vector("composefs/hardlinks.dump"));
    expect(runPeer("mkcomposefs", ["--from-file", "--min-version=1", dump, path])).toMatchObject({ status: 0 });
    const measured = runPeer("composefs-info", ["measure-file", path]).stdout.toString().trim();
    const { stdout } = await seal(["inspect", path, "--json"]);
    const { digests, image: header } = treeReportSchema.parse(JSON.parse(stdout));
    expect(header).toMatchObject({ erofs: "v1" });
    expect(digests).toContainEqual({ erofs: "v1", algorithm: "sha256", digest: measured });
  });
});
