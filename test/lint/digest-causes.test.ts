/** Why an image has another digest than its UKI demands: what lint says of layouts as builders leave them. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { treeRecord } from "../../src/composefs/tree-record.ts";
import { openRootfs } from "../../src/io/rootfs.ts";
import { parseRootfsSource } from "../../src/io/rootfs-source.ts";
import { manifestDigests, recordAnnotation } from "../../src/oci/sealed.ts";
import { seal } from "../support/cli.ts";
import type { LayoutOptions } from "../support/layout.ts";
import { SPLIT, UKI_PATH } from "../support/lint.ts";
import { image, LAYER_TIME, lintReport, sealedLayers, tarLayer, tarWhiteouts } from "../support/lint-image.ts";
import { tarArchive } from "../support/tar.ts";
import { tempDir } from "../support/temp.ts";

/** A second after 2023-11-14 22:13:20 each. */
const at = (seconds: number) => new Date((LAYER_TIME + seconds) * 1000).toISOString();
const step = (seconds: number, createdBy: string, comment?: string) => ({
  created: at(seconds),
  created_by: createdBy,
  ...(comment === undefined ? {} : { comment }),
});
const BUILDKIT = "buildkit.dockerfile.v0";
const BASE = step(-5, "base");
const COPY = step(50, "COPY /out/boot /boot # buildkit", BUILDKIT);
const history = (...steps: readonly object[]): LayoutOptions => ({ config: { history: steps } });

/** The boot layer of an image that has only the first layer. */
async function bootLayer(): Promise<Uint8Array> {
  const [, boot] = await sealedLayers();
  return boot ?? tarArchive();
}

async function digestFinding(layers: readonly Uint8Array[], options: LayoutOptions = {}, ...args: readonly string[]) {
  const { findings } = await lintReport(image(layers, options), ...args);
  const [finding, second] = findings.filter(({ id }) => id === "uki-digest");
  expect(second).toBeUndefined();
  expect(finding).toMatchObject({ severity: "error", path: UKI_PATH });
  return { message: finding?.message ?? "", fix: finding?.fix ?? "" };
}

describe("a digest that the layers don't give", () => {
  const EDITED = { "etc/app.conf": "new" };

  it("is that of a sealing step from the cache where what is below the UKI has later times", async () => {
    const layers = [tarLayer(SPLIT), tarLayer(EDITED, { mtime: LAYER_TIME + 60 }), await bootLayer()];
    const docker = await digestFinding(layers, history(BASE, step(60, "RUN make # buildkit", BUILDKIT), COPY));
    expect(docker.message).toMatch(
      /it will not boot\. The sealing step came from the builder's cache: the UKI dates from 2023-11-14 22:13:20 UTC, but layer 2 of 3 \(sha256:.{8}…\) below it has etc from 2023-11-14 22:14:20 UTC, so it is newer/,
    );
    expect(docker.fix).toMatch(
      /^seal the resulting image .*seal image.* or rebuild it: with Docker and BuildKit, pass --no-cache-filter /,
    );
    expect(docker.fix).not.toContain("podman");
    const podman = await digestFinding(
      layers,
      history(BASE, step(60, "/bin/sh -c make"), step(61, "/bin/sh -c #(nop) COPY dir:1 in /boot ")),
    );
    expect(podman.fix).toMatch(
      /^seal the resulting image .*seal image.* or rebuild it: with podman and buildah, pass --no-cache, or give an ARG /,
    );
    expect(podman.fix).not.toContain("Docker");
    // What nobody knows the builder of gets both remedies.
    expect((await digestFinding(layers)).fix).toMatch(/Docker and BuildKit.*podman and buildah/);
    expect((await digestFinding(layers, { config: { history: "damaged" } })).fix).toMatch(/Docker.*podman/);
  });

  it("is so too where files keep their old times, and only the history tells when a layer was made", async () => {
    const layers = [tarLayer(SPLIT), tarLayer(EDITED, { mtime: LAYER_TIME - 60 }), await bootLayer()];
    const copied = await digestFinding(
      layers,
      history(BASE, step(60, "COPY app.conf /etc # buildkit", BUILDKIT), COPY),
    );
    expect(copied.message).toMatch(
      /came from the builder's cache: .* layer 2 of 3 .* was created at 2023-11-14 22:14:20 UTC/,
    );
  });

  it("is that of a tree that was changed when it was sealed already, where a layer above does that", async () => {
    const layers = [...(await sealedLayers()), tarLayer(EDITED, { mtime: LAYER_TIME + 60 })];
    const made = step(60, `RUN ${"make ".repeat(50)}# buildkit`, BUILDKIT);
    const finding = await digestFinding(layers, history(BASE, COPY, made));
    expect(finding.message).toMatch(
      / Layer 3 of 3 \(sha256:.{8}…\) \(RUN make make [^)]{46}…\) adds etc after the UKI/,
    );
    expect(finding.fix).toMatch(/^seal again, as the last step/);
    const removed = await digestFinding([...(await sealedLayers()), tarWhiteouts("etc/passwd")]);
    expect(removed.message).toContain("adds etc/.wh.passwd after the UKI");
  });

  it("is not blamed on a layer above that has nothing of what counts", async () => {
    const stale = [tarLayer(SPLIT), tarLayer(EDITED, { mtime: LAYER_TIME + 60 }), await bootLayer()];
    const run = tarLayer({ "run/x": "x", "boot/loader/y": "y" }, { mtime: LAYER_TIME + 90 });
    expect((await digestFinding([...stale, run])).message).toContain("came from the builder's cache");
  });

  it("is that of times before they were rewritten, where all are that of the image", async () => {
    const layers = [tarLayer(SPLIT), tarLayer(EDITED), await bootLayer()];
    const all = [step(0, "RUN one"), step(0, "RUN two"), step(0, "COPY")];
    const rewritten = await digestFinding(layers, { config: { created: at(0), history: all } });
    expect(rewritten.message).toMatch(
      /All timestamps that the build wrote are 2023-11-14 22:13:20 UTC: the builder rewrote them/,
    );
    expect(rewritten.fix).toMatch(/^build without rewriting timestamps; or seal the resulting image/);
    // The image is of that time by chance.
    const once = await digestFinding(layers, { config: { created: at(0), history: [BASE, BASE, step(0, "COPY")] } });
    expect(once.message).not.toContain("rewrote");
  });

  it("may be that of a directory whose time is in no layer, where BuildKit made them and nothing else is found", async () => {
    const layers = [tarLayer(SPLIT), tarLayer(EDITED, { mtime: LAYER_TIME - 60 }), await bootLayer()];
    const docker = await digestFinding(layers, history(BASE, step(-60, "RUN make # buildkit", BUILDKIT), COPY));
    expect(docker.message).toMatch(
      /BuildKit built it, which leaves a directory out of a layer when only its mtime changed/,
    );
    expect(docker.fix).toMatch(/^copy the tree into one layer before sealing/);
    const other = await digestFinding(layers, history(BASE, step(-60, "RUN make"), step(50, "COPY")));
    expect(other.message).toContain("No known release or format gives the demanded digest");
    expect(other.fix).toMatch(/^seal again, as the last step/);
  });
});

describe("a record of what was sealed", () => {
  /** Of the tree that {@link bootLayer} names the digest of, as annotations and as a report. */
  async function recorded(digest?: string) {
    const options = { algorithm: "sha512", xattrs: [], cwd: "/" } as const;
    const { rootfs } = await openRootfs(parseRootfsSource(image([tarLayer(SPLIT)])), options);
    const record = treeRecord(rootfs, "sha512");
    const demanded = digest ?? (await seal(["compute-digest", image([tarLayer(SPLIT)])])).stdout.trim();
    const named = [{ erofs: "v1", algorithm: "sha512", digest: demanded }];
    const annotations = { ...manifestDigests([], named), ...recordAnnotation(record) };
    const report = join(tempDir(), "report.json");
    writeFileSync(report, JSON.stringify({ digests: named, record: { ...record, newest: Number(record.newest) } }));
    return { annotations, report };
  }

  it("tells the same tree with other times from another one", async () => {
    const { annotations, report } = await recorded();
    const touched = [tarLayer(SPLIT, { mtime: LAYER_TIME + 3600 }), await bootLayer()];
    const same =
      /it will not boot\. It is the tree that was sealed, with different mtimes: its newest mtime was 2023-11-14 22:13:20 UTC and is now 2023-11-14 23:13:20 UTC\. The sealing step came/;
    expect((await digestFinding(touched, { annotations })).message).toMatch(same);
    expect((await digestFinding(touched, {}, "--report", report)).message).toMatch(same);
    const other = [tarLayer(SPLIT), tarLayer({ "etc/new": "x" }, { mtime: LAYER_TIME - 5 }), await bootLayer()];
    const { message } = await digestFinding(other, { annotations });
    const [, before, after] =
      /It is not the tree that was sealed: that one had (\d+) files and directories, this one has (\d+); /.exec(
        message,
      ) ?? [];
    expect(Number(after)).toBe(Number(before) + 1);
  });

  it("says nothing of a UKI with another digest, nor where it is damaged", async () => {
    const touched = [tarLayer(SPLIT, { mtime: LAYER_TIME + 3600 }), await bootLayer()];
    for (const annotations of [(await recorded("0".repeat(128))).annotations, { "seal.tree": "entries=x" }]) {
      expect((await digestFinding(touched, { annotations })).message).toMatch(/it will not boot\. The sealing step/);
    }
  });

  it("is refused where it is none, and for what is not an image", async () => {
    const file = join(tempDir(), "report.json");
    writeFileSync(file, "{}");
    const layers = await sealedLayers();
    expect(await seal(["lint", image(layers), "--report", file])).toMatchObject({
      code: 3,
      stderr: expect.stringMatching(/report\.json: is not the report\.json of a sealing; seal rootfs writes one\n$/),
    });
    expect(await seal(["lint", tempDir(), "--report", file])).toMatchObject({ code: 2 });
  });
});
