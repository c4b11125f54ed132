/** What a system that pulls an image computes. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { runPeer } from "./peers.ts";

/**
 * The digest that cfsctl computes for booting an image after a pull.
 * @param layout path of an OCI image layout below `/tmp`, with one image
 * @throws Error with what it said when it refuses the image
 */
export function pullDigest(layout: string): string {
  const directory = mkdtempSync(join(tmpdir(), "seal-pull-"));
  const cfsctl = (...args: readonly string[]) => {
    const { status, stdout, stderr } = runPeer("cfsctl", ["--repo", join(directory, "repository"), ...args]);
    if (status !== 0) throw new Error(`cfsctl ${args.join(" ")}: ${stderr}`);
    return stdout.toString().trim();
  };
  try {
    cfsctl("init", "--insecure");
    cfsctl("oci", "pull", `oci:${layout}`, "image");
    return cfsctl("--erofs-version", "1", "oci", "compute-id", "--bootable", "image");
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}
