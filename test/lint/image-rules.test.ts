/** The rules about container images, on real OCI layouts. */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { utf8 } from "../../src/bytes.ts";
import { RULES } from "../../src/lint/rules/index.ts";
import { ownWhiteouts } from "../../src/tree/layer-observer.ts";
import { seal } from "../support/cli.ts";
import { elf, KVER, SPLIT, UKI_PATH, UNSEALED } from "../support/lint.ts";
import { image, LAYER_TIME, lintReport, sealedLayers, tarLayer, tarWhiteouts } from "../support/lint-image.ts";
import { writeTree } from "../support/lint-tree.ts";
import { OWN, tarArchive, tarDirectory, tarFile, tarHeader, tarPax } from "../support/tar.ts";
import { tempDir } from "../support/temp.ts";
import { vector } from "../support/vectors.ts";

const KEY = vector("authenticode/keys/signer.key");
const VMLINUZ = `usr/lib/modules/${KVER}/vmlinuz`;
/** Made once, within a test. */
let made: Promise<Uint8Array[]> | null = null;
function sealed(): Promise<Uint8Array[]> {
  made ??= sealedLayers();
  return made;
}

async function findings(id: string, ...args: readonly string[]) {
  return (await lintReport(...args)).findings.filter((finding) => finding.id === id);
}

describe("seal lint of an image", () => {
  it("finds nothing wrong with a sound one, whatever it is stored as, and runs the rules of images", async () => {
    const images = RULES.filter(({ applies }) => applies === "image").map(({ id }) => id);
    expect(images).toEqual(["image-label", "image-layers", "image-waste"]);
    for (const compression of ["gzip", "zstd", "none"] as const) {
      const report = await lintReport(image(await sealed(), { compression }));
      expect(report).toMatchObject({ code: 0, findings: [{ id: "uki-initramfs", severity: "info" }], couldNotRun: [] });
      expect(report.passed).toEqual(expect.arrayContaining([...images, "uki-digest", "secrets"]));
    }
    const { notApplicable } = await lintReport(writeTree(join(tempDir(), "root"), UNSEALED));
    const reasons = notApplicable.filter(({ id }) => images.includes(id)).map(({ reason }) => reason);
    expect(reasons).toEqual(images.map(() => "it is not an image"));
  });

  it("shows its findings as text and SARIF", async () => {
    const { stdout } = await seal(["lint", image(await sealed(), { labels: {} })]);
    expect(stdout).toMatch(/^warning {2}image-label {11}image configuration\n {9}There is no label containers\.bootc/);
    const sarif = await seal(["lint", image(await sealed(), { labels: {} }), "--format", "sarif"]);
    expect(sarif.stdout).toContain('"uri":"image%20configuration"');
  });

  it("reads layers as the release that is asked for", async () => {
    const pax = tarArchive(
      tarDirectory("./", { mtime: LAYER_TIME }),
      tarPax({ mtime: "1500000000.25", uid: "7" }),
      tarDirectory("usr/", { mtime: LAYER_TIME }),
    );
    const layers = await sealedLayers([tarLayer(SPLIT), pax], { digest: ["--bootc", "1.15"] });
    expect(await findings("uki-digest", image(layers), "--bootc", "1.15")).toEqual([]);
    expect(await findings("uki-digest", image(layers), "--bootc", "1.16.3")).toMatchObject([
      { path: UKI_PATH, message: expect.stringMatching(/right for EROFS v2, bootc 1\.14\.0–1\.15\.2\.$/) },
    ]);
    const latest = await sealedLayers([tarLayer(SPLIT), pax]);
    expect(await findings("uki-digest", image(latest))).toEqual([]);
    expect(await findings("uki-digest", image(latest), "--bootc", "1.15")).toHaveLength(1);
    expect(await findings("uki-digest", image(latest), "--bootc", "latest", "--bootc", "1.15")).toMatchObject([
      { message: expect.stringContaining("bootc 1.14.0–1.15.2 computes") },
    ]);
  });
});

describe("image-label", () => {
  const label = (value: string) => ({ labels: { "containers.bootc": value } });

  it("wants the label, and a UKI where it says sealed", async () => {
    for (const value of ["1", "sealed"])
      expect(await findings("image-label", image(await sealed(), label(value)))).toEqual([]);
    expect(await findings("image-label", image([tarLayer(UNSEALED)], label("1")))).toEqual([]);
    const finding = { severity: "warning", path: "image configuration" };
    expect(await findings("image-label", image([tarLayer(UNSEALED)], { labels: { other: "1" } }))).toMatchObject([
      { ...finding, fix: expect.stringContaining("containers.bootc=1 ") },
    ]);
    expect(await findings("image-label", image(await sealed(), { labels: {} }))).toMatchObject([
      { ...finding, fix: expect.stringContaining("containers.bootc=sealed ") },
    ]);
    expect(await findings("image-label", image([tarLayer(UNSEALED)], label("sealed")))).toMatchObject([
      { ...finding, message: expect.stringContaining("no UKI") },
    ]);
  });
});

describe("image-layers", () => {
  it("names directories that a layer only implies", async () => {
    const upper = tarArchive(tarFile("opt/app/data/x", utf8("x")), tarFile("opt/app/y", utf8("y")));
    const ref = image([tarLayer(SPLIT), upper]);
    expect(await findings("image-layers", ref)).toMatchObject([
      {
        severity: "error",
        path: "opt",
        message: expect.stringMatching(/^layer 2 of 2 \(sha256:[0-9a-f]{8}…\).*opt, opt\/app, opt\/app\/data,/),
      },
    ]);
    expect(await seal(["compute-digest", ref])).toMatchObject({ code: 3, stderr: expect.stringContaining("opt") });
  });

  it("names what a whiteout of the same layer removes for bootc only", async () => {
    const upper = tarArchive(
      tarDirectory("opt/"),
      tarFile("opt/gone", utf8("x")),
      tarHeader({ name: "opt/.wh.gone" }),
      tarHeader({ name: "opt/.wh.other" }),
      tarFile("opt/other", utf8("x")),
    );
    expect(await findings("image-layers", image([tarLayer(SPLIT), upper]))).toMatchObject([
      { severity: "error", path: "opt/gone", message: expect.stringContaining("container engines show it") },
    ]);
    const lower = tarLayer({ ...SPLIT, "opt/gone": "x" });
    expect(await findings("image-layers", image([lower, tarWhiteouts("opt/gone")]))).toEqual([]);
  });

  it("compares with a mount, and says where it differs", async () => {
    const mount = writeTree(join(tempDir(), "root"), SPLIT);
    const ref = image(await sealedLayers([tarLayer(SPLIT, OWN)], { owner: OWN }));
    expect(await findings("image-layers", ref, "--mounted", mount)).toEqual([]);
    writeFileSync(join(mount, "etc/hostname"), "another\n");
    mkdirSync(join(mount, "opt"));
    const [finding] = await findings("image-layers", ref, "--mounted", mount);
    expect(finding).toMatchObject({ severity: "error", message: expect.stringMatching(/opt \(only in the mount\)/) });
    expect(finding?.message).toMatch(/etc\/hostname \([^)]*content/);
    expect(await seal(["lint", mount, "--mounted", mount])).toMatchObject({
      code: 2,
      stderr: expect.stringContaining("--mounted compares an image with a mount of it"),
    });
  });
});

describe("image-waste", () => {
  const large = Buffer.alloc(2 << 20, "large");

  it("counts what later layers replace, remove or make opaque, the largest first", async () => {
    const lower = tarLayer({
      ...SPLIT,
      "opt/a": large,
      "opt/d/b": large.subarray(1),
      "srv/c": Buffer.alloc(99),
      "etc/tiny": "x",
    });
    const upper = tarArchive(
      tarFile("opt/a", utf8("small")),
      tarHeader({ name: "opt/.wh.d" }),
      tarHeader({ name: "srv/.wh..wh..opq" }),
      tarHeader({ name: "etc/.wh.tiny" }),
    );
    expect(await findings("image-waste", image([lower, upper]))).toMatchObject([
      {
        severity: "warning",
        path: "opt/a",
        message: expect.stringMatching(
          /^4 files are .* 4194403 bytes unpacked \(4\.0 MiB\) of 2 layers: opt\/a \(2097152 bytes in layer 1\), opt\/d\/b \(2097151 bytes in layer 1\), srv\/c .*, etc\/tiny \(1 bytes/,
        ),
      },
    ]);
  });

  it("only notes a little, and nothing where another name still shows the content", async () => {
    const lower = tarLayer({ ...SPLIT, "opt/a": large.subarray(0, 1000) });
    const ref = image([lower, tarWhiteouts("opt/a")]);
    expect(await findings("image-waste", ref)).toMatchObject([{ severity: "info", path: "opt/a" }]);
    expect((await seal(["lint", ref, "--fatal-warnings", "--skip", "kernel"])).code).toBe(0);
    const linked = tarArchive(tarHeader({ name: "opt/b", type: "1", link: "opt/a" }), tarHeader({ name: "opt/.wh.a" }));
    expect(await findings("image-waste", image([lower, linked]))).toEqual([]);
  });

  it("names the raw kernel in a lower layer, however small", async () => {
    const lower = tarLayer({ ...SPLIT, [VMLINUZ]: "kernel" });
    const layers = await sealedLayers([lower, tarWhiteouts(VMLINUZ)]);
    expect(await findings("image-waste", image(layers))).toMatchObject([
      {
        id: "image-waste",
        severity: "warning",
        path: VMLINUZ,
        message: expect.stringMatching(/^It is still in layer 1 of 3 \(sha256:.* \(6 bytes\), though layer 2 hides it/),
      },
    ]);
  });
});

describe("secrets in layers", () => {
  it("finds keys that are there, and keys that a later layer removes", async () => {
    const lower = tarLayer({ ...SPLIT, "etc/pki/old.key": KEY, "root/.ssh/id_ed25519": KEY, "usr/lib/x/db.key": KEY });
    const ref = image([lower, tarWhiteouts("etc/pki/old.key"), tarLayer({ "srv/new": KEY })]);
    const found = await findings("secrets", ref);
    expect(found.map(({ path }) => path)).toEqual([
      "etc/pki/old.key",
      "root/.ssh/id_ed25519",
      "usr/lib/x/db.key",
      "srv/new",
    ]);
    const hidden = found.map(({ message }) => /though a later one hides it/.test(message));
    expect(hidden).toEqual([true, false, false, false]);
    expect(found[3]?.message).toMatch(/in layer 3 of 3/);
  });

  it("takes certificates and large files for none", async () => {
    const certificate = vector("authenticode/keys/signer.crt");
    const lower = tarLayer({
      ...SPLIT,
      "etc/ssl/x.pem": certificate,
      "opt/x": Buffer.concat([KEY, Buffer.alloc(70_000)]),
    });
    expect(await findings("secrets", image([lower]))).toEqual([]);
  });
});

describe("uki-arch of an image", () => {
  it("compares with what the image says it is for", async () => {
    const tree = tarLayer({ ...SPLIT, "usr/bin/sh": elf(183) });
    const layers = await sealedLayers([tree]);
    expect(
      await findings("uki-arch", image(layers, { architecture: "arm64" }), "--platform", "linux/arm64"),
    ).toMatchObject([{ path: UKI_PATH, message: expect.stringContaining("programs of this tree are for aa64") }]);
    expect(await findings("uki-arch", image(await sealed(), { architecture: "arm64" }))).toMatchObject([
      {
        severity: "error",
        path: UKI_PATH,
        message: expect.stringMatching(/for x64, but the image is marked as arm64/),
      },
    ]);
    expect(await findings("uki-arch", image(await sealed(), { architecture: "mips" }))).toEqual([]);
  });
});

describe("ownWhiteouts", () => {
  const paths = (...names: string[]) => ownWhiteouts(names.map((path) => ({ path: utf8(path) })));

  it("finds what stands before its whiteout", () => {
    expect(paths("a", ".wh.a")).toEqual(["a"]);
    expect(paths(".wh.a", "a")).toEqual([]);
    expect(paths("d/", "d/x", "d/e/y", ".wh.d")).toEqual(["d", "d/x", "d/e/y"]);
    expect(paths("d/", "d/x", "d/.wh..wh..opq", "d/z")).toEqual(["d/x"]);
    expect(paths("x", ".wh..wh..opq")).toEqual(["x"]);
    expect(paths("./a//b", "/a/.wh.b")).toEqual(["a/b"]);
  });

  it("is right for any order, as a plain reading of the rule is", () => {
    const name = fc.constantFrom("a", "b", ".wh.a", ".wh.b", ".wh..wh..opq");
    const path = fc.array(name, { minLength: 1, maxLength: 3 }).map((names) => names.join("/"));
    fc.assert(
      fc.property(fc.array(path, { maxLength: 12 }), (entries) => {
        const expected = entries.filter((entry, index) => {
          if (/(?:^|\/)\.wh\.[^/]*$/.test(entry)) return false;
          return entries.slice(index + 1).some((later) => {
            const target = /^(?:(.*)\/)?\.wh\.([^/]*)$/s.exec(later);
            if (target === null) return false;
            const prefix = target[1] === undefined ? "" : `${target[1]}/`;
            if (target[2] === ".wh..opq") return entry.startsWith(prefix) && entry !== target[1];
            return `${entry}/`.startsWith(`${prefix}${target[2]}/`);
          });
        });
        expect(paths(...entries)).toEqual(expected);
      }),
    );
  });
});
