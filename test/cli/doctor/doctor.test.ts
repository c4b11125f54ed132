import { chmodSync, mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { gzipSync } from "node:zlib";
import { describe, expect, it } from "vitest";
import { parseOsRelease } from "../../../src/boot/os-release.ts";
import { PURPOSES } from "../../../src/cli/doctor/checks.ts";
import { doctorReport, doctorReportSchema } from "../../../src/cli/doctor/command.ts";
import { kernelFeatures } from "../../../src/io/kernel-features.ts";
import { FAMILIES, familyOf, PROGRAM_PACKAGES } from "../../../src/io/packages.ts";
import { seal } from "../../support/cli.ts";
import { tempDir } from "../../support/temp.ts";

/** A directory of programs that do nothing. */
function programs(...names: readonly string[]): string {
  const directory = tempDir();
  for (const name of names) {
    writeFileSync(join(directory, name), "#!/bin/sh\n");
    chmodSync(join(directory, name), 0o755);
  }
  return directory;
}

describe("seal doctor", () => {
  it("says what is there and what is not", async () => {
    const PATH = programs("skopeo", "swtpm");
    const { code, stdout, stderr } = await seal(["doctor"], { env: { PATH } });
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    expect(stdout).toMatch(new RegExp(`^Node ${process.version} on `));
    expect(stdout).toMatch(new RegExp(`^✓ +skopeo +images in registries and container stores +${PATH}/skopeo$`, "m"));
    expect(stdout).toMatch(/^✗ +mcopy +boot-test +is not there$/m);
    expect(stdout).toMatch(
      /^✗ +cfsctl +boot-test --from +cargo install --locked composefs-ctl@0\.9\.4 --no-default-features --features oci,pre-6\.15$/m,
    );
    expect(stdout).toMatch(/^[✓?✗] +fs-verity +to run a sealed image here +\S/m);
    expect(stdout).toMatch(
      /\nTo install what is missing:\n(?: {2}.*\n)* {2}cargo install --locked composefs-ctl@0\.9\.4 --no-default-features --features oci,pre-6\.15\n$/,
    );
  });

  it("fails where something is missing for what was named, and there only", async () => {
    const env = { PATH: programs("skopeo") };
    expect((await seal(["doctor", "registry"], { env })).code).toBe(0);
    expect((await seal(["doctor", "registry", "boot-test-tpm"], { env })).code).toBe(1);
    const { code, stdout } = await seal(["doctor", "boot-test-tpm", "--json"], { env });
    expect(code).toBe(1);
    const { checks } = doctorReportSchema.parse(JSON.parse(stdout));
    expect(checks).toEqual([
      expect.objectContaining({ name: "swtpm", for: "boot-test-tpm", state: "missing", found: null }),
    ]);
    expect((await seal(["doctor", "everything"])).stderr).toBe(`seal: purpose: give one of ${PURPOSES.join(", ")}\n`);
  });

  it.each([
    ["ID=debian\nPRETTY_NAME='Debian GNU/Linux 13'\n", "debian", "apt install skopeo fdisk"],
    ["ID=ubuntu\nID_LIKE=debian\n", "debian", "apt install skopeo fdisk"],
    ["ID=fedora\n", "fedora", "dnf install skopeo util-linux"],
    ['ID="centos"\nID_LIKE="rhel fedora"\n', "fedora", "dnf install skopeo util-linux"],
    ["ID=arch\n", "arch", "pacman -S skopeo util-linux"],
    ['ID="opensuse-tumbleweed"\nID_LIKE="opensuse suse"\n', "suse", "zypper install skopeo util-linux"],
    ["ID=alpine\n", "alpine", "apk add skopeo sfdisk"],
  ])("names the packages of the distribution: %j", (osRelease, family, command) => {
    const missing = ["skopeo", "sfdisk", "skopeo"].map((name) => ({
      ...({ name, purpose: "registry", state: "missing", found: null, advice: null } as const),
      packages: PROGRAM_PACKAGES[name] ?? null,
    }));
    const system = parseOsRelease(Buffer.from(osRelease));
    expect(familyOf(system)).toBe(family);
    expect(doctorReport(missing, system)).toMatchObject({ system: { family }, install: [command] });
  });

  it("names no package where it does not know the distribution", () => {
    const system = parseOsRelease(Buffer.from("ID=plan9\n"));
    const missing = {
      ...({ name: "skopeo", purpose: "registry", state: "missing", found: null, advice: null } as const),
      packages: PROGRAM_PACKAGES["skopeo"] ?? null,
    };
    expect(doctorReport([missing], system)).toMatchObject({ install: [], checks: [{ package: null }] });
  });
});

describe("the features of a kernel", () => {
  function system(files: Readonly<Record<string, string | Uint8Array>>): string {
    const root = tempDir();
    for (const [path, content] of Object.entries(files)) {
      mkdirSync(dirname(join(root, path)), { recursive: true });
      writeFileSync(join(root, path), content);
    }
    return root;
  }
  const features = async (files: Readonly<Record<string, string | Uint8Array>>) => {
    const { erofs, overlay, verity } = await kernelFeatures(system(files), "6.1");
    return { erofs, overlay, verity };
  };

  it.each<[string, Readonly<Record<string, string | Uint8Array>>, object]>([
    ["nothing that tells", {}, { erofs: null, overlay: null, verity: null }],
    [
      "filesystems in use",
      { "proc/filesystems": "nodev\toverlay\n\terofs\n" },
      { erofs: true, overlay: true, verity: null },
    ],
    [
      "its configuration",
      { "proc/config.gz": gzipSync("CONFIG_EROFS_FS=m\n# CONFIG_OVERLAY_FS is not set\nCONFIG_FS_VERITY=y\n") },
      { erofs: true, overlay: false, verity: true },
    ],
    [
      "a configuration in /boot",
      { "boot/config-6.1": "CONFIG_FS_VERITY_BUILTIN_SIGNATURES=y\n" },
      { erofs: false, overlay: false, verity: false },
    ],
    ["one that is damaged", { "proc/config.gz": "no gzip" }, { erofs: null, overlay: null, verity: null }],
    [
      "its modules",
      { "lib/modules/6.1/modules.dep": "kernel/fs/erofs/erofs.ko.xz: a\n" },
      { erofs: true, overlay: false, verity: null },
    ],
    [
      "signatures of fs-verity",
      { "proc/sys/fs/verity/require_signatures": "0\n" },
      { erofs: null, overlay: null, verity: true },
    ],
  ])("are known from %s", async (_, files, expected) => {
    expect(await features(files)).toEqual(expected);
  });
});

it("every program has a package in every family, or in none", () => {
  for (const packages of Object.values(PROGRAM_PACKAGES))
    expect(Object.keys(packages).toSorted()).toEqual([...FAMILIES].toSorted());
});
