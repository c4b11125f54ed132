/**
 * The Tasks of the Tekton example, step by step, with the real builder, seal and registry; and how the
 * pipeline puts them together.
 */
import { copyFileSync, existsSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, it, vi } from "vitest";
import { writeProgram } from "../support/builder-lab.ts";
import { seal } from "../support/cli.ts";
import { ownLimits } from "../support/containers.ts";
import { startRegistry } from "../support/docker-registry.ts";
import { sha256, writeLayoutOf } from "../support/layout.ts";
import { INITRAMFS, KVER, UNSEALED } from "../support/lint.ts";
import { writeTree } from "../support/lint-tree.ts";
import { describeWith, peerTree, runPeer } from "../support/peers.ts";
import { Pipeline, readTask, runTask } from "../support/tekton.ts";
import { tempDir } from "../support/temp.ts";
import type { MemoryFiles } from "../support/tree.ts";
import { vector } from "../support/vectors.ts";

vi.setConfig({ testTimeout: 300_000 });

const example = (name: string) => fileURLToPath(new URL(`../../examples/ci/tekton/${name}`, import.meta.url));
const sealImage = readTask(example("seal.yaml"), "seal-image");
const sealOnly = readTask(example("seal-only.yaml"), "seal");
const releaseImages = readTask(example("fleet.yaml"), "release-images");

/** A system that lint finds nothing in once it is sealed. */
const SYSTEM: MemoryFiles = {
  ...UNSEALED,
  [`usr/lib/modules/${KVER}/vmlinuz`]: vector("uki/inputs/kernel"),
  [`usr/lib/modules/${KVER}/initramfs.img`]: INITRAMFS,
};

describeWith(["buildah", "skopeo", "docker-registry", "trees", "root"], "the Tekton example", () => {
  it("seals each image of a fleet, releases what passed, and pushes nothing that did not", async () => {
    const cwd = tempDir();
    const at = (name: string) => join(cwd, name);
    const { host, authfile } = await startRegistry(at("registry"), { login: true });
    // What a cluster's administrator sets up for pods.
    mkdirSync(at("node/etc/containers"), { recursive: true });
    const limits = `[containers]\ndefault_ulimits = ${JSON.stringify(ownLimits())}\n`;
    writeFileSync(at("node/etc/containers/containers.conf"), limits);
    const insecure = `[[registry]]\nlocation = "${host}"\ninsecure = true\n`;
    writeFileSync(at("node/etc/containers/registries.conf"), insecure);
    writeProgram(at("tools"));
    mkdirSync(at("login"));
    copyFileSync(authfile, at("login/config.json"));
    for (const [name, more] of [
      ["kiosk", { "usr/share/name": "kiosk" }],
      ["gateway", { "usr/share/name": "gateway" }],
      ["spoilt", { "var/lib/app/state": "lost on a machine that has a /var already" }],
    ] as const) {
      writeTree(at(`source/${name}/root`), { ...SYSTEM, ...more });
      writeFileSync(at(`source/${name}/Containerfile`), "FROM scratch\nCOPY root /\n");
    }
    await seal(["keys", "generate", "--output", "keys"], { cwd });
    const treeOf = (image: string) => [
      at("node"),
      ...(image === "registry.example.com/seal:0.2" ? [at("tools")] : []),
      peerTree("trixie"),
    ];
    const workspaces = { source: at("source"), keys: at("keys"), registry: at("login") };
    const fleet = new Pipeline(example("fleet.yaml"));
    const names = ["kiosk", "gateway", "spoilt"];
    const runs = fleet.runsOf("seal", {
      "params.images[*]": names,
      "params.registry": `${host}/fleet`,
      "params.revision": "r1",
    });
    expect(runs.map(({ task, params }) => [task, params["name"]])).toEqual(names.map((name) => ["seal-image", name]));
    expect(runs[0]?.workspaces.toSorted()).toEqual(Object.keys(workspaces).sort());
    const run = (name: string) =>
      runTask(sealImage, { params: runs[names.indexOf(name)]?.params ?? {}, workspaces, treeOf });
    const pull = (reference: string, layout: string) =>
      runPeer("skopeo", ["inspect", "--raw", "--tls-verify=false", "--authfile", authfile, reference], { cwd: layout });

    const references: string[] = [];
    for (const name of ["kiosk", "gateway"]) {
      const { results, failed, log } = run(name);
      expect(failed, log).toBeNull();
      const digest = results.get("IMAGE_DIGEST") ?? "";
      expect(digest).toMatch(/^sha256:[0-9a-f]{64}$/);
      expect(results.get("IMAGE_URL")).toBe(`${host}/fleet/${name}:r1`);
      expect(results.get("IMAGE_REF")).toBe(`${host}/fleet/${name}@${digest}`);
      expect(pull(`docker://${host}/fleet/${name}:latest`, cwd).status).not.toBe(0);
      references.push(results.get("IMAGE_REF") ?? "");
    }
    const spoilt = run("spoilt");
    expect(spoilt.failed, spoilt.log).toBe("check");
    expect(spoilt.log).toContain("var/lib/app/state");
    expect([...spoilt.results]).toEqual([]);
    expect(pull(`docker://${host}/fleet/spoilt:r1`, cwd).status).not.toBe(0);

    const [release, ...none] = fleet.runsOf("release", {
      "params.channel": "latest",
      "tasks.seal.results.IMAGE_REF[*]": references,
    });
    expect(none).toEqual([]);
    expect(release?.task).toBe("release-images");
    const released = runTask(releaseImages, { params: release?.params ?? {}, workspaces, treeOf });
    expect(released.failed, released.log).toBeNull();
    for (const name of ["kiosk", "gateway"]) {
      const layout = at(`pulled-${name}`);
      const args = ["--quiet", "--src-tls-verify=false", "--authfile", authfile];
      const copied = runPeer("skopeo", ["copy", ...args, `docker://${host}/fleet/${name}:latest`, `oci:${layout}`]);
      expect(copied.status, copied.stderr).toBe(0);
      expect((await seal(["lint", `oci:${layout}`, "--sealed", "--cert", "keys/db.crt"], { cwd })).code).toBe(0);
    }
  });
});

describeWith(["skopeo", "trees", "root"], "the Tekton task for what is built", () => {
  it("seals with the file of a release that has the checksum given, and leaves what passed", async () => {
    const cwd = tempDir();
    const at = (name: string) => join(cwd, name);
    writeProgram(at("tools"));
    await seal(["keys", "generate", "--output", "keys"], { cwd });
    mkdirSync(at("work"));
    const program = '#!/bin/sh\nexec /usr/lib/seal/seal "$@"\n';
    writeFileSync(at("work/seal-linux-x64"), program);
    await writeLayoutOf(writeTree(at("root"), SYSTEM), at("work/built"));
    const workspaces = { work: at("work"), keys: at("keys") };
    const treeOf = () => [at("tools"), peerTree("trixie")];
    const params = { from: "oci:built", release: "seal-linux-x64", sha256: sha256(Buffer.from(program)) };

    const other = runTask(sealOnly, { params: { ...params, sha256: "0".repeat(64) }, workspaces, treeOf });
    expect(other.failed, other.log).toBe("program");
    const { results, failed, log } = runTask(sealOnly, { params, workspaces, treeOf });
    expect(failed, log).toBeNull();
    const { stdout } = runPeer("skopeo", [
      ...["inspect", "--no-tags", "--format", "{{.Digest}}", `oci-archive:${at("work/sealed.ociarchive")}`],
    ]);
    expect(results.get("IMAGE_DIGEST")).toBe(stdout.toString().trim());
    const gate = ["lint", "--sealed", "--cert", "keys/db.crt", "oci-archive:work/sealed.ociarchive"];
    expect((await seal(gate, { cwd })).code).toBe(0);

    const spoilt = { ...SYSTEM, "var/lib/app/state": "lost on a machine that has a /var already" };
    await writeLayoutOf(writeTree(at("spoilt"), spoilt), at("work/spoilt"));
    const refused = runTask(sealOnly, {
      params: { ...params, from: "oci:spoilt", output: "spoilt.ociarchive" },
      workspaces,
      treeOf,
    });
    expect(refused.failed, refused.log).toBe("check");
    expect([...refused.results]).toEqual([]);
    expect(existsSync(at("work/spoilt.ociarchive"))).toBe(false);
  });
});
