import { symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { displayBytes, toHex } from "../../src/bytes.ts";
import { type XattrFilter, XattrReader } from "../../src/io/xattrs.ts";
import { describeWith } from "../support/peers.ts";
import { tempDir } from "../support/temp.ts";
import { setXattr } from "../support/xattr.ts";

function read(reader: XattrReader, path: string) {
  const bytes = Buffer.from(`${path}\0`);
  return reader.read(bytes, bytes.length - 1);
}

function names(filter: XattrFilter, path: string): string[] {
  return read(new XattrReader(filter), path).map(({ name }) => displayBytes(name));
}

// Names of the trusted and security namespaces are root's, and not every /tmp keeps user.* ones.
describeWith(["root"], "XattrReader", () => {
  it("reads names and values as bytes, sorted by name", () => {
    const path = join(tempDir(), "file");
    writeFileSync(path, "x");
    setXattr(path, "trusted.z", Buffer.of(0, 0xff, 0x0a));
    setXattr(path, "security.capability", Buffer.from("0100000280000000000000000000000000000000", "hex"));
    setXattr(path, "trusted.empty", Buffer.alloc(0));
    const list = read(new XattrReader("all"), path);
    expect(list.map(({ name, value }) => `${displayBytes(name)}=${toHex(value)}`)).toEqual([
      "security.capability=0100000280000000000000000000000000000000",
      "trusted.empty=",
      "trusted.z=00ff0a",
    ]);
  });

  it("reads only what is asked for", () => {
    const path = join(tempDir(), "file");
    writeFileSync(path, "x");
    for (const name of ["security.a", "security.ab", "trusted.a", "trusted.b"]) setXattr(path, name, Buffer.from("1"));
    expect(names(["security.a"], path)).toEqual(["security.a"]);
    expect(names(["security.ab", "trusted."], path)).toEqual(["security.ab", "trusted.a", "trusted.b"]);
    expect(names([], path)).toEqual([]);
  });

  it("reads lists and values of any length", () => {
    // As much as ext4 keeps for a file.
    const path = join(tempDir(), "file");
    writeFileSync(path, "x");
    const many = Array.from({ length: 9 }, (_, index) => `trusted.${"n".repeat(200)}${index}`);
    for (const name of many) setXattr(path, name, Buffer.from("1"));
    setXattr(path, "trusted.long", Buffer.alloc(1200, "v"));
    const list = read(new XattrReader("all"), path);
    expect(list.map(({ name }) => displayBytes(name))).toEqual(["trusted.long", ...many]);
    expect(list[0]?.value).toEqual(new Uint8Array(Buffer.alloc(1200, "v")));
  });

  it("keeps equal lists once", () => {
    const path = tempDir();
    const reader = new XattrReader("all");
    for (const [name, value] of [
      ["a", "1"],
      ["b", "1"],
      ["c", "2"],
    ] as const) {
      writeFileSync(join(path, name), "");
      setXattr(join(path, name), "trusted.x", Buffer.from(value));
    }
    const [a, b, c] = ["a", "b", "c"].map((name) => read(reader, join(path, name)));
    expect(b).toBe(a);
    expect(c).not.toBe(a);
  });

  it("does not follow symlinks", () => {
    const path = tempDir();
    writeFileSync(join(path, "file"), "");
    setXattr(join(path, "file"), "trusted.x", Buffer.from("1"));
    symlinkSync("file", join(path, "link"));
    expect(names("all", join(path, "link"))).toEqual([]);
  });

  it("finds none where the filesystem has none", () => {
    expect(names("all", "/proc/self/stat")).toEqual([]);
  });

  it("says that the tree changed when the path is gone", () => {
    expect(() => names("all", join(tempDir(), "gone"))).toThrow("gone: changed while it was read");
  });
});
