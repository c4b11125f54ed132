/**
 * Directories made from the golden archives: the tree that is read, and the digests that the peers computed from them.
 */
import { readdirSync } from "node:fs";
import { expect, it } from "vitest";
import { writeDumpfile } from "../../../src/tree/dumpfile.ts";
import { seal } from "../../support/cli.ts";
import { extractCase } from "../../support/extract.ts";
import { describeWith } from "../../support/peers.ts";
import { scanDirectory } from "../../support/scan.ts";
import { tempDir } from "../../support/temp.ts";
import { vector, vectorJson } from "../../support/vectors.ts";

interface Result {
  readonly tool: string;
  readonly version: string;
  readonly source: string;
  readonly erofs: string;
  readonly algorithm: string;
  readonly transform: string;
  readonly xattrs?: string;
  readonly digest?: string;
  readonly error?: string;
}
interface Case {
  readonly dumps: { readonly raw?: string };
  readonly results: readonly Result[];
}

/** Every case whose archive is here; the index also names one that carries Debian's policy. */
const CASES = readdirSync(new URL("../../vectors/composefs", import.meta.url))
  .filter((name) => name.endsWith(".tar.gz"))
  .map((name) => name.replace(".tar.gz", ""));

/** What `--bootc` takes for a tool of the vectors. */
const RELEASES: Readonly<Record<string, string>> = {
  "cfsctl 0.9.4": "1.17.5",
  "cfsctl git-0fbc853": "1.16.9",
  "bootc 1.16.9": "1.16.9",
  "cfsctl git-e277075": "1.16.0",
  "cfsctl git-2203e8f": "1.15",
};
const TRANSFORMS: Readonly<Record<string, string>> = { raw: "none", container: "oci", boot: "boot" };

/** Arguments of the run that has to give this result; null: seal has none, as for the boot transform alone. */
function argumentsFor(result: Result): string | null {
  const release = RELEASES[`${result.tool} ${result.version}`];
  const transform = TRANSFORMS[result.transform];
  if (result.source !== "directory" || release === undefined || transform === undefined) return null;
  // The algorithm makes no difference between releases: one of them is enough.
  if (result.algorithm === "sha256" && release !== "1.17.5") return null;
  const { algorithm, xattrs = "allowlist" } = result;
  return `--bootc ${release} --algorithm ${algorithm} --transform ${transform} --xattrs ${xattrs} --mtime exact`;
}

describeWith(["root"], "directories of the golden data", () => {
  for (const name of CASES) {
    const { dumps, results } = vectorJson<Case>(`composefs/${name}.json`);

    it(name, async () => {
      const path = extractCase(name, tempDir());
      if (dumps.raw !== undefined) {
        const { root } = await scanDirectory(path, { algorithm: "sha512", xattrs: "all", jobs: 2 });
        expect(Buffer.concat([...writeDumpfile(root)]).toString("latin1")).toBe(
          vector(`composefs/${dumps.raw}`).toString("latin1"),
        );
      }
      const runs = new Map<string, Result[]>();
      for (const result of results) {
        const key = `${result.tool} ${argumentsFor(result)} ${result.error === undefined}`;
        if (argumentsFor(result) !== null) runs.set(key, [...(runs.get(key) ?? []), result]);
      }
      for (const group of runs.values()) {
        const args = `${argumentsFor(group[0] as Result)} --jobs 1`.split(" ");
        const formats = group.flatMap(({ erofs }) => ["--erofs", erofs]);
        const { code, stdout } = await seal(["compute-digest", path, ...args, ...formats]);
        const expected = group.map(({ digest }) => digest).join("\n");
        const context = [...args, ...formats].join(" ");
        // Old releases accept a hardlinked whiteout, but what they make of it is no whiteout at every name:
        // seal refuses it always.
        const isRefused = group[0]?.error !== undefined || name === "whiteout-hardlink";
        if (!isRefused) expect(`${context}\n${stdout}`).toBe(`${context}\n${expected}\n`);
        else expect(`${context}\n${code} ${stdout}`).toBe(`${context}\n3 `);
      }
    });
  }
});
