import {
  chmodSync,
  existsSync,
  linkSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { imageReportSchema } from "../../../src/cli/sealing/image-report.ts";
import { seal } from "../../support/cli.ts";
import { EFI, expectRefusal, KVER, MODULES, makeInputs, SIGNING, snapshot, write } from "../../support/inputs.ts";
import { writeLayoutOf } from "../../support/layout.ts";

const TO = ["--to", "oci:out:1"];

/**
 * The inputs with more in the root filesystem: several layers' worth, hardlinks over layers, odd
 * names, times and modes.
 */
function makeDirectory(): string {
  const cwd = makeInputs();
  const root = join(cwd, "root");
  write(root, `${MODULES}/${KVER}/modules.dep`, "");
  for (let index = 0; index < 40; index++) write(root, `usr/share/many/${index}`, Buffer.alloc(50_000, `${index}`));
  write(root, "usr/big", Buffer.alloc(1_500_000, "big"));
  linkSync(join(root, "usr/big"), join(root, "etc/linked"));
  mkdirSync(Buffer.from(`${root}/usr/\xff\xfe`, "latin1"));
  writeFileSync(Buffer.from(`${root}/usr/\xff\xfe/${"n".repeat(200)}`, "latin1"), "long");
  symlinkSync("x".repeat(300), join(root, "usr/link"));
  chmodSync(join(root, "usr/share/many/3"), 0o4751);
  utimesSync(join(root, "usr/share/many"), 1_600_000_000.5, 1_600_000_000.123);
  write(root, "run/left", "behind");
  return cwd;
}

async function sealed(cwd: string, ...args: readonly string[]) {
  const result = await seal(["image", "--from", "dir:root", ...TO, ...args, "--json"], { cwd });
  expect(result.code, result.stderr).toBe(0);
  return { report: imageReportSchema.parse(JSON.parse(result.stdout)), stderr: result.stderr };
}

function blob(cwd: string, layout: string, digest: string) {
  return readFileSync(join(cwd, layout, "blobs", digest.replace(":", "/")));
}

function configuration(cwd: string) {
  const index = JSON.parse(readFileSync(join(cwd, "out/index.json"), "utf8"));
  const manifest = JSON.parse(blob(cwd, "out", index.manifests[0].digest).toString());
  return JSON.parse(blob(cwd, "out", manifest.config.digest).toString());
}

describe("seal image --from dir:", () => {
  it("makes an image of layers that have the digest of the directory", async () => {
    const cwd = makeDirectory();
    const { report, stderr } = await sealed(cwd, ...SIGNING, "--layer-size", "1M");
    const made = report.image.layers.filter(({ origin }) => origin === "made");
    expect(made.length).toBeGreaterThan(3);
    expect(report.image.layers.length).toBe(made.length + 1);
    expect(report.image.takenOut).toEqual([]);
    expect(stderr).toContain("what is in /run (left) is not taken into the image");
    const digest = (await seal(["compute-digest", "oci:out:1"], { cwd })).stdout.trim();
    expect(report.cmdline).toBe(`composefs=${digest}`);

    const diff = JSON.parse((await seal(["diff", "dir:root", "oci:out", "--json"], { cwd })).stdout);
    const paths = diff.differences.map(({ path, field }: { path: string; field: string }) => `${field} ${path}`);
    expect(paths).toEqual([
      ...["initramfs.img", "vmlinuz"].map((name) => `removed ${MODULES}/${KVER}/${name}`),
      `added ${EFI}/systemd-bootx64.efi.signed`,
    ]);

    const { passed } = JSON.parse((await seal(["lint", "oci:out", "--cert", "db.crt", "--json"], { cwd })).stdout);
    expect(passed).toEqual(
      expect.arrayContaining(["uki-digest", "uki-arch", "image-label", "raw-kernel", "image-waste"]),
    );
    expect(configuration(cwd)).toMatchObject({
      architecture: "amd64",
      os: "linux",
      config: { Cmd: ["/sbin/init"], Labels: { "containers.bootc": "sealed" } },
    });
  });

  it("writes the same bytes twice, and keeps the layers of what did not change", async () => {
    const cwd = makeDirectory();
    const args = ["--layer-size", "500K"];
    const digests = async () => (await sealed(cwd, ...args)).report.image.layers.map(({ digest }) => digest);
    const first = await digests();
    expect(await digests()).toEqual(first);
    write(cwd, "root/usr/share/many/new", Buffer.alloc(50_000, "new"));
    const second = await digests();
    const other = second.filter((digest) => !first.includes(digest));
    // The layer that the file is in, or the two that it becomes, the one with times of directories,
    // and that with the UKI.
    expect(other.length).toBeLessThanOrEqual(4);
    expect(second.length).toBeGreaterThan(6);
  });

  it.each(["zstd", "none", "gzip:1"])("compresses as one likes: %s", async (compression) => {
    const cwd = makeDirectory();
    const { report } = await sealed(cwd, "--compression", compression);
    const [layer] = report.image.layers;
    const magic = blob(cwd, "out", layer?.digest ?? "")
      .subarray(0, 4)
      .toString("hex");
    const expected = { zstd: "28b52ffd", none: "2e2f0000", "gzip:1": "1f8b0800" }[compression];
    expect(magic).toBe(expected);
  });

  it("takes the configuration of another image over, and the time of SOURCE_DATE_EPOCH", async () => {
    const cwd = makeDirectory();
    await writeLayoutOf(join(cwd, "root/etc"), join(cwd, "base"), { tag: "base" });
    const env = { SOURCE_DATE_EPOCH: "1700000000" };
    const args = ["--from", "dir:root", "--to", "oci:out", "--config-from", "oci:base:base"];
    expect(await seal(["image", ...args], { cwd, env })).toMatchObject({ code: 0 });
    const config = configuration(cwd);
    expect(config.config).toEqual({ Labels: { "containers.bootc": "sealed" } });
    expect(config.created).toBe("2023-11-14T22:13:20Z");
    expect(config.history).toHaveLength(config.rootfs.diff_ids.length);
    expect(config.history[0]).toMatchObject({ created: config.created });
  });

  it("leaves a socket out and says so", async () => {
    const cwd = makeDirectory();
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(join(cwd, "root/usr/s"), resolve));
    try {
      expect((await sealed(cwd)).stderr).toContain("a socket is left out");
    } finally {
      await new Promise((resolve) => server.close(resolve));
    }
  });

  it.each<readonly [readonly string[], number, RegExp]>([
    [["--compression", "xz"], 2, /--compression xz: give gzip, zstd or none/],
    [["--layer-size", "0"], 2, /--layer-size: give bytes, as 64M/],
    [["--layer-size", "1Q"], 2, /--layer-size: give bytes, as 64M/],
    [["--config-from", "dir:root"], 2, /--config-from dir:root: give an image/],
    [["--config-from", "oci:nowhere"], 3, /nowhere/],
    [["--config-from", "oci:arm"], 3, /has a kernel for amd64, but the configuration of --config-from is for arm64/],
    [["--from", "root"], 2, /--from root: give an image/],
    [["--from", "dir:etc"], 3, /etc/],
    [["--from", "dir:broken"], 3, /broken: usr\/\.wh\.x: has a name that means a removal/],
  ])("refuses %s and leaves nothing behind", async (args, code, message) => {
    const cwd = makeInputs();
    await writeLayoutOf(join(cwd, "root/etc"), join(cwd, "arm"), { architecture: "arm64" });
    write(cwd, "broken/usr/.wh.x", "");
    mkdirSync(join(cwd, "broken/boot"));
    const before = snapshot(cwd);
    const result = await seal(["image", "--from", "dir:root", ...TO, ...args], { cwd });
    // Where the kernel is for another machine shows after the directory was read.
    const lines = result.stderr.split("\n").filter((line) => !line.startsWith("warning: "));
    expectRefusal({ ...result, stderr: lines.join("\n") }, code, message);
    expect(snapshot(cwd)).toEqual(before);
    expect(existsSync(join(cwd, "out"))).toBe(false);
  });

  it("is not written into the directory that it is made of", async () => {
    const cwd = makeDirectory();
    const before = readdirSync(join(cwd, "root"));
    symlinkSync("root", join(cwd, "link"));
    for (const to of ["oci:root/out", "oci-archive:link/boot/out:1", "oci:root"]) {
      const result = await seal(["image", "--from", "dir:root", "--to", to], { cwd });
      expectRefusal(result, 2, /^seal: --to \S+: is in root, which is to be sealed; give a path outside of it$/m);
    }
    expect(readdirSync(join(cwd, "root"))).toEqual(before);
  });

  it("refuses what is said about layers that are there already", async () => {
    const cwd = makeDirectory();
    await writeLayoutOf(join(cwd, "root"), join(cwd, "in"));
    for (const args of [
      ["--layer-size", "1M"],
      ["--compression", "none"],
      ["--config-from", "oci:in"],
    ]) {
      const result = await seal(["image", "--from", "oci:in", ...TO, ...args], { cwd });
      expectRefusal(result, 2, /^seal: --[a-z-]+: requires --from dir:PATH; the layers of oci:in are kept as they are/);
    }
  });
});
