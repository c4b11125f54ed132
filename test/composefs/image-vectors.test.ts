/** The images and digests that cfsctl and mkcomposefs made of the same trees. */
import { createHash } from "node:crypto";
import { readdirSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { toHex } from "../../src/bytes.ts";
import { concat } from "../../src/chunks.ts";
import { erofsDigest } from "../../src/composefs/digest.ts";
import type { ErofsVersion, VerityAlgorithm } from "../../src/composefs/series.ts";
import { verityDigest } from "../../src/composefs/verity.ts";
import { writeErofs } from "../../src/composefs/writer.ts";
import { SealError } from "../../src/errors.ts";
import { type DumpfileDialect, parseDumpfile, readDumpfile } from "../../src/tree/dumpfile.ts";
import { vector, vectorJson } from "../support/vectors.ts";
import { hasWhiteouts } from "../support/whiteouts.ts";

interface DumpfileCase {
  readonly case: string;
  readonly dump: string;
  readonly results: readonly {
    readonly tool: string;
    readonly options: string;
    readonly digest?: string;
    readonly size?: number;
    readonly sha256?: string;
    readonly image?: string;
    readonly error?: string;
  }[];
}

/** Cases that a peer accepts and seal refuses, by implementation. */
const REFUSED: Readonly<Record<DumpfileDialect, Readonly<Record<string, RegExp>>>> = {
  // The digest of the image depends on what is on mkcomposefs' stack; Linux has no hardlinked directories.
  c: { "bad-digest": /digest that is not 64 or 128 hex digits/, "hardlink-dir": /hardlink to the directory/ },
  // No Linux filesystem takes such a name; the image can't be read.
  "composefs-rs": { "bad-name-256": /longer than 255 bytes/ },
};

function casesIn(folder: string): string[] {
  const names = readdirSync(new URL(`../vectors/${folder}`, import.meta.url));
  return names.filter((name) => name.endsWith(".json") && name !== "index.json" && name !== "images.json").sort();
}

/** The image that a vector's tool makes of a dump file with these options. */
function imageOf(bytes: Uint8Array, dialect: DumpfileDialect, options: string): Uint8Array {
  const { root, links } = readDumpfile(bytes, "dump", dialect);
  const mayRaise = dialect === "c" && options.includes("--max-version=1") && hasWhiteouts(root);
  const erofs = mayRaise || options.includes("--min-version=1") ? "v1" : "v0";
  return concat([...writeErofs(root, { erofs, algorithm: "sha256", dialect, links })]);
}

describe.each(casesIn("dumpfile"))("dump file %s", (file) => {
  const vectors = vectorJson<DumpfileCase>(`dumpfile/${file}`);
  const bytes = vector(`dumpfile/${vectors.dump}`);

  it.each(vectors.results.map((result) => [result.tool, result.options, result] as const))(
    "%s %s",
    (tool, options, result) => {
      const dialect = tool === "mkcomposefs" ? "c" : "composefs-rs";
      const refusal = REFUSED[dialect][vectors.case];
      if (result.error !== undefined || refusal !== undefined) {
        expect(() => imageOf(bytes, dialect, options)).toThrow(SealError);
        if (refusal !== undefined) expect(() => imageOf(bytes, dialect, options)).toThrow(refusal);
        return;
      }
      const image = imageOf(bytes, dialect, options);
      if (result.image !== undefined) expect(Buffer.compare(image, vector(`dumpfile/${result.image}`))).toBe(0);
      expect(toHex(verityDigest(image, "sha256"))).toBe(result.digest);
      expect(image.length).toBe(result.size);
      expect(createHash("sha256").update(image).digest("hex")).toBe(result.sha256);
    },
  );
});

interface TreeCase {
  readonly case: string;
  readonly dumps: { readonly raw?: string; readonly container?: string; readonly boot?: string };
  readonly results: readonly {
    readonly tool: string;
    readonly version: string;
    readonly source: string;
    readonly erofs: ErofsVersion;
    readonly algorithm: VerityAlgorithm;
    readonly transform: keyof TreeCase["dumps"];
    readonly xattrs?: string;
    readonly hardlinks?: string;
    readonly digest?: string;
  }[];
}

describe.each(casesIn("composefs"))("tree %s", (file) => {
  const { case: name, dumps, results } = vectorJson<TreeCase>(`composefs/${file}`);
  // The dumps hold SHA-512 digests of files, and are as cfsctl 0.9.4 transforms. Its writer goes beyond
  // what its reader takes.
  const known = results.filter(
    (result) =>
      result.algorithm === "sha512" &&
      result.hardlinks === undefined &&
      result.digest !== undefined &&
      (result.transform === "raw"
        ? result.source === "directory"
        : result.version === "0.9.4" && result.source === "directory" && result.xattrs === "allowlist") &&
      dumps[result.transform] !== undefined,
  );
  const roots = new Map(
    [...new Set(known.map((result) => result.transform))].map((transform) => {
      const path = dumps[transform] as string;
      return [transform, parseDumpfile(vector(`composefs/${path}`), path, "c")] as const;
    }),
  );

  it.runIf(known.length > 0)(`has the digests of ${known.length} records`, () => {
    for (const result of known) {
      const root = roots.get(result.transform);
      if (root === undefined) throw new Error("no tree");
      // cfsctl 0.7.0 wrote V1 when V0 was asked for and there were whiteouts.
      const erofs = result.version === "0.7.0" && result.erofs === "v0" && hasWhiteouts(root) ? "v1" : result.erofs;
      const digest = () => erofsDigest(root, { erofs, algorithm: "sha512" }).digest;
      const subject = `${result.tool} ${result.version} ${result.erofs} ${result.transform}`;
      // Releases up to bootc 1.16.2 made something of a hardlinked whiteout that no later one accepts.
      if (name === "whiteout-hardlink") expect(digest, subject).toThrow(/hardlinked whiteout/);
      else expect(digest(), subject).toBe(result.digest);
    }
  });
});

interface ImageCase {
  readonly case: string;
  readonly image: string;
  readonly erofs: ErofsVersion;
  readonly algorithm: VerityAlgorithm;
  readonly options: string;
  readonly digest: string;
}

describe("images of cfsctl", () => {
  const { images } = vectorJson<{ images: readonly ImageCase[] }>("image/images.json");
  const sha512 = images.filter((image) => image.algorithm === "sha512");

  it.each(sha512.map((image) => [image.case, image.options, image] as const))("%s %s", (name, options, image) => {
    const { dumps } = vectorJson<TreeCase>(`composefs/${name}.json`);
    const dump = options.includes("--bootable") ? dumps.boot : dumps.raw;
    const root = parseDumpfile(vector(`composefs/${dump}`), name, "c");
    const written = concat([...writeErofs(root, image)]);
    expect(Buffer.compare(written, vector(`image/${image.image}`))).toBe(0);
    expect(erofsDigest(root, image)).toEqual({
      erofs: image.erofs,
      algorithm: "sha512",
      digest: image.digest,
      imageBytes: written.length,
    });
  });
});
