/** What `npm run dist` makes, on the machines that it is for. */
import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { cpSync, mkdirSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { gunzipSync } from "node:zlib";
import { afterAll, beforeAll, expect, it } from "vitest";
import { getPackage, koffiFor } from "../../scripts/release/registry.ts";
import { ARCHITECTURES, type Architecture, OLDEST_GLIBC } from "../../scripts/release/targets.ts";
import { filesBelow } from "../../scripts/release/tree.ts";
import { describeWith, inTree, PEERS_DIR, peerTree, runPeer } from "../support/peers.ts";
import { COMMANDS, makeInputs, makeRelease, PROJECT, type Ran, ran, remove, unpack } from "../support/release.ts";
import { tempDir } from "../support/temp.ts";

const { version } = JSON.parse(readFileSync(join(PROJECT, "package.json"), "utf8")) as { version: string };
const tree = (name: string) => join(PEERS_DIR, name);

describeWith(["nfpm", "qemu-aarch64", "rpm", "readelf", "root", "trees"], "a release", () => {
  let release = "";
  let again = "";
  let prefix = "";
  let inputs = "";
  /** What the built program says of the inputs, by the arguments. */
  let expected: readonly Ran[] = [];
  const archive = (arch: Architecture) => `seal-${version}-linux-${arch}.tar.gz`;

  beforeAll(() => {
    release = makeRelease(["--arch", "x64"]);
    const emulator = join(PEERS_DIR, "bin/qemu-aarch64");
    again = makeRelease(["--no-packages", "--emulator", emulator]);
    prefix = unpack(join(release, archive("x64")));
    inputs = makeInputs();
    expected = COMMANDS.map((args) =>
      ran([process.execPath, join(PROJECT, "dist/cli/main.js"), ...args], { cwd: inputs }),
    );
    for (const { status, stderr } of expected) expect(status, stderr).toBe(0);
  }, 600_000);
  afterAll(() => [release, again, inputs].forEach(remove));

  /** Whether a program says and writes what the built one does; `words` start it. */
  function expectSame(words: readonly string[]): void {
    const got = COMMANDS.map((args) => ran([...words, ...args], { cwd: inputs }));
    expect(got.map(({ status, stdout }) => ({ status, stdout }))).toEqual(
      expected.map(({ status, stdout }) => ({ status, stdout })),
    );
  }

  it("is the same, byte for byte, when it is made again", () => {
    for (const name of ["seal-linux-x64", archive("x64"), `seal-${version}.tgz`]) {
      const [one, other] = [release, again].map((directory) => hashOf(join(directory, name)));
      expect(one, name).toBe(other);
    }
  });

  it("has sums of all that it holds, and of all in its archives", () => {
    const check = ["sha256sum", "--check", "--strict", "--quiet"];
    expect(ran([...check, "SHA256SUMS"], { cwd: release })).toEqual({ status: 0, stdout: "", stderr: "" });
    expect(ran([...check, "share/doc/seal/SHA256SUMS"], { cwd: prefix })).toEqual({
      status: 0,
      stdout: "",
      stderr: "",
    });
    const summed = (path: string) =>
      readFileSync(path, "utf8")
        .trim()
        .split("\n")
        .map((line) => line.slice(66));
    expect(summed(join(release, "SHA256SUMS"))).toEqual([
      `seal-${version}-1.x86_64.rpm`,
      archive("x64"),
      `seal-${version}.tgz`,
      "seal-linux-x64",
      `seal_${version}_amd64.deb`,
    ]);
    expect(summed(join(prefix, "share/doc/seal/SHA256SUMS"))).toEqual(
      filesBelow(prefix).filter((name) => basename(name) !== "SHA256SUMS"),
    );
  });

  it("has manual pages, completions, licences and a bill of materials in its archives", () => {
    const files = filesBelow(prefix);
    expect(files).toEqual(
      expect.arrayContaining([
        "bin/seal",
        "lib/seal/seal-linux-x64",
        "share/bash-completion/completions/seal",
        "share/doc/seal/LICENSE",
        "share/doc/seal/NODE-LICENSE.txt",
        "share/fish/vendor_completions.d/seal.fish",
        "share/man/man1/seal.1.gz",
        "share/man/man1/seal-rootfs.1.gz",
        "share/man/man5/seal.toml.5.gz",
        "share/zsh/site-functions/_seal",
      ]),
    );
    const page = gunzipSync(readFileSync(join(prefix, "share/man/man1/seal.1.gz"))).toString();
    expect(page).toMatch(/^\.TH "SEAL" 1 "\d{4}-\d\d-\d\d" /);
    const licenses = readFileSync(join(prefix, "share/doc/seal/THIRD-PARTY-LICENSES.txt"), "utf8");
    for (const name of ["commander", "koffi", "node-forge", "zod"])
      expect(licenses).toMatch(new RegExp(`^${name}\n\n`, "m"));
    const bill = JSON.parse(readFileSync(join(prefix, "share/doc/seal/sbom.cdx.json"), "utf8")) as {
      bomFormat: string;
      components: { name: string; version: string }[];
    };
    expect(bill.bomFormat).toBe("CycloneDX");
    const names = bill.components.map(({ name }) => name);
    expect(names).toEqual(expect.arrayContaining(["node", "zod", "@koromix/koffi-linux-x64"]));
    expect(names.filter((name) => name.startsWith("@koromix/"))).toHaveLength(1);
    expect(bill.components).toContainEqual(expect.objectContaining({ name: "node", version: process.versions.node }));
  });

  it.each(ARCHITECTURES)("needs no newer symbols than the oldest C library has on %s", (arch) => {
    const lock = JSON.parse(readFileSync(join(PROJECT, "package-lock.json"), "utf8"));
    const wanted = koffiFor(arch, lock);
    const cache = join(PROJECT, "node_modules/.cache/seal");
    const native = join(tempDir(), "koffi.node");
    cpSync(join(getPackage(wanted, cache), wanted.name, `linux_${arch}/koffi.node`), native);
    for (const file of [join(again, `seal-linux-${arch}`), native]) {
      const { stdout } = runPeer("readelf", ["--version-info", "--wide", file]);
      const needed = [...stdout.toString().matchAll(/Name: (GLIBC|GLIBCXX|CXXABI)_([\d.]+)/g)];
      const newest = (library: string) =>
        needed
          .filter(([, name]) => name === library)
          .map(([, , number = ""]) => number)
          .sort(byVersion)
          .at(-1) ?? "";
      expect(needed.length).toBeGreaterThan(3);
      expect([newest("GLIBC"), OLDEST_GLIBC].sort(byVersion).at(-1)).toBe(OLDEST_GLIBC);
      // Of GCC 8, as Debian 10 and RHEL 8 have it.
      expect([newest("GLIBCXX"), "3.4.25"].sort(byVersion).at(-1)).toBe("3.4.25");
      expect([newest("CXXABI"), "1.3.11"].sort(byVersion).at(-1)).toBe("1.3.11");
    }
  });

  it.each(["oldest", "sid"])("does what the built program does in Debian (%s)", (name) => {
    const system = name === "sid" ? peerTree("sid") : tree(name);
    expectSame([...inTree(system), join(prefix, "bin/seal")]);
  });

  it("does what the built program does on arm64", () => {
    expectSame([join(PEERS_DIR, "bin/qemu-aarch64"), join(again, "seal-linux-arm64")]);
  });

  it("runs through symlinks, and as the executable alone", () => {
    const directory = tempDir();
    symlinkSync(join(prefix, "bin/seal"), join(directory, "far"));
    symlinkSync("far", join(directory, "near"));
    for (const program of ["far", "./near", join(directory, "near"), join(release, "seal-linux-x64")]) {
      const env = { PATH: `${directory}:/usr/bin:/bin` };
      expect(ran([program, "--version"], { cwd: directory, env })).toEqual({
        status: 0,
        stdout: `${version}\n`,
        stderr: "",
      });
    }
  });

  it("leaves nothing behind where it unpacks, however many start at a time", async () => {
    const temporary = tempDir();
    const start = () =>
      new Promise<number | null>((resolve) => {
        const env = { TMPDIR: temporary, PATH: "/usr/bin:/bin" };
        spawn(join(prefix, "bin/seal"), COMMANDS[0] ?? [], { cwd: inputs, env, stdio: "ignore" }).on("exit", resolve);
      });
    expect(await Promise.all(Array.from({ length: 6 }, start))).toEqual(Array(6).fill(0));
    expect(readdirSync(temporary)).toEqual([]);
  });

  it("says why where it can't unpack", () => {
    const seal = join(release, "seal-linux-x64");
    const at = (directory: string) => ran([seal, ...(COMMANDS[0] ?? [])], { cwd: inputs, env: { TMPDIR: directory } });
    expect(at("/nowhere")).toMatchObject({
      status: 3,
      stderr: expect.stringMatching(/^seal: \/nowhere: can't be written to, .*; set TMPDIR to another directory\n$/),
    });
    const mount = tempDir();
    const script = `mount -t tmpfs -o noexec none ${mount} && TMPDIR=${mount} exec ${seal} ${COMMANDS[0]?.join(" ")}`;
    expect(ran(["unshare", "--mount", "sh", "-c", script], { cwd: inputs })).toEqual({
      status: 3,
      stdout: "",
      stderr: `seal: ${mount}: may not execute programs (noexec); set TMPDIR to another directory that may\n`,
    });
  });

  it("runs no code but its own", () => {
    const directory = tempDir();
    const mark = join(directory, "mark");
    const evil = join(directory, "node_modules/koffi/index.js");
    mkdirSync(join(directory, "node_modules/koffi"), { recursive: true });
    writeFileSync(evil, `require("node:fs").writeFileSync(${JSON.stringify(mark)}, "");`);
    const env = { NODE_OPTIONS: `--require=${evil}`, NODE_PATH: join(directory, "node_modules") };
    const args = ["compute-digest", join(inputs, "root")];
    expect(ran([join(release, "seal-linux-x64"), ...args], { cwd: directory, env })).toMatchObject({
      status: 0,
      stdout: expected[0]?.stdout,
    });
    expect(readdirSync(directory)).toEqual(["node_modules"]);
  });

  it("finds out when its native code is damaged", () => {
    const damaged = join(tempDir(), "seal");
    const bytes = readFileSync(join(release, "seal-linux-x64"));
    const koffi = readFileSync(join(PROJECT, "node_modules/@koromix/koffi-linux-x64/linux_x64/koffi.node"));
    const at = bytes.indexOf(koffi.subarray(0x1000, 0x1100)) + 7;
    bytes[at] = ~(bytes[at] ?? 0);
    writeFileSync(damaged, bytes, { mode: 0o755 });
    expect(ran([damaged, ...(COMMANDS[0] ?? [])], { cwd: inputs })).toEqual({
      status: 3,
      stdout: "",
      stderr: `seal: ${damaged}: is damaged; get it again\n`,
    });
  });

  it("names the reason on a system without glibc, and on one with an old glibc", () => {
    const system = tempDir();
    cpSync(tree("musl"), system, { recursive: true, verbatimSymlinks: true });
    for (const name of ["bin", "lib"]) {
      rmSync(join(system, name), { recursive: true, force: true });
      symlinkSync(`usr/${name}`, join(system, name));
    }
    symlinkSync("busybox", join(system, "usr/bin/sh"));
    symlinkSync("busybox", join(system, "usr/bin/readlink"));
    cpSync(prefix, join(system, "opt"), { recursive: true });
    const run = () => ran(["chroot", system, "/opt/bin/seal", "--version"]);
    const refusal = (text: string) => ({ status: 3, stdout: "", stderr: `seal: ${text}\n` });
    expect(run()).toEqual(
      refusal(
        "needs glibc 2.28 or newer, and this system has musl (ld-musl-x86_64.so.1): run it in a container of a distribution with glibc",
      ),
    );
    mkdirSync(join(system, "lib64"));
    mkdirSync(join(system, "lib/x86_64-linux-gnu"), { recursive: true });
    writeFileSync(join(system, "lib64/ld-linux-x86-64.so.2"), "");
    writeFileSync(join(system, "lib/x86_64-linux-gnu/libc-2.27.so"), "");
    expect(run()).toEqual(
      refusal("needs glibc 2.28 or newer, and this system has 2.27: run it in a container of a newer distribution"),
    );
    rmSync(join(system, "lib64"), { recursive: true });
    rmSync(join(system, "usr/lib/ld-musl-x86_64.so.1"));
    expect(run()).toEqual(
      refusal(
        "this program is for x86-64 with glibc 2.28 or newer, and this system has no /lib64/ld-linux-x86-64.so.2",
      ),
    );
  });

  it("is a package of Debian that comes and goes", () => {
    const system = tempDir();
    cpSync(tree("oldest"), system, { recursive: true, verbatimSymlinks: true });
    cpSync(join(release, `seal_${version}_amd64.deb`), join(system, "seal.deb"));
    const chroot = (...words: string[]) => ran(["chroot", system, ...words]);
    const before = listing(system);
    expect(chroot("dpkg", "--install", "/seal.deb")).toMatchObject({ status: 0 });
    expect(chroot("seal", "--version")).toEqual({ status: 0, stdout: `${version}\n`, stderr: "" });
    expect(chroot("dpkg", "--verify", "seal")).toEqual({ status: 0, stdout: "", stderr: "" });
    expect(chroot("dpkg", "--purge", "seal")).toMatchObject({ status: 0, stderr: "" });
    expect(listing(system)).toEqual(before);
  });

  it("is a package of RPM that comes and goes", () => {
    const system = tempDir();
    const rpm = (...words: string[]) => {
      const { status, stdout, stderr } = runPeer("rpm", ["--root", system, ...words]);
      return { status, stdout: stdout.toString(), stderr };
    };
    const file = join(release, `seal-${version}-1.x86_64.rpm`);
    expect(rpm("--initdb").status).toBe(0);
    expect(rpm("--install", "--nodeps", file).status).toBe(0);
    expect(ran([join(system, "usr/bin/seal"), "--version"])).toEqual({ status: 0, stdout: `${version}\n`, stderr: "" });
    expect(rpm("--verify", "--nodeps", "seal")).toMatchObject({ status: 0, stdout: "" });
    expect(rpm("--query", "--requires", "seal").stdout).toContain("libc.so.6(GLIBC_2.28)(64bit)\n");
    expect(rpm("--erase", "seal").status).toBe(0);
    expect(filesBelow(system).filter((name) => name.includes("seal"))).toEqual([]);
  });

  it("is an npm package that comes and goes", () => {
    const home = tempDir();
    const npm = (...words: string[]) => ran(["npm", ...words, "--global", "--prefix", home]);
    expect(npm("install", "--prefer-offline", "--ignore-scripts", join(release, `seal-${version}.tgz`)).status).toBe(0);
    expectSame([join(home, "bin/seal")]);
    expect(npm("uninstall", "seal").status).toBe(0);
    expect(readdirSync(join(home, "bin"))).toEqual([]);
  });
});

function hashOf(path: string): string {
  return createHash("sha256").update(readFileSync(path)).digest("hex");
}

function byVersion(a: string, b: string): number {
  return a.localeCompare(b, "en", { numeric: true });
}

/** What is there, without what dpkg notes of its own work. */
function listing(system: string): string[] {
  return filesBelow(system).filter((name) => !/^var\/(lib\/dpkg|log|cache)\//.test(name));
}
