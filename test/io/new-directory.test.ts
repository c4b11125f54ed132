import { mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { open } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it, vi } from "vitest";
import { utf8 } from "../../src/bytes.ts";
import { refuseOccupied, replaceDirectory, writeNewDirectory } from "../../src/io/new-directory.ts";
import { tempDir } from "../support/temp.ts";

const files = [
  { name: "secret", bytes: utf8("s"), mode: 0o600 },
  { name: "public", bytes: utf8("p"), mode: 0o644 },
];

describe("writeNewDirectory", () => {
  it("makes parents, the directory and its files, with the modes asked for", async () => {
    const base = tempDir();
    const path = join(base, "a/b/keys");
    await writeNewDirectory(path, files, 0o700);
    expect(readdirSync(join(base, "a/b"))).toEqual(["keys"]);
    const modes = [path, join(path, "secret"), join(path, "public")].map((each) => statSync(each).mode & 0o7777);
    expect(modes).toEqual([0o700, 0o600, 0o644]);
    expect(readFileSync(join(path, "secret"), "utf8")).toBe("s");
  });

  it("takes the place of an empty directory", async () => {
    const path = join(tempDir(), "keys");
    mkdirSync(path);
    await writeNewDirectory(path, files, 0o755);
    expect(readdirSync(path)).toEqual(["public", "secret"]);
  });

  it("refuses a directory with something in it, and a file, and leaves both alone", async () => {
    const base = tempDir();
    const path = join(base, "keys");
    mkdirSync(path);
    writeFileSync(join(path, "PK.key"), "old");
    await expect(writeNewDirectory(path, files, 0o755)).rejects.toThrow(/keys: is not empty \(PK\.key\)\. Nothing is/);
    await expect(refuseOccupied(join(path, "PK.key"))).rejects.toThrow(/PK\.key: is a file; give a new directory$/);
    await expect(refuseOccupied(join(path, "PK.key", "x"))).rejects.toThrow(/part of the path is not a directory/);
    expect(readdirSync(base)).toEqual(["keys"]);
    expect(readFileSync(join(path, "PK.key"), "utf8")).toBe("old");
  });

  it("leaves nothing behind when a file can't be written", async () => {
    const base = tempDir();
    const bad = [...files, { name: "x".repeat(300), bytes: utf8(""), mode: 0o644 }];
    await expect(writeNewDirectory(join(base, "keys"), bad, 0o755)).rejects.toThrow(
      /keys: can't be written: the name is too long/,
    );
    expect(readdirSync(base)).toEqual([]);
  });
});

describe("replaceDirectory", () => {
  const nested = ["a/b", "a/c/d", "e"].map((name) => ({ name, bytes: [utf8(name), utf8("!")], mode: 0o644 }));

  it("writes files below directories, from chunks, and replaces them when they are the same", async () => {
    const base = tempDir();
    const path = join(base, "out");
    await replaceDirectory(path, nested, 0o755);
    writeFileSync(join(path, "a/b"), "changed");
    await replaceDirectory(path, nested, 0o755);
    expect(readFileSync(join(path, "a/b"), "utf8")).toBe("a/b!");
    expect(readFileSync(join(path, "a/c/d"), "utf8")).toBe("a/c/d!");
    expect(readdirSync(base)).toEqual(["out"]);
  });

  it("leaves a directory with somebody else's file alone", async () => {
    const path = join(tempDir(), "out");
    await replaceDirectory(path, nested, 0o755);
    writeFileSync(join(path, "a/random-seed"), "mine");
    await expect(replaceDirectory(path, nested, 0o755)).rejects.toThrow(/out: is not empty \(a\/random-seed\)/);
    expect(readFileSync(join(path, "a/random-seed"), "utf8")).toBe("mine");
  });

  it("writes what comes late when it is there, and keeps the old directory when it does not come", async () => {
    const base = tempDir();
    const path = join(base, "out");
    const late = (bytes: Promise<Uint8Array>) => [...nested, { name: "late", bytes, mode: 0o644 }];
    await replaceDirectory(path, late(Promise.resolve(utf8("late"))), 0o755);
    expect(readFileSync(join(path, "late"), "utf8")).toBe("late");
    const failing = Promise.reject(new Error("it can't be made"));
    failing.catch(() => {});
    await expect(replaceDirectory(path, late(failing), 0o755)).rejects.toThrow("it can't be made");
    expect(readdirSync(base)).toEqual(["out"]);
    expect(readFileSync(join(path, "late"), "utf8")).toBe("late");
  });

  it("keeps the old directory when the new one can't be written", async () => {
    const base = tempDir();
    const path = join(base, "out");
    await replaceDirectory(path, nested.slice(0, 1), 0o755);
    const bad = [...nested, { name: "x".repeat(300), bytes: utf8(""), mode: 0o644 }];
    await expect(replaceDirectory(path, bad, 0o755)).rejects.toThrow(/the name is too long/);
    expect(readdirSync(base)).toEqual(["out"]);
    expect(readFileSync(join(path, "a/b"), "utf8")).toBe("a/b!");
  });

  it.each([
    ["flushed where machines boot from", "boot/out", 3],
    ["flushed where there was a directory", "", 3],
    ["not flushed elsewhere", "out", 0],
  ])("has what replaces a directory %s", async (_what, path, calls) => {
    const handle = await open("/dev/null");
    const sync = vi.spyOn(Object.getPrototypeOf(handle) as { sync: () => Promise<void> }, "sync");
    await handle.close();
    const nested = ["a/b", "a/c/d", "e"].map((name) => ({ name, bytes: utf8(name), mode: 0o644 }));
    await replaceDirectory(join(tempDir(), path), nested, 0o755);
    expect(sync).toHaveBeenCalledTimes(calls);
    sync.mockRestore();
  });
});
