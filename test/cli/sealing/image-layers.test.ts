/** Layers that some hosts can't unpack, and the media types that a sealed image has. */
import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { zstdCompressSync } from "node:zlib";
import { expect, it } from "vitest";
import { imageReportSchema } from "../../../src/cli/sealing/image-report.ts";
import { seal } from "../../support/cli.ts";
import { writeBlob, writeJsonBlob, writeLayout } from "../../support/layout.ts";
import { sealableLayers } from "../../support/sealable.ts";
import { tempDir } from "../../support/temp.ts";

const LAYER = "application/vnd.oci.image.layer.v1.tar";
const MANIFEST = "application/vnd.oci.image.manifest.v1+json";

/** An image whose layers are stored as they are given. */
function image(cwd: string, stored: readonly { readonly bytes: Uint8Array; readonly mediaType: string }[]): void {
  const path = join(cwd, "in");
  writeLayout(path, sealableLayers(), { compression: "none" });
  const index = JSON.parse(readFileSync(join(path, "index.json"), "utf8"));
  const old = join(path, "blobs", index.manifests[0].digest.replace(":", "/"));
  const manifest = JSON.parse(readFileSync(old, "utf8"));
  rmSync(old);
  manifest.layers = stored.map(({ bytes, mediaType }) => writeBlob(path, bytes, mediaType));
  writeFileSync(
    join(path, "index.json"),
    JSON.stringify({ ...index, manifests: [writeJsonBlob(path, manifest, MANIFEST)] }),
  );
}

async function sealed(cwd: string) {
  const args = ["image", "--from", "oci:in", "--to", "oci:out:1", "--platform", "linux/amd64", "--json"];
  const { code, stdout, stderr } = await seal(args, { cwd });
  expect(code, stderr).toBe(0);
  const { hosts, image: summary } = imageReportSchema.parse(JSON.parse(stdout));
  const manifest = JSON.parse(readFileSync(join(cwd, "out/blobs", summary.digest.replace(":", "/")), "utf8"));
  const types: string[] = manifest.layers.map((layer: { mediaType: string }) => layer.mediaType);
  return { hosts: hosts ?? [], types };
}

const FRAMES = /^layer 1 of 2 has several Zstandard frames, of which it unpacks the first only$/;

it("says which hosts can't unpack a layer of several frames, also of an image that is found", async () => {
  const cwd = tempDir();
  const [first = Buffer.alloc(0), second = Buffer.alloc(0)] = sealableLayers();
  const parts = [first.subarray(0, 1024), first.subarray(1024)].map((part) => zstdCompressSync(part));
  image(cwd, [
    { bytes: Buffer.concat(parts), mediaType: `${LAYER}+zstd` },
    { bytes: second, mediaType: LAYER },
  ]);
  const { hosts } = await sealed(cwd);
  const accepts = (release: string) => hosts.find(({ releases }) => releases.includes(release))?.accepts;
  expect(accepts("1.16.11")).toMatchObject({ ok: false, reasons: [expect.stringMatching(FRAMES)] });
  for (const release of ["1.16.12", "1.17.5"]) expect(accepts(release)).toEqual({ ok: true, reasons: [] });
  const { stdout } = await seal(["lint", "oci:out:1", "--platform", "linux/amd64"], { cwd });
  expect(stdout).toMatch(/Not by .*1\.16\.4–1\.16\.11: layer 1 of \d has several Zstandard frames/);
});

it("gives layers the media type of their bytes, whatever the manifest says", async () => {
  const cwd = tempDir();
  const [first = Buffer.alloc(0), second = Buffer.alloc(0)] = sealableLayers();
  image(cwd, [
    { bytes: first, mediaType: `${LAYER}+gzip` },
    { bytes: zstdCompressSync(second), mediaType: "application/vnd.docker.image.rootfs.diff.tar.gzip" },
  ]);
  const { hosts, types } = await sealed(cwd);
  expect(types.slice(0, 2)).toEqual([LAYER, `${LAYER}+zstd`]);
  expect(hosts.at(-1)?.accepts).toEqual({ ok: true, reasons: [] });
});
