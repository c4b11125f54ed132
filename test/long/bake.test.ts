/**
 * The example of a fleet, built for real by BuildKit for two platforms at once, with a registry that keeps the cache.
 */
import { spawnSync } from "node:child_process";
import { cpSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it, vi } from "vitest";
import { checkImage, singleLayout } from "../../src/io/oci/export-layout.ts";
import { parseRootfsSource } from "../../src/io/rootfs-source.ts";
import { makeBuilderLab } from "../support/builder-lab.ts";
import { BUILDER_TREES, BUILDX, missingBuilders, OS_KERNEL, osImage } from "../support/builders.ts";
import { BUILDKIT_SOCKET, buildkitBuilder } from "../support/buildkit.ts";
import { containerTools } from "../support/containers.ts";
import { startRegistry } from "../support/docker-registry.ts";
import { inTree, missing, PEERS_DIR, peersRequired } from "../support/peers.ts";
import { writePlatforms } from "../support/platforms.ts";
import { pullDigest } from "../support/pull.ts";
import { arm64Program } from "../support/sealable.ts";
import { tarArchive, tarFile } from "../support/tar.ts";
import { vector } from "../support/vectors.ts";

vi.setConfig({ testTimeout: 1_200_000 });

const MACHINES = ["gateway", "kiosk"];
const PLATFORMS = ["amd64", "arm64"];
/** Rules that are about what the build did. */
const PASSED = ["uki-digest", "uki-signature", "bootloader-signature", "bootloader-installed", "image-waste"];

/**
 * Makes the system one for 64-bit ARM, as far as seal can tell: its shell is this machine's, so that no step of
 * a build is emulated.
 */
function armLayer(): Buffer {
  const efi = "usr/lib/systemd/boot/efi";
  const time = { mtime: 1_700_000_000 };
  return tarArchive(
    ...["linuxx64.efi.stub", "systemd-bootx64.efi"].map((name) => tarFile(`${efi}/.wh.${name}`, Buffer.of(), time)),
    ...["linuxaa64.efi.stub", "systemd-bootaa64.efi"].map((name) => tarFile(`${efi}/${name}`, arm64Program(), time)),
    tarFile(`usr/lib/modules/${OS_KERNEL}/vmlinuz`, vector("uki/inputs/kernel-aa64"), time),
  );
}

const canRun = missingBuilders().length === 0 && missing(["docker-registry"]).length === 0;

describe.skipIf(!canRun && !peersRequired)("a fleet that bake builds", () => {
  it("is sealed anew each time, on every platform, whatever comes from the cache", async ({ skip }) => {
    const lab = await makeBuilderLab();
    const at = (name: string) => join(lab.directory, name);
    const builder = await buildkitBuilder(at("buildkit"));
    if (typeof builder === "string") {
      lab.close();
      if (peersRequired) throw new Error(builder);
      return skip(builder);
    }
    try {
      const { host } = await startRegistry(at("registry"));
      const { skopeo } = containerTools(lab.directory);
      const images = PLATFORMS.map((architecture) => ({
        architecture,
        layers: architecture === "arm64" ? [osImage(), armLayer()] : [osImage()],
      }));
      writePlatforms(at("base"), images, { tag: "1" });
      skopeo("copy", "--quiet", `docker-archive:${at("seal.tar")}`, `oci:${at("tools-image")}:1`);
      cpSync(fileURLToPath(new URL("../../examples/bake", import.meta.url)), at("examples/bake"), { recursive: true });
      const buildx = (...args: readonly string[]) => {
        const [program = "", ...words] = [...inTree(join(PEERS_DIR, BUILDER_TREES.trixie)), BUILDX, ...args];
        const env = { ...process.env, HOME: lab.directory, REGISTRY: `${host}/fleet` };
        const { status, stderr } = spawnSync(program, words, { cwd: lab.directory, env, encoding: "utf8" });
        expect(status, stderr).toBe(0);
        return stderr;
      };
      buildx("create", "--name", "fleet", "--driver", "remote", `unix://${at("buildkit")}/${BUILDKIT_SOCKET}`);
      const contexts = { "localhost/debian-bootc": "base", "localhost/seal": "tools-image" };
      const from = Object.entries(contexts).flatMap(([name, layout]) => [
        "--set",
        `*.contexts.${name}=oci-layout://${at(layout)}:1`,
      ]);
      const bake = () =>
        buildx("bake", "--builder", "fleet", "--progress", "plain", "--file", "examples/bake/docker-bake.hcl", ...from);

      for (const round of ["first", "nothing changed", "the cache of the registry"]) {
        if (round === "the cache of the registry") buildx("prune", "--builder", "fleet", "--all", "--force");
        const start = performance.now();
        const log = bake();
        console.log(`bake, ${round}: ${((performance.now() - start) / 1000).toFixed(1)} s`);
        const steps = log.split(/\n(?=#\d+ )/);
        const sealed = steps.filter((step) => /^#\d+ \[.*\bseal +\d\/\d\] RUN /.test(step));
        const numbers = new Set(sealed.map((step) => step.split(" ")[0]));
        expect(numbers.size).toBe(MACHINES.length * PLATFORMS.length);
        for (const number of numbers) expect(log).not.toContain(`\n${number} CACHED`);
        if (round !== "first") {
          const bare = steps.find((step) => /^#\d+ \[.*\bbare +\d\/\d\] RUN /.test(step))?.split(" ")[0];
          expect(log).toContain(`\n${bare} CACHED`);
        }
        for (const machine of MACHINES) {
          const image = `oci-archive:${machine}.tar`;
          for (const platform of PLATFORMS) {
            const which = ["--platform", `linux/${platform}`];
            const lint = await lab.seal("lint", ...which, "--cert", "keys/db.crt", "--json", image);
            // Of the rest of this small system lint finds more, as it should.
            expect(JSON.parse(lint.stdout).passed).toEqual(expect.arrayContaining(PASSED));
            const layout = at(`${machine}-${platform}-${round.replaceAll(" ", "-")}`);
            // cfsctl refuses what is not for the machine that it runs on, unless the entry says that it is.
            const source = checkImage(parseRootfsSource(image));
            await singleLayout(source, layout, { cwd: lab.directory, platform: `linux/${platform}` });
            const { stdout } = await lab.seal("compute-digest", image, ...which);
            expect(pullDigest(layout)).toBe(stdout.trim());
          }
        }
      }
    } finally {
      await builder.close();
      lab.close();
    }
  });
});
