/** Layers that are packed anew beside the code that bootc unpacks them with. */
import { join } from "node:path";
import { expect, it, vi } from "vitest";
import { seal } from "../support/cli.ts";
import { describeWith } from "../support/peers.ts";
import { pullDigest } from "../support/pull.ts";
import { manyParts, storeLayers } from "../support/stored-layers.ts";
import { tempDir } from "../support/temp.ts";

vi.setConfig({ testTimeout: 120_000 });

const PLATFORM = ["--platform", "linux/amd64"];

describeWith(["cfsctl"], "layers that are packed anew", () => {
  it("are pulled, and make the root filesystem that the UKI names", async () => {
    const cwd = tempDir();
    storeLayers(join(cwd, "in"), manyParts());
    const args = ["image", "--from", "oci:in", "--to", "oci:out", "--recompress", "all", ...PLATFORM];
    const { code, stderr } = await seal(args, { cwd });
    expect(code, stderr).toBe(0);
    const { stdout } = await seal(["compute-digest", "oci:out", ...PLATFORM], { cwd });
    expect(pullDigest(join(cwd, "out"))).toBe(stdout.trim());
  });
});
