/**
 * What buildah shows in a mount and what it commits, as docs/two-views.md has it: the default digest of the one
 * is that of the other.
 */
import { mkdirSync, mkdtempSync, readFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it, vi } from "vitest";
import { seal } from "../support/cli.ts";
import { type ContainerTools, containerTools, removeStore } from "../support/containers.ts";
import { writeLayout } from "../support/layout.ts";
import { describeWith, peerTree } from "../support/peers.ts";
import { tarArchive, tarDirectory, tarFile, tarPax } from "../support/tar.ts";

vi.setConfig({ testTimeout: 120_000, hookTimeout: 120_000 });

const MTIME = 1_700_000_000;

/** A base image with busybox, whose layer has times with or without nanoseconds. */
function baseLayer(nanoseconds: string): Buffer {
  const time = () => (nanoseconds === "" ? [] : [tarPax({ mtime: `${MTIME}.${nanoseconds}` })]);
  const busybox = readFileSync(join(peerTree("trixie"), "usr/bin/busybox"));
  return tarArchive(
    ...["bin", "usr", "usr/bin", "usr/lib", "etc", "boot", "sysroot", "run", "tmp", "dev", "proc", "sys"].flatMap(
      (name) => [...time(), tarDirectory(name, { mtime: MTIME })],
    ),
    ...["bin/busybox", "bin/sh"].flatMap((name) => [...time(), tarFile(name, busybox, { mode: 0o755, mtime: MTIME })]),
    ...time(),
    tarFile("usr/lib/lower", Buffer.from("lower"), { mtime: MTIME }),
  );
}

describeWith(["buildah", "skopeo", "trees", "root"], "a mount and its layers", () => {
  let work = "";
  let tools: ContainerTools;
  // The directory of a container is seen from outside of the tools' mounts with this driver only.
  let store: readonly string[];

  beforeAll(() => {
    work = mkdtempSync(join(tmpdir(), "seal-two-views-"));
    tools = containerTools(work);
    store = ["--storage-driver", "vfs", "--root", join(work, "views"), "--runroot", join(work, "views-run")];
    for (const [name, nanoseconds] of [
      ["seconds", ""],
      ["nanoseconds", "123456789"],
    ] as const) {
      writeLayout(join(work, name), [baseLayer(nanoseconds)]);
      tools.skopeo("copy", "--quiet", `oci:${join(work, name)}:latest`, reference(`localhost/${name}`));
    }
  });
  afterAll(() => removeStore(work));

  const buildah = (...args: readonly string[]) => tools.buildah(...store, ...args).trim();
  const reference = (name: string) =>
    `containers-storage:[vfs@${join(work, "views")}+${join(work, "views-run")}]${name}`;

  /** Runs a step, and gives what a mount shows of it and what is committed. */
  function views(base: string, script: string, ...commit: readonly string[]): [mount: string, layers: string] {
    const container = buildah("from", `localhost/${base}`);
    buildah("run", container, "--", "/bin/busybox", "sh", "-c", script);
    const mount = `dir:${buildah("mount", container)}`;
    buildah("commit", "--quiet", ...commit, container, "localhost/out");
    const layout = join(mkdtempSync(join(work, "out-")), "layout");
    mkdirSync(layout);
    tools.skopeo("copy", "--quiet", reference("localhost/out"), `oci:${layout}:latest`);
    return [mount, `oci:${layout}:latest`];
  }
  const STEP =
    "b=/bin/busybox; $b mkdir -p /usr/lib/new/sub; echo x > /usr/lib/new/sub/file; $b chmod 4755 /usr/lib/new/sub/file; $b ln -s file /usr/lib/new/sub/link; $b mkfifo /etc/fifo; $b touch -d '2020-01-02 03:04:05' /etc/old";
  const digest = async (spec: string, ...args: string[]) => (await seal(["compute-digest", spec, ...args])).stdout;

  it("have one digest by default, and with exact times do not", async () => {
    const [mount, layers] = views("seconds", STEP);
    expect(await digest(mount)).toMatch(/^[0-9a-f]{128}\n$/);
    expect(await digest(mount)).toBe(await digest(layers));
    expect(await digest(mount, "--mtime", "exact")).not.toBe(await digest(layers));
  });

  it("differ where the base carries nanoseconds, and seal diff says so", async () => {
    const [mount, layers] = views("nanoseconds", STEP);
    const { code, stdout } = await seal(["diff", mount, layers]);
    expect(stdout).toMatch(/^usr\/lib\/lower +mtime +2023-11-14 22:13:20 {2}→ {2}2023-11-14 22:13:20\.123456789$/m);
    expect(stdout).toMatch(/only in sub-second mtime: .*these layers carry nanoseconds/);
    expect(code).toBe(1);
    // What this step wrote is in whole seconds in the layers: exact times are wrong too.
    expect(await digest(mount, "--mtime", "exact")).not.toBe(await digest(layers));
  });

  it("differ in hardlinks to files of a lower layer, and in times that a builder rewrites", async () => {
    const linked = await seal(["diff", ...views("seconds", "/bin/busybox ln /usr/lib/lower /usr/lib/third")]);
    expect(linked.stdout).toMatch(/^2 paths have different hardlinks/m);
    const rewritten = await seal(["diff", ...views("seconds", STEP, "--timestamp", "1600000000")]);
    expect(rewritten.stdout).toMatch(/only in mtime: on one side all have 2020-09-13 12:26:40/);
  });
});
