/** Image layouts of the golden data: the tree that is read, and the digests that the peers computed after a pull. */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { execaSync } from "execa";
import { describe, expect, it } from "vitest";
import { composefsDigests } from "../../../src/composefs/digest.ts";
import { seriesOf } from "../../../src/composefs/named-release.ts";
import type { ErofsVersion, VerityAlgorithm } from "../../../src/composefs/series.ts";
import { openRootfs } from "../../../src/io/rootfs.ts";
import { parseRootfsSource } from "../../../src/io/rootfs-source.ts";
import { transformTree } from "../../../src/tree/apply.ts";
import { writeDumpfile } from "../../../src/tree/dumpfile.ts";
import { tempDir } from "../../support/temp.ts";
import { vector, vectorJson } from "../../support/vectors.ts";

interface Result {
  readonly tool: string;
  readonly version: string;
  readonly algorithm: VerityAlgorithm;
  readonly erofs: ErofsVersion | "any";
  readonly bootable: boolean;
  readonly xattrs?: "allowlist" | "keep-user" | "unfiltered";
  readonly digest?: string;
  readonly error?: string;
}
interface Case {
  readonly dumps?: readonly string[];
  readonly results: readonly Result[];
}

const CASES = ["boot-selinux", "hardlink-odd", "implicit-parents", "layers", "odd-times", "usr-meta"];

/** What `--bootc` takes for a tool of the vectors; 0.7.0 and bootc 1.12 are none of the supported releases. */
const RELEASES: Readonly<Record<string, string>> = {
  "0.9.4": "1.17.5",
  "git-0fbc853": "1.16.9",
  "git-0a819c3": "1.16.6",
  "git-e277075": "1.16.0",
  "git-2203e8f": "1.15",
};

describe.each(CASES)("%s", (name) => {
  const { dumps = [], results } = vectorJson<Case>(`oci/${name}.json`);
  const archive = `oci-archive:${fileURLToPath(new URL(`../../vectors/oci/${name}.oci.tar`, import.meta.url))}:latest`;
  const open = (spec: string, algorithm: VerityAlgorithm, paxOwners: "count" | "ignored" = "count") =>
    openRootfs(parseRootfsSource(spec), { algorithm, xattrs: "all", cwd: "/", paxOwners });

  it.each(dumps)("gives the tree of %s", async (dump) => {
    const directory = join(tempDir(), "layout");
    mkdirSync(directory);
    execaSync("tar", ["-xf", archive.split(":")[1] as string, "-C", directory]);
    for (const spec of [archive, `oci:${directory}`, `oci:${directory}:latest`]) {
      const { rootfs } = await open(spec, "sha512");
      const { rules } = seriesOf("1.17.5");
      const root = await transformTree(rootfs, { rules, transform: "oci", xattrs: "allowlist", mtime: "exact" });
      expect(Buffer.concat([...writeDumpfile(root)]).toString("latin1")).toBe(vector(`oci/${dump}`).toString("latin1"));
    }
  });

  const known = results
    .filter(({ tool, version }) => tool === "cfsctl" && RELEASES[version] !== undefined)
    // This revision fails on a mistake of its own repository, not on the image.
    .filter(({ error }) => error?.includes("Splitstream incorrectly stored") !== true);
  it.each([...new Set(known.map(({ version }) => version))])("gives the digests of cfsctl %s", async (version) => {
    const { rules } = seriesOf(RELEASES[version] ?? "");
    for (const result of known.filter((one) => one.version === version)) {
      const subject = JSON.stringify(result);
      const digest = open(archive, result.algorithm, rules.paxOwners).then(({ rootfs }) =>
        composefsDigests(rootfs, {
          algorithm: result.algorithm,
          targets: [{ erofs: result.erofs === "any" ? "v1" : result.erofs, rules }],
          transform: result.bootable ? "boot" : "oci",
          xattrs: result.xattrs === "keep-user" ? "keep-user" : "allowlist",
          mtime: "exact",
        }),
      );
      if (result.error !== undefined) await expect(digest, subject).rejects.toThrow("oci-archive:");
      else expect((await digest)[0]?.digest, subject).toBe(result.digest);
    }
  });
});
