/** Images against cfsctl: random stacks of layers, and the real root filesystem. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { execaSync } from "execa";
import fc from "fast-check";
import { expect, it } from "vitest";
import { arbitraryLayers, BASE_LAYER } from "../support/arbitrary-layers.ts";
import { campaign } from "../support/campaign.ts";
import { seal } from "../support/cli.ts";
import { writeLayout } from "../support/layout.ts";
import { describeWith, realRootfs, runPeer } from "../support/peers.ts";
import { tempDir } from "../support/temp.ts";

/** What cfsctl computes after a pull; null where it refuses the image. */
function peerDigest(layout: string, bootable: boolean): { digest: string | null; message: string } {
  const repository = join(tempDir(), "repository");
  runPeer("cfsctl", ["--repo", repository, "init", "--insecure"]);
  const pull = runPeer("cfsctl", ["--repo", repository, "oci", "pull", `oci:${layout}`, "image"]);
  if (pull.status !== 0) return { digest: null, message: pull.stderr };
  const flags = bootable ? ["--bootable"] : [];
  const computed = runPeer("cfsctl", [
    "--repo",
    repository,
    "--erofs-version",
    "1",
    "oci",
    "compute-id",
    ...flags,
    "image",
  ]);
  return { digest: computed.status === 0 ? computed.stdout.toString().trim() : null, message: computed.stderr };
}

async function ownDigest(layout: string, transform: "oci" | "boot") {
  const { stdout, stderr } = await seal([
    "compute-digest",
    `oci:${layout}`,
    "--bootc",
    "1.17.5",
    "--transform",
    transform,
  ]);
  return { digest: stdout === "" ? null : stdout.trim(), message: stderr };
}

const CAMPAIGN = campaign(60);

describeWith(["cfsctl"], "images against cfsctl", () => {
  it(
    "have the digest that it computes after a pull, or are refused by both",
    async () => {
      const { parameters, count, counted, report } = CAMPAIGN;
      await fc.assert(
        fc.asyncProperty(arbitraryLayers, fc.constantFrom("gzip", "zstd", "none"), async (stack, compression) => {
          const layout = join(tempDir(), "layout");
          writeLayout(layout, [BASE_LAYER, ...stack], { compression });
          const peer = peerDigest(layout, true);
          const own = await ownDigest(layout, "boot");
          expect(own.digest, `${peer.message}${own.message}`).toBe(peer.digest);
          count("tried", own.digest === null ? "refused" : "accepted");
        }),
        parameters,
      );
      report("layers against cfsctl");
      expect(counted("accepted")).toBeGreaterThan(counted("tried") / 10);
    },
    CAMPAIGN.timeout,
  );
});

describeWith(["cfsctl", "root", "rootfs"], "the real root filesystem as an image", () => {
  it("has the same digest as directory, archive, gzip and zstd image, and after a pull", async () => {
    const directory = tempDir();
    const archive = join(directory, "rootfs.tar");
    const xattrs = ["--xattrs", "--xattrs-include=*"];
    const times = "--pax-option=delete=atime,delete=ctime";
    execaSync("tar", ["-C", realRootfs() ?? "", ...xattrs, "--format=pax", times, "-cf", archive, "."]);
    const tar = readFileSync(archive);
    for (const compression of ["gzip", "zstd"] as const) {
      writeLayout(join(directory, compression), [tar], { compression });
    }
    const { digest } = peerDigest(join(directory, "gzip"), true);
    expect(digest).toMatch(/^[0-9a-f]{128}$/);
    const { gzip, zstd } = { gzip: join(directory, "gzip"), zstd: join(directory, "zstd") };
    for (const spec of [`oci:${gzip}`, `oci:${zstd}:latest`, `tar:${archive}`, `dir:${realRootfs()}`]) {
      const { stdout, stderr } = await seal(["compute-digest", spec, "--bootc", "1.17.5", "--mtime", "exact"]);
      expect(`${spec} ${stdout.trim()}`, stderr).toBe(`${spec} ${digest}`);
    }
  }, 180_000);
});
