/**
 * The dump file of `--ship-dump` beside what bootc compares it with: the tree that composefs-rs has
 * of the pulled image.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it, vi } from "vitest";
import { openRootfs } from "../../src/io/rootfs.ts";
import { parseRootfsSource } from "../../src/io/rootfs-source.ts";
import { readTreeFile } from "../../src/tree/rootfs.ts";
import { seal } from "../support/cli.ts";
import { KVER, SIGNING } from "../support/inputs.ts";
import { writeBlob, writeJsonBlob, writeLayout } from "../support/layout.ts";
import { describeWith, runPeer } from "../support/peers.ts";
import { sealableLayers } from "../support/sealable.ts";
import { tarArchive, tarDirectory, tarFile } from "../support/tar.ts";
import { tempDir } from "../support/temp.ts";
import { vector } from "../support/vectors.ts";

vi.setConfig({ testTimeout: 120_000 });

const PLATFORM = ["--platform", "linux/amd64"];
const CONTEXTS = "etc/selinux/t/contexts/files";
const POLICY = tarArchive(
  ...["etc", "etc/selinux", "etc/selinux/t", "etc/selinux/t/contexts", CONTEXTS].map((name) => tarDirectory(name)),
  tarFile("etc/selinux/config", Buffer.from("SELINUXTYPE=t\n")),
  tarFile(`${CONTEXTS}/file_contexts`, Buffer.from("/.* system_u:object_r:x_t:s0\n")),
);

describeWith(["cfsctl"], "a dump file that is shipped", () => {
  /** The repository of a host that has pulled an image, and the image's tree as bootc writes it for the comparison. */
  function pulled(cwd: string, layout: string): { readonly current: string; readonly boots: boolean } {
    const place = tempDir();
    const cfsctl = (...args: readonly string[]) =>
      runPeer("cfsctl", ["--repo", join(place, "repository"), "--insecure", ...args]);
    expect(cfsctl("init", "--erofs-version", "1").stderr).not.toContain("Error");
    const pull = cfsctl("oci", "pull", "--bootable", `oci:${join(cwd, layout)}`, "image");
    expect(pull.status, pull.stderr).toBe(0);
    const dump = cfsctl("oci", "dump", "image");
    expect(dump.status, dump.stderr).toBe(0);
    const boot = cfsctl("oci", "prepare-boot", "--bootdir", tempDir(), "image");
    return { current: dump.stdout.toString("latin1"), boots: boot.status === 0 };
  }

  const lines = (text: string) => text.split("\n");
  /** What `diff` shows, as far as lines come and go. */
  function difference(stored: string, current: string): string[] {
    const [before, after] = [new Set(lines(stored)), new Set(lines(current))];
    return [...[...before].filter((line) => !after.has(line)), ...[...after].filter((line) => !before.has(line))];
  }

  it("differs from the tree of the image in /boot, and where the image was changed", async () => {
    const cwd = tempDir();
    writeLayout(join(cwd, "in"), [...sealableLayers(Buffer.alloc(70_000, "x")), POLICY]);
    for (const kind of ["key", "crt"])
      writeFileSync(join(cwd, `db.${kind}`), vector(`authenticode/keys/signer.${kind}`));
    // With a key the boot loader of /usr is signed, in a layer that is added too.
    const { code, stderr } = await seal(
      ["image", ...SIGNING, "--from", "oci:in", "--to", "oci:out", "--ship-dump", ...PLATFORM],
      {
        cwd,
      },
    );
    expect(code, stderr).toBe(0);
    const { rootfs } = await openRootfs(parseRootfsSource("oci:out"), { algorithm: null, xattrs: [], cwd });
    const stored = Buffer.from((await readTreeFile(rootfs, `boot/${KVER}.dump`)) ?? "").toString("latin1");

    expect(stored).toMatch(/^\/usr\/lib\/systemd\/boot\/efi\/systemd-bootx64\.efi\.signed /m);
    const { current, boots } = pulled(cwd, "out");
    expect(boots).toBe(true);
    const isBoot = (line: string) => /^\/boot[ /]/.test(line);
    expect(lines(stored).filter((line) => !isBoot(line))).toEqual(lines(current).filter((line) => !isBoot(line)));
    expect(difference(stored, current).filter((line) => !isBoot(line))).toEqual([]);

    // A build on top of the sealed image.
    const late = tarArchive(tarFile("usr/share/late", Buffer.from("late"), { mtime: 1 }));
    addLayer(join(cwd, "out"), late);
    const changed = pulled(cwd, "out");
    expect(changed.boots).toBe(false);
    expect(difference(stored, changed.current).filter((line) => !isBoot(line))).toEqual([
      expect.stringMatching(/^\/usr\/share\/late 4 100644 1 0 0 0 1\.0 - late -$/),
    ]);
  });
});

/** Puts a layer on top of the only image of a layout. */
function addLayer(layout: string, layer: Uint8Array): void {
  const blob = (digest: string) => JSON.parse(readFileSync(join(layout, "blobs", digest.replace(":", "/")), "utf8"));
  const index = JSON.parse(readFileSync(join(layout, "index.json"), "utf8"));
  const manifest = blob(index.manifests[0].digest);
  const config = blob(manifest.config.digest);
  const stored = writeBlob(layout, layer, "application/vnd.oci.image.layer.v1.tar");
  config.rootfs.diff_ids.push(stored.digest);
  manifest.layers.push(stored);
  manifest.config = { ...manifest.config, ...writeJsonBlob(layout, config, manifest.config.mediaType) };
  const written = writeJsonBlob(layout, manifest, manifest.mediaType);
  index.manifests[0] = { ...index.manifests[0], ...written };
  writeFileSync(join(layout, "index.json"), JSON.stringify(index));
}
