/** `seal inspect` of a container image. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { type InspectImageReport, inspectImageReportSchema } from "../../../src/cli/inspect/image-report.ts";
import { seal } from "../../support/cli.ts";
import { expectRefusal } from "../../support/inputs.ts";
import { writeImageBlobs, writeIndex, writeJsonBlob, writeLayout } from "../../support/layout.ts";
import { sealableLayers } from "../../support/sealable.ts";
import { tarArchive, tarDirectory, tarFile, tarHeader } from "../../support/tar.ts";
import { tempDir } from "../../support/temp.ts";
import { vector } from "../../support/vectors.ts";

const PLATFORM = ["--platform", "linux/amd64"];
const small = (text: string) => tarArchive(tarDirectory("usr/"), tarFile("usr/file", Buffer.from(text)));

async function inspect(cwd: string, file: string, ...args: string[]): Promise<InspectImageReport> {
  const { code, stdout, stderr } = await seal(["inspect", file, ...args, "--json"], { cwd });
  expect(code, stderr).toBe(0);
  return inspectImageReportSchema.parse(JSON.parse(stdout));
}

/** The layout `in` and what is sealed of it, with its report. */
async function sealed(cwd: string, to: string) {
  for (const kind of ["key", "crt"]) writeFileSync(join(cwd, `db.${kind}`), vector(`authenticode/keys/signer.${kind}`));
  writeLayout(join(cwd, "in"), sealableLayers(), { config: { created: "2026-01-01T00:00:00Z" } });
  const signing = ["--key", "db.key", "--cert", "db.crt"];
  const { code, stdout, stderr } = await seal(
    ["image", "--from", "oci:in", "--to", to, ...signing, ...PLATFORM, "--json"],
    { cwd },
  );
  expect(code, stderr).toBe(0);
  return JSON.parse(stdout);
}

describe("a sealed image", () => {
  it.each(["oci:out:1", "oci-archive:out.tar:1"])("is told of as it was made: %s", async (to) => {
    const cwd = tempDir();
    const { image, digests } = await sealed(cwd, to);
    const found = await inspect(cwd, to, ...PLATFORM);
    expect(found).toMatchObject({
      file: to,
      digest: image.digest,
      platform: "linux/amd64",
      platforms: [],
      sealed: true,
      labels: image.labels,
      annotations: image.annotations,
    });
    expect(found.config.annotations).toEqual({
      "composefs.config.fsverity-sha512-12": expect.stringMatching(/^[0-9a-f]{128}$/),
    });
    expect(found.layers.map(({ digest, size, createdBy }) => ({ digest, size, createdBy }))).toEqual(
      image.layers.map(({ digest, size, createdBy }: (typeof found.layers)[number]) => ({ digest, size, createdBy })),
    );
    const [uki, ...others] = found.programs.filter(({ role }) => role === "uki");
    expect(others).toEqual([]);
    expect(uki?.program?.composefs.digests.map(({ digest }) => digest)).toEqual([digests[0].digest]);
    for (const { program } of found.programs) expect(program?.signatures).toMatchObject([{ intact: true }]);
    expect(found.programs.map(({ path, role }) => [path, role])).toContainEqual([
      "boot/EFI/BOOT/BOOTX64.EFI",
      "loader",
    ]);
  });

  it("is drawn for people", async () => {
    const cwd = tempDir();
    const { image, digests } = await sealed(cwd, "oci:out:1");
    const { code, stdout, stderr } = await seal(["inspect", "oci:out:1", ...PLATFORM], { cwd });
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    expect(stdout).toMatch(
      /^oci:out:1 {2}container image · linux\/amd64 · \S+ k?B in 4 layers · sealed\ndigest +sha256:/,
    );
    for (const text of [image.digest, digests[0].digest, "containers.bootc  sealed", "seal image: adds UKI"]) {
      expect(stdout).toContain(text);
    }
    expect(stdout).toMatch(
      /boot\/EFI\/Linux\/\S+\.efi {2}UKI · x64 · .*\n {4}composefs +[0-9a-f]{128}\n {4}signed by +CN=.* intact\n/,
    );
    expect((await seal(["inspect", "oci:in", ...PLATFORM], { cwd })).stdout).toMatch(/ in 2 layers · not sealed\n/);
  });
});

it("lists the platforms of an index, and tells of the one that is asked for", async () => {
  const cwd = tempDir();
  const images = ["amd64", "arm64"].map((architecture) => ({
    ...writeImageBlobs(join(cwd, "multi"), [small(architecture)], { architecture }),
    platform: { os: "linux", architecture },
  }));
  const type = "application/vnd.oci.image.index.v1+json";
  writeIndex(join(cwd, "multi"), [
    writeJsonBlob(join(cwd, "multi"), { schemaVersion: 2, mediaType: type, manifests: images }, type),
  ]);
  const platforms = images.map(({ digest, platform }) => ({ platform: `linux/${platform.architecture}`, digest }));
  for (const { platform, digest } of platforms) {
    expect(await inspect(cwd, "oci:multi", "--platform", platform)).toMatchObject({ platform, digest, platforms });
  }
  expectRefusal(
    await seal(["inspect", "oci:multi", "--platform", "linux/s390x"], { cwd }),
    3,
    /has no image for linux\/s390x/,
  );
});

it("takes documents as they are, and says what is wrong with programs", async () => {
  const cwd = tempDir();
  const layer = tarArchive(
    ...["boot/", "boot/EFI/", "boot/EFI/Linux/"].map((name) => tarDirectory(name)),
    tarFile("boot/EFI/Linux/text.efi", Buffer.from("no program \x1b[2J")),
    tarHeader({ name: "boot/EFI/Linux/x.efi", type: "2", link: "\x1b[2Jtext.efi", mode: 0o777 }),
  );
  const config = {
    created: 7,
    config: { Entrypoint: "x", Cmd: ["a", 1], Labels: { "ostree.x": "\x1b[2J", other: "y" } },
  };
  writeLayout(join(cwd, "odd"), [layer], { config });
  const found = await inspect(cwd, "oci:odd", ...PLATFORM);
  expect(found).toMatchObject({
    sealed: false,
    labels: { "ostree.x": "\x1b[2J" },
    config: { created: null, command: ["a"] },
  });
  expect(found.programs).toEqual([
    {
      path: "boot/EFI/Linux/text.efi",
      role: "uki",
      problem: expect.stringMatching(/not a PE|too short|MZ/),
      program: null,
    },
    { path: "boot/EFI/Linux/x.efi", role: "uki", problem: expect.stringMatching(/^is a symlink to /), program: null },
  ]);
  expect((await seal(["inspect", "oci:odd", ...PLATFORM], { cwd })).stdout).not.toContain("\x1b[2J");
});

it.each([
  [["oci:none"], 3, /oci:none: can't be read: no such file/],
  [["oci:in", "--section", ".text"], 3, /oci:in: is not a PE file, so it has no sections/],
  [["docker:x"], 2, /"docker:x" is not a root filesystem; give /],
  [["docker://x/y"], 4, /docker:\/\/x\/y: needs skopeo/],
  [["quay.io/x/y:1"], 3, /quay\.io\/x\/y:1: there is no such path; probably docker:\/\/quay\.io\/x\/y:1/],
] as const)("refuses %j", async (args, code, message) => {
  const cwd = tempDir();
  writeLayout(join(cwd, "in"), [small("a")]);
  expectRefusal(await seal(["inspect", ...args], { cwd }), code, message);
});
