import { readdirSync, readFileSync } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";
import { join } from "node:path";
import { beforeAll, describe, expect, it, vi } from "vitest";
import { writeOutput } from "../../src/io/files.ts";
import { tempDir } from "../support/temp.ts";

const SIZE = 40 << 20;

let prototype: FileHandle;
beforeAll(async () => {
  const handle = await open("/dev/null");
  prototype = Object.getPrototypeOf(handle) as FileHandle;
  await handle.close();
});

describe("writeOutput", () => {
  it("has the disk write a large file while the rest of it is made", async () => {
    const content = Buffer.alloc(SIZE, "large ");
    const path = join(tempDir(), "out");
    const flush = vi.spyOn(prototype, "datasync");
    await writeOutput(path, [content.subarray(0, 1000), content.subarray(1000)]);
    expect(flush).toHaveBeenCalled();
    flush.mockRestore();
    expect(readFileSync(path).equals(content)).toBe(true);
  });

  it("leaves nothing behind when the disk refuses what was written", async () => {
    const directory = tempDir();
    const flush = vi.spyOn(prototype, "datasync");
    flush.mockRejectedValue(Object.assign(new Error("ENOSPC: fdatasync"), { code: "ENOSPC", syscall: "fdatasync" }));
    const writing = writeOutput(join(directory, "out"), [Buffer.alloc(SIZE)]);
    await expect(writing).rejects.toThrow("out: can't be written: no space left on the device");
    flush.mockRestore();
    expect(readdirSync(directory)).toEqual([]);
  });

  it.each([
    ["in a directory that is there, is flushed", "out", true],
    ["where machines boot from, is flushed", "esp/EFI/Linux/out", true],
    ["in a directory that it makes, is not", "new/directory/out", false],
  ])("writes a file that, %s", async (_what, path, isFlushed) => {
    const content = Buffer.alloc(SIZE, "large ");
    const whole = join(tempDir(), path);
    const spies = (["sync", "datasync"] as const).map((name) => vi.spyOn(prototype, name));
    await writeOutput(whole, [content]);
    const calls = spies.map((spy) => spy.mock.calls.length > 0);
    for (const spy of spies) spy.mockRestore();
    expect(calls).toEqual([isFlushed, isFlushed]);
    expect(readFileSync(whole).equals(content)).toBe(true);
  });
});
