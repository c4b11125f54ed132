/** Images that buildah makes and skopeo copies: the same root filesystem in whatever form they are kept. */
import { spawnSync } from "node:child_process";
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it, onTestFinished } from "vitest";
import { seal } from "../support/cli.ts";
import { containerTools, removeStore } from "../support/containers.ts";
import { LOWER, UPPER } from "../support/odd-layers.ts";
import { describeWith, peerTree } from "../support/peers.ts";
import { pullDigest } from "../support/pull.ts";
import { tarArchive, tarFile, tarPax } from "../support/tar.ts";

const COMMANDS = ["sh", "mkdir", "rmdir", "rm", "ln", "mkfifo", "chown", "chmod", "touch"];

/** A context for an image of several layers: busybox, files with attributes, then what is odd. */
function writeContext(directory: string): void {
  const root = join(directory, "root");
  for (const name of ["bin", "boot", "etc", "sysroot", "usr"]) mkdirSync(join(root, name), { recursive: true });
  copyFileSync(join(peerTree("trixie"), "usr/bin/busybox"), join(root, "bin/busybox"));
  for (const name of COMMANDS) spawnSync("ln", ["-s", "busybox", join(root, "bin", name)]);
  // Nanoseconds, which buildah cuts when it commits a layer.
  const options = ["--format=pax", "--pax-option=delete=atime,delete=ctime", "--mtime=@1000000000.25"];
  expect(spawnSync("tar", [...options, "-C", root, "-cf", join(directory, "root.tar"), "."]).status).toBe(0);
  const capability = Buffer.from("0100000200200000000000000000000000000000", "hex").toString("latin1");
  const attributes = { "SCHILY.xattr.security.capability": capability, "SCHILY.xattr.user.mine": "\xff\0\n=" };
  const file = tarFile("usr/capable", Buffer.from("x".repeat(5000)), { mode: 0o755 });
  writeFileSync(join(directory, "capable.tar"), tarArchive(tarPax(attributes), file));
  const lines = ["FROM scratch", "ADD root.tar /", "ADD capable.tar /", LOWER, UPPER];
  writeFileSync(join(directory, "Containerfile"), lines.join("\n"));
}

describeWith(["buildah", "skopeo", "cfsctl", "trees", "root"], "an image made by buildah", () => {
  it("has one digest in all forms that skopeo copies it to, the one of a pull", async () => {
    const work = mkdtempSync(join(tmpdir(), "seal-images-"));
    onTestFinished(() => removeStore(work));
    const tools = containerTools(work);
    const at = (name: string) => join(work, name);
    mkdirSync(at("context"));
    writeContext(at("context"));
    // Each step is a layer of its own.
    tools.buildah("build", "--quiet", "--layers=true", "--tag", "localhost/image:1", at("context"));

    const stored = "containers-storage:localhost/image:1";
    const copy = (...args: string[]) => tools.skopeo("copy", "--quiet", ...args);
    copy(stored, `oci:${at("gzip")}:1`);
    copy("--dest-oci-accept-uncompressed-layers", stored, `oci:${at("plain")}:1`);
    for (const format of ["zstd", "zstd:chunked"]) {
      copy("--dest-compress-format", format, stored, `oci:${at(format.replace(":", "-"))}:1`);
    }
    copy(stored, `oci-archive:${at("image.oci.tar")}:1`);
    copy(stored, `docker-archive:${at("image.docker.tar")}:localhost/image:1`);
    copy(stored, `dir:${at("directory")}`);
    copy(`dir:${at("directory")}`, `oci:${at("from-directory")}:1`);
    tools.buildah("push", "--quiet", "--compression-format", "zstd", "localhost/image:1", `oci:${at("pushed")}:1`);

    const expected = pullDigest(at("gzip"));
    const layouts = ["gzip", "plain", "zstd", "zstd-chunked", "from-directory", "pushed"].map(
      (name) => `oci:${at(name)}:1`,
    );
    const archives = [`oci-archive:${at("image.oci.tar")}`, `docker-archive:${at("image.docker.tar")}`];
    for (const spec of [...layouts, ...archives, stored]) {
      const { stdout, stderr } = await seal(["compute-digest", spec, "--bootc", "1.17.5"], { env: tools.env });
      expect(`${spec} ${stdout.trim()}`, stderr).toBe(`${spec} ${expected}`);
    }

    expect(layerTypes(at("zstd-chunked"))).toEqual(new Set(["application/vnd.oci.image.layer.v1.tar+zstd"]));
    expect(layerTypes(at("plain"))).toEqual(new Set(["application/vnd.oci.image.layer.v1.tar"]));
    const dump = at("dump");
    await seal(["compute-digest", `oci:${at("gzip")}`, "--xattrs", "keep-user", "--write-dumpfile-to", dump]);
    const lines = readFileSync(dump, "latin1");
    expect(lines).toMatch(/^\/usr\/capable .* security\.capability=\S+ user\.mine=\\xff\\x00\\n\\x3d$/m);
    expect(lines).not.toMatch(/^\/usr\/odd\/(gone|emptied\/x|replaced\/deep) /m);
  }, 300_000);
});

function layerTypes(layout: string): Set<string> {
  const read = (name: string) => JSON.parse(readFileSync(join(layout, name), "utf8"));
  const [{ digest }] = read("index.json").manifests as [{ digest: string }];
  const { layers } = read(`blobs/${digest.replace(":", "/")}`) as { layers: { mediaType: string }[] };
  expect(layers.length).toBeGreaterThan(3);
  return new Set(layers.map(({ mediaType }) => mediaType));
}
