import { randomFillSync } from "node:crypto";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { readInput } from "../../src/io/files.ts";
import { tempDir } from "../support/temp.ts";

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

  it("says why a file can't be read", async () => {
    const directory = tempDir();
    await expect(readInput(directory)).rejects.toThrow(`${directory}: can't be read: is a directory`);
    await expect(readInput(join(directory, "x"))).rejects.toThrow(/x: can't be read: no such file or directory/);
  });
});
