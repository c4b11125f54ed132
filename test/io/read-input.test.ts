import { execFileSync, spawn } from "node:child_process";
import { randomFillSync } from "node:crypto";
import { truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { concat, firstBytes, StoredBytes, sliceChunks } from "../../src/chunks.ts";
import { LARGE_FILE, OpenInputs, readInput, withInput } from "../../src/io/read-input.ts";
import { tempDir } from "../support/temp.ts";

describe("OpenInputs", () => {
  it("holds no large file, and reads it until it is closed", async () => {
    const file = join(tempDir(), "file");
    const bytes = randomFillSync(new Uint8Array((32 << 20) + 5));
    writeFileSync(file, bytes);
    const open = new OpenInputs();
    const content = await open.open(file);
    expect(content).toBeInstanceOf(StoredBytes);
    expect(Buffer.compare(concat(content), bytes)).toBe(0);
    open.close();
    expect(() => concat(content)).toThrow(/file: can't be read/);
    writeFileSync(file, "small");
    expect(await open.open(file)).toEqual([Buffer.from("small")]);
  });
});

describe("readInput", () => {
  it("reads files of any size whole", async () => {
    const file = join(tempDir(), "file");
    for (const size of [0, 1, 8 << 20, (8 << 20) + 1, (20 << 20) + 7]) {
      const bytes = randomFillSync(new Uint8Array(size));
      writeFileSync(file, bytes);
      expect(Buffer.compare(await readInput(file), bytes)).toBe(0);
    }
  });

  it("reads files that do not tell their size", async () => {
    expect(Buffer.from(await readInput("/proc/self/status")).toString()).toMatch(/^Name:/);
    expect(await readInput("/dev/null")).toHaveLength(0);
  });

  it("reads pipes to their end, as process substitution gives them", async () => {
    const directory = tempDir();
    const [file, pipe] = [join(directory, "file"), join(directory, "pipe")];
    const bytes = randomFillSync(new Uint8Array((1 << 20) + 3));
    writeFileSync(file, bytes);
    execFileSync("mkfifo", [pipe]);
    const writer = spawn("sh", ["-c", 'exec cat "$0" > "$1"', file, pipe]);
    expect(Buffer.compare(await readInput(pipe), bytes)).toBe(0);
    expect(writer.exitCode ?? 0).toBe(0);
  });

  it("refuses devices that have no end", async () => {
    await expect(readInput("/dev/zero")).rejects.toThrow(
      "/dev/zero: can't be read: it is a device with endless output; give a file",
    );
  });

  it("refuses files that are larger than any of their kind before it reads them", async () => {
    const file = join(tempDir(), "disk.img");
    writeFileSync(file, "");
    truncateSync(file, LARGE_FILE + 1);
    await expect(readInput(file)).rejects.toMatchObject({
      code: "input",
      message: `${file}: can't be read: too large: 4294967297 bytes, the limit is 4294967296; is it the right file?`,
    });
    truncateSync(file, 101);
    expect(await readInput(file, 101)).toHaveLength(101);
    await expect(readInput(file, 100)).rejects.toThrow(/too large: 101 bytes, the limit is 100/);
  });

  it("reads no more of a pipe than such a file may have", async () => {
    const pipe = join(tempDir(), "pipe");
    execFileSync("mkfifo", [pipe]);
    const writer = spawn("sh", ["-c", 'head -c 300000 /dev/zero > "$0"', pipe]);
    await expect(readInput(pipe, 1000)).rejects.toThrow(/too large: more than 1000 bytes/);
    writer.kill();
  });

  it("reads all slices of a large file", async () => {
    const file = join(tempDir(), "file");
    const bytes = randomFillSync(new Uint8Array((9 << 20) + 1));
    writeFileSync(file, bytes);
    expect(Buffer.compare(await readInput(file), bytes)).toBe(0);
  });

  it("says why a file can't be read", async () => {
    const directory = tempDir();
    await expect(readInput(directory)).rejects.toThrow(`${directory}: can't be read: is a directory`);
    await expect(readInput(join(directory, "x"))).rejects.toThrow(/x: can't be read: no such file or directory/);
  });
});

describe("withInput", () => {
  const large = (directory: string) => {
    const file = join(directory, "large");
    const bytes = randomFillSync(new Uint8Array((33 << 20) + 5));
    writeFileSync(file, bytes);
    return { file, bytes };
  };

  it("gives a small file as its bytes, and a large one as what is read when it is asked for", async () => {
    const directory = tempDir();
    const { file, bytes } = large(directory);
    writeFileSync(join(directory, "small"), "small");
    expect(await withInput(join(directory, "small"), async (small) => small)).toEqual([Buffer.from("small")]);
    await withInput(file, async (chunks) => {
      expect(chunks).toBeInstanceOf(StoredBytes);
      expect(Buffer.compare(concat(chunks), bytes)).toBe(0);
      expect(Buffer.compare(Buffer.concat([...chunks]), bytes)).toBe(0);
    });
  });

  it("passes over the whole of a file, piece by piece", async () => {
    const directory = tempDir();
    const { file, bytes } = large(directory);
    writeFileSync(join(directory, "small"), "small");
    for (const path of [file, join(directory, "small")]) {
      const places: number[] = [];
      const pieces: Uint8Array[] = [];
      await withInput(path, async (_, passOver) => {
        await passOver((piece, at) => {
          places.push(at);
          pieces.push(Uint8Array.from(piece));
        });
      });
      expect(Buffer.compare(Buffer.concat(pieces), path === file ? bytes : Buffer.from("small"))).toBe(0);
      expect(places).toEqual(pieces.map((_, index) => index << 20));
    }
  });

  it("passes over a file that changes: its head is the one that was read first, and its end is missed", async () => {
    const { file, bytes } = large(tempDir());
    const heads: Uint8Array[] = [];
    const read = withInput(file, async (_, passOver) => {
      writeFileSync(file, Buffer.alloc(1 << 20, "new"), { flag: "r+" });
      truncateSync(file, 3 << 20);
      await passOver((piece, at) => {
        if (at === 0) heads.push(Uint8Array.from(piece));
      });
    });
    await expect(read).rejects.toThrow(`${file}: can't be read: it became shorter while it was read`);
    expect(heads.map((head) => Buffer.compare(head, bytes.subarray(0, 1 << 20)))).toEqual([0]);
  });

  it("stops reading when a piece is refused", async () => {
    const { file } = large(tempDir());
    const seen: number[] = [];
    const read = withInput(file, async (_, passOver) => {
      await passOver((_piece, at) => {
        seen.push(at);
        if (seen.length === 2) throw new Error("refused");
      });
    });
    await expect(read).rejects.toThrow("refused");
    expect(seen).toEqual([0, 1 << 20]);
  });

  it("keeps to what the headers said when they were first read", async () => {
    const { file, bytes } = large(tempDir());
    await withInput(file, async (chunks) => {
      writeFileSync(file, Buffer.alloc(1 << 20, "new"), { flag: "r+" });
      expect(Buffer.compare(firstBytes(chunks), bytes.subarray(0, 1 << 20))).toBe(0);
      expect(Buffer.compare(concat(sliceChunks(chunks, 64, 128)), bytes.subarray(64, 128))).toBe(0);
    });
  });

  it("names the file that changes, and the one that is missing", async () => {
    const { file } = large(tempDir());
    const read = withInput(file, async (chunks) => {
      truncateSync(file, 1 << 20);
      return concat(chunks);
    });
    await expect(read).rejects.toThrow(`${file}: can't be read: it became shorter while it was read`);
    await expect(withInput("/missing", async () => 0)).rejects.toThrow(
      "/missing: can't be read: no such file or directory",
    );
  });
});
