/** The parts of a disk for boot-test that can be looked at without booting it. */
import { mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { execaSync } from "execa";
import { describe, expect, it } from "vitest";
import { toHex } from "../../../src/bytes.ts";
import { verityDigest } from "../../../src/composefs/verity.ts";
import { checkImage, singleLayout } from "../../../src/io/oci/export-layout.ts";
import { parseRootfsSource } from "../../../src/io/rootfs-source.ts";
import { makeRepository, makeState } from "../../../src/io/vm/composefs-repository.ts";
import { makeDisk } from "../../../src/io/vm/disk.ts";
import { appendVerity } from "../../../src/io/vm/verity-files.ts";
import { seal } from "../../support/cli.ts";
import { sha256, writeImageBlobs, writeIndex, writeLayout } from "../../support/layout.ts";
import { describeWith, findPeer, runPeer } from "../../support/peers.ts";
import { tarArchive, tarDirectory, tarFile } from "../../support/tar.ts";
import { tempDir } from "../../support/temp.ts";

const LARGE = Buffer.alloc(700_000, "large ");
const IMAGE = tarArchive(
  ...["./", "boot/", "boot/EFI/", "sysroot/", "usr/"].map((name) => tarDirectory(name, { mtime: 1 })),
  tarFile("boot/EFI/x.efi", Buffer.from("program")),
  tarFile("usr/large", LARGE, { mtime: 1 }),
);

describe("an image for programs that read layouts only", () => {
  it("is the one that was named, alone, out of a layout or an archive", async () => {
    const cwd = tempDir();
    const arm = writeImageBlobs(join(cwd, "out"), [tarArchive(tarDirectory("./"))], { architecture: "arm64" });
    const x86 = writeImageBlobs(join(cwd, "out"), [IMAGE]);
    const platform = (architecture: string) => ({ platform: { os: "linux", architecture } });
    writeIndex(join(cwd, "out"), [
      { ...arm, ...platform("arm64") },
      { ...x86, ...platform("amd64") },
    ]);
    execaSync("tar", ["-C", join(cwd, "out"), "-cf", join(cwd, "out.tar"), "."]);
    const wanted = (await seal(["compute-digest", "oci:out", "--platform", "linux/amd64"], { cwd })).stdout;
    for (const [spec, name] of [
      ["oci:out", "from-layout"],
      ["oci-archive:out.tar", "from-archive"],
    ] as const) {
      const options = { cwd, platform: "linux/amd64" };
      expect(await singleLayout(checkImage(parseRootfsSource(spec)), join(cwd, name), options)).toBe(
        `oci:${cwd}/${name}`,
      );
      const index = JSON.parse(readFileSync(join(cwd, name, "index.json"), "utf8"));
      expect(index.manifests).toMatchObject([x86]);
      expect(readdirSync(join(cwd, name, "blobs/sha256"))).toHaveLength(3);
      expect(await seal(["compute-digest", `oci:${name}`], { cwd })).toMatchObject({ code: 0, stdout: wanted });
    }
  });

  it("has the layers and the configuration of a docker archive", async () => {
    const cwd = tempDir();
    const config = Buffer.from(
      JSON.stringify({
        os: "linux",
        architecture: "amd64",
        rootfs: { type: "layers", diff_ids: [`sha256:${sha256(IMAGE)}`] },
      }),
    );
    const saved = [{ Config: "config.json", RepoTags: ["image:1"], Layers: ["1/layer.tar"] }];
    const files = { "manifest.json": Buffer.from(JSON.stringify(saved)), "config.json": config, "1/layer.tar": IMAGE };
    const parts = Object.entries(files).map(([name, content]) => tarFile(name, content));
    writeFileSync(join(cwd, "docker.tar"), tarArchive(...parts));
    expect(
      await singleLayout(checkImage(parseRootfsSource("docker-archive:docker.tar:image:1")), join(cwd, "out"), { cwd }),
    ).toBe(`oci:${cwd}/out`);
    const blobs = readdirSync(join(cwd, "out/blobs/sha256"));
    expect(blobs).toHaveLength(3);
    expect(blobs).toEqual(expect.arrayContaining([sha256(IMAGE), sha256(config)]));
    const { stdout } = await seal(["compute-digest", "docker-archive:docker.tar"], { cwd });
    expect(await seal(["compute-digest", "oci:out"], { cwd })).toMatchObject({ code: 0, stdout });
  });

  it.each(["dir:out", "tar:out.tar"])("refuses %s", (spec) => {
    expect(() => checkImage(parseRootfsSource(spec))).toThrow(/is not an image/);
  });
});

describe("a file with fs-verity", () => {
  it("keeps its bytes, its mode, and has the metadata behind them", async () => {
    const file = join(tempDir(), "object");
    writeFileSync(file, LARGE, { mode: 0o444 });
    await appendVerity(file, "sha512");
    const bytes = readFileSync(file);
    expect(bytes.subarray(0, LARGE.length).equals(LARGE)).toBe(true);
    expect(statSync(file).mode & 0o777).toBe(0o444);
    // 171 blocks need three blocks of hashes and one above them; then the descriptor.
    expect(bytes.length).toBe(11 * 65536 + (3 + 1 + 1) * 4096);
    expect(bytes.readUInt32LE(bytes.length - 4)).toBe(256);
  });
});

describeWith(["root", "cfsctl", "sfdisk", "mkfs.ext4", "debugfs", "e2fsck"], "a disk", () => {
  it("has a sound filesystem whose objects are as large as they should be and have fs-verity", async () => {
    const cwd = tempDir();
    const root = join(cwd, "root");
    mkdirSync(root);
    writeLayout(join(cwd, "out"), [IMAGE]);
    writeFileSync(join(cwd, "esp"), Buffer.alloc(1 << 20, 1));
    const tool = (name: "cfsctl" | "sfdisk" | "mkfs.ext4" | "debugfs") => findPeer(name) ?? "";
    const common = { algorithm: "sha512", env: process.env } as const;
    const images = await makeRepository({
      ...{ ...common, cfsctl: tool("cfsctl"), image: `oci:${cwd}/out`, directory: root, wanted: [] },
    });
    const digest = (await seal(["compute-digest", "oci:out"], { cwd })).stdout.trim();
    expect(images).toContain(digest);
    await makeState(root, [digest]);
    const image = join(cwd, "disk.img");
    const tools = { sfdisk: tool("sfdisk"), "mkfs.ext4": tool("mkfs.ext4"), debugfs: tool("debugfs") };
    const rootType = "4F68BCE3-E8CD-4DB1-96E7-FBCAF984B709";
    await makeDisk({ ...common, esp: join(cwd, "esp"), root, rootType, image, scratch: cwd, tools });

    const table = JSON.parse(runPeer("sfdisk", ["--json", image]).stdout.toString()).partitiontable;
    expect(table).toMatchObject({ label: "gpt", partitions: [{ name: "ESP" }, { name: "root", type: rootType }] });
    const place = `${image}?offset=${table.partitions[1].start * 512}`;
    const checked = runPeer("e2fsck", ["-fn", place]);
    expect(checked.status, checked.stdout.toString()).toBe(0);
    const hex = toHex(verityDigest(LARGE, "sha512"));
    const object = `/composefs/objects/${hex.slice(0, 2)}/${hex.slice(2)}`;
    for (const [path, size] of [
      [object, LARGE.length],
      ["/composefs/meta.json", undefined],
    ]) {
      const stat = runPeer("debugfs", ["-R", `stat ${path}`, place]).stdout.toString();
      expect(stat).toContain("Flags: 0x180000");
      if (size !== undefined) expect(stat).toContain(`Size: ${size}`);
    }
    const state = runPeer("debugfs", ["-R", `ls -p /state/deploy/${digest}`, place]).stdout.toString();
    expect(state).toMatch(/\/040755\/0\/0\/var\//);
  });
});
