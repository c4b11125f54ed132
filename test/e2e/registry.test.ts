/**
 * Sealed images that go into registries and stores and come out of them again, and what is said where that can't be.
 */
import { spawn } from "node:child_process";
import { mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { describe, expect, it, onTestFinished } from "vitest";
import { utf8 } from "../../src/bytes.ts";
import { indexReportSchema } from "../../src/cli/sealing/image-platforms.ts";
import { imageReportSchema } from "../../src/cli/sealing/image-report.ts";
import { dockerBuilder, missingBuilders } from "../support/builders.ts";
import { seal } from "../support/cli.ts";
import { type ContainerTools, containerTools, removeStore } from "../support/containers.ts";
import { type RegistryOptions, startRegistry } from "../support/docker-registry.ts";
import { type LayoutOptions, sha256, writeLayout } from "../support/layout.ts";
import { describeWith, peersRequired, runPeer } from "../support/peers.ts";
import { writePlatforms } from "../support/platforms.ts";
import { pullDigest } from "../support/pull.ts";
import { silentRegistry } from "../support/registry.ts";
import { sealableLayers } from "../support/sealable.ts";
import { tempDir } from "../support/temp.ts";
import { vector } from "../support/vectors.ts";

const SIGNING = ["--key", "db.key", "--cert", "db.crt"];
const PLATFORM = ["--platform", "linux/amd64"];

interface Place extends ContainerTools {
  readonly cwd: string;
  /** What seal left in the directory for temporary files. */
  readonly left: () => string[];
  readonly run: (...args: readonly string[]) => ReturnType<typeof seal>;
}

/** A directory with keys and the layout `in`, and container tools with a store of their own. */
function workplace(options: LayoutOptions = {}): Place {
  const cwd = tempDir();
  for (const kind of ["key", "crt"]) writeFileSync(join(cwd, `db.${kind}`), vector(`authenticode/keys/signer.${kind}`));
  writeLayout(join(cwd, "in"), sealableLayers(), options);
  const directory = join(cwd, "tools");
  mkdirSync(directory);
  onTestFinished(() => removeStore(directory));
  const tools = containerTools(directory);
  return {
    ...tools,
    cwd,
    left: () => readdirSync(directory).filter((name) => name.startsWith("seal-")),
    run: (...args) => seal(args, { cwd, env: tools.env }),
  };
}

async function registryAt({ cwd }: Place, options: RegistryOptions = {}) {
  return startRegistry(join(cwd, "registry"), options);
}

/** Seals and gives the report. */
async function sealed({ run }: Place, from: string, to: string, ...others: readonly string[]) {
  const { code, stdout, stderr } = await run(
    "image",
    "--from",
    from,
    "--to",
    to,
    ...SIGNING,
    ...PLATFORM,
    ...others,
    "--json",
  );
  expect(code, stderr).toBe(0);
  return imageReportSchema.parse(JSON.parse(stdout));
}

describeWith(["skopeo", "docker-registry", "cfsctl", "root"], "a sealed image in a registry", () => {
  it("is what was read back, for seal, skopeo and cfsctl, behind a login", async () => {
    const place = workplace();
    const { host, authfile } = await registryAt(place, { login: true });
    const access = ["--tls-verify=false", "--authfile", authfile];
    const to = `docker://${host}/some/os:sealed`;
    const { image, digests } = await sealed(place, "oci:in", to, ...access);
    expect(image.digest).toBe(image.written);
    const { stdout } = await place.run("compute-digest", to, ...PLATFORM, ...access);
    expect(stdout.trim()).toBe(digests[0]?.digest);
    const report = JSON.parse((await place.run("lint", to, ...PLATFORM, ...access, "--json")).stdout);
    expect(report.passed).toContain("uki-digest");
    const copy = join(place.cwd, "copy");
    place.skopeo("copy", "--quiet", "--src-tls-verify=false", "--authfile", authfile, to, `oci:${copy}`);
    expect(pullDigest(copy)).toBe(digests[0]?.digest);
    const inspected = JSON.parse(place.skopeo("inspect", "--tls-verify=false", "--authfile", authfile, to));
    expect(inspected).toMatchObject({ Digest: image.digest, Layers: image.layers.map(({ digest }) => digest) });
    const shown = JSON.parse((await place.run("inspect", to, ...PLATFORM, ...access, "--json")).stdout);
    expect(shown).toMatchObject({ digest: image.digest, sealed: true, annotations: image.annotations });
    expect(place.left()).toEqual([]);
  });

  it("keeps the layers that were there, and is sealed from there into it", async () => {
    const place = workplace({ compression: "zstd" });
    const { host } = await registryAt(place);
    place.skopeo(
      "copy",
      "--quiet",
      "--dest-tls-verify=false",
      "oci:in:latest".replace("in", join(place.cwd, "in")),
      `docker://${host}/os:1`,
    );
    // REGISTRY_AUTH_FILE counts where the option is not given; this registry asks for none.
    const { image, digests } = await sealed(
      place,
      `docker://${host}/os:1`,
      `docker://${host}/os:2`,
      "--tls-verify=false",
    );
    const of = (tag: string) =>
      JSON.parse(place.skopeo("inspect", "--tls-verify=false", `docker://${host}/os:${tag}`)).Layers;
    expect(of("2").slice(0, 2)).toEqual(of("1"));
    expect(image.digest).toBe(image.written);
    const again = await sealed(place, "oci:in", "oci:out");
    expect(again.digests[0]?.digest).toBe(digests[0]?.digest);
    expect(again.image.written).toBe(image.written);
  });

  it("is compressed on the way where a store had it unpacked, which changes no digest of the tree", async () => {
    const place = workplace();
    const { host } = await registryAt(place);
    place.skopeo("copy", "--quiet", `oci:${join(place.cwd, "in")}`, "containers-storage:localhost/os:1");
    const { image, digests } = await sealed(
      place,
      "containers-storage:localhost/os:1",
      `docker://${host}/os:1`,
      "--tls-verify=false",
    );
    expect(image.digest).not.toBe(image.written);
    const raw = JSON.parse(
      place.skopeo("inspect", "--raw", "--tls-verify=false", `docker://${host}/os@${image.digest}`),
    );
    for (const { mediaType } of raw.layers) expect(mediaType).toMatch(/\+gzip$/);
    expect(raw.annotations).toEqual(image.annotations);
    const { stdout } = await place.run("compute-digest", `docker://${host}/os:1`, ...PLATFORM, "--tls-verify=false");
    expect(stdout.trim()).toBe(digests[0]?.digest);
  });

  it("is completed with a UKI that was signed elsewhere", async () => {
    const place = workplace();
    const { host } = await registryAt(place);
    const to = `docker://${host}/os:done`;
    writeFileSync(join(place.cwd, "boot.efi"), vector("uki/inputs/stub-plain"));
    const loader = ["--signed-bootloader", "signed-boot.efi"];
    for (const step of [
      ["sign", "boot.efi", ...SIGNING, "--output", "signed-boot.efi"],
      ["build-uki", "--from", "oci:in", ...PLATFORM, ...SIGNING, ...loader, "--output", "signed.efi"],
    ]) {
      const { code, stderr } = await place.run(...step);
      expect(code, stderr).toBe(0);
    }
    const uki = ["--uki", "signed.efi", ...loader];
    const args = ["with-uki", "--from", "oci:in", "--to", to, ...uki, ...PLATFORM, "--tls-verify=false"];
    const { code, stderr } = await place.run(...args);
    expect(stderr, String(code)).toContain(`sealed in`);
    const report = JSON.parse((await place.run("lint", to, ...PLATFORM, "--tls-verify=false", "--json")).stdout);
    expect(report.passed).toContain("uki-digest");
  });

  it("has several platforms, each with the digest that it has alone", async () => {
    const place = workplace();
    const images = [
      { architecture: "arm64", layers: sealableLayers(utf8("arm"), "aa64") },
      { architecture: "amd64", layers: sealableLayers() },
    ];
    writePlatforms(join(place.cwd, "multi"), images, { tag: "1" });
    const { host } = await registryAt(place);
    const to = `docker://${host}/os:all`;
    const args = [
      "image",
      "--from",
      "oci:multi:1",
      "--to",
      to,
      "--all-platforms",
      ...SIGNING,
      "--tls-verify=false",
      "--json",
    ];
    const { code, stdout, stderr } = await place.run(...args);
    expect(code, stderr).toBe(0);
    const { index, images: reports } = indexReportSchema.parse(JSON.parse(stdout));
    const raw = place.skopeo("inspect", "--raw", "--tls-verify=false", to);
    expect(`sha256:${sha256(Buffer.from(raw))}`).toBe(index.digest);
    expect(JSON.parse(raw).manifests.map(({ digest }: { digest: string }) => digest)).toEqual(
      reports.map(({ image }) => image.digest),
    );
    for (const { image, digests } of reports) {
      const access = ["--platform", image.platform, "--tls-verify=false"];
      expect((await place.run("compute-digest", to, ...access)).stdout.trim()).toBe(digests[0]?.digest);
      const shown = JSON.parse((await place.run("inspect", to, ...access, "--json")).stdout);
      const platforms = reports.map((one) => ({ platform: one.image.platform, digest: one.image.digest }));
      expect(shown).toMatchObject({ digest: image.digest, platform: image.platform, sealed: true, platforms });
    }
    expect(place.left()).toEqual([]);
  });

  it("that refuses, or is none, is one line with the way out, and leaves nothing", async () => {
    const place = workplace();
    const { host, wrongAuthfile } = await registryAt(place, { login: true });
    const to = `docker://${host}/os:1`;
    const insecure = "--tls-verify=false";
    const cases: readonly (readonly [readonly string[], number, RegExp])[] = [
      [
        [to, insecure],
        4,
        /there: .*(?:authentication required|unauthorized).*\. skopeo login HOST logs in; --authfile names/,
      ],
      [
        [to, insecure, "--authfile", wrongAuthfile],
        4,
        /there: .*(?:authentication required|unauthorized).*--authfile names/,
      ],
      [[to], 4, /there: .*server gave HTTP response to HTTPS client\. If that is intended, give --tls-verify=false/],
      [["docker://127.0.0.1:9/os:1", insecure], 4, /there: .*connection refused/],
      [
        [to, "--authfile", "none.json"],
        3,
        /--authfile none\.json: can't be read: no such file.*skopeo login --authfile/,
      ],
      [[to, "--creds", "tester:s3cret"], 2, /--creds: a password on the command line is visible.*--authfile FILE/],
    ];
    for (const [args, expected, message] of cases) {
      const { code, stdout, stderr } = await place.run("image", "--from", "oci:in", "--to", ...args, ...PLATFORM);
      expect({ code, stdout }, stderr).toEqual({ code: expected, stdout: "" });
      expect(stderr).toMatch(message);
      expect(stderr.trim().split("\n").at(-1)).toMatch(/^seal: /);
      expect(stderr).not.toMatch(/level=|s3cret/);
    }
    const missing = await place.run(
      "compute-digest",
      `docker://${host}/os:none`,
      insecure,
      "--authfile",
      join(place.cwd, "registry/auth.json"),
    );
    expect(missing).toMatchObject({ code: 4, stdout: "" });
    expect(missing.stderr).toMatch(/^seal: .*skopeo can't copy it: .*manifest unknown\n$/);
    expect(place.left()).toEqual([]);
    expect(readdirSync(place.cwd).filter((name) => name.includes("partial"))).toEqual([]);
  });

  it("with a certificate that nobody trusts is reached with --tls-verify=false only", async () => {
    const place = workplace();
    const [certificate, key] = [join(place.cwd, "tls.crt"), join(place.cwd, "tls.key")];
    const { status, stderr } = runPeer("openssl", [
      ...["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=registry"],
      ...["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", certificate],
    ]);
    expect(status, stderr).toBe(0);
    const { host } = await registryAt(place, { tls: { certificate, key } });
    const to = `docker://${host}/os:1`;
    for (const args of [[], ["--tls-verify"], ["--tls-verify=true"]]) {
      const refused = await place.run("image", "--from", "oci:in", "--to", to, ...PLATFORM, ...args);
      expect(refused.code).toBe(4);
      expect(refused.stderr).toMatch(/there: .*x509: .*\. If that is intended, give --tls-verify=false\n$/);
    }
    writeFileSync(join(place.cwd, "seal.toml"), "tls-verify = false\n");
    const config = ["--config", "seal.toml"];
    const { image } = await sealed(place, "oci:in", to, ...config);
    expect(image.digest).toBe(image.written);
    const { code } = await place.run("compute-digest", to, ...PLATFORM, ...config);
    expect(code).toBe(0);
  });
});

describeWith(["skopeo", "buildah", "root"], "a sealed image in the store of container tools", () => {
  it("has the digest that its UKI names, and buildah has it by its name", async () => {
    const place = workplace();
    const to = "containers-storage:localhost/os:sealed";
    const { image, digests } = await sealed(place, "oci:in", to);
    const { stdout } = await place.run("compute-digest", to, ...PLATFORM);
    expect(stdout.trim()).toBe(digests[0]?.digest);
    const { FromImageDigest: digest } = JSON.parse(place.buildah("inspect", "--type", "image", "localhost/os:sealed"));
    expect(digest).toBe(image.digest);
    const again = await place.run("image", "--from", to, "--to", "containers-storage:localhost/os:sealed", ...PLATFORM);
    expect(again.code).toBe(2);
    expect(again.stderr).toMatch(/is the image to be sealed; give the sealed one another tag\n$/);
    expect(place.left()).toEqual([]);
  });
});

describeWith(["skopeo", "root"], "an image that is being copied to a registry", () => {
  it("is gone from this disk when a signal ends the copy", async () => {
    const place = workplace();
    let asked = () => {};
    const begun = new Promise<void>((done) => {
      asked = done;
    });
    const host = await silentRegistry(() => asked());
    const main = resolve("dist/cli/main.js");
    const args = ["image", "--from", "oci:in", "--to", `docker://${host}/os:1`, ...PLATFORM, "--tls-verify=false"];
    const child = spawn(process.execPath, [main, ...args], { cwd: place.cwd, env: place.env, stdio: "ignore" });
    const end = new Promise((done) => child.once("exit", (_, signal) => done(signal)));
    await Promise.race([begun, end]);
    expect(place.left()).not.toEqual([]);
    child.kill("SIGTERM");
    expect(await end).toBe("SIGTERM");
    expect(place.left()).toEqual([]);
  });
});

describe.skipIf(missingBuilders().length > 0 && !peersRequired)("a sealed image with docker's daemon", () => {
  it("has the digest that its UKI names, going in and coming out", { timeout: 120_000 }, async ({ skip }) => {
    const place = workplace();
    const docker = join(place.cwd, "docker");
    const builder = await dockerBuilder(docker, "overlay2");
    if (typeof builder === "string") {
      console.log(`skipped: docker: ${builder}`);
      return skip();
    }
    try {
      const at = { cwd: place.cwd, env: { ...place.env, DOCKER_HOST: `unix://${join(docker, "sock")}` } };
      place.skopeo(
        "copy",
        "--quiet",
        `oci:${join(place.cwd, "in")}`,
        `docker-archive:${join(place.cwd, "in.tar")}:os:in`,
      );
      builder.load(join(place.cwd, "in.tar"), "os:in");
      const [from, to] = ["docker-daemon:os:in", "docker-daemon:os:sealed"];
      const { code, stdout, stderr } = await seal(
        ["image", "--from", from, "--to", to, ...SIGNING, ...PLATFORM, "--json"],
        at,
      );
      expect(code, stderr).toBe(0);
      const { image, digests } = imageReportSchema.parse(JSON.parse(stdout));
      expect(image.digest).toBe(image.written);
      builder.save("os:sealed", join(place.cwd, "out.tar"));
      for (const source of [to, "docker-archive:out.tar"]) {
        const computed = await seal(["compute-digest", source, ...PLATFORM], at);
        expect(computed.stdout.trim(), computed.stderr).toBe(digests[0]?.digest);
      }
      const shown = JSON.parse((await seal(["inspect", to, ...PLATFORM, "--json"], at)).stdout);
      expect(shown).toMatchObject({ digest: null, sealed: true, labels: { "containers.bootc": "sealed" } });
    } finally {
      await builder.close();
    }
    expect(place.left()).toEqual([]);
  });

  it("that does not run is one line", async () => {
    const place = workplace();
    const at = { cwd: place.cwd, env: { ...place.env, DOCKER_HOST: `unix://${join(place.cwd, "none")}` } };
    for (const args of [
      ["compute-digest", "docker-daemon:os:1"],
      ["image", "--from", "oci:in", "--to", "docker-daemon:os:1"],
    ]) {
      const { code, stderr } = await seal([...args, ...PLATFORM], at);
      expect(code).toBe(4);
      expect(stderr).toMatch(
        /^seal: docker-daemon:os:1: skopeo can't copy .*: docker's daemon does not answer: .*DOCKER_HOST/m,
      );
    }
    expect(place.left()).toEqual([]);
  });
});
