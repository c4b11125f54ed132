import { mkdirSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { isBootedFrom } from "../../src/io/booted-from.ts";
import { tempDir } from "../support/temp.ts";

describe("isBootedFrom", () => {
  it("knows the names of what machines boot from, where symlinks lead, and what is not there yet", async () => {
    const base = tempDir();
    mkdirSync(join(base, "boot/sub"), { recursive: true });
    symlinkSync(join(base, "boot"), join(base, "link"));
    const answers = await Promise.all(
      ["boot", "boot/sub/x/y", "link/x", "x/EFI/y", "out", "out/reboot", "bootable"].map((path) =>
        isBootedFrom(join(base, path)),
      ),
    );
    expect(answers).toEqual([true, true, true, true, false, false, false]);
  });
});
