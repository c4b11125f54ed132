import { cpSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { ukiVersion } from "../../../src/boot/efi-program.ts";
import { utf8 } from "../../../src/bytes.ts";
import { type ImageReport, imageReportSchema } from "../../../src/cli/sealing/image-report.ts";
import { openRootfs } from "../../../src/io/rootfs.ts";
import { parseRootfsSource } from "../../../src/io/rootfs-source.ts";
import { parsePe } from "../../../src/pe/headers.ts";
import { type Rootfs, readTreeFile, resolvePath } from "../../../src/tree/rootfs.ts";
import { seal } from "../../support/cli.ts";
import { expectRefusal, KVER, MODULES, SIGNING, snapshot } from "../../support/inputs.ts";
import { compress, sha256, writeImageBlobs, writeIndex, writeJsonBlob, writeLayout } from "../../support/layout.ts";
import { ODD_DIRECTORY, sealableLayers } from "../../support/sealable.ts";
import { tarArchive, tarDirectory, tarFile, tarPax } from "../../support/tar.ts";
import { tempDir } from "../../support/temp.ts";
import { vector } from "../../support/vectors.ts";

const PLATFORM = ["--platform", "linux/amd64"];
const UKI = `boot/EFI/Linux/${KVER}.efi`;
const REF = "org.opencontainers.image.ref.name";

/** A directory with the layout `in` and the key pair `db`. */
function workspace(layers: readonly Uint8Array[] = sealableLayers()): string {
  const cwd = tempDir();
  writeLayout(join(cwd, "in"), layers, { tag: "1" });
  for (const kind of ["key", "crt"]) writeFileSync(join(cwd, `db.${kind}`), vector(`authenticode/keys/signer.${kind}`));
  return cwd;
}

async function sealed(cwd: string, ...args: string[]): Promise<ImageReport> {
  const { code, stdout, stderr } = await seal(["image", ...PLATFORM, ...args, "--json"], { cwd });
  expect(code, stderr).toBe(0);
  return imageReportSchema.parse(JSON.parse(stdout));
}

const open = async (cwd: string, spec: string): Promise<Rootfs> =>
  (await openRootfs(parseRootfsSource(spec), { algorithm: "sha512", xattrs: "all", cwd, platform: "linux/amd64" }))
    .rootfs;

function json(layout: string, name: string) {
  return JSON.parse(readFileSync(join(layout, name), "utf8"));
}

/** The documents of the image with a tag. */
function documents(layout: string, tag: string) {
  const { manifests } = json(layout, "index.json");
  const blob = (digest: string) => json(layout, `blobs/${digest.replace(":", "/")}`);
  const descriptor = manifests.find((one: { annotations?: Record<string, string> }) => one.annotations?.[REF] === tag);
  const manifest = blob(descriptor.digest);
  return { descriptor, manifest, config: blob(manifest.config.digest) };
}

async function digestOf(cwd: string, spec: string, ...args: string[]): Promise<string> {
  return (await seal(["compute-digest", spec, ...PLATFORM, ...args], { cwd })).stdout.trim();
}

describe("seal image", () => {
  it("adds two layers, so that the UKI names the digest of the result", async () => {
    const cwd = workspace();
    const before = snapshot(join(cwd, "in"));
    const report = await sealed(cwd, "--from", "oci:in:1", "--to", "oci:out:sealed", ...SIGNING);
    const digest = await digestOf(cwd, "oci:out:sealed");
    expect(report.cmdline).toBe(`composefs=${digest}`);
    const rootfs = await open(cwd, "oci:out:sealed");
    const uki = parsePe([(await readTreeFile(rootfs, UKI)) ?? new Uint8Array()], UKI);
    expect(ukiVersion(uki)).toBe(KVER);
    for (const name of ["vmlinuz", "initramfs.img"]) {
      expect(resolvePath(rootfs, `${MODULES}/${KVER}/${name}`)).toBeNull();
    }
    expect(resolvePath(rootfs, `${MODULES}/${KVER}`)?.node).toMatchObject(ODD_DIRECTORY);
    expect(snapshot(join(cwd, "in"))).toEqual(before);

    const { stdout } = await seal(["lint", "oci:out:sealed", ...PLATFORM, "--cert", "db.crt", "--json"], { cwd });
    expect(JSON.parse(stdout).passed).toEqual(
      expect.arrayContaining(["uki-digest", "uki-signature", "bootloader-signature", "raw-kernel", "image-label"]),
    );
  });

  it("changes no directory of the image: the tree without the kernel has the digest that the sealed one has", async () => {
    const cwd = workspace();
    await sealed(cwd, "--from", "oci:in:1", "--to", "oci:out");
    const without = (layer: number) => sealableLayers()[layer] ?? Buffer.alloc(0);
    const whiteouts = tarArchive(
      tarFile(`${MODULES}/${KVER}/.wh.vmlinuz`, utf8("")),
      tarFile(`${MODULES}/${KVER}/.wh.initramfs.img`, utf8("")),
    );
    writeLayout(join(cwd, "bare"), [without(0), without(1), whiteouts]);
    expect(await digestOf(cwd, "oci:out")).toBe(await digestOf(cwd, "oci:bare"));
  });

  it.each([4096, -1])("refuses a layer with another byte at %i, though it is copied unchecked", async (place) => {
    const cwd = workspace();
    const { manifest } = documents(join(cwd, "in"), "1");
    const blob = join(cwd, "in/blobs", manifest.layers[0].digest.replace(":", "/"));
    const bytes = readFileSync(blob);
    const index = (place + bytes.length) % bytes.length;
    bytes[index] = (bytes[index] ?? 0) ^ 1;
    writeFileSync(blob, bytes);
    const before = snapshot(cwd);
    const args = ["image", "--from", "oci:in:1", "--to", "oci:out", ...PLATFORM, ...SIGNING];
    expectRefusal(await seal(args, { cwd }), 3, /oci:in:1: layer .*(the image is damaged|can't be unpacked)/);
    expect(snapshot(cwd)).toEqual(before);
  });

  it("carries layers over byte for byte, and all that stands in the documents", async () => {
    const cwd = workspace();
    const old = documents(join(cwd, "in"), "1");
    const report = await sealed(cwd, "--from", "oci:in:1", "--to", "oci:out:new");
    const { descriptor, manifest, config } = documents(join(cwd, "out"), "new");
    expect(descriptor).toMatchObject({ digest: report.image.digest, platform: { os: "linux", architecture: "amd64" } });
    expect(manifest.layers.slice(0, 2)).toEqual(old.manifest.layers);
    for (const { digest } of old.manifest.layers) {
      const path = `blobs/${digest.replace(":", "/")}`;
      expect(readFileSync(join(cwd, "out", path)).equals(readFileSync(join(cwd, "in", path)))).toBe(true);
    }
    expect(config).toMatchObject({
      os: "linux",
      architecture: "amd64",
      config: { Labels: { "containers.bootc": "sealed" } },
    });
    expect(config.history).toHaveLength(4);
    expect(config.history.slice(0, 2)).toEqual(old.config.history);
    expect(config.rootfs.diff_ids).toEqual([
      ...old.config.rootfs.diff_ids,
      ...manifest.layers.slice(2).map((one: { digest: string }) => one.digest),
    ]);
  });

  it("annotates the digests as the sealing specification of composefs-rs names them", async () => {
    const cwd = workspace();
    const report = await sealed(cwd, "--from", "oci:in", "--to", "oci:out:new", "--bootc", "1.15", "--bootc", "1.16.9");
    const { manifest } = documents(join(cwd, "out"), "new");
    expect(manifest.annotations).toEqual({
      "composefs.merged.erofs.v1.fsverity-sha512-12": await digestOf(
        cwd,
        "oci:out",
        "--transform",
        "oci",
        "--bootc",
        "1.17.5",
      ),
      "composefs.merged.bootable.erofs.v1.fsverity-sha512-12": await digestOf(cwd, "oci:out", "--bootc", "1.17.5"),
      "composefs.merged.bootable.erofs.v2.fsverity-sha512-12": await digestOf(cwd, "oci:out", "--bootc", "1.15"),
      "seal.tree": expect.stringMatching(/^entries=\d+ newest=\d+ timeless-sha512=[0-9a-f]{128}$/),
    });
    const { record } = report;
    expect(manifest.annotations["seal.tree"]).toBe(
      `entries=${record?.entries} newest=${record?.newest} timeless-sha512=${record?.timeless}`,
    );
    expect(manifest.config.annotations).toEqual({
      "composefs.config.fsverity-sha512-12": expect.stringMatching(/^[0-9a-f]{128}$/),
    });
    expect(report.digests.map(({ erofs }) => erofs).sort()).toEqual(["v1", "v2"]);
  });

  it("annotates the version that bootc status shows, which the image, its labels or the system tell", async () => {
    const key = "org.opencontainers.image.version";
    const osRelease = tarArchive(tarFile("usr/lib/os-release", utf8("ID=test\nVERSION_ID=42\n")));
    const cwd = workspace([...sealableLayers(), osRelease]);
    const plain = await sealed(cwd, "--from", "oci:in:1", "--to", "oci:out:plain");
    expect(plain.image.annotations[key]).toBe("42");
    expect(documents(join(cwd, "out"), "plain").manifest.annotations[key]).toBe("42");
    writeLayout(join(cwd, "labelled"), [...sealableLayers(), osRelease], { labels: { [key]: "42.7" } });
    const labelled = await sealed(cwd, "--from", "oci:labelled", "--to", "oci:out:labelled");
    expect(labelled.image.annotations[key]).toBe("42.7");
  });

  it("ships the tree of the image as a dump file: without kernel, former /boot and SELinux labels", async () => {
    const contexts = "etc/selinux/t/contexts/files";
    const policy = tarArchive(
      ...["etc", "etc/selinux", "etc/selinux/t", "etc/selinux/t/contexts", contexts].map((name) => tarDirectory(name)),
      tarFile("etc/selinux/config", utf8("SELINUXTYPE=t\n")),
      tarFile(`${contexts}/file_contexts`, utf8("/.* system_u:object_r:x_t:s0\n")),
      tarFile("boot/old", utf8("is taken out")),
    );
    const cwd = workspace([...sealableLayers(), policy]);
    await sealed(cwd, "--from", "oci:in:1", "--to", "oci:out:x", "--ship-dump");
    const dump = await readTreeFile(await open(cwd, "oci:out:x"), `boot/${KVER}.dump`);
    const dumped = Buffer.from(dump ?? "").toString("latin1");
    await seal(
      ["compute-digest", "oci:out:x", ...PLATFORM, "--transform", "oci", "--write-dumpfile-to", "container.dump"],
      { cwd },
    );
    const container = readFileSync(join(cwd, "container.dump"), "latin1");
    const besidesBoot = (text: string) => text.split("\n").filter((line) => !/^\/boot[ /]/.test(line));
    expect(besidesBoot(dumped)).toEqual(besidesBoot(container));
    expect(dumped.split("\n").filter((line) => line.startsWith("/boot"))).toEqual([
      expect.stringMatching(/^\/boot 0 40755 2 0 0 0 /),
    ]);
    expect(dumped).toMatch(new RegExp(`^/${MODULES}/${KVER}/modules\\.dep `, "m"));
    expect(dumped).not.toMatch(/vmlinuz|initramfs|selinux=/);
    const { stdout } = await seal(["lint", "oci:out:x", ...PLATFORM, "--json"], { cwd });
    expect(JSON.parse(stdout).passed).toEqual(expect.arrayContaining(["nonempty-boot", "uki-digest"]));
  });

  it("seals for releases that don't heed PAX headers: the digest is of what the new layers say", async () => {
    const cwd = workspace();
    const { cmdline } = await sealed(cwd, "--from", "oci:in", "--to", "oci:out", "--bootc", "1.15");
    expect(cmdline).toBe(`composefs=${await digestOf(cwd, "oci:out", "--bootc", "1.15")}`);
  });

  it("gives later releases of bootc the digest of earlier ones, whatever the nanoseconds of /boot and /sysroot", async () => {
    const times = ["usr", "boot", "sysroot"].flatMap((name, index) => [
      tarPax({ mtime: `1600000000.${index + 1}` }),
      tarDirectory(name, { mtime: 1_600_000_000 }),
    ]);
    const cwd = workspace([...sealableLayers(), tarArchive(...times)]);
    const digests = async (spec: string) => [await digestOf(cwd, spec, "--bootc", "1.16.9"), await digestOf(cwd, spec)];
    expect(new Set(await digests("oci:in")).size).toBe(2);
    const { cmdline } = await sealed(cwd, "--from", "oci:in", "--to", "oci:out");
    expect((await digests("oci:out")).map((digest) => `composefs=${digest}`)).toEqual([cmdline, cmdline]);
  });

  it("gives the same bytes each time, at the time of the image or of SOURCE_DATE_EPOCH", async () => {
    const cwd = workspace();
    const args = ["image", ...PLATFORM, "--from", "oci:in:1", ...SIGNING];
    for (const [to, now] of [
      ["a", "2026-01-02T03:04:05Z"],
      ["b", "2030-01-01T00:00:00Z"],
    ] as const) {
      await seal([...args, "--to", `oci:${to}:x`], { cwd, now: new Date(now) });
      await seal([...args, "--to", `oci-archive:${to}.tar:x`], { cwd, now: new Date(now) });
    }
    const content = (layout: string) => snapshot(join(cwd, layout)).map((line) => line.replace(join(cwd, layout), ""));
    expect(content("a")).toEqual(content("b"));
    expect(readFileSync(join(cwd, "a.tar")).equals(readFileSync(join(cwd, "b.tar")))).toBe(true);
    await seal([...args, "--to", "oci:c:x"], { cwd, env: { SOURCE_DATE_EPOCH: "1700000000" } });
    const { config } = documents(join(cwd, "c"), "x");
    expect(config.created).toBe("2023-11-14T22:13:20Z");
    expect(config.history.at(-1).created).toBe("2023-11-14T22:13:20Z");
    const rootfs = await open(cwd, "oci:c:x");
    expect(resolvePath(rootfs, UKI)?.node.mtimeSec).toBe(1_700_000_000n);
    // The signature of the boot loader in /usr tells its time.
    expect(await digestOf(cwd, "oci:c:x")).not.toBe(await digestOf(cwd, "oci:a:x"));
  });

  it("takes archives, Docker's too, and writes them", async () => {
    const cwd = workspace();
    await sealed(cwd, "--from", "oci:in:1", "--to", "oci-archive:out.tar:x");
    const digest = await digestOf(cwd, "oci-archive:out.tar:x");
    const layers = sealableLayers();
    const config = Buffer.from(
      JSON.stringify({
        os: "linux",
        architecture: "amd64",
        rootfs: { type: "layers", diff_ids: layers.map((layer) => `sha256:${sha256(layer)}`) },
      }),
    );
    const manifest = [
      { Config: `${sha256(config)}.json`, RepoTags: ["x:latest"], Layers: ["1/layer.tar", "2/layer.tar"] },
    ];
    writeFileSync(
      join(cwd, "docker.tar"),
      tarArchive(
        ...layers.map((layer, index) =>
          tarFile(`${index + 1}/layer.tar`, index === 0 ? layer : compress(layer, "gzip")),
        ),
        tarFile(`${sha256(config)}.json`, config),
        tarFile("manifest.json", Buffer.from(JSON.stringify(manifest))),
      ),
    );
    await sealed(cwd, "--from", "docker-archive:docker.tar", "--to", "oci:docker:x");
    expect(await digestOf(cwd, "oci:docker:x")).toBe(digest);
    const { manifest: written } = documents(join(cwd, "docker"), "x");
    expect(written.layers.map(({ mediaType }: { mediaType: string }) => mediaType.replace(/.*\.v1\./, ""))).toEqual([
      "tar",
      "tar+gzip",
      "tar",
      "tar",
    ]);
    expect(written.mediaType).toBe("application/vnd.oci.image.manifest.v1+json");
  });

  it("seals the image of the platform that is asked for; only that one is in the result", async () => {
    const cwd = workspace();
    const layout = join(cwd, "multi");
    const images = ["amd64", "arm64"].map((architecture) => ({
      ...writeImageBlobs(
        layout,
        [...sealableLayers(), tarArchive(tarDirectory("usr"), tarDirectory(`usr/${architecture}`))],
        { architecture },
      ),
      platform: { os: "linux", architecture },
    }));
    const type = "application/vnd.oci.image.index.v1+json";
    writeIndex(layout, [
      {
        ...writeJsonBlob(layout, { schemaVersion: 2, mediaType: type, manifests: images }, type),
        annotations: { [REF]: "m" },
      },
    ]);
    const { code, stderr } = await seal(
      ["image", "--from", "oci:multi:m", "--platform", "linux/arm64", "--to", "oci:multi:arm"],
      { cwd },
    );
    expect(code).toBe(0);
    expect(stderr).toMatch(/^warning: oci:multi:m: is an image for arm64, but has a kernel for amd64: machines that/m);
    expect(documents(layout, "arm").descriptor.platform).toEqual({ os: "linux", architecture: "arm64" });
    expect(json(layout, "index.json").manifests).toHaveLength(2);
    const { rootfs } = await openRootfs(parseRootfsSource("oci:multi:arm"), {
      algorithm: "sha512",
      xattrs: "all",
      cwd,
    });
    expect(resolvePath(rootfs, "usr/arm64")).not.toBeNull();
  });

  it("replaces what lies in /boot, and says so", async () => {
    const boot = tarArchive(
      ...["boot", "boot/EFI", "boot/EFI/Linux", "boot/loader", "boot/loader/entries"].map((name) => tarDirectory(name)),
      tarFile("boot/EFI/Linux/old.efi", vector("uki/inputs/stub-plain")),
      tarFile("boot/loader/entries/old.conf", utf8("linux /boot/vmlinuz\n")),
      tarFile("boot/vmlinuz", utf8("x")),
    );
    const cwd = workspace([...sealableLayers(), boot]);
    const report = await sealed(cwd, "--from", "oci:in:1", "--to", "oci:out");
    expect(report.warnings).toContainEqual(
      expect.stringMatching(
        /^oci:in:1: what was in its \/boot is not in the sealed image: boot\/EFI, boot\/loader, boot\/vmlinuz$/,
      ),
    );
    const rootfs = await open(cwd, "oci:out");
    for (const gone of ["boot/EFI/Linux/old.efi", "boot/loader/entries", "boot/vmlinuz"]) {
      expect(resolvePath(rootfs, gone)).toBeNull();
    }
    expect(resolvePath(rootfs, UKI)).not.toBeNull();
    expect(report.cmdline).toContain(await digestOf(cwd, "oci:out"));
  });

  it("says at once of which names in /boot no layer can take out", async () => {
    const name = "l".repeat(255);
    const layers = [...sealableLayers(), tarArchive(tarPax({ path: `boot/${name}` }), tarFile("boot/l", utf8("x")))];
    const result = await seal(["image", ...PLATFORM, "--from", "oci:in:1", "--to", "oci:out"], {
      cwd: workspace(layers),
    });
    expectRefusal(result, 3, /^seal: oci:in:1: boot\/l{255}: the name is too long for a layer to remove it; remove it/);
  });

  it("refuses an image that is sealed already, unless the kernel is given", async () => {
    const cwd = workspace();
    await sealed(cwd, "--from", "oci:in:1", "--to", "oci:out:1");
    const before = snapshot(cwd);
    const again = ["image", ...PLATFORM, "--from", "oci:out:1", "--to", "oci:out:2"];
    const first = await seal(["build-uki", ...PLATFORM, "--from", "oci:out:1", "--output", "x.efi"], { cwd });
    expectRefusal(first, 3, /^seal: oci:out:1: is sealed already: its kernel is only in boot/);
    expectRefusal(
      await seal(again, { cwd }),
      3,
      /^seal: oci:out:1: is sealed already: its kernel is only in boot\/EFI\/Linux\/6\.1-test\.efi\. Seal the image that it was made from, or give the kernel with --kernel-dir\n$/,
    );
    expect(snapshot(cwd)).toEqual(before);
    for (const [name, source] of [
      ["vmlinuz", "kernel"],
      ["initramfs.img", "initrd-2"],
    ] as const) {
      cpSync(new URL(`../../vectors/uki/inputs/${source}`, import.meta.url), join(cwd, `k/${KVER}/${name}`));
    }
    const report = await sealed(
      cwd,
      "--from",
      "oci:out:1",
      "--to",
      "oci:out:2",
      "--kernel-dir",
      "k",
      "--karg",
      "debug",
    );
    expect(report.cmdline).toBe(`composefs=${await digestOf(cwd, "oci:out:2")} debug`);
    expect(await digestOf(cwd, "oci:out:2")).toBe(await digestOf(cwd, "oci:out:1"));
  });

  it("seals in place, beside other tags", async () => {
    const cwd = workspace();
    const old = documents(join(cwd, "in"), "1");
    await sealed(cwd, "--from", "oci:in:1", "--to", "oci:in:2");
    expect(documents(join(cwd, "in"), "1")).toEqual(old);
    await sealed(cwd, "--from", "oci:in:1", "--to", "oci:in:1");
    expect(documents(join(cwd, "in"), "1").manifest).toEqual(documents(join(cwd, "in"), "2").manifest);
  });

  it("prints where the image is, and a report for people", async () => {
    const cwd = workspace();
    const { stdout, stderr } = await seal(["image", ...PLATFORM, "--from", "oci:in", "--to", "oci:out:x", ...SIGNING], {
      cwd,
    });
    expect(stdout).toBe("oci:out:x\n");
    expect(stderr).toMatch(
      new RegExp(`✓ taken out +${MODULES}/${KVER}/initramfs.img\\n +${MODULES}/${KVER}/vmlinuz\\n`),
    );
    expect(stderr).toMatch(/✓ layers +2 carried over, .* · 2 on top, .*\n/);
    expect(stderr).toMatch(/✓ image +sha256:[0-9a-f]{64}\n +linux\/amd64 · containers\.bootc=sealed\n/);
    expect(stderr).toMatch(/✓ read back/);
  });

  it("shows on a terminal what it does", async () => {
    const cwd = workspace();
    const args = ["image", ...PLATFORM, "--from", "oci:in", "--to", "oci-archive:out.tar", ...SIGNING];
    const { stderr } = await seal(args, { cwd, columns: 100 });
    for (const step of ["reading oci:in", "writing oci-archive:out.tar", "checking oci-archive:out.tar"]) {
      expect(stderr).toContain(`${step}  `);
    }
  });

  it.each([
    ["a directory", ["--from", "in", "--to", "oci:out"], 2, /--from in: give an image/],
    ["no target", ["--from", "oci:in"], 2, /--to: give oci:PATH/],
    ["no source", ["--to", "oci:out"], 2, /--from: give the image to seal/],
    ["a target that is none", ["--from", "oci:in", "--to", "dir:x"], 2, /--to dir:x: images are written to oci:/],
    [
      "a name without a place",
      ["--from", "oci:in", "--to", "quay.io/x/y:1"],
      2,
      /--to quay\.io\/x\/y:1: names no destination; probably docker:\/\/quay\.io\/x\/y:1 .* or oci:quay/,
    ],
    [
      "a source without a place",
      ["--from", "quay.io/x/y:1", "--to", "oci:out"],
      2,
      /--from quay\.io\/x\/y:1: give docker:\/\/quay\.io\/x\/y:1 .* or oci:quay.* or dir:PATH/,
    ],
    ["a name that nothing takes", ["--from", "oci:in", "--to", "docker://X"], 2, /"X" is not an image name; give HOST/],
    ["a daemon without a tag", ["--from", "oci:in", "--to", "docker-daemon:x"], 2, /requires a tag/],
    [
      "several platforms for a store",
      ["--from", "oci:in", "--to", "containers-storage:x", "--platform", "linux/arm64"],
      2,
      /one platform/,
    ],
    ["a registry without skopeo", ["--from", "oci:in", "--to", "docker://x/y"], 4, /needs skopeo, which is not/],
    [
      "what is sealed as the target",
      ["--from", "docker://docker.io/x/y", "--to", "docker://x/y:latest"],
      2,
      /is the image to be sealed; give the sealed one another tag/,
    ],
    ["a directory in the way", ["--from", "oci:in", "--to", "oci-archive:in"], 3, /oci-archive:in: already exists/],
    ["an unknown tag", ["--from", "oci:in:9", "--to", "oci:out"], 3, /has no image with the tag "9"/],
    ["--digest", ["--from", "oci:in", "--to", "oci:out", "--digest", "00"], 2, /--digest/],
  ] as const)("refuses %s", async (_, args, code, message) => {
    const cwd = workspace();
    const before = snapshot(cwd);
    expectRefusal(await seal(["image", ...PLATFORM, ...args], { cwd }), code, message);
    expect(snapshot(cwd)).toEqual(before);
  });

  it("leaves nothing when a layer turns out to be damaged", async () => {
    const cwd = workspace();
    const { manifest } = documents(join(cwd, "in"), "1");
    const path = join(cwd, "in/blobs", manifest.layers[1].digest.replace(":", "/"));
    const bytes = readFileSync(path);
    bytes.writeUInt8(bytes.readUInt8(bytes.length - 20) ^ 1, bytes.length - 20);
    writeFileSync(path, bytes);
    const before = snapshot(cwd);
    for (const to of ["oci:new/out", "oci:in:1", "oci-archive:out.tar"]) {
      expectRefusal(
        await seal(["image", ...PLATFORM, "--from", "oci:in", "--to", to], { cwd }),
        3,
        /oci:in: layer sha256/,
      );
    }
    expect(snapshot(cwd)).toEqual(before);
  });

  it("is the same whatever the layers are compressed with", async () => {
    const cwd = workspace();
    const digests = new Set([await digestOf(cwd, "oci:in")]);
    for (const compression of ["zstd", "none"] as const) {
      writeLayout(join(cwd, compression), sealableLayers(), { compression });
      await sealed(cwd, "--from", `oci:${compression}`, "--to", `oci:out:${compression}`);
      digests.add(await digestOf(cwd, `oci:out:${compression}`));
    }
    // That of the image with its kernel, and that of both sealed ones.
    expect(digests.size).toBe(2);
  });
});
