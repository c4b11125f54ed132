import { mkdirSync, renameSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { utf8 } from "../../src/bytes.ts";
import { verityDigest } from "../../src/composefs/verity.ts";
import { openAndFinish, openAndPrepare, openRootfs } from "../../src/io/rootfs.ts";
import {
  type DirectorySource,
  isImage,
  type OpenOptions,
  parseImageOrDirectory,
  parseRootfsSource,
} from "../../src/io/rootfs-source.ts";
import { writeDumpfile } from "../../src/tree/dumpfile.ts";
import { readTreeFile, resolvePath } from "../../src/tree/rootfs.ts";
import { tempDir } from "../support/temp.ts";

const OPTIONS: OpenOptions = { algorithm: "sha256", xattrs: "all", jobs: 1, cwd: "/" };
const POLICY = Buffer.alloc(5000, "policy ");

function tree(): string {
  const path = tempDir();
  mkdirSync(join(path, "etc/selinux"), { recursive: true });
  writeFileSync(join(path, "etc/selinux/policy"), POLICY);
  symlinkSync("selinux", join(path, "etc/inside"));
  symlinkSync("/etc", join(path, "etc/absolute"));
  symlinkSync("../../..", join(path, "etc/outside"));
  return path;
}

describe("parseRootfsSource", () => {
  it("takes paths and the kinds it knows", () => {
    expect(parseRootfsSource("/target")).toEqual({ kind: "dir", path: "/target", subject: "/target" });
    expect(parseRootfsSource("./a:b")).toEqual({ kind: "dir", path: "./a:b", subject: "./a:b" });
    expect(parseRootfsSource("dir:a:b")).toEqual({ kind: "dir", path: "a:b", subject: "dir:a:b" });
    expect(parseRootfsSource("dumpfile:x\ny")).toEqual({ kind: "dumpfile", path: "x\ny", subject: "dumpfile:x\ny" });
  });

  it("keeps the tag of an image, and what skopeo takes whole", () => {
    expect(parseRootfsSource("oci:a/b:c:d")).toEqual({
      kind: "oci",
      path: "a/b",
      reference: "c:d",
      subject: "oci:a/b:c:d",
    });
    expect(parseRootfsSource("oci-archive:a")).toMatchObject({ kind: "oci-archive", path: "a", reference: null });
    expect(parseRootfsSource("docker://a/b:c")).toEqual({ kind: "docker", subject: "docker://a/b:c" });
  });

  it("tells images from everything else", () => {
    for (const text of ["oci:a", "oci-archive:a", "docker-archive:a", "docker://a", "containers-storage:a"]) {
      const source = parseRootfsSource(text);
      expect(isImage(source)).toBe(true);
      expect(parseImageOrDirectory(text, "--from")).toEqual(source);
    }
    expect(parseImageOrDirectory("dir:a", "--from")).toEqual({ kind: "dir", path: "a", subject: "dir:a" });
    for (const text of ["a", "tar:a", "erofs:a", "dumpfile:a"]) {
      expect(isImage(parseRootfsSource(text))).toBe(false);
      expect(() => parseImageOrDirectory(text, "--from")).toThrow(
        `--from ${text}: give an image (oci:, oci-archive:, docker-archive:, docker://, containers-storage:, docker-daemon:) or dir:PATH`,
      );
    }
  });

  it("refuses everything else", () => {
    for (const text of ["", "dir:", "dumpfile:", "ftp:x", ":x", "a:b", "Dir:x"]) {
      expect(() => parseRootfsSource(text)).toThrow(/is not a root filesystem; give a directory, /);
    }
  });
});

describe("openRootfs of a directory", () => {
  it("reads contents by path, also through symlinks that stay inside", async () => {
    const { rootfs } = await openRootfs(parseRootfsSource(tree()), OPTIONS);
    expect(await readTreeFile(rootfs, "etc/selinux/policy")).toEqual(POLICY);
    expect(await readTreeFile(rootfs, "/etc/inside/policy")).toEqual(POLICY);
    expect(await readTreeFile(rootfs, "etc/none")).toBeNull();
    expect(() => resolvePath(rootfs, "etc/absolute/passwd")).toThrow("which is absolute");
    expect(() => resolvePath(rootfs, "etc/outside/etc/passwd")).toThrow("leads out of the tree");
  });

  it("names the tree as the user did", async () => {
    const path = tree();
    const { rootfs } = await openRootfs(parseRootfsSource("dir:etc"), { ...OPTIONS, cwd: path });
    expect(rootfs.subject).toBe("etc");
    expect(await readTreeFile(rootfs, "selinux/policy")).toEqual(POLICY);
  });

  const changes: Readonly<Record<string, (path: string) => void>> = {
    "grew since": (path) => writeFileSync(join(path, "etc/selinux/policy"), Buffer.alloc(5001)),
    "is gone": (path) => rmSync(join(path, "etc/selinux/policy")),
    "is a symlink now": (path) => {
      rmSync(join(path, "etc/selinux/policy"));
      symlinkSync("/etc/passwd", join(path, "etc/selinux/policy"));
    },
    "lies behind a symlink now": (path) => {
      renameSync(join(path, "etc/selinux"), join(path, "moved"));
      symlinkSync("../moved", join(path, "etc/selinux"));
    },
  };
  for (const [title, change] of Object.entries(changes)) {
    it(`refuses the content of a file that ${title}`, async () => {
      const path = tree();
      const { rootfs } = await openRootfs(parseRootfsSource(path), OPTIONS);
      change(path);
      await expect(readTreeFile(rootfs, "etc/selinux/policy")).rejects.toThrow(
        `${path}/etc/selinux/policy: changed while it was read`,
      );
    });
  }
});

describe("openAndPrepare", () => {
  it("fills in the digests of the prepared tree", async () => {
    const path = tree();
    const { rootfs, prepared } = await openAndPrepare(parseRootfsSource(path), OPTIONS, async ({ root }) => ({
      ...root,
      mode: 0o700,
    }));
    expect(prepared.mode).toBe(0o700);
    expect(prepared.entries).toBe(rootfs.root.entries);
    const found = resolvePath({ ...rootfs, root: prepared }, "etc/selinux/policy")?.node;
    const digest = found?.kind === "regular" && found.content.kind === "external" ? found.content.digest : null;
    expect(digest?.some((byte) => byte !== 0)).toBe(true);
  });

  it("ends with the error of the preparation", async () => {
    const fail = () => Promise.reject(new Error("no"));
    await expect(openAndPrepare(parseRootfsSource(tree()), { ...OPTIONS, jobs: 2 }, fail)).rejects.toThrow("no");
  });
});

describe("openAndFinish", () => {
  it("hashes images when all files have their digests", async () => {
    const image = new Uint8Array(2_000_000).fill(7);
    const source: DirectorySource = { kind: "dir", path: tree(), subject: "tree" };
    const { finished } = await openAndFinish(source, OPTIONS, {
      prepare: async (rootfs) => rootfs,
      finish: async (rootfs, newHasher) => {
        const hasher = newHasher("sha256");
        hasher.update(image);
        const found = resolvePath(rootfs, "etc/selinux/policy")?.node;
        const digest = found?.kind === "regular" && found.content.kind === "external" ? found.content.digest : null;
        return { isHashed: digest?.some((byte) => byte !== 0), image: await hasher.digest() };
      },
    });
    expect(finished).toEqual({ isHashed: true, image: verityDigest(image, "sha256") });
  });

  it("ends with the error of the last step", async () => {
    const source: DirectorySource = { kind: "dir", path: tree(), subject: "tree" };
    const fail = () => Promise.reject(new Error("no"));
    const work = { prepare: async () => null, finish: fail };
    await expect(openAndFinish(source, { ...OPTIONS, jobs: 2 }, work)).rejects.toThrow("no");
  });
});

describe("openRootfs of a dump file", () => {
  it("counts what is in it and has no contents", async () => {
    const { rootfs } = await openRootfs(parseRootfsSource(tree()), OPTIONS);
    const path = join(tempDir(), "dump");
    writeFileSync(path, Buffer.concat([...writeDumpfile(rootfs.root)]));
    const { rootfs: dumped, stats } = await openRootfs(parseRootfsSource(`dumpfile:${path}`), OPTIONS);
    expect(stats).toEqual({ files: 1, directories: 3, bytesHashed: 0 });
    await expect(readTreeFile(dumped, "etc/selinux/policy")).rejects.toThrow(
      `${path}: etc/selinux/policy is needed, but a dump file has no contents; give the directory itself`,
    );
  });

  it("says what is wrong with it", async () => {
    const path = join(tempDir(), "dump");
    await expect(openRootfs(parseRootfsSource(`dumpfile:${path}`), OPTIONS)).rejects.toThrow(`${path}: can't be read`);
    writeFileSync(path, utf8("nonsense\n"));
    await expect(openRootfs(parseRootfsSource(`dumpfile:${path}`), OPTIONS)).rejects.toThrow(`${path}: line 1`);
  });
});

it("says what was probably meant by the name of an image, where no such path is", async () => {
  const options = { algorithm: null, xattrs: [], cwd: tempDir() } as const;
  const meant = "docker://quay.io/x/y (registry) or oci:quay.io/x/y (layout)";
  await expect(openRootfs(parseRootfsSource("quay.io/x/y"), options)).rejects.toMatchObject({
    code: "input",
    message: `quay.io/x/y: there is no such path; probably ${meant}`,
  });
  mkdirSync(join(options.cwd, "quay.io/x/y"), { recursive: true });
  await openRootfs(parseRootfsSource("quay.io/x/y"), options);
  expect(() => parseRootfsSource("host:5000/x")).toThrow(/is not a root filesystem; probably docker:\/\/host:5000\/x/);
});
