/**
 * Real builds of Containerfiles: the tools image and what is sealed with it, against what a system that
 * pulls the image computes.
 */
import { spawnSync } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, it, vi } from "vitest";
import { findComposefsDigests } from "../../src/boot/cmdline.ts";
import { seal } from "../support/cli.ts";
import { type ContainerTools, containerTools, removeStore } from "../support/containers.ts";
import { machineInitramfs, machineKernel } from "../support/machine-image.ts";
import { LOWER, UPPER } from "../support/odd-layers.ts";
import { describeWith, machineRootfs, peerTree, runPeer } from "../support/peers.ts";
import { pullDigest } from "../support/pull.ts";
import { tarArchive, tarFile, tarPax } from "../support/tar.ts";

/** A machine that does other work too takes its time for whole trees. */
const TIMEOUT = 600_000;
const project = fileURLToPath(new URL("../..", import.meta.url));

vi.setConfig({ testTimeout: TIMEOUT });

/** How the examples get one layer of the tree that is sealed. */
const FLAT = "FROM scratch AS split\nCOPY --from=bare / /";

describeWith(
  ["buildah", "skopeo", "cfsctl", "sbverify", "osslsigncode", "machine", "trees", "root"],
  "Containerfiles",
  () => {
    let work = "";
    let tools: ContainerTools;
    const at = (...names: string[]) => join(work, ...names);

    beforeAll(async () => {
      work = mkdtempSync(join(tmpdir(), "seal-containers-"));
      tools = containerTools(work);
      makeBase(at("base"));
      tools.buildah("build", "--quiet", "--tag", "localhost/debian-bootc", at("base"));
      mkdirSync(at("tools"));
      cpSync(join(project, "Containerfile.tools"), at("tools/Containerfile.tools"));
      const bundled = spawnSync(process.execPath, [join(project, "scripts/bundle.ts"), at("tools/bundle")]);
      expect(bundled.stderr.toString()).toBe("");
      const file = ["--file", "Containerfile.tools", "--build-arg", "BASE=localhost/debian-bootc"];
      tools.buildah("build", "--quiet", ...file, "--tag", "localhost/seal", at("tools"));
      expect((await seal(["keys", "generate", "--output", "keys"], { cwd: work })).code).toBe(0);
    }, TIMEOUT);
    afterAll(() => removeStore(work));

    const given = () => [
      "--build-arg",
      `SEALING=${process.hrtime.bigint()}`,
      "--secret",
      `id=key,src=${at("keys/db.key")}`,
      "--secret",
      `id=cert,src=${at("keys/db.crt")}`,
    ];

    /** Builds an image and copies it out of the store. @returns its layout */
    function build(directory: string, ...args: readonly string[]): string {
      tools.buildah("build", "--quiet", ...args, ...given(), "--tag", "localhost/built", directory);
      const layout = mkdtempSync(at("layout-"));
      const plain = "--dest-oci-accept-uncompressed-layers";
      tools.skopeo("copy", "--quiet", plain, "containers-storage:localhost/built", `oci:${layout}:latest`);
      return layout;
    }

    /** What the uppermost layer with boot files puts into /boot, unpacked. */
    function bootFiles(layout: string): { boot: string; uki: string } {
      const boot = mkdtempSync(at("boot-"));
      const blobs = readManifest(layout).layers.map(({ digest }) => join(layout, "blobs", digest.replace(":", "/")));
      const blob = blobs.findLast((one) => spawnSync("tar", ["-tf", one]).stdout.includes("boot/EFI/Linux/")) ?? "";
      expect(spawnSync("tar", ["-C", boot, "-xf", blob]).status).toBe(0);
      const [uki, second] = readdirSync(join(boot, "boot/EFI/Linux"));
      expect(second).toBeUndefined();
      return { boot: join(boot, "boot"), uki: join(boot, "boot/EFI/Linux", uki ?? "") };
    }

    /** The paths in all layers. */
    function filesOf(layout: string): string[] {
      const blobs = readManifest(layout).layers.map(({ digest }) => join(layout, "blobs", digest.replace(":", "/")));
      return blobs.flatMap((blob) =>
        spawnSync("tar", ["-tf", blob], { maxBuffer: 1 << 26 })
          .stdout.toString()
          .split("\n"),
      );
    }

    /**
     * What is booted is what a pulled image has, and who signed it.
     * @param errors rules of lint that fail: where nothing signed the boot loader in /usr before, that one does
     */
    async function expectSealed(layout: string, errors: readonly string[] = []): Promise<void> {
      const { boot, uki } = bootFiles(layout);
      const cmdline = (await seal(["inspect", uki, "--section", ".cmdline"])).stdout.replace(/\0*$/, "");
      const digest = pullDigest(layout);
      expect(digest).toMatch(/^[0-9a-f]{128}$/);
      // For an initramfs that tries all words the digest comes in its long form, and that of older releases behind it.
      expect(findComposefsDigests(cmdline).digests[0]?.digest).toBe(digest);
      for (const program of [uki, join(boot, "EFI/BOOT/BOOTX64.EFI"), join(boot, "EFI/systemd/systemd-bootx64.efi")]) {
        const { stdout } = runPeer("sbverify", ["--cert", at("keys/db.crt"), program]);
        expect(stdout.toString()).toContain("Signature verification OK");
      }
      const lint = await seal(["lint", `oci:${layout}`, "--cert", at("keys/db.crt"), "--json"]);
      const findings: { id: string; severity: string }[] = JSON.parse(lint.stdout).findings;
      const failed = findings.filter(({ severity }) => severity === "error").map(({ id }) => id);
      expect(failed, lint.stdout).toEqual(errors);
      expect(lint.code).toBe(errors.length === 0 ? 0 : 1);
    }

    it("tools: it runs for anybody, with the boot files of both architectures", () => {
      const container = tools.buildah("from", "localhost/seal").trim();
      const run = (...args: string[]) => tools.buildah("run", "--user", "1000:1000", container, "--", ...args);
      const { version } = JSON.parse(readFileSync(join(project, "package.json"), "utf8")) as { version: string };
      expect(run("seal", "--version")).toBe(`${version}\n`);
      expect(run("seal", "compute-digest", "/usr/lib/seal/dist", "--transform", "none")).toMatch(/^[0-9a-f]{128}\n$/);
      run("sh", "-c", "cd /tmp && seal keys generate --output keys");
      for (const arch of ["x64", "aa64"]) {
        const efi = "/usr/lib/systemd/boot/efi";
        const program = `/tmp/${arch}.efi`;
        const keys = ["--key", "/tmp/keys/db.key", "--cert", "/tmp/keys/db.crt"];
        run("seal", "sign", `${efi}/systemd-boot${arch}.efi`, ...keys, "--output", program);
        run("seal", "verify", program, "--cert", "/tmp/keys/db.crt");
        expect(run("seal", "inspect", `${efi}/linux${arch}.efi.stub`)).toContain(".sdmagic");
      }
      const { config } = JSON.parse(tools.buildah("inspect", "--type", "image", "localhost/seal"))["OCIv1"];
      expect(config.Entrypoint).toEqual(["/usr/bin/seal"]);
      tools.buildah("rm", container);
    });

    it("tools: for aarch64 it is assembled, and nothing of it is run", () => {
      mkdirSync(at("other"));
      writeFileSync(at("other/arm64-base"), "");
      writeFileSync(at("other/Containerfile"), "FROM scratch\nCOPY arm64-base /\n");
      const arm64 = ["--platform", "linux/arm64"];
      tools.buildah("build", "--quiet", ...arm64, "--tag", "localhost/debian-arm64", at("other"));
      tools.buildah("manifest", "create", "localhost/debian-both");
      for (const name of ["debian-bootc", "debian-arm64"]) {
        tools.buildah("manifest", "add", "localhost/debian-both", `containers-storage:localhost/${name}`);
      }
      const args = [join(project, "scripts/bundle.ts"), "--arch", "arm64", at("tools/bundle-arm64")];
      expect(spawnSync(process.execPath, args).stderr.toString()).toBe("");
      const file = ["--file", "Containerfile.tools", "--build-arg", "BASE=localhost/debian-both"];
      const bundle = ["--build-arg", "BUNDLE=bundle-arm64"];
      tools.buildah("build", "--quiet", ...file, ...arm64, ...bundle, "--tag", "localhost/seal-arm64", at("tools"));
      const layout = at("seal-arm64");
      tools.skopeo("copy", "--quiet", "containers-storage:localhost/seal-arm64", `oci:${layout}:latest`);
      const { OCIv1: image } = JSON.parse(tools.buildah("inspect", "--type", "image", "localhost/seal-arm64"));
      expect(image).toMatchObject({ architecture: "arm64", config: { Entrypoint: ["/usr/bin/seal"] } });
      const names = entryNames(layout);
      expect(names).toEqual(expect.arrayContaining(["usr/bin/seal", "usr/lib/seal/seal", "arm64-base"]));
      for (const name of ["linuxx64.efi.stub", "systemd-bootaa64.efi"]) {
        expect(names).toContain(`usr/lib/systemd/boot/efi/${name}`);
      }
      // EM_AARCH64, of node and of the native code beside it.
      const native = "node_modules/@koromix/koffi-linux-arm64";
      const found = readdirSync(at("tools/bundle-arm64", native), { recursive: true, encoding: "utf8" });
      const programs = found.filter((path) => path.endsWith(".node")).map((path) => join(native, path));
      expect(programs).not.toEqual([]);
      for (const path of ["node", ...programs]) {
        expect(readFileSync(at("tools/bundle-arm64", path)).readUInt16LE(18), path).toBe(183);
      }
      expect(names.filter((path) => /koffi-linux-x64|\.code$/.test(path))).toEqual([]);
    });

    it("tools: as boot-test it has what boot tests need", () => {
      const file = ["--file", "Containerfile.tools", "--build-arg", "BASE=localhost/debian-bootc"];
      tools.buildah("build", "--quiet", ...file, "--target", "boot-test", "--tag", "localhost/boot-test", at("tools"));
      const container = tools.buildah("from", "localhost/boot-test").trim();
      const report = JSON.parse(tools.buildah("run", container, "--", "seal", "doctor", "--json"));
      const checks: { name: string; for: string; state: string }[] = report.checks;
      const needed = checks.filter((one) => /^(registry|boot-test|boot-test-tpm|uki)$/.test(one.for));
      const missing = needed.filter(({ state }) => state === "missing").map(({ name }) => name);
      expect(needed.length).toBeGreaterThan(5);
      expect(missing).toEqual([]);
      tools.buildah("rm", container);
    });

    for (const layers of ["false", "true"]) {
      it(`examples/debian with --layers=${layers} boots the digest that a pull computes`, async () => {
        cpSync(join(project, "examples/debian"), at(`debian-${layers}`), { recursive: true });
        const layout = build(at(`debian-${layers}`), `--layers=${layers}`);
        await expectSealed(layout);
        expect(readManifest(layout).labels).toMatchObject({ "containers.bootc": "sealed" });
      });
    }

    it("examples/custom-keys and examples/external-signing do, on images of the stages before", async () => {
      cpSync(join(project, "examples/debian"), at("debian"), { recursive: true });
      for (const stage of ["rootfs", "split"]) {
        const args = ["--layers=true", "--target", stage, "--tag", `localhost/${stage}`];
        tools.buildah("build", "--quiet", ...args, ...given(), at("debian"));
      }
      cpSync(join(project, "examples/custom-keys"), at("custom-keys"), { recursive: true });
      for (const name of ["PK", "KEK", "db"]) cpSync(at(`keys/${name}.auth`), at(`custom-keys/${name}.auth`));
      const enrolling = build(at("custom-keys"));
      await expectSealed(enrolling);
      const lint = JSON.parse((await seal(["lint", `oci:${enrolling}`, "--cert", at("keys/db.crt"), "--json"])).stdout);
      expect(lint.passed).toEqual(expect.arrayContaining(["bootloader-installed", "enroll-keys"]));
      expect(
        filesOf(enrolling)
          .filter((path) => /secureboot-keys\/.*\.auth$|^run\/(?:seal|keys|secrets\/.)/.test(path))
          .sort(),
      ).toEqual(["KEK", "PK", "db"].map((name) => `usr/lib/bootc/install/secureboot-keys/auto/${name}.auth`));

      cpSync(join(project, "examples/external-signing"), at("external"), { recursive: true });
      const output = ["--target", "unsigned", "--output", `type=local,dest=${at("unsigned")}`];
      tools.buildah("build", "--quiet", ...output, ...given(), at("external"));
      mkdirSync(at("external/signed"));
      cpSync(at("keys/db.crt"), at("external/signed/db.crt"));
      const [unsigned, signed] = [at("unsigned/uki.efi"), at("external/signed/uki.efi")];
      cpSync(unsigned, signed);
      expect(() => build(at("external"))).toThrow(/uki\.efi: .*(unsigned|not signed|no signature)/);
      const key = ["-key", at("keys/db.key"), "-certs", at("keys/db.crt")];
      rmSync(signed);
      expect(runPeer("osslsigncode", ["sign", "-h", "sha256", ...key, "-in", unsigned, "-out", signed])).toMatchObject({
        status: 0,
      });
      await expectSealed(build(at("external")));
    });

    it("a fresh image, FROM oci-archive: in the Containerfile that makes it, is what its mount shows and what a pull computes", async () => {
      const [directory, out] = [at("fresh"), at("fresh-out")];
      for (const path of [directory, out]) mkdirSync(path);
      const options = "--compression none --layer-size 8M --key /run/secrets/key --cert /run/secrets/cert";
      writeFileSync(
        join(directory, "Containerfile"),
        `FROM localhost/debian-bootc AS lower\n${LOWER}\nFROM lower AS rootfs\n${UPPER}
FROM localhost/seal AS seal
RUN --mount=type=bind,from=rootfs,source=/,target=/target --mount=type=secret,id=key --mount=type=secret,id=cert \\
    seal image --from dir:/target --to oci-archive:/out/out.ociarchive ${options}
FROM oci-archive:${join(out, "out.ociarchive")}
LABEL of=us
`,
      );
      const args = ["--layers=false", "--skip-unused-stages=false", "--volume", `${out}:/out`];
      // On a busy machine buildah may begin the last stage before the one that makes its archive has ended:
      // then it is this one.
      tools.buildah("build", "--quiet", "--target", "seal", ...args, ...given(), directory);
      const layout = build(directory, ...args);
      expect(readManifest(layout).labels).toMatchObject({ "containers.bootc": "sealed", of: "us" });
      const { layers } = readManifest(layout);
      expect(layers.length).toBeGreaterThan(5);
      const lint = await seal(["lint", `oci:${layout}`, "--cert", at("keys/db.crt"), "--json"]);
      const { passed } = JSON.parse(lint.stdout);
      expect(passed).toEqual(expect.arrayContaining(["uki-digest", "uki-signature", "bootloader-signature"]));
      expect(pullDigest(layout)).toBe((await seal(["compute-digest", `oci:${layout}`])).stdout.trim());

      const container = tools.buildah("from", "localhost/built").trim();
      const shared = at("shared");
      mkdirSync(shared);
      // tar ends with 1 for mount points that change while it looks.
      const tar = "tar -C / --one-file-system --xattrs '--xattrs-include=*' -cf /shared/root.tar . || [ $? -eq 1 ]";
      tools.buildah("run", "--volume", `${shared}:/shared:rw`, container, "--", "sh", "-c", tar);
      tools.buildah("rm", container);
      const diff = await seal([
        "diff",
        `tar:${join(shared, "root.tar")}`,
        `oci:${layout}`,
        "--mtime",
        "seconds",
        "--json",
      ]);
      const { differences } = JSON.parse(diff.stdout);
      const paths: string[] = differences.map(({ path }: { path: string }) => path);
      // What buildah itself puts into a container that runs.
      const own = /^(?:|etc|etc\/(?:hostname|hosts|resolv\.conf)|dev(?:\/.*)?|proc|sys|run|shared)$/;
      expect(paths.filter((path) => !own.test(path))).toEqual([]);
    });

    it("seal image does without a Containerfile, on an image in the store", async () => {
      const keys = ["--key", "keys/db.key", "--cert", "keys/db.crt"];
      const args = [
        "image",
        "--from",
        "containers-storage:localhost/debian-bootc",
        "--to",
        "oci:whole:latest",
        ...keys,
      ];
      const { code, stderr } = await seal(args, { cwd: work, env: tools.env });
      expect(code, stderr).toBe(0);
      await expectSealed(at("whole"));
      expect(readManifest(at("whole")).labels).toMatchObject({ "containers.bootc": "sealed" });
    });

    it.each([
      ["one layer", FLAT, []],
      ["layers on top of the base", "FROM bare AS split", [".wh.gone", "emptied/.wh.x"]],
    ])(
      "a root filesystem with all that mounts and layers treat in their own way does too, in %s",
      async (form, split, whiteouts) => {
        const example = readFileSync(join(project, "examples/debian/Containerfile"), "utf8");
        const directory = at(`odd-${form}`);
        mkdirSync(directory);
        const stages = example.slice(example.indexOf("# What is booted"));
        expect(stages).toContain(FLAT);
        writeFileSync(
          join(directory, "Containerfile"),
          `ARG SEAL=localhost/seal\nFROM localhost/debian-bootc AS lower\n${LOWER}\nFROM lower AS rootfs\n${UPPER}\n${stages.replace(FLAT, split)}`,
        );
        const layout = build(directory, "--layers=false");
        expect(entryNames(layout)).toEqual(
          expect.arrayContaining([...whiteouts, "linked-from-above", "fifo"].map((one) => `usr/odd/${one}`)),
        );
        const dump = at(`${form}.dump`);
        expect((await seal(["compute-digest", `oci:${layout}`, "--write-dumpfile-to", dump])).code).toBe(0);
        expect(readFileSync(dump, "latin1")).toMatch(/^\/usr\/capable .* security\.capability=/m);
        await expectSealed(layout, ["bootloader-installed"]);
      },
    );
  },
);

/**
 * The context of an image of the small Debian, as bootc wants it, with an initramfs and the boot files of a
 * second architecture.
 */
function makeBase(directory: string): void {
  const root = machineRootfs() ?? "";
  const extra = join(directory, "extra");
  const put = (path: string, content: Uint8Array | string) => {
    mkdirSync(dirname(join(extra, path)), { recursive: true });
    writeFileSync(join(extra, path), content);
  };
  put(`usr/lib/modules/${machineKernel()}/initramfs.img`, machineInitramfs());
  put("usr/lib/ostree/prepare-root.conf", "[composefs]\nenabled = verity\n");
  const efi = "usr/lib/systemd/boot/efi";
  cpSync(join(peerTree("trixie"), "srv/arm64", efi), join(extra, efi), { recursive: true });
  expect(spawnSync("ln", ["-s", "sysroot/ostree", join(extra, "ostree")]).status).toBe(0);
  const archive = (from: string, name: string) =>
    expect(spawnSync("tar", ["-C", from, "-cf", join(directory, name), "."]).status).toBe(0);
  archive(root, "root.tar");
  archive(extra, "extra.tar");
  // What a file with cap_net_raw+ep has.
  const capability = Buffer.from("0100000200200000000000000000000000000000", "hex").toString("latin1");
  const capable = tarFile("usr/capable", Buffer.from("x".repeat(100)), { mode: 0o755 });
  const pax = tarPax({ "SCHILY.xattr.security.capability": capability });
  writeFileSync(join(directory, "capable.tar"), tarArchive(pax, capable));
  writeFileSync(
    join(directory, "Containerfile"),
    'FROM scratch\nADD root.tar extra.tar capable.tar /\nCMD ["/bin/sh"]\n',
  );
}

/** The names in all layers of an image. */
function entryNames(layout: string): string[] {
  return readManifest(layout).layers.flatMap(({ digest }) =>
    spawnSync("tar", ["-tf", join(layout, "blobs", digest.replace(":", "/"))])
      .stdout.toString()
      .split("\n"),
  );
}

function readManifest(layout: string): {
  layers: { digest: string; mediaType: string }[];
  labels: Record<string, string>;
} {
  const read = (file: string) => JSON.parse(readFileSync(join(layout, file), "utf8"));
  const blob = (digest: string) => read(`blobs/${digest.replace(":", "/")}`);
  const manifest = blob(read("index.json").manifests[0].digest);
  return { layers: manifest.layers, labels: blob(manifest.config.digest).config.Labels ?? {} };
}
