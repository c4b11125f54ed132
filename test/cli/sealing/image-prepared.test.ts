/**
 * What bootc installs comes from /usr, which is a part of the digest: seal image signs and places it
 * in a layer of its own.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { utf8 } from "../../../src/bytes.ts";
import { type ImageReport, imageReportSchema } from "../../../src/cli/sealing/image-report.ts";
import { openRootfs } from "../../../src/io/rootfs.ts";
import { parseRootfsSource } from "../../../src/io/rootfs-source.ts";
import { parsePe } from "../../../src/pe/headers.ts";
import { verifyPe } from "../../../src/sign/verify.ts";
import { type Rootfs, readTreeFile, resolvePath } from "../../../src/tree/rootfs.ts";
import { type CliOptions, seal } from "../../support/cli.ts";
import { EFI, expectRefusal, makeInputs, SIGNING, snapshot, write } from "../../support/inputs.ts";
import { keySet, keyUpdate } from "../../support/key-sets.ts";
import { writeLayout, writeLayoutOf } from "../../support/layout.ts";
import { sealableLayers } from "../../support/sealable.ts";
import { vectorCertificate } from "../../support/signing.ts";
import { tarArchive, tarDirectory, tarFile, tarHeader, tarPax } from "../../support/tar.ts";
import { tempDir } from "../../support/temp.ts";
import { vector } from "../../support/vectors.ts";

const PLATFORM = ["--platform", "linux/amd64"];
const LOADER = `${EFI}/systemd-bootx64.efi`;
const SIGNED = `${LOADER}.signed`;
const INSTALL = "usr/lib/bootc/install";
const AUTO = `${INSTALL}/secureboot-keys/auto`;
const KEYS = ["--enroll-keys", "keys"];
const FROM = ["image", ...PLATFORM, "--from", "oci:in:1"];
const TIME = { mtime: 1_600_000_000 };

/**
 * A directory with the layout `in`, the key pairs `db` and `other`, and the keys to enrol.
 * @param above layers on top of the usual ones
 */
async function workspace(...above: readonly Uint8Array[]): Promise<string> {
  const cwd = tempDir();
  writeLayout(join(cwd, "in"), [...sealableLayers(), ...above], { tag: "1" });
  for (const kind of ["key", "crt"]) {
    writeFileSync(join(cwd, `db.${kind}`), vector(`authenticode/keys/signer.${kind}`));
    writeFileSync(join(cwd, `other.${kind}`), vector(`authenticode/keys/other.${kind}`));
  }
  for (const [variable, bytes] of await keySet()) write(cwd, `keys/${variable}.auth`, bytes);
  return cwd;
}

async function sealed(cwd: string, args: readonly string[], options: CliOptions = {}): Promise<ImageReport> {
  const { code, stdout, stderr } = await seal([...args, "--json"], { cwd, ...options });
  expect(code, stderr).toBe(0);
  return imageReportSchema.parse(JSON.parse(stdout));
}

const open = async (cwd: string, spec: string): Promise<Rootfs> =>
  (await openRootfs(parseRootfsSource(spec), { algorithm: "sha512", xattrs: "all", cwd, platform: "linux/amd64" }))
    .rootfs;

const content = async (rootfs: Rootfs, path: string) => (await readTreeFile(rootfs, path)) ?? new Uint8Array();
const digestOf = async (cwd: string, spec: string, ...args: string[]) =>
  (await seal(["compute-digest", spec, ...PLATFORM, ...args], { cwd })).stdout.trim();

function signers(bytes: Uint8Array): string[] {
  const trust = { certificates: [vectorCertificate("signer")], now: new Date("2026-01-02") };
  return verifyPe(parsePe([bytes], "loader"), trust).signatures.map(({ outcome }) => outcome);
}

/** A layer with files of /usr/lib, and the directories that they lie in. */
function layer(files: Readonly<Record<string, Uint8Array>>): Buffer {
  const directories = new Set<string>();
  for (const path of Object.keys(files)) {
    const names = path.split("/");
    for (let depth = 1; depth < names.length; depth++) directories.add(names.slice(0, depth).join("/"));
  }
  return tarArchive(
    ...[...directories].sort().map((name) => tarDirectory(`${name}/`, TIME)),
    ...Object.entries(files).map(([path, bytes]) => tarFile(path, bytes, TIME)),
  );
}

describe("seal image and what bootc installs", () => {
  it("signs the systemd-boot of /usr and places keys there, before the digest", async () => {
    const cwd = await workspace();
    const { image, cmdline, bootloader, warnings } = await sealed(cwd, [
      ...FROM,
      "--to",
      "oci:out:1",
      ...SIGNING,
      ...KEYS,
    ]);
    expect(image.prepared).toEqual({
      loaders: [expect.objectContaining({ path: SIGNED, arch: "x64", signed: "now" })],
      keys: ["PK", "KEK", "db"].map((name) => ({ path: `${AUTO}/${name}.auth`, change: "written" })),
    });
    expect([bootloader.signed, warnings]).toEqual(["now", []]);
    expect(cmdline).toBe(`composefs=${await digestOf(cwd, "oci:out:1")}`);
    expect(image.layers.slice(2).map(({ createdBy }) => createdBy)).toEqual([
      "seal image: takes out what the UKI stands for, adds what bootc install takes from /usr",
      "seal image: adds UKI and boot loader",
    ]);

    const rootfs = await open(cwd, "oci:out:1");
    const loader = await content(rootfs, SIGNED);
    expect(signers(loader)).toEqual(["trusted"]);
    expect(Buffer.from(await content(rootfs, "boot/EFI/BOOT/BOOTX64.EFI")).equals(loader)).toBe(true);
    expect(Buffer.from(await content(rootfs, LOADER)).equals(vector("uki/inputs/stub-plain"))).toBe(true);
    const db = readFileSync(join(cwd, "keys/db.auth"));
    for (const path of [`${AUTO}/db.auth`, "boot/loader/keys/auto/db.auth"]) {
      expect(db.equals(await content(rootfs, path))).toBe(true);
    }
    const added = { uid: 0, gid: 0, mtimeSec: 0n, mtimeNsec: 0, xattrs: [] };
    for (const path of [SIGNED, `${AUTO}/PK.auth`]) {
      expect(resolvePath(rootfs, path)?.node).toMatchObject({ kind: "regular", mode: 0o644, ...added });
    }
    expect(resolvePath(rootfs, AUTO)?.node).toMatchObject({ mode: 0o755, ...added });
    expect(resolvePath(rootfs, EFI)?.node).toMatchObject({ mtimeSec: 1_600_000_000n });

    const lint = await seal(["lint", "oci:out:1", ...PLATFORM, "--cert", "db.crt", "--json"], { cwd });
    const { passed } = JSON.parse(lint.stdout);
    expect(passed).toEqual(expect.arrayContaining(["bootloader-installed", "enroll-keys", "uki-digest"]));
  });

  it("gives the digest that a tree has which seal prepare prepared", async () => {
    const cwd = makeInputs();
    for (const [variable, bytes] of await keySet()) write(cwd, `keys/${variable}.auth`, bytes);
    const args = ["image", "--from", "dir:root", ...SIGNING, ...KEYS];
    const direct = await sealed(cwd, [...args, "--to", "oci:direct:1"]);
    const mounted = await seal(["prepare", "root", ...SIGNING, ...KEYS, "--kernel-dir", "kernel"], { cwd });
    expect(mounted.code, mounted.stderr).toBe(0);
    expect(direct.cmdline).toBe(`composefs=${await digestOf(cwd, "root")}`);
    expect(direct.cmdline).toBe(`composefs=${await digestOf(cwd, "oci:direct:1")}`);
    const after = await sealed(cwd, [...args, "--kernel-dir", "kernel", "--to", "oci:after:1"]);
    expect(after.cmdline).toBe(direct.cmdline);
    expect(after.image.prepared.loaders).toMatchObject([{ signed: "already" }]);
    // Contents of files that are not on the disk are in the layers that are made.
    expect(direct.image.layers.map(({ origin }) => origin)).toEqual(["made", "added"]);
    expect(signers(await content(await open(cwd, "oci:direct:1"), SIGNED))).toEqual(["trusted"]);
  });

  it("adds nothing where all is there: sealing once more changes no digest", async () => {
    const cwd = makeInputs();
    for (const [variable, bytes] of await keySet()) write(cwd, `keys/${variable}.auth`, bytes);
    await seal(["prepare", "root", ...SIGNING, ...KEYS], { cwd });
    await writeLayoutOf(join(cwd, "root"), join(cwd, "in"));
    const { image } = await sealed(cwd, ["image", "--from", "oci:in", "--to", "oci:out:1", ...SIGNING, ...KEYS]);
    expect(image.prepared.loaders.map(({ signed }) => signed)).toEqual(["already"]);
    expect(image.prepared.keys.map(({ change }) => change)).toEqual(["kept", "kept", "kept"]);
    const { digest = "", createdBy } = image.layers.at(-2) ?? {};
    expect(createdBy).toBe("seal image: takes out what the UKI stands for");
    const layer = readFileSync(join(cwd, "out/blobs", digest.replace(":", "/"))).toString("latin1");
    expect(layer).toContain("/.wh.vmlinuz");
    expect(layer).not.toMatch(/systemd-boot|secureboot-keys/);
    const without = await sealed(cwd, ["image", "--from", "oci:in", "--to", "oci:unsigned:1"]);
    expect(await digestOf(cwd, "oci:out:1")).toBe(without.digests[0]?.digest);
  });

  it("signs for all architectures, and keeps signatures of others", async () => {
    const cwd = await workspace();
    writeFileSync(join(cwd, "boot.efi"), vector("uki/inputs/stub-plain"));
    await seal(["sign", "boot.efi", "--key", "other.key", "--cert", "other.crt"], { cwd });
    const aa64 = `${EFI}/systemd-bootaa64.efi`;
    const files = { [SIGNED]: readFileSync(join(cwd, "boot.efi")), [aa64]: vector("uki/inputs/stub-plain") };
    writeLayout(join(cwd, "in"), [...sealableLayers(), layer(files)], { tag: "1" });
    const { image } = await sealed(cwd, [...FROM, "--to", "oci:out:1", ...SIGNING]);
    expect(image.prepared.loaders.map(({ path, signed }) => [path, signed])).toEqual([
      [`${aa64}.signed`, "now"],
      [SIGNED, "now"],
    ]);
    const rootfs = await open(cwd, "oci:out:1");
    expect(signers(await content(rootfs, SIGNED))).toEqual(["untrusted", "trusted"]);
    expect(signers(await content(rootfs, `${aa64}.signed`))).toEqual(["trusted"]);
  });

  it("takes a dbx from before out", async () => {
    const old = layer({ [`${AUTO}/dbx.auth`]: await keyUpdate("dbx", "leaf"), [`${AUTO}/db.auth`]: utf8("old") });
    const cwd = await workspace(old);
    const { image, cmdline } = await sealed(cwd, [...FROM, "--to", "oci:out:1", ...SIGNING, ...KEYS]);
    expect(image.prepared.keys.at(-1)).toEqual({ path: `${AUTO}/dbx.auth`, change: "removed" });
    const rootfs = await open(cwd, "oci:out:1");
    expect(resolvePath(rootfs, `${AUTO}/dbx.auth`)).toBeNull();
    expect(readFileSync(join(cwd, "keys/db.auth")).equals(await content(rootfs, `${AUTO}/db.auth`))).toBe(true);
    expect(cmdline).toBe(`composefs=${await digestOf(cwd, "oci:out:1")}`);
  });

  it("is the same for releases that don't heed PAX headers, and for directories with nanoseconds", async () => {
    const odd = tarArchive(
      tarPax({ mtime: "1600000003.5" }),
      tarDirectory(`${EFI}/`, { mtime: 1_600_000_003 }),
      tarPax({ mtime: "1600000003.25" }),
      tarDirectory("usr/lib/", { mtime: 1_600_000_003 }),
    );
    const cwd = await workspace(odd);
    for (const bootc of ["1.15", "1.16.9", "1.17.5"]) {
      const args = [...FROM, "--to", `oci:out:${bootc}`, ...SIGNING, ...KEYS, "--bootc", bootc];
      const { cmdline } = await sealed(cwd, args);
      expect(cmdline).toContain(await digestOf(cwd, `oci:out:${bootc}`, "--bootc", bootc));
    }
    expect(resolvePath(await open(cwd, "oci:out:1.15"), EFI)?.node).toMatchObject({ mtimeNsec: 500_000_000 });
  });

  it("gives the same bytes each time, at the time of SOURCE_DATE_EPOCH or 0", async () => {
    const cwd = await workspace();
    const args = [...FROM, ...SIGNING, ...KEYS];
    const digests = async (to: string, options: CliOptions) =>
      (await sealed(cwd, [...args, "--to", to], options)).image.digest;
    const first = await digests("oci:a:1", { now: new Date("2026-01-02T03:04:05Z") });
    expect(await digests("oci:b:1", { now: new Date("2027-01-02T03:04:05Z") })).toBe(first);
    await digests("oci:c:1", { env: { SOURCE_DATE_EPOCH: "1700000000" } });
    for (const path of [SIGNED, AUTO, `${AUTO}/db.auth`]) {
      expect(resolvePath(await open(cwd, "oci:c:1"), path)?.node.mtimeSec).toBe(1_700_000_000n);
    }
  });

  it("leaves the loader alone without a key, and says so", async () => {
    const cwd = await workspace();
    const { image, warnings } = await sealed(cwd, [...FROM, "--to", "oci:out:1", ...KEYS]);
    expect(image.prepared.loaders).toEqual([]);
    expect(resolvePath(await open(cwd, "oci:out:1"), SIGNED)).toBeNull();
    expect(resolvePath(await open(cwd, "oci:out:1"), `${AUTO}/db.auth`)).not.toBeNull();
    expect(warnings.join("\n")).toMatch(
      /systemd-bootx64\.efi: It is not signed.*bootc install puts this file onto the disk/,
    );
  });

  it("shows it", async () => {
    const cwd = await workspace();
    const { stderr } = await seal([...FROM, "--to", "oci:out:1", ...SIGNING, ...KEYS], { cwd });
    expect(stderr).toMatch(new RegExp(`✓ for bootc +${SIGNED} {2}signed now`));
    expect(stderr).toMatch(
      new RegExp(`✓ keys to enrol +${AUTO}/PK.auth {2}written\\n +${AUTO}/KEK.auth {2}written\\n`),
    );
  });

  it.each<[string, Buffer, readonly string[], RegExp]>([
    [
      "a symlink where a directory is needed",
      tarArchive(tarDirectory("usr/lib/bootc/", TIME), tarHeader({ name: INSTALL, type: "2", link: "/etc" })),
      KEYS,
      /oci:in:1: usr\/lib\/bootc\/install.*symlink to \/etc/,
    ],
    [
      "secureboot-keys that is a file",
      layer({ [`${INSTALL}/secureboot-keys`]: utf8("") }),
      KEYS,
      /oci:in:1: usr\/lib\/bootc\/install\/secureboot-keys: is a file where bootc wants a directory; remove it/,
    ],
    [
      "a file right in secureboot-keys",
      layer({ [`${INSTALL}/secureboot-keys/PK.auth`]: utf8("") }),
      KEYS,
      /secureboot-keys\/PK\.auth: is a file where bootc wants a directory; remove it/,
    ],
    ["a loader that is not a program", layer({ [LOADER]: utf8("x".repeat(100)) }), [], /systemd-bootx64\.efi: .*PE/],
  ])("refuses %s and writes nothing", async (_, above, args, message) => {
    const cwd = await workspace(above);
    const before = snapshot(cwd);
    expectRefusal(await seal([...FROM, "--to", "oci:out:1", ...SIGNING, ...args], { cwd }), 3, message);
    expect(snapshot(cwd)).toEqual(before);
  });

  it("refuses a file on the way to the keys of a directory", async () => {
    const cwd = makeInputs();
    for (const [variable, bytes] of await keySet()) write(cwd, `keys/${variable}.auth`, bytes);
    write(cwd, `root/${INSTALL}`, "");
    const args = ["image", "--from", "dir:root", "--to", "oci:out:1", ...SIGNING, ...KEYS];
    expectRefusal(
      await seal(args, { cwd }),
      3,
      /root: usr\/lib\/bootc\/install: is a file; a directory is needed here/,
    );
  });

  it("asks no signer about an image that can't be sealed", async () => {
    const cwd = await workspace();
    await sealed(cwd, [...FROM, "--to", "oci:in:2"]);
    const signer = ["--signer", "touch asked; exit 1", "--cert", "db.crt"];
    const args = ["image", ...PLATFORM, "--from", "oci:in:2", "--to", "oci:out:1", ...signer];
    expectRefusal(await seal(args, { cwd }), 3, /is sealed already/);
    expect(() => readFileSync(join(cwd, "asked"))).toThrow("ENOENT");
  });
});
