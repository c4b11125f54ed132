/** The GitLab component: by GitLab's schema, and its script run on a real image. */
import { chmodSync, existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { seal } from "../support/cli.ts";
import { Component, runJob } from "../support/gitlab.ts";
import { sha256, writeLayoutOf } from "../support/layout.ts";
import { INITRAMFS, KVER, UNSEALED } from "../support/lint.ts";
import { writeTree } from "../support/lint-tree.ts";
import { describeWith, runPeer } from "../support/peers.ts";
import { tempDir } from "../support/temp.ts";
import { vector } from "../support/vectors.ts";

const project = fileURLToPath(new URL("../..", import.meta.url));
const component = new Component(readFileSync(join(project, "templates/seal/template.yml"), "utf8"));

const EFI = "usr/lib/systemd/boot/efi";
const SYSTEM = {
  ...UNSEALED,
  [`usr/lib/modules/${KVER}/vmlinuz`]: vector("uki/inputs/kernel"),
  [`usr/lib/modules/${KVER}/initramfs.img`]: INITRAMFS,
  [`${EFI}/linuxx64.efi.stub`]: vector("uki/inputs/stub-plain"),
  [`${EFI}/systemd-bootx64.efi`]: vector("uki/inputs/stub-plain"),
};

describeWith(["check-jsonschema"], "the GitLab component by its schema", () => {
  it("is accepted, header and configuration, and refused with a mistake in each", () => {
    const file = join(tempDir(), "gitlab-ci.json");
    const judge = (value: unknown) => {
      writeFileSync(file, JSON.stringify(value));
      const { status, stdout } = runPeer("check-jsonschema", ["--builtin-schema", "vendor.gitlab-ci", file]);
      return { status, output: stdout.toString() };
    };
    const spoil = (value: unknown, from: string, to: string) => JSON.parse(JSON.stringify(value).replaceAll(from, to));
    const configuration = component.configure();
    for (const sound of [component.header, configuration]) expect(judge(sound)).toMatchObject({ status: 0 });
    expect(judge(spoil(component.header, '"default":"test"', '"type":"text"')).status).toBe(1);
    expect(judge(spoil(configuration, '"expire_in"', '"expires_in"')).status).toBe(1);
  });
});

describe("the GitLab component", () => {
  it("passes on what passed, with the file of a release that has the checksum given", async () => {
    const cwd = tempDir();
    const build = join(cwd, "build");
    mkdirSync(build);
    await seal(["keys", "generate", "--output", "keys"], { cwd });
    await writeLayoutOf(writeTree(join(cwd, "root"), SYSTEM), join(build, "in"));
    const spoilt = { ...SYSTEM, "var/lib/app/state": "lost on a machine that has a /var already" };
    await writeLayoutOf(writeTree(join(cwd, "spoilt"), spoilt), join(build, "spoilt"));
    const program = `#!/bin/sh\nexec '${process.execPath}' '${join(project, "dist/cli/main.js")}' "$@"\n`;
    writeFileSync(join(build, "seal-linux-x64"), program);
    const env = {
      PATH: process.env["PATH"] ?? "",
      DB_KEY: join(cwd, "keys/db.key"),
      DB_CERT: join(cwd, "keys/db.crt"),
    };
    const release = { release: "seal-linux-x64", sha256: sha256(Buffer.from(program)) };
    const run = (inputs: Readonly<Record<string, string>>) => runJob(component.job("seal-os", inputs), build, env);
    const skip = "--fatal-warnings\n--skip\nimage-waste";

    const options = "--karg\nquiet; touch $(touch spoilt-by-shell) *\n";
    const sealed = run({ ...release, from: "oci:in", "lint-options": skip, options });
    expect(sealed.status, sealed.log).toBe(0);
    expect(existsSync(join(build, "spoilt-by-shell"))).toBe(false);
    expect(readFileSync(join(build, "seal.json"), "utf8")).toContain("touch $(touch spoilt-by-shell) *");
    for (const file of component.job("seal-os", {}).artifacts.paths) expect(existsSync(join(build, file))).toBe(true);
    expect(readFileSync(join(build, "seal-lint.xml"), "utf8")).toContain("<testsuite");
    const gate = ["lint", "--sealed", "--cert", "keys/db.crt", "oci-archive:build/sealed.ociarchive"];
    expect((await seal(gate, { cwd })).code).toBe(0);

    const refused = run({ ...release, from: "oci:spoilt", output: "spoilt.ociarchive", "lint-options": skip });
    expect(refused.status).toBe(1);
    expect(existsSync(join(build, "spoilt.ociarchive"))).toBe(false);
    expect(readFileSync(join(build, "seal-lint.xml"), "utf8")).toContain("var/lib/app/state");

    for (const sum of ["", "0".repeat(64)]) {
      expect(run({ ...release, sha256: sum, from: "oci:in", output: "other.ociarchive" }).status).toBe(1);
      expect(existsSync(join(build, "other.ociarchive"))).toBe(false);
    }
    // One that the image of the job has.
    mkdirSync(join(cwd, "bin"));
    writeFileSync(join(cwd, "bin/seal"), program);
    chmodSync(join(cwd, "bin/seal"), 0o755);
    const job = component.job("seal-os", { from: "oci:in", output: "image.ociarchive", "lint-options": skip });
    const image = runJob(job, build, { ...env, PATH: `${join(cwd, "bin")}:${env.PATH}` });
    expect(image.status, image.log).toBe(0);
  });
});
