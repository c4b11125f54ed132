import { chmodSync, chownSync, mkdirSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { openPrivateDirectory } from "../../src/io/private-directory.ts";
import { tempDir } from "../support/temp.ts";

const isRoot = process.getuid?.() === 0;

describe("a private directory", () => {
  it("is made with its parents, for its owner only", async () => {
    const path = join(tempDir(), "a/b/cache");
    expect(await openPrivateDirectory(path)).toEqual({ path });
    expect(statSync(path).mode & 0o777).toBe(0o700);
    expect(await openPrivateDirectory(path)).toEqual({ path });
  });

  it("may be there already, readable for others, and be named by a symlink", async () => {
    const directory = tempDir();
    const path = join(directory, "cache");
    mkdirSync(path, { mode: 0o755 });
    symlinkSync(path, join(directory, "link"));
    expect(await openPrivateDirectory(join(directory, "link"))).toEqual({ path });
  });

  it.each([0o770, 0o707, 0o1777])("is none with the mode %o", async (mode) => {
    const path = join(tempDir(), "cache");
    mkdirSync(path);
    chmodSync(path, mode);
    expect(await openPrivateDirectory(path)).toEqual({
      problem: expect.stringMatching(/^others can write to it.*chmod go-w/),
    });
  });

  it("is none where everybody may put another one in its place", async () => {
    const open = join(tempDir(), "open");
    mkdirSync(open);
    chmodSync(open, 0o777);
    mkdirSync(join(open, "mine/cache"), { recursive: true });
    expect(await openPrivateDirectory(join(open, "mine/cache"))).toEqual({
      problem: `is in ${open}, where everyone can write; give a directory elsewhere`,
    });
    chmodSync(open, 0o1777);
    expect(await openPrivateDirectory(join(open, "mine/cache"))).toEqual({ path: join(open, "mine/cache") });
  });

  it.runIf(isRoot)("is none that belongs to somebody else", async () => {
    const path = join(tempDir(), "cache");
    mkdirSync(path);
    chownSync(path, 1234, 0);
    expect(await openPrivateDirectory(path)).toEqual({ problem: expect.stringMatching(/^belongs to the user 1234/) });
  });

  it("is none where it can't be made, which is said in words", async () => {
    const file = join(tempDir(), "file");
    writeFileSync(file, "");
    expect(await openPrivateDirectory(file)).toEqual({ problem: "is not a directory; give another path" });
    expect(await openPrivateDirectory(join(file, "cache"))).toEqual({
      problem: "can't be used: part of the path is not a directory",
    });
    expect(await openPrivateDirectory("/proc/cache")).toEqual({ problem: expect.stringMatching(/^can't be used: /) });
  });
});
