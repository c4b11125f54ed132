import { createCipheriv } from "node:crypto";
import { mkdirSync, readdirSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { crc32, gzipSync, zstdCompressSync } from "node:zlib";
import { execaSync } from "execa";
import { describe, expect, it } from "vitest";
import { SealError } from "../../../src/errors.ts";
import { openStoredImage } from "../../../src/io/oci/image.ts";
import { openRootfs } from "../../../src/io/rootfs.ts";
import { parseRootfsSource } from "../../../src/io/rootfs-source.ts";
import { writeDumpfile } from "../../../src/tree/dumpfile.ts";
import { readTreeFile } from "../../../src/tree/rootfs.ts";
import { archiveRootfs } from "../../support/archive.ts";
import {
  type LayerCompression,
  sha256,
  writeBlob,
  writeImageBlobs,
  writeIndex,
  writeJsonBlob,
  writeLayout,
} from "../../support/layout.ts";
import { tarArchive, tarDirectory, tarFile, tarHeader } from "../../support/tar.ts";
import { tempDir } from "../../support/temp.ts";

const INDEX_TYPE = "application/vnd.oci.image.index.v1+json";
const LARGE = Buffer.alloc(300_000, "large ");
const KERNEL = Buffer.alloc(200_000, "kernel ");

const LOWER = tarArchive(
  tarDirectory("./"),
  tarDirectory("usr/"),
  tarFile("usr/large", LARGE),
  tarFile("usr/gone", Buffer.from("x")),
  tarDirectory("usr/lib/"),
  tarDirectory("usr/lib/modules/"),
  tarDirectory("usr/lib/modules/6.1/"),
  tarFile("usr/lib/modules/6.1/vmlinuz", KERNEL),
);
const UPPER = tarArchive(
  tarHeader({ name: "usr/.wh.gone" }),
  tarHeader({ name: "usr/again", type: "1", link: "usr/large" }),
);

const UPPER_OF_LARGE = tarArchive(tarHeader({ name: "usr/.wh.7" }));

async function dump(spec: string, options: { platform?: string; cwd?: string } = {}): Promise<string> {
  const { rootfs } = await openRootfs(parseRootfsSource(spec), {
    algorithm: "sha256",
    xattrs: "all",
    cwd: "/",
    ...options,
  });
  return Buffer.concat([...writeDumpfile(rootfs.root)]).toString("latin1");
}

async function failure(spec: string, options: { platform?: string } = {}): Promise<string> {
  const error = await dump(spec, options).then(
    () => new Error("no error"),
    (thrown: unknown) => thrown,
  );
  if (!(error instanceof SealError)) throw error;
  expect(error.code).toMatch(/input|usage/);
  expect(error.message).not.toContain("\n");
  return error.message;
}

function layout(compression: LayerCompression = "gzip"): string {
  const path = join(tempDir(), "layout");
  writeLayout(path, [LOWER, UPPER], { compression });
  return path;
}

describe("images", () => {
  it("are the same tree however they are packed", async () => {
    const directory = tempDir();
    const expected = await dump(`oci:${layout("none")}`);
    expect(expected).toContain("/usr/large 0 @120000 - - - - 0.0 /usr/again - -");
    expect(expected).not.toContain("gone");
    for (const compression of ["gzip", "zstd"] as const) {
      const path = layout(compression);
      expect(await dump(`oci:${path}`)).toBe(expected);
      const archive = join(directory, `${compression}.tar`);
      execaSync("tar", ["-cf", archive, "-C", path, "."]);
      expect(await dump(`oci-archive:${compression}.tar:latest`, { cwd: directory })).toBe(expected);
    }
    const config = JSON.stringify({
      os: "linux",
      architecture: "amd64",
      rootfs: { type: "layers", diff_ids: [LOWER, UPPER].map((layer) => `sha256:${sha256(layer)}`) },
    });
    const name = `${sha256(Buffer.from(config))}.json`;
    const manifest = [{ Config: name, RepoTags: ["image:1"], Layers: ["a/layer.tar", "b/layer.tar"] }];
    const docker = join(directory, "docker.tar");
    writeFileSync(
      docker,
      tarArchive(
        tarFile("a/layer.tar", LOWER),
        tarFile("up.tar", UPPER),
        tarHeader({ name: "b/layer.tar", type: "2", link: "../up.tar" }),
        tarFile(name, Buffer.from(config)),
        tarFile("manifest.json", Buffer.from(JSON.stringify(manifest))),
      ),
    );
    expect(await dump(`docker-archive:${docker}`)).toBe(expected);
    expect(await dump(`docker-archive:${docker}:image:1`)).toBe(expected);
    expect(await failure(`docker-archive:${docker}:other`)).toMatch(
      /has no image "other"; its references are image:1$/,
    );
  });

  it("tell how much of their layers has been read", async () => {
    const path = tempDir();
    // Too large for one block of memory, and for the thread that reads small layers.
    const large = tarArchive(
      tarDirectory("./"),
      ...["a", "b", "c"].map((name) => tarFile(name, Buffer.alloc(3 << 20, name))),
    );
    writeLayout(path, [large, tarArchive(tarFile("d", Buffer.alloc(100)))], { compression: "none" });
    const shares: (number | null)[] = [];
    const onProgress = (_: unknown, share: number | null) => shares.push(share);
    await openRootfs(parseRootfsSource(`oci:${path}`), { algorithm: "sha512", xattrs: "all", cwd: "/", onProgress });
    const known = shares.map((share) => share ?? -1);
    expect(known).toEqual(known.toSorted((a, b) => a - b));
    expect(known[0]).toBeLessThan(0.9);
    expect(known.at(-1)).toBe(1);
  });

  it("give contents that were kept, and unpack others again", async () => {
    for (const compression of ["gzip", "zstd", "none"] as const) {
      const spec = `oci:${layout(compression)}`;
      const { rootfs, stats } = await openRootfs(parseRootfsSource(spec), {
        algorithm: "sha512",
        xattrs: "all",
        cwd: "/",
      });
      expect(await readTreeFile(rootfs, "usr/lib/modules/6.1/vmlinuz")).toEqual(new Uint8Array(KERNEL));
      expect(await readTreeFile(rootfs, "usr/again")).toEqual(new Uint8Array(LARGE));
      expect(stats).toEqual({ files: 4, directories: 5, bytesHashed: 500_000 });
      const blind = await openRootfs(parseRootfsSource(spec), { algorithm: null, xattrs: "all", cwd: "/" });
      expect(await readTreeFile(blind.rootfs, "usr/large")).toEqual(new Uint8Array(LARGE));
    }
  });

  it("refuse content that is another one when it is read again", async () => {
    const path = layout("none");
    const { rootfs } = await openRootfs(parseRootfsSource(`oci:${path}`), {
      algorithm: "sha512",
      xattrs: "all",
      cwd: "/",
    });
    const blob = join(path, "blobs/sha256", sha256(LOWER));
    const changed = readFileSync(blob);
    changed[3 * 512 + 7] = 0x21;
    writeFileSync(blob, changed);
    await expect(readTreeFile(rootfs, "usr/large")).rejects.toThrow("changed while it was read");
  });

  it("read zstd of many frames, with skippable ones", async () => {
    const skippable = Buffer.from([0x5e, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 1, 2, 3]);
    const frames: Buffer[] = [skippable];
    for (let i = 0; i < LOWER.length; i += 9000) frames.push(zstdCompressSync(LOWER.subarray(i, i + 9000)), skippable);
    const archive = join(tempDir(), "layer.tar.zst");
    writeFileSync(archive, Buffer.concat(frames));
    const plain = join(tempDir(), "layer.tar");
    writeFileSync(plain, LOWER);
    const expected = await dump(`tar:${plain}`);
    expect(await dump(`tar:${archive}`)).toBe(expected);
    truncateSync(archive, statSync(archive).size - 14);
    expect(await failure(`tar:${archive}`)).toMatch(/truncated/);
    writeFileSync(archive, Buffer.concat([...frames, Buffer.from("garbage")]));
    expect(await failure(`tar:${archive}`)).toMatch(/something other than Zstandard frames/);
    writeFileSync(archive, Buffer.concat([gzipSync(LOWER.subarray(0, 5000)), gzipSync(LOWER.subarray(5000))]));
    expect(await dump(`tar:${archive}`)).toBe(expected);
  });
});

describe("a layer that a thread of its own unpacks", () => {
  const noise = createCipheriv("aes-128-ctr", Buffer.alloc(16), Buffer.alloc(16)).update(Buffer.alloc(3_000_001));
  const files = Array.from({ length: 40 }, (_, index) => {
    return tarFile(
      `usr/${index}`,
      noise.subarray(index * 997, index * 997 + (index % 4 === 0 ? 1_500_000 : 4095 + index)),
    );
  });
  const layer = tarArchive(tarDirectory("./"), tarDirectory("usr/"), tarFile("usr/noise", noise), ...files);

  function largeLayout(compression: LayerCompression): string {
    const path = join(tempDir(), "layout");
    writeLayout(path, [layer, layer, layer, UPPER_OF_LARGE], { compression });
    return path;
  }

  it.each(["none", "gzip", "zstd"] as const)("gives the tree that is read here (%s)", async (compression) => {
    const { root } = await archiveRootfs([layer, layer, layer, UPPER_OF_LARGE], "sha256");
    const expected = Buffer.concat([...writeDumpfile(root)]).toString("latin1");
    expect((await dump(`oci:${largeLayout(compression)}`)) === expected).toBe(true);
  });

  it("is refused for the same reasons as a small one", async () => {
    const path = largeLayout("gzip");
    const blobs = join(path, "blobs/sha256");
    const [name = ""] = readdirSync(blobs).filter((blob) => statSync(join(blobs, blob)).size > 4 << 20);
    const bytes = readFileSync(join(blobs, name));
    bytes[bytes.length >> 1] = (bytes[bytes.length >> 1] ?? 0) ^ 1;
    writeFileSync(join(blobs, name), bytes);
    expect(await failure(`oci:${path}`)).toMatch(/can't be unpacked|has the digest/);
    truncateSync(join(blobs, name), 4_500_000);
    expect(await failure(`oci:${path}`)).toContain("the image is damaged");
  });

  it("is left in the middle when another layer fails", async () => {
    const path = join(tempDir(), "layout");
    writeLayout(path, [tarArchive(tarFile("no/parent", Buffer.from("x"))), layer]);
    expect(await failure(`oci:${path}`)).toMatch(
      /has no entry before it, and bootc refuses such layers; .* seal image --from dir:PATH$/,
    );
  });
});

describe("the image of several", () => {
  const path = () => {
    const directory = tempDir();
    const image = (architecture: string, variant?: string) => {
      const layer = tarArchive(tarDirectory("./"), tarFile("arch", Buffer.from(`${architecture}${variant ?? ""}`)));
      const platform = { os: "linux", architecture, ...(variant === undefined ? {} : { variant }) };
      return { ...writeImageBlobs(directory, [layer], { architecture }), platform };
    };
    const manifests = [
      ...[image("amd64", "v3"), image("amd64"), image("arm64")],
      ...[image("arm", "v6"), image("arm", "v7"), image("riscv64", "rva23")],
    ];
    const index = writeJsonBlob(directory, { schemaVersion: 2, manifests }, INDEX_TYPE);
    const tagged = (tag: string) => ({ ...index, annotations: { "org.opencontainers.image.ref.name": tag } });
    const single = { ...manifests[1], annotations: { "org.opencontainers.image.ref.name": "one" } };
    writeIndex(directory, [tagged("multi"), single]);
    return directory;
  };

  it("is chosen by tag and platform", async () => {
    const directory = path();
    const content = async (spec: string, platform: string) => {
      const { rootfs } = await openRootfs(parseRootfsSource(spec), {
        algorithm: null,
        xattrs: "all",
        cwd: "/",
        platform,
      });
      return Buffer.from((await readTreeFile(rootfs, "arch")) ?? []).toString();
    };
    for (const [platform, expected] of [
      ["linux/amd64", "amd64"],
      ["linux/amd64/v1", "amd64"],
      ["linux/amd64/v3", "amd64v3"],
      ["linux/arm64", "arm64"],
      ["linux/arm64/v8", "arm64"],
      ["linux/arm", "armv7"],
      ["linux/arm/v7", "armv7"],
      ["linux/riscv64", "riscv64rva23"],
      ["linux/arm/v6", "armv6"],
    ] as const) {
      expect(await content(`oci:${directory}:multi`, platform)).toBe(expected);
    }
    const multi = `oci:${directory}:multi`;
    expect(await failure(multi, { platform: "linux/s390x" })).toMatch(
      /has no image for linux\/s390x; choose one with --platform \(linux\/amd64\/v3, linux\/amd64, linux\/arm64, linux\/arm\/v6, linux\/arm\/v7, linux\/riscv64\/rva23\)$/,
    );
    const { config } = await openStoredImage(
      { kind: "oci", path: directory, reference: "multi", subject: multi },
      {
        cwd: "/",
        platform: "linux/arm/v6",
      },
    );
    expect(config).toMatchObject({ architecture: "arm", variant: "v6" });
    expect(await failure(multi, { platform: "arm64" })).toMatch(/^--platform arm64: give os\/architecture/);
    expect(await failure(`oci:${directory}:one`, { platform: "linux/arm64" })).toMatch(
      /is an image for linux\/amd64, not linux\/arm64$/,
    );
    expect(await failure(`oci:${directory}`)).toMatch(/has 2 images; choose one by its tag \(multi, one\)$/);
    expect(await failure(`oci:${directory}:none`)).toMatch(/no image with the tag "none"; its tags are multi, one$/);
  });

  it("is one image, however often the index names it, and several of one tag are told so", async () => {
    const directory = tempDir();
    const one = writeImageBlobs(directory, [tarArchive(tarDirectory("./"), tarFile("one", Buffer.from("1")))]);
    const two = writeImageBlobs(directory, [tarArchive(tarDirectory("./"), tarFile("two", Buffer.from("2")))]);
    const annotations = { "org.opencontainers.image.ref.name": "a" };
    writeIndex(directory, [{ ...one, annotations }, one, { ...one, annotations }]);
    expect(await dump(`oci:${directory}`)).toBe(await dump(`oci:${directory}:a`));
    writeIndex(directory, [
      { ...one, annotations },
      { ...two, annotations },
    ]);
    expect(await failure(`oci:${directory}:a`)).toMatch(/has 2 images with the tag "a"; give each its own/);
    expect(await failure(`oci:${directory}`)).toMatch(/has 2 images; choose one by its tag \(a\)$/);
  });

  it("may have null for what it does not say", async () => {
    const directory = tempDir();
    const layer = tarArchive(tarDirectory("./"), tarFile("one", Buffer.from("1")));
    const image = (layers: readonly Buffer[] | null) => {
      const diffIds = layers?.map((bytes) => `sha256:${sha256(bytes)}`) ?? null;
      const config = {
        os: "linux",
        architecture: "amd64",
        variant: null,
        rootfs: { type: "layers", diff_ids: diffIds },
      };
      const manifest = {
        schemaVersion: 2,
        config: writeJsonBlob(
          directory,
          { ...config, config: null, history: null },
          "application/vnd.oci.image.config.v1+json",
        ),
        layers: layers?.map((bytes) => writeBlob(directory, bytes, "application/vnd.oci.image.layer.v1.tar")) ?? null,
        annotations: null,
      };
      const type = "application/vnd.oci.image.manifest.v1+json";
      writeIndex(directory, [{ ...writeJsonBlob(directory, manifest, type), platform: null, annotations: null }]);
    };
    image([layer]);
    expect(await dump(`oci:${directory}`, { platform: "linux/amd64" })).toContain("/one 1 ");
    image(null);
    expect(await dump(`oci:${directory}`)).toMatch(/^\/ /);
    writeFileSync(join(directory, "index.json"), '{"schemaVersion":2,"manifests":null}');
    expect(await failure(`oci:${directory}`)).toMatch(/contains no image$/);
  });

  it("is never found in an index that leads to itself", async () => {
    const directory = tempDir();
    let index = writeJsonBlob(directory, { schemaVersion: 2, manifests: [] }, INDEX_TYPE);
    const platform = { os: "linux", architecture: "amd64" };
    for (let depth = 0; depth < 20; depth++) {
      index = writeJsonBlob(directory, { schemaVersion: 2, manifests: [{ ...index, platform }] }, INDEX_TYPE);
    }
    writeIndex(directory, [index]);
    expect(await failure(`oci:${directory}`, { platform: "linux/amd64" })).toMatch(/nested without end$/);
  });
});

describe("a damaged or hostile layout", () => {
  /** Changes the JSON of the manifest and points the index at the new one. */
  function withManifest(
    change: (manifest: Record<string, unknown> & { layers: Record<string, unknown>[] }) => void,
    compression: LayerCompression = "gzip",
  ) {
    const directory = layout(compression);
    const index = JSON.parse(readFileSync(join(directory, "index.json"), "utf8"));
    const blob = join(directory, "blobs", index.manifests[0].digest.replace(":", "/"));
    const manifest = JSON.parse(readFileSync(blob, "utf8"));
    change(manifest);
    writeIndex(directory, [writeJsonBlob(directory, manifest, "application/vnd.oci.image.manifest.v1+json")]);
    return `oci:${directory}`;
  }
  const withLayer = (fields: Record<string, unknown>) =>
    withManifest(({ layers }) => void Object.assign(layers[0] as object, fields));

  it("is refused for descriptors that lie", async () => {
    expect(await failure(withLayer({ size: 5 }))).toMatch(/has \d+ bytes, not 5: the image is damaged$/);
    expect(await failure(withLayer({ size: -1 }))).toMatch(/is not an image manifest: layers\.0\.size/);
    expect(await failure(withLayer({ digest: "sha256:../../../../etc/passwd" }))).toMatch(
      /is not a sha256 or sha512 digest$/,
    );
    expect(await failure(withLayer({ digest: `sha256:${"0".repeat(64)}` }))).toMatch(
      /layer sha256:0+: its blob is missing/,
    );
    expect(await failure(withManifest((manifest) => void manifest.layers.pop()))).toMatch(
      /lists 1 layers, but its configuration 2/,
    );
    for (const compression of ["gzip", "none"] as const) {
      expect(await failure(withManifest(({ layers }) => void layers.reverse(), compression))).toMatch(
        /the unpacked layer has the digest sha256:\w+, not sha256:\w+: the image is damaged or was changed$/,
      );
    }
  });

  it("is refused for layers that can't be read", async () => {
    const docker = "application/vnd.docker.image.rootfs";
    const oci = "application/vnd.oci.image.layer";
    expect(await failure(withLayer({ mediaType: `${docker}.foreign.diff.tar.gzip` }))).toMatch(/is a foreign layer/);
    expect(await failure(withLayer({ mediaType: `${oci}.nondistributable.v1.tar` }))).toMatch(/is a foreign layer/);
    expect(await failure(withLayer({ mediaType: `${oci}.v1.tar+gzip+encrypted` }))).toMatch(/is encrypted; decrypt/);
    expect(await failure(withLayer({ mediaType: "text/plain" }))).toMatch(/which is not a layer of a root filesystem$/);
    expect(await dump(withLayer({ mediaType: `${docker}.diff.tar.gzip` }))).toContain("/usr/large");
  });

  it("is refused for blobs that were changed or cut off", async () => {
    for (const compression of ["gzip", "zstd", "none"] as const) {
      const directory = layout(compression);
      for (const name of readdirSync(join(directory, "blobs/sha256"))) {
        const file = join(directory, "blobs/sha256", name);
        const bytes = readFileSync(file);
        writeFileSync(file, bytes.subarray(0, bytes.length - 1));
        expect(await failure(`oci:${directory}`)).toMatch(/has \d+ bytes, not \d+/);
        const flipped = Buffer.from(bytes);
        const place = crc32(bytes) % bytes.length;
        flipped[place] = (flipped[place] ?? 0) ^ 1;
        writeFileSync(file, flipped);
        await failure(`oci:${directory}`);
        // A byte that says nothing, behind the end of the archive, where it is not packed.
        const last = Buffer.from(bytes);
        last[last.length - 1] = (last.at(-1) ?? 0) ^ 1;
        writeFileSync(file, last);
        await failure(`oci:${directory}`);
        rmSync(file);
        expect(await failure(`oci:${directory}`)).toMatch(/its blob is missing or can't be read/);
        mkdirSync(file);
        expect(await failure(`oci:${directory}`)).toMatch(/its blob is missing or can't be read/);
        rmSync(file, { recursive: true });
        writeFileSync(file, bytes);
      }
    }
  });

  it("is refused for JSON that is none, another, or huge", async () => {
    const directory = layout();
    const index = join(directory, "index.json");
    for (const [text, message] of [
      ["{", /index\.json: is not valid JSON; expected an image index$/],
      ["[]", /index\.json: is not an image index: /],
      ['{"schemaVersion":2,"manifests":[]}', /contains no image$/],
      ["[".repeat(3_000_000), /is not valid JSON/],
    ] as const) {
      writeFileSync(index, text);
      expect(await failure(`oci:${directory}`)).toMatch(message);
    }
    truncateSync(index, 2 ** 40);
    expect(await failure(`oci:${directory}`)).toMatch(/has 1099511627776 bytes, too many for such a file$/);
    const artifact = writeBlob(directory, Buffer.from("{}"), "application/x");
    writeIndex(directory, [artifact]);
    expect(await failure(`oci:${directory}`)).toMatch(/has the media type "application\/x", which is not an image$/);
    rmSync(join(directory, "oci-layout"));
    expect(await failure(`oci:${directory}`)).toMatch(/is not an OCI layout: it has no file oci-layout; for a root/);
  });

  it("says which kind it is where another one was named", async () => {
    const [root, directory] = [tempDir(), layout()];
    const archive = (name: string, ...paths: readonly string[]) => {
      writeFileSync(join(root, name), tarArchive(...paths.map((path) => tarFile(path, Buffer.from("{}")))));
      return join(root, name);
    };
    const oci = archive("oci.tar", "oci-layout", "index.json");
    const docker = archive("docker.tar", "manifest.json");
    const tree = archive("tree.tar", "usr/bin/sh");
    for (const [spec, message] of [
      [`oci:${oci}`, /is not the directory of an OCI layout; for an archive give oci-archive:FILE/],
      [`oci:${root}`, /is not an OCI layout: .* for a root filesystem give dir:PATH$/],
      [`oci:${root}/none`, /none: can't be read: no such file or directory$/],
      [`oci-archive:${directory}`, /is a directory; for an OCI layout give oci:PATH$/],
      [`oci-archive:${docker}`, /has no file oci-layout; it is an archive of docker save: give docker-archive:FILE$/],
      [`docker-archive:${oci}`, /has no file manifest\.json; it is an OCI archive: give oci-archive:FILE$/],
      [`docker-archive:${tree}`, /has no file manifest\.json; for a root filesystem give tar:FILE$/],
      [directory, /is an OCI layout, not a root filesystem; give oci:\S+ for the image in it$/],
      [oci, /is not a directory; give the directory of a root filesystem, or tar:FILE for an archive of one$/],
    ] as const) {
      expect(await failure(spec)).toMatch(message);
    }
  });

  it("is refused for archives that are none", async () => {
    const file = join(tempDir(), "image.tar");
    writeFileSync(file, gzipSync(LOWER));
    expect(await failure(`oci-archive:${file}`)).toMatch(/is compressed as a whole; unpack it first/);
    writeFileSync(file, LOWER);
    expect(await failure(`oci-archive:${file}`)).toMatch(/has no file oci-layout/);
    writeFileSync(file, LOWER.subarray(0, 1024));
    expect(await failure(`docker-archive:${file}`)).toMatch(/is truncated or not a tar archive$/);
    const loop = ["manifest.json", "x"].map((name, i) =>
      tarHeader({ name, type: "2", link: ["x", "manifest.json"][i] ?? "" }),
    );
    writeFileSync(file, tarArchive(...loop));
    expect(await failure(`docker-archive:${file}`)).toMatch(/has no file manifest\.json/);
  });
});
