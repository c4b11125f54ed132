import { chmodSync, lstatSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { setTimes } from "../../src/io/libc.ts";
import { tempDir } from "../support/temp.ts";

describe("setTimes", () => {
  it.each([0n, 1n, -1n, -1_500_000_000n, 1_700_000_000_999_999_999n])("sets %s ns exactly", (mtimeNs) => {
    const path = join(tempDir(), "x");
    writeFileSync(path, "");
    chmodSync(path, 0o400);
    setTimes(Buffer.from(`${path}\0`), { atimeNs: 5n, mtimeNs });
    expect(lstatSync(path, { bigint: true })).toMatchObject({ mtimeNs, atimeNs: 5n });
  });

  it("throws as node's own functions do", () => {
    expect(() => setTimes(Buffer.from("/nonexistent/x\0"), { atimeNs: 0n, mtimeNs: 0n })).toThrow(
      expect.objectContaining({ code: "ENOENT" }),
    );
  });
});
