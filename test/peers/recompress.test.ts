/**
 * Layers in several parts beside the code that bootc unpacks them with: composefs-rs 0.9.0 stops behind the first
 * part, 0.9.4 goes on.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it, onTestFinished, vi } from "vitest";
import { seal } from "../support/cli.ts";
import { describeWith, type Peer, runPeer } from "../support/peers.ts";
import { manyParts, storeLayers } from "../support/stored-layers.ts";
import { tempDir } from "../support/temp.ts";

vi.setConfig({ testTimeout: 120_000 });

const PLATFORM = ["--platform", "linux/amd64"];

describeWith(["cfsctl", "cfsctl-0.9.0"], "layers that are packed anew", () => {
  /** The digest of an image to a host that pulls it; or what it says when it can't. */
  function pulled(peer: Peer, layout: string): string {
    const place = mkdtempSync(join(tmpdir(), "seal-pull-"));
    onTestFinished(() => rmSync(place, { recursive: true }));
    const cfsctl = (...args: readonly string[]) =>
      runPeer(peer, ["--repo", join(place, "repository"), "--insecure", ...args]);
    expect(cfsctl("init").stderr).not.toContain("Error");
    const pull = cfsctl("oci", "pull", `oci:${layout}`, "image");
    if (pull.status !== 0) return pull.stderr;
    return cfsctl("--erofs-version", "1", "oci", "compute-id", "--bootable", "image").stdout.toString().trim();
  }

  it.each(["needed", "all"])("are pulled by the release that refused them: %s", async (which) => {
    const cwd = tempDir();
    storeLayers(join(cwd, "in"), manyParts());
    const sealed = async (out: string, ...options: readonly string[]) => {
      const args = ["image", "--from", "oci:in", "--to", `oci:${out}`, ...PLATFORM, ...options];
      const { code, stderr } = await seal(args, { cwd });
      expect(code, stderr).toBe(0);
      return (await seal(["compute-digest", `oci:${out}`, ...PLATFORM], { cwd })).stdout.trim();
    };
    const digest = await sealed("plain");
    expect(pulled("cfsctl-0.9.0", join(cwd, "plain"))).toMatch(/unexpected EOF/i);
    expect(pulled("cfsctl", join(cwd, "plain"))).toBe(digest);
    expect(await sealed("anew", "--recompress", which)).toBe(digest);
    for (const peer of ["cfsctl-0.9.0", "cfsctl"] as const) expect(pulled(peer, join(cwd, "anew")), peer).toBe(digest);
  });
});
