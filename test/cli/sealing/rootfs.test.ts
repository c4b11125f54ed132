import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { writeSampleTree } from "../../../examples/demo/sample-tree.ts";
import type { HostReport } from "../../../src/boot/hosts-text.ts";
import { sealReportSchema } from "../../../src/cli/sealing/report.ts";
import { LATEST_RELEASE, SERIES } from "../../../src/composefs/releases.ts";
import { seal } from "../../support/cli.ts";
import { cpioOf } from "../../support/cpio.ts";
import { write } from "../../support/inputs.ts";
import { tempDir } from "../../support/temp.ts";
import { vector } from "../../support/vectors.ts";

const KVER = "6.1.0-sample";
const UKI = `EFI/Linux/${KVER}.efi`;

/** A directory with the sample tree as `root` and a key pair. */
function workspace(): string {
  const cwd = tempDir();
  writeSampleTree(join(cwd, "root"));
  for (const name of ["signer.key", "signer.crt", "other.crt"]) {
    writeFileSync(join(cwd, name), vector(`authenticode/keys/${name}`));
  }
  return cwd;
}

const ACCEPTED = { accepts: { ok: true }, installs: { ok: true }, reason: null };
function isAccepting({ accepts, installs }: HostReport): boolean {
  return accepts.ok === true && installs.ok === true;
}

const KEYS = ["--key", "signer.key", "--cert", "signer.crt"];

/** All files below a directory with their bytes in hex. */
function filesOf(directory: string): Record<string, string> {
  const paths = readdirSync(directory, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  return Object.fromEntries(
    paths.map((entry) => {
      const path = join(entry.parentPath, entry.name);
      return [path.slice(directory.length + 1), readFileSync(path).toString("hex")];
    }),
  );
}

/** With systemd-boot signed in the root filesystem. */
async function preparedWorkspace(): Promise<string> {
  const cwd = workspace();
  expect(await seal(["prepare", "root", ...KEYS], { cwd })).toMatchObject({ code: 0 });
  return cwd;
}

describe("seal rootfs", () => {
  it("writes what the single verbs write", async () => {
    const cwd = workspace();
    const one = ["--bootc", "latest"];
    expect(await seal(["rootfs", "root", ...KEYS, ...one, "--output", "out"], { cwd })).toMatchObject({
      code: 0,
      stdout: "out/boot\n",
    });
    await seal(["build-uki", "--rootfs", "root", ...KEYS, ...one, "--output", "uki.efi"], { cwd });
    await seal(["boot-layout", "--uki", "uki.efi", "--rootfs", "root", ...KEYS, "--output", "boot"], { cwd });
    const { "report.json": report = "", ...written } = filesOf(join(cwd, "out"));
    const layout = Object.entries(filesOf(join(cwd, "boot"))).map(([path, hex]) => [`boot/${path}`, hex]);
    expect(written).toEqual(Object.fromEntries(layout));
    const digest = (await seal(["compute-digest", "root"], { cwd })).stdout.trim();
    expect(sealReportSchema.parse(JSON.parse(Buffer.from(report, "hex").toString()))).toMatchObject({
      kver: KVER,
      arch: "x64",
      title: "Seal sample 1",
      cmdline: `console=ttyS0 quiet composefs=${digest}`,
      digests: [{ erofs: "v1", algorithm: "sha512", digest, insecure: false }],
      signer: { subject: expect.stringMatching(/^CN=/), key: "RSA-2048" },
    });
  });

  it("ships the tree that was sealed as a dump file, where that is asked for", async () => {
    const cwd = workspace();
    write(cwd, "root/boot/old", "not sealed");
    expect(await seal(["rootfs", "root", "--ship-dump", "--output", "out"], { cwd })).toMatchObject({ code: 0 });
    const dump = join("out/boot", `${KVER}.dump`);
    const digests = await Promise.all(
      ["root", `dumpfile:${dump}`].map(async (spec) => (await seal(["compute-digest", spec], { cwd })).stdout),
    );
    expect(digests[0]).toMatch(/^[0-9a-f]{128}\n$/);
    expect(digests[1]).toBe(digests[0]);
    expect(readFileSync(join(cwd, dump), "latin1")).toMatch(/\n\/boot 0 40755 2 /);
    expect(readFileSync(join(cwd, dump), "latin1")).not.toContain("/boot/old");
    const plain = await seal(["rootfs", "root", "--output", "plain"], { cwd });
    expect(plain.code).toBe(0);
    expect(existsSync(join(cwd, "plain/boot", `${KVER}.dump`))).toBe(false);
  });

  it("has no dump file of a tree that was not read", async () => {
    const cwd = workspace();
    const args = ["rootfs", "root", "--ship-dump", "--digest", "ab".repeat(64), "--output", "out"];
    expect(await seal(args, { cwd })).toMatchObject({
      code: 2,
      stderr: expect.stringContaining(
        "--digest and --ship-dump: give one of them; a dump file needs a tree that was read",
      ),
    });
    expect(existsSync(join(cwd, "out"))).toBe(false);
  });

  it("warns of a certificate that has expired, as sign and verify do", async () => {
    const cwd = workspace();
    const now = new Date("2046-01-01T00:00:00Z");
    const words =
      "the certificate CN=seal test db rsa2048 expired on 2045-01-01: firmware still accepts it, other tools may not";
    const sealed = await seal(["rootfs", "root", ...KEYS, "--output", "out"], { cwd, now });
    expect(sealed).toMatchObject({ code: 0, stderr: expect.stringContaining(`warning: ${words}\n`) });
    const uki = join("out/boot", UKI);
    expect(await seal(["verify", uki, "--cert", "signer.crt"], { cwd, now })).toMatchObject({
      code: 0,
      stdout: expect.stringContaining(words),
    });
    expect((await seal(["sign", uki, ...KEYS], { cwd, now })).stderr).toContain(`warning: ${words}\n`);
  });

  it("warns of what stays in /boot and keeps bootc from installing the UKI", async () => {
    const cwd = await preparedWorkspace();
    write(cwd, "root/boot/loader/entries/old.conf", "title old\n");
    write(cwd, "root/boot/EFI/Linux/old.efi", "old");
    write(cwd, `root/boot/${UKI}`, "what is replaced");
    const { code, stdout, stderr } = await seal(["rootfs", "root", ...KEYS, "--output", "out", "--json"], { cwd });
    expect(code).toBe(0);
    const { warnings, hosts } = sealReportSchema.parse(JSON.parse(stdout));
    expect(warnings).toEqual([
      expect.stringContaining("its /boot has boot/loader/entries/old.conf, boot/EFI/Linux/old.efi, which stays"),
    ]);
    expect(stderr).toContain(warnings[0]);
    expect(hosts?.some(isAccepting)).toBe(false);
    rmSync(join(cwd, "root/boot/loader"), { recursive: true });
    rmSync(join(cwd, "root/boot/EFI/Linux/old.efi"));
    const clean = JSON.parse((await seal(["rootfs", "root", ...KEYS, "--output", "out", "--json"], { cwd })).stdout);
    expect(clean.warnings).toEqual([]);
    expect(sealReportSchema.parse(clean).hosts?.some(isAccepting)).toBe(true);
  });

  it("passes on what systemd-boot will take differently", async () => {
    const cwd = await preparedWorkspace();
    const args = ["rootfs", "root", ...KEYS, "--uname", "6.1.0+3", "--output", "out", "--json"];
    const { code, stdout, stderr } = await seal(args, { cwd });
    expect(code).toBe(0);
    const warning = expect.stringContaining('EFI/Linux/6.1.0+3.efi: systemd-boot takes "+3" for a boot counter');
    expect(sealReportSchema.parse(JSON.parse(stdout)).warnings).toEqual([warning]);
    expect(stderr).toEqual(warning);
  });

  it("signs so that verify and lint are content, and lint is not when a file changes afterwards", async () => {
    const cwd = await preparedWorkspace();
    await seal(["rootfs", "root", ...KEYS, "--output", "out"], { cwd });
    const programs = [UKI, "EFI/BOOT/BOOTX64.EFI", "EFI/systemd/systemd-bootx64.efi"].map((path) =>
      join("out/boot", path),
    );
    expect((await seal(["verify", ...programs, "--cert", "signer.crt"], { cwd })).code).toBe(0);
    expect((await seal(["verify", ...programs, "--cert", "other.crt"], { cwd })).code).toBe(1);

    rmSync(join(cwd, "root/boot"), { recursive: true });
    cpSync(join(cwd, "out/boot"), join(cwd, "root/boot"), { recursive: true });
    const lint = async () =>
      JSON.parse((await seal(["lint", "root", "--json", "--cert", "signer.crt"], { cwd })).stdout);
    expect((await lint()).passed).toEqual(
      expect.arrayContaining(["uki-digest", "uki-signature", "bootloader-signature"]),
    );
    expect((await lint()).findings.filter(({ severity }: { severity: string }) => severity === "error")).toEqual([]);
    writeFileSync(join(cwd, "root/usr/new"), "x");
    expect((await lint()).findings.map(({ id }: { id: string }) => id)).toContain("uki-digest");
  });

  it("gives the same bytes each time, whatever the clock says", async () => {
    const cwd = workspace();
    for (const [output, now] of [
      ["a", "2026-01-02T03:04:05Z"],
      ["b", "2030-01-01T00:00:00Z"],
    ] as const) {
      await seal(["rootfs", "root", ...KEYS, "--output", output], { cwd, now: new Date(now) });
    }
    expect(filesOf(join(cwd, "a"))).toEqual(filesOf(join(cwd, "b")));
  });

  it("puts the digests of several releases on the command line, so that each finds its own", async () => {
    const cwd = workspace();
    await seal(["rootfs", "root", "--bootc", "1.15", "--bootc", "1.16.9", "--output", "out"], { cwd });
    const kargs = await seal(["compute-digest", "root", "--karg", "--bootc", "1.15", "--bootc", "1.16.9"], { cwd });
    const { cmdline } = sealReportSchema.parse(JSON.parse(readFileSync(join(cwd, "out/report.json"), "utf8")));
    expect(cmdline).toBe(`console=ttyS0 quiet ${kargs.stdout.trim().split("\n").join(" ")}`);
    expect(cmdline).toMatch(/ composefs\.digest=v1-sha512-12:[0-9a-f]{128} composefs=[0-9a-f]{128}$/);
    const backwards = await seal(["compute-digest", "root", "--karg", "--bootc", "1.16.9", "--bootc", "1.15"], { cwd });
    expect(backwards.stdout).toBe(kargs.stdout);
    const digests = await seal(["compute-digest", "root", "--bootc", "1.15", "--bootc", "1.16.9"], { cwd });
    for (const digest of digests.stdout.trim().split("\n")) expect(cmdline).toContain(digest);
  });

  it("says which releases accept it, and which not and why", async () => {
    const cwd = workspace();
    const hostsOf = async (...args: string[]) => {
      const { stdout, stderr } = await seal(["rootfs", "root", "--output", "out", "--json", ...args], { cwd });
      expect(stderr).not.toContain("accepted by");
      const { hosts } = sealReportSchema.parse(JSON.parse(stdout));
      return Object.fromEntries((hosts ?? []).map((host) => [host.releases, host]));
    };
    const digest = async (release: string) =>
      (await seal(["compute-digest", "root", "--bootc", release], { cwd })).stdout.trim();
    const latest = await hostsOf("--bootc", "latest");
    expect(Object.keys(latest)).toHaveLength(SERIES.length);
    expect(latest["1.16.4"]).toMatchObject({ ...ACCEPTED, expected: await digest("1.16.4") });
    expect(latest["1.16.3"]).toMatchObject({
      ...{ releases: "1.16.3", reason: "digest", why: expect.stringMatching(/^it computes v2 /) },
      accepts: { ok: false, reasons: [expect.stringMatching(/^it computes v2 /)] },
      ...{ expected: await digest("1.16.3"), option: "--bootc 1.16.3" },
    });
    expect((await hostsOf("--bootc", "1.16.3"))["1.16.3"]).toMatchObject(ACCEPTED);
    const both = await hostsOf("--bootc", "1.15", "--bootc", "1.16.9");
    expect(both["1.14.0–1.15.2"]).toMatchObject({ ...ACCEPTED, why: null });
    expect(both["1.16.3"]).toMatchObject({ accepts: { ok: false }, reason: "order" });
    const sha256 = await hostsOf("--algorithm", "sha256");
    expect(Object.values(sha256).every(({ accepts }) => accepts.ok === false)).toBe(true);
    expect(Object.keys(sha256)).toHaveLength(SERIES.length);
    const given = await seal(["rootfs", "root", "--output", "out", "--json", "--digest", "ab".repeat(64)], { cwd });
    expect(JSON.parse(given.stdout).hosts).toBeNull();
    const { stderr } = await seal(["rootfs", "root", "--output", "out", "--bootc", "latest"], { cwd });
    expect(stderr).toContain(`   accepted by       bootc 1.16.4–${LATEST_RELEASE}\n`);
    expect(stderr).toMatch(/^ +not by 1\.14\.0–1\.16\.3: it computes v2 /m);
  });

  it("reports digest, kernel, signer and files to people, and warns of what layers will not keep", async () => {
    const cwd = workspace();
    utimesSync(join(cwd, "root/usr/lib/os-release"), 1_700_000_000.5, 1_700_000_000.5);
    const { stderr } = await seal(["rootfs", "root", ...KEYS, "--mtime", "exact", "--output", "out"], { cwd });
    expect(stderr).toMatch(/✓ digest {12}v1 sha512\n {21}[0-9a-f]{64}\n {21}[0-9a-f]{64}\n/);
    expect(stderr).toMatch(/✓ kernel +6\.1\.0-sample · initramfs \d+ B · kargs\.d: 1 file\n/);
    expect(stderr).toMatch(/✓ signed +CN=.* · RSA-2048 · SHA-256\n/);
    expect(stderr).toMatch(/! sub-second times {2}1 path has nanoseconds, which image layers will not keep/);
    expect(stderr).toContain(UKI);
    const seconds = await seal(["rootfs", "root", ...KEYS, "--output", "out"], { cwd });
    expect(seconds.stderr).toMatch(
      /^ {3}sub-second times {2}1 path has nanoseconds that image layers will not keep; the/m,
    );
    expect(seconds.stderr).toContain("usr/lib/os-release (see docs/two-views.md)");
  });

  it("writes the command line that serves most hosts, and says what is served", async () => {
    const cwd = workspace();
    const cmdlineOf = async (...args: string[]) => {
      const { stdout, stderr, code } = await seal(["rootfs", "root", "--output", "out", "--json", ...args], { cwd });
      expect(code, stderr).toBe(0);
      const { cmdline, digests, hosts } = sealReportSchema.parse(JSON.parse(stdout));
      expect(digests.map(({ digest }) => cmdline.includes(digest))).not.toContain(false);
      return { words: cmdline.replaceAll(/[0-9a-f]{128}/g, "H"), served: hosts?.filter(isAccepting).length };
    };
    const pair = "console=ttyS0 quiet composefs.digest=v1-sha512-12:H composefs=H";
    // Its initramfs tries all words; only 1.16.3 goes by the long one and wants V2.
    expect(await cmdlineOf()).toEqual({ words: pair, served: SERIES.length - 1 });
    expect(await cmdlineOf("--karg-style", "both")).toEqual({ words: pair, served: SERIES.length - 1 });
    expect(await cmdlineOf("--allow-missing-verity")).toMatchObject({
      words: "console=ttyS0 quiet composefs.digest=?v1-sha512-12:H composefs=?H",
    });
    expect((await cmdlineOf("--bootc", "latest")).words).toBe("console=ttyS0 quiet composefs=H");
    // One that goes by a single word is given one.
    const old = { "usr/lib/bootc/initramfs-setup": "composefs.digest /composefs-0.9.0/src" };
    writeFileSync(join(cwd, `root/usr/lib/modules/${KVER}/initramfs.img`), cpioOf(old));
    expect(await cmdlineOf()).toMatchObject({ words: "console=ttyS0 quiet composefs=H" });
    const { code, stderr } = await seal(["rootfs", "root", "--output", "no", "--bootc", "1.15", "--bootc", "1.16.9"], {
      cwd,
    });
    expect({ code, stderr }).toEqual({
      code: 2,
      stderr:
        "seal: --bootc: 1.14.0–1.15.2 and 1.16.7–1.16.10 exclude each other: no command line serves both, with bootc's initramfs-setup (composefs-rs 0.9.0) in the initramfs. Seal an image for each\n",
    });
    expect(existsSync(join(cwd, "no"))).toBe(false);
  });

  it("warns when the bootc in the image does not accept it", async () => {
    const cwd = workspace();
    mkdirSync(join(cwd, "root/var/lib/dpkg"), { recursive: true });
    const status = "Package: bootc\nStatus: install ok installed\nVersion: 1.15.2-1\n";
    writeFileSync(join(cwd, "root/var/lib/dpkg/status"), status);
    const warned = await seal(["rootfs", "root", "--output", "out", "--bootc", "latest"], { cwd });
    expect(warned.stderr).toMatch(/! bootc inside {6}1\.15\.2 in the image does not accept this/);
    const { stdout, stderr } = await seal(["rootfs", "root", "--output", "out", "--bootc", "1.15", "--json"], { cwd });
    expect(stderr).not.toContain("bootc inside");
    expect(JSON.parse(stdout).bootc).toEqual({
      version: "1.15.2",
      path: "var/lib/dpkg/status",
      accepts: true,
      note: null,
    });
  });

  it("warns of what the layers may not have, with paths, also in JSON", async () => {
    const cwd = workspace();
    writeFileSync(join(cwd, "root/etc/resolv.conf"), "nameserver 10.0.0.1\n");
    writeFileSync(join(cwd, "root/.dockerenv"), "");
    writeFileSync(join(cwd, "root/etc/hosts"), "", { mode: 0o755 });
    const env = { SOURCE_DATE_EPOCH: "1000000000" };
    const text = await seal(["rootfs", "root", "--output", "out"], { cwd, env });
    expect(text.stderr).toMatch(/^ ! builder's files {3}1 path is as a builder leaves/m);
    expect(text.stderr).toMatch(/^ ! mounted files {5}2 paths may have been mounted/m);
    expect(text.stderr).toMatch(/^ ! rewritten times {3}\d+ paths are newer than SOURCE_DATE_EPOCH/m);
    const { stdout } = await seal(["rootfs", "root", "--output", "out", "--json"], { cwd });
    const { views } = sealReportSchema.parse(JSON.parse(stdout));
    const byKind = new Map(views.map((view) => [view.kind, view]));
    expect(byKind.get("builder-files")).toMatchObject({ severity: "warning", count: 1, paths: ["etc/hosts"] });
    const paths = [".dockerenv", "etc/resolv.conf"];
    expect(byKind.get("mounted-files")).toMatchObject({ severity: "warning", count: 2, paths });
    expect(byKind.has("rewritten-times")).toBe(false);
  });

  it("says plainly that nothing is signed without a key", async () => {
    const cwd = workspace();
    const { code, stderr } = await seal(["rootfs", "root", "--output", "out"], { cwd });
    expect(code).toBe(0);
    expect(stderr).toMatch(/! not signed/);
  });

  it("prints the report as JSON and keeps it beside the result", async () => {
    const cwd = workspace();
    const { stdout } = await seal(["rootfs", "root", "--json", "--output", "out"], { cwd });
    expect(sealReportSchema.parse(JSON.parse(stdout))).toEqual(
      JSON.parse(readFileSync(join(cwd, "out/report.json"), "utf8")),
    );
  });

  it.each([
    ["no output", ["root"], 2, /--output: give the directory to write/],
    [
      "a certificate of another key",
      ["root", "--key", "signer.key", "--cert", "other.crt", "--output", "out"],
      3,
      /does not belong to/,
    ],
    [
      "an output that changes what is sealed",
      ["root", "--output", "root/usr/out"],
      2,
      /root\/usr\/out is inside the root/,
    ],
    ["a root filesystem that is not there", ["none", "--output", "out"], 3, /none/],
    ["another digest on the command line", ["root", "--karg", "composefs=x", "--output", "out"], 3, /composefs=x/],
    [
      "releases that exclude each other",
      ["root", "--bootc", "1.16.3", "--bootc", "1.16.9", "--output", "out"],
      2,
      /1\.16\.3 and 1\.16\.7–1\.16\.10 exclude each other/,
    ],
    ["the kernel as ukify names it", ["root", "--linux", "vmlinuz", "--output", "out"], 2, /unknown option '--linux'/],
  ])("refuses %s in one line and writes nothing", async (_, args, code, message) => {
    const cwd = workspace();
    const result = await seal(["rootfs", ...args], { cwd });
    expect(result).toMatchObject({ code, stdout: "" });
    expect(result.stderr.trimEnd().split("\n")).toEqual([expect.stringMatching(message)]);
    expect(existsSync(join(cwd, "out"))).toBe(false);
  });

  it("leaves a directory alone that holds something else", async () => {
    const cwd = workspace();
    mkdirSync(join(cwd, "out/boot"), { recursive: true });
    writeFileSync(join(cwd, "out/boot/mine"), "x");
    const result = await seal(["rootfs", "root", "--output", "out"], { cwd });
    expect(result.code).toBe(3);
    expect(result.stderr).toContain("boot/mine");
    expect(readFileSync(join(cwd, "out/boot/mine"), "utf8")).toBe("x");
  });
});
