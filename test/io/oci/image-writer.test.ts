import { spawnSync } from "node:child_process";
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { open } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it, onTestFinished, vi } from "vitest";
import { utf8 } from "../../../src/bytes.ts";
import { isLayout, parseImageTarget, remoteReference } from "../../../src/io/oci/image-target.ts";
import { type ImageWork, writeOciImage } from "../../../src/io/oci/image-writer.ts";
import { layoutArchive } from "../../../src/io/oci/layout-archive.ts";
import { openRootfs } from "../../../src/io/rootfs.ts";
import { parseRootfsSource } from "../../../src/io/rootfs-source.ts";
import { editConfig, editManifest, type ImageLayer, newConfig, newManifest } from "../../../src/oci/edit.ts";
import { formatJson } from "../../../src/oci/json.ts";
import { lookup } from "../../../src/tree/node.ts";
import { snapshot } from "../../support/inputs.ts";
import { writeLayout } from "../../support/layout.ts";
import { tarArchive, tarDirectory, tarFile } from "../../support/tar.ts";
import { tempDir } from "../../support/temp.ts";

const PLATFORM = { os: "linux", architecture: "amd64" };

/** An image with one layer that holds one file. */
function oneFile(name: string, check: ImageWork["check"] = async () => {}): ImageWork {
  return {
    write: async ({ blobs }) => {
      const blob = await blobs.add([tarArchive(tarDirectory("usr"), tarFile(`usr/${name}`, utf8(name)))]);
      const layer: ImageLayer = {
        ...blob,
        mediaType: "application/vnd.oci.image.layer.v1.tar",
        diffId: blob.digest,
        history: { created: null, createdBy: "test", comment: null },
      };
      const config = editConfig(newConfig(PLATFORM, null), { layers: [layer], labels: {}, created: null }, "config");
      const edit = {
        config: await blobs.add([formatJson(config)]),
        configAnnotations: {},
        layers: [layer],
        annotations: {},
      };
      return { manifest: await blobs.add([formatJson(editManifest(newManifest([]), edit, "m"))]), platform: PLATFORM };
    },
    check,
  };
}

const OPEN = { algorithm: "sha512", xattrs: "all", cwd: "/", platform: "linux/amd64" } as const;

/** Names in `/usr` of an image. */
async function filesOf(spec: string): Promise<string[]> {
  const { rootfs } = await openRootfs(parseRootfsSource(spec), OPEN);
  const usr = lookup(rootfs.root, utf8("usr"));
  return usr?.kind === "directory" ? usr.entries.map(({ name }) => Buffer.from(name).toString()) : [];
}

const write = (cwd: string, to: string, work: ImageWork) => {
  const target = parseImageTarget(to, "--to", cwd);
  if (!isLayout(target)) throw new Error(`${to} is no layout`);
  return writeOciImage(target, work);
};

describe("an image that is written", () => {
  it.each(["oci", "oci-archive"])("is found again, with and without a tag (%s)", async (kind) => {
    const cwd = tempDir();
    await write(cwd, `${kind}:new/place:v1`, oneFile("a"));
    expect(await filesOf(`${kind}:${cwd}/new/place:v1`)).toEqual(["a"]);
    expect(await filesOf(`${kind}:${cwd}/new/place`)).toEqual(["a"]);
    await write(cwd, `${kind}:other`, oneFile("b"));
    expect(await filesOf(`${kind}:${cwd}/other`)).toEqual(["b"]);
    expect(readdirSync(cwd).sort()).toEqual(["new", "other"]);
  });

  it("is read back before it has its name, and leaves nothing when that fails", async () => {
    const cwd = tempDir();
    const seen: string[][] = [];
    const check: ImageWork["check"] = async ({ kind, path }) => {
      seen.push(await filesOf(`${kind}:${path}`));
      throw new Error("not good");
    };
    writeLayout(join(cwd, "old"), [tarArchive(tarDirectory("usr"))]);
    const before = snapshot(cwd);
    for (const to of ["oci:new/place", "oci-archive:new/place", "oci:old:x"]) {
      await expect(write(cwd, to, oneFile("a", check))).rejects.toThrow("not good");
    }
    expect(seen).toEqual([["a"], ["a"], ["a"]]);
    expect(snapshot(cwd)).toEqual(before);
  });

  it("takes the place of its tag in a layout, and leaves all else there as it is", async () => {
    const cwd = tempDir();
    const layout = join(cwd, "layout");
    writeLayout(layout, [tarArchive(tarDirectory("usr"), tarFile("usr/old", utf8("x")))], { tag: "old" });
    const index = JSON.parse(readFileSync(join(layout, "index.json"), "utf8"));
    writeFileSync(join(layout, "index.json"), JSON.stringify({ ...index, annotations: { mine: "1" } }));
    const old = snapshot(layout).filter((line) => !line.includes("index.json"));
    await write(cwd, "oci:layout:new", oneFile("a"));
    expect(await filesOf(`oci:${layout}:new`)).toEqual(["a"]);
    await write(cwd, "oci:layout:new", oneFile("b"));
    expect(await filesOf(`oci:${layout}:new`)).toEqual(["b"]);
    expect(await filesOf(`oci:${layout}:old`)).toEqual(["old"]);
    expect(snapshot(layout)).toEqual(expect.arrayContaining(old));
    expect(JSON.parse(readFileSync(join(layout, "index.json"), "utf8")).annotations).toEqual({ mine: "1" });
    expect(readdirSync(layout).sort()).toEqual(["blobs", "index.json", "oci-layout"]);
    await expect(write(cwd, "oci:layout", oneFile("c"))).rejects.toThrow("contains other images; give a tag");
  });

  it("takes the place of an archive, also through a symlink, and of an empty directory", async () => {
    const cwd = tempDir();
    await write(cwd, "oci-archive:real", oneFile("a"));
    symlinkSync("real", join(cwd, "link"));
    await write(cwd, "oci-archive:link", oneFile("b"));
    expect(await filesOf(`oci-archive:${cwd}/real`)).toEqual(["b"]);
    mkdirSync(join(cwd, "empty"));
    await write(cwd, "oci:empty", oneFile("c"));
    expect(await filesOf(`oci:${cwd}/empty`)).toEqual(["c"]);
  });

  it("is not put where something else is", async () => {
    const cwd = tempDir();
    mkdirSync(join(cwd, "directory"));
    writeFileSync(join(cwd, "directory/file"), "");
    const before = snapshot(cwd);
    await expect(write(cwd, "oci:directory", oneFile("a"))).rejects.toThrow("oci:directory: is not empty (file)");
    await expect(write(cwd, "oci:directory/file", oneFile("a"))).rejects.toThrow("is not a directory");
    await expect(write(cwd, "oci-archive:directory", oneFile("a"))).rejects.toThrow("is not a file");
    writeFileSync(join(cwd, "directory/index.json"), "{}");
    await expect(write(cwd, "oci:directory", oneFile("a"))).rejects.toThrow("oci:directory: can't be read");
    expect(snapshot(cwd).filter((line) => !line.includes("index.json"))).toEqual(before);
  });

  it("is put into a layout that has no image yet, as umoci makes them", async () => {
    const cwd = tempDir();
    writeLayout(join(cwd, "new"), []);
    writeFileSync(join(cwd, "new/index.json"), '{"schemaVersion":2,"manifests":null}');
    await write(cwd, "oci:new:a", oneFile("a"));
    expect(await filesOf(`oci:${cwd}/new:a`)).toEqual(["a"]);
  });

  it("says at once where nothing can be made", async () => {
    await expect(write("/proc", "oci:layout", oneFile("a"))).rejects.toThrow("oci:layout: can't be written");
  });

  it("is the same archive each time, which tar reads", async () => {
    const cwd = tempDir();
    await write(cwd, "oci-archive:a", oneFile("a"));
    await write(cwd, "oci-archive:b", oneFile("a"));
    expect(readFileSync(join(cwd, "a")).equals(readFileSync(join(cwd, "b")))).toBe(true);
    const { stdout } = spawnSync("tar", ["-tvf", join(cwd, "a")], { env: { TZ: "UTC" } });
    expect(stdout.toString().split("\n")[0]).toMatch(/^-rw-r--r-- 0\/0 +30 1970-01-01 00:00 oci-layout$/);
    await write(cwd, "oci:layout", oneFile("a"));
    const chunks: Uint8Array[] = [];
    for await (const chunk of layoutArchive(join(cwd, "layout"))) chunks.push(chunk);
    expect(Buffer.concat(chunks).equals(readFileSync(join(cwd, "a")))).toBe(true);
  });

  it.each([
    ["new", 0],
    ["boot/new", 5],
    ["empty", 5],
    ["layout", 5],
  ])("is flushed unless its directory is new and nothing boots from there: %s", async (name, flushes) => {
    const base = tempDir();
    mkdirSync(join(base, "boot"));
    mkdirSync(join(base, "empty"));
    await write(base, "oci:layout:x", oneFile("a"));
    const handle = await open("/dev/null");
    const sync = vi.spyOn(Object.getPrototypeOf(handle) as { sync: () => Promise<void> }, "sync");
    await handle.close();
    onTestFinished(() => sync.mockRestore());
    await write(base, `oci:${name}:x`, oneFile("a"));
    // Layer, configuration and manifest; what says that it is a layout, and its index.
    expect(sync).toHaveBeenCalledTimes(flushes);
  });
});

describe("a blob", () => {
  it("is shared with the layout that it is written to, also where that has symlinks", async () => {
    const cwd = tempDir();
    await write(cwd, "oci:layout:a", oneFile("a"));
    const [hex = ""] = readdirSync(join(cwd, "layout/blobs/sha256"));
    const path = join(cwd, "layout/blobs/sha256", hex);
    const digest = { algorithm: "sha256", hex } as const;
    const file = { subject: "blob", path, start: 0, size: readFileSync(path).length };
    renameSync(path, join(cwd, "elsewhere"));
    symlinkSync(join(cwd, "elsewhere"), path);
    await write(cwd, "oci:layout:b", {
      ...oneFile("b"),
      write: async (image) => {
        expect(await image.blobs.takeOver(file, digest)).toBe(true);
        expect(await image.blobs.takeOver({ ...file, start: 1 }, { ...digest, hex: "0".repeat(64) })).toBe(false);
        return oneFile("b").write(image);
      },
    });
    expect(existsSync(path)).toBe(true);
    expect(await filesOf(`oci:${cwd}/layout:a`)).toEqual(["a"]);
    expect(await filesOf(`oci:${cwd}/layout:b`)).toEqual(["b"]);
  });

  it("is shared for a while with an archive that is made of it, and never with another layout", async () => {
    const cwd = tempDir();
    await write(cwd, "oci:layout", oneFile("a"));
    const [hex = ""] = readdirSync(join(cwd, "layout/blobs/sha256"));
    const path = join(cwd, "layout/blobs/sha256", hex);
    const file = { subject: "blob", path, start: 0, size: statSync(path).size };
    const names: number[] = [];
    for (const to of ["oci-archive:archive", "oci:other"]) {
      await write(cwd, to, {
        ...oneFile("b"),
        write: async (image) => {
          await image.blobs.takeOver(file, { algorithm: "sha256", hex });
          names.push(statSync(path).nlink);
          return oneFile("b").write(image);
        },
      });
    }
    expect(names).toEqual([2, 1]);
    expect(statSync(path).nlink).toBe(1);
  });
});

describe("a place for an image", () => {
  it.each([
    ["oci:a", { kind: "oci", path: "/cwd/a", tag: null }],
    ["oci:/a/b:v1.0", { kind: "oci", path: "/a/b", tag: "v1.0" }],
    ["oci-archive:a.tar:quay.io/x/y:latest", { kind: "oci-archive", path: "/cwd/a.tar", tag: "quay.io/x/y:latest" }],
    ["docker://h:5/x/y", { kind: "docker" }],
    ["docker://fedora:43", { kind: "docker" }],
    ["docker-daemon:x/y:1", { kind: "docker-daemon" }],
    ["containers-storage:[vfs@/a+/b]localhost/x", { kind: "containers-storage" }],
  ])("%s", (text, target) => {
    expect(parseImageTarget(text, "--to", "/cwd")).toEqual({ ...target, subject: text });
  });

  it.each([
    "",
    "a",
    "dir:a",
    "oci:",
    "oci::a",
    "docker://",
    "docker://X",
    "docker://x/y@sha256:0000000000000000000000000000000000000000000000000000000000000000",
    "docker:x",
    "docker-daemon:x",
    "containers-storage:[vfs@/a+/b]",
    "docker-archive:a",
    "oci:a:b c",
    "oci:a:-b",
    "oci:a:\n",
  ])("is none: %j", (text) => {
    expect(() => parseImageTarget(text, "--to", "/cwd")).toThrow(/^--to /);
  });
});

it("compares names in registries and stores by what they mean", () => {
  for (const [one, other] of [
    ["docker://x/y", "docker://docker.io/x/y:latest"],
    ["docker://fedora", "docker://index.docker.io/library/fedora"],
    ["containers-storage:[vfs@/a+/b]localhost/x", "containers-storage:[vfs@/a+/b]localhost/x:latest"],
  ] as const) {
    expect(remoteReference(one)).toBe(remoteReference(other));
  }
  const stores = [
    "docker://x/y",
    "docker-daemon:x/y:latest",
    "containers-storage:x/y",
    "containers-storage:[vfs@/a+/b]x/y",
  ];
  expect(new Set(stores.map(remoteReference)).size).toBe(stores.length);
  expect(remoteReference(`docker://x/y@sha256:${"0".repeat(64)}`)).toBeNull();
  expect(remoteReference("dir:/x")).not.toBe(remoteReference("docker://x"));
});
