/** Images that skopeo gets: out of a registry, out of the store of container tools. */
import { spawn } from "node:child_process";
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { describe, expect, it, onTestFinished } from "vitest";
import { openRootfs } from "../../../src/io/rootfs.ts";
import { parseRootfsSource } from "../../../src/io/rootfs-source.ts";
import { seal } from "../../support/cli.ts";
import { containerTools, removeStore } from "../../support/containers.ts";
import { writeImageBlobs, writeIndex, writeJsonBlob, writeLayout } from "../../support/layout.ts";
import { describeWith } from "../../support/peers.ts";
import { serveLayout } from "../../support/registry.ts";
import { tarArchive, tarDirectory, tarFile } from "../../support/tar.ts";
import { tempDir } from "../../support/temp.ts";

const DIRECTORIES = ["./", "usr/", "sysroot/", "boot/", "etc/"].map((name) => tarDirectory(name));
const layer = (text: string) => tarArchive(...DIRECTORIES, tarFile("usr/file", Buffer.from(text.repeat(100))));
const INDEX_TYPE = "application/vnd.oci.image.index.v1+json";

/** A layout with the tags `one` and, with an image for each of two platforms, `multi`. */
function layout(): string {
  const directory = join(tempDir(), "layout");
  const image = (architecture: string) => ({
    ...writeImageBlobs(directory, [layer("lower"), layer(architecture)], { architecture }),
    platform: { os: "linux", architecture },
  });
  const manifests = ["amd64", "arm64"].map(image);
  const tag = (name: string) => ({ "org.opencontainers.image.ref.name": name });
  const index = writeJsonBlob(directory, { schemaVersion: 2, mediaType: INDEX_TYPE, manifests }, INDEX_TYPE);
  writeIndex(directory, [
    { ...index, annotations: tag("multi") },
    { ...manifests[0], annotations: tag("one") },
  ]);
  return directory;
}

function storeDir(): string {
  const directory = join(tempDir(), "tools");
  mkdirSync(directory);
  onTestFinished(() => removeStore(directory));
  return directory;
}

const temporaries = (directory: string) => readdirSync(directory).filter((name) => name.startsWith("seal-"));

it("takes references as skopeo spells them", () => {
  expect(parseRootfsSource("docker://a.b:5000/c:d")).toEqual({ kind: "docker", subject: "docker://a.b:5000/c:d" });
  const stored = "containers-storage:[vfs@/store+/run]localhost/image:1";
  expect(parseRootfsSource(stored)).toEqual({ kind: "containers-storage", subject: stored });
  for (const text of ["docker:", "docker://", "docker:image", "containers-storage:"]) {
    expect(() => parseRootfsSource(text)).toThrow(
      /is not a root filesystem; give .* docker:\/\/REF, containers-storage:/,
    );
  }
});

it("says what to do where skopeo is missing", async () => {
  for (const verb of [["compute-digest"], ["lint"], ["rootfs", "--output", "/nowhere"]]) {
    const { code, stdout, stderr } = await seal([...verb, "docker://localhost/image"], { env: { PATH: tempDir() } });
    expect({ code, stdout }).toEqual({ code: 4, stdout: "" });
    expect(stderr).toMatch(/^seal: docker:\/\/localhost\/image: needs skopeo.*Install the package skopeo .*\n$/);
  }
  const options = { algorithm: null, xattrs: [], cwd: "/" } as const;
  await expect(openRootfs(parseRootfsSource("docker://localhost/image"), options)).rejects.toMatchObject({
    code: "usage",
  });
});

describe("what skopeo is told", () => {
  /** Runs seal with a skopeo that says something, fails and keeps what it was called with. */
  async function called(args: readonly string[], env: Record<string, string> = {}, says = "no") {
    const cwd = tempDir();
    writeFileSync(
      join(cwd, "skopeo"),
      `#!/bin/sh\nprintf '%s\\n' "$@" >'${cwd}/args'\ncat >&2 <<'X'\n${says}\nX\nexit 1\n`,
    );
    chmodSync(join(cwd, "skopeo"), 0o755);
    writeFileSync(join(cwd, "auth.json"), "{}");
    const result = await seal(args, { cwd, env: { PATH: `${cwd}:${process.env["PATH"] ?? ""}`, TMPDIR: cwd, ...env } });
    const file = join(cwd, "args");
    return { ...result, cwd, args: existsSync(file) ? readFileSync(file, "utf8").trimEnd().split("\n") : null };
  }
  const COPY = ["copy", "--quiet", "--dest-oci-accept-uncompressed-layers", "--remove-signatures"];

  it("is how to speak to registries, as podman spells it", async () => {
    for (const [given, told] of [
      [["--tls-verify=false"], ["--src-tls-verify=false"]],
      [["--no-tls-verify"], ["--src-tls-verify=false"]],
      [["--tls-verify=false", "--tls-verify"], ["--src-tls-verify=true"]],
      [["--tls-verify=true"], ["--src-tls-verify=true"]],
      [[], []],
    ] as const) {
      const { args, code } = await called(["compute-digest", "docker://x/y", ...given]);
      expect(code).toBe(4);
      expect(args?.slice(0, -1)).toEqual([...COPY, ...told, "docker://x/y"]);
    }
    const { args, cwd } = await called(["lint", "docker://x/y", "--authfile", "auth.json"]);
    expect(args?.slice(0, -1)).toEqual([...COPY, "--authfile", join(cwd, "auth.json"), "docker://x/y"]);
    const strange = await called(["compute-digest", "docker://x/y", "--tls-verify=maybe"]);
    expect(strange).toMatchObject({ code: 2, args: null });
  });

  it("is where docker's daemon listens, and nothing of registries for a store", async () => {
    const { args } = await called(["compute-digest", "docker-daemon:x:1"], { DOCKER_HOST: "unix:///run/me" });
    expect(args?.slice(0, -1)).toEqual([...COPY, "--src-daemon-host", "unix:///run/me", "docker-daemon:x:1"]);
    const access = ["--authfile", "none", "--tls-verify=false"];
    const store = await called(["compute-digest", "containers-storage:x", ...access], {
      DOCKER_HOST: "unix:///run/me",
    });
    expect(store.args?.slice(0, -1)).toEqual([...COPY, "containers-storage:x"]);
  });

  it("is never a password, and no file that is not there", async () => {
    for (const option of ["--creds", "--src-creds", "--dest-creds"]) {
      const { code, stderr, args } = await called(["compute-digest", "docker://x/y", option, "me:s3cret"]);
      expect({ code, args }).toEqual({ code: 2, args: null });
      expect(stderr).toMatch(/^seal: --\S*creds: a password on the command line .* give --authfile FILE\n$/);
      expect(stderr).not.toContain("s3cret");
    }
    const variable = await called(["compute-digest", "docker://x/y"], { REGISTRY_AUTH_FILE: "none" });
    expect(variable).toMatchObject({ code: 3, args: null });
    expect(variable.stderr).toMatch(/^seal: REGISTRY_AUTH_FILE none: can't be read: no such file.*skopeo login/);
    const directory = await called(["compute-digest", "docker://x/y", "--authfile", "."]);
    expect(directory.stderr).toMatch(/^seal: --authfile \.: is not a file; skopeo login/);
  });

  it.each([
    [
      'time="x" level=warning msg="odd"\ntime="x" level=fatal msg="reading \\"a\\": denied: no"',
      /reading "a": denied: no\. You are not logged in there/,
    ],
    [
      "FATA[0000] x509: certificate signed by unknown authority",
      /authority\. If that is intended, give --tls-verify=false\n$/,
    ],
    ["\x1b[31mmanifest unknown", /copy it: \[31mmanifest unknown\n$/],
  ])("and what it says becomes one line: %j", async (says, message) => {
    const { stderr } = await called(["compute-digest", "docker://x/y"], {}, says);
    expect(stderr).toMatch(message);
    expect(stderr).toMatch(/^seal: docker:\/\/x\/y: skopeo can't copy it: [^\n]*\n$/);
    expect(stderr).not.toMatch(/level=|odd/);
  });
});

describeWith(["skopeo", "root"], "an image in a registry", () => {
  it("has the digest of its layout, and leaves nothing behind", async () => {
    const directory = storeDir();
    const path = layout();
    const { host, requests } = await serveLayout(path);
    const { env } = containerTools(directory, host);
    const { stdout: expected } = await seal(["compute-digest", `oci:${path}:one`]);
    expect(expected).toMatch(/^[0-9a-f]{128}\n$/);
    // Two readings, for releases that read layers in two ways, are of one copy.
    const args = ["compute-digest", `docker://${host}/image:one`, "--bootc", "latest", "--bootc", "1.15", "--verbose"];
    const { stdout, stderr } = await seal(args, { env });
    expect(stdout, stderr).toContain(expected);
    expect(stderr).toMatch(/^copying docker:\/\/127\.0\.0\.1:\d+\/image:one {2}\S+ k?B · /);
    expect(requests.filter((url) => url.includes("/manifests/"))).toHaveLength(1);
    expect(requests.filter((url) => url.includes("/blobs/"))).toHaveLength(3);
    expect(temporaries(directory)).toEqual([]);
  });

  it("is the one of several that is asked for, and no other is copied", async () => {
    const directory = storeDir();
    const path = layout();
    const { host, requests } = await serveLayout(path);
    const { env } = containerTools(directory, host);
    for (const platform of ["linux/arm64", "linux/amd64"]) {
      const { stdout: expected } = await seal(["compute-digest", `oci:${path}:multi`, "--platform", platform]);
      const before = requests.length;
      const remote = `docker://${host}/image:multi`;
      const { stdout, stderr } = await seal(["compute-digest", remote, "--platform", platform], { env });
      expect(stdout, stderr).toBe(expected);
      expect(requests.slice(before).filter((url) => url.includes("/blobs/"))).toHaveLength(3);
    }
    const wrong = await seal(["compute-digest", `docker://${host}/image:one`, "--platform", "linux/arm64"], { env });
    expect(wrong).toMatchObject({ code: 3, stdout: "" });
    expect(wrong.stderr).toMatch(/image:one: is an image for linux\/amd64, not linux\/arm64\n$/);
  });

  it("that is not there is one line of skopeo's", async () => {
    const directory = storeDir();
    const { host } = await serveLayout(layout());
    const { env } = containerTools(directory, host);
    const { code, stderr } = await seal(["compute-digest", `docker://${host}/image:none`], { env });
    expect(code).toBe(4);
    expect(stderr).toMatch(
      /^seal: docker:\/\/\S+\/image:none: skopeo can't copy it: .*reading manifest none in \S+\/image: .*\n$/,
    );
    expect(temporaries(directory)).toEqual([]);
  });

  it("is gone from this disk when a signal ends the copy", async () => {
    const directory = storeDir();
    let asked = () => {};
    const blob = new Promise<void>((done) => {
      asked = done;
    });
    const { host } = await serveLayout(layout(), () => {
      asked();
      return new Promise(() => {});
    });
    const { env } = containerTools(directory, host);
    const main = resolve("dist/cli/main.js");
    const child = spawn(process.execPath, [main, "compute-digest", `docker://${host}/image:one`], {
      env,
      stdio: "ignore",
    });
    const end = new Promise((done) => child.once("exit", (_, signal) => done(signal)));
    await Promise.race([blob, end]);
    expect(temporaries(directory)).toHaveLength(1);
    child.kill("SIGTERM");
    expect(await end).toBe("SIGTERM");
    expect(temporaries(directory)).toEqual([]);
  });
});

describeWith(["skopeo", "root"], "an image in the store of container tools", () => {
  it("has the digest of its layout", async () => {
    const directory = storeDir();
    const { env, store, skopeo } = containerTools(directory);
    const path = join(tempDir(), "layout");
    writeLayout(path, [layer("lower"), layer("upper")], { tag: "1" });
    skopeo("copy", "--quiet", `oci:${path}:1`, "containers-storage:localhost/image:1");
    const { stdout: expected } = await seal(["compute-digest", `oci:${path}`]);
    const { CONTAINERS_STORAGE_CONF: _, ...unconfigured } = env;
    for (const [reference, variables] of [
      ["containers-storage:localhost/image:1", env],
      [`containers-storage:${store}localhost/image:1`, unconfigured],
    ] as const) {
      const { stdout, stderr } = await seal(["compute-digest", reference], { env: variables });
      expect(stdout, stderr).toBe(expected);
    }
    const missing = await seal(["compute-digest", "containers-storage:localhost/none"], { env });
    expect(missing.code).toBe(4);
    expect(missing.stderr).toMatch(/localhost\/none: skopeo can't copy it: .*does not resolve to an image ID\n$/);
    expect(temporaries(directory)).toEqual([]);
  });
});
