/**
 * examples/external-signing/two-halves: images whose UKI and boot loader others signed, against sbverify and
 * what a pull computes.
 */
import { spawnSync } from "node:child_process";
import { chmodSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, it } from "vitest";
import { utf8 } from "../../src/bytes.ts";
import { openRootfs } from "../../src/io/rootfs.ts";
import { parseRootfsSource } from "../../src/io/rootfs-source.ts";
import { readTreeFile } from "../../src/tree/rootfs.ts";
import { seal } from "../support/cli.ts";
import { KVER } from "../support/inputs.ts";
import { writeLayout, writeLayoutOf } from "../support/layout.ts";
import { describeWith, PEERS_DIR, realRootfs, runPeer } from "../support/peers.ts";
import { pullDigest } from "../support/pull.ts";
import { sealableLayers } from "../support/sealable.ts";
import { tarArchive, tarDirectory, tarFile } from "../support/tar.ts";
import { tempDir } from "../support/temp.ts";

const PROGRAM = fileURLToPath(new URL("../../src/cli/main.ts", import.meta.url));
const EXAMPLE = fileURLToPath(new URL("../../examples/external-signing/two-halves", import.meta.url));
const SIGNERS = {
  osslsigncode: 'osslsigncode sign -h sha256 -certs "$1" -key keys/db.key -in "$2" -out "$3" >/dev/null',
  sbsign: 'sbsign --key keys/db.key --cert "$1" --output "$3" "$2" 2>/dev/null',
} as const;
const LOADER = "usr/lib/systemd/boot/efi/systemd-bootx64.efi.signed";
const DB = "usr/lib/bootc/install/secureboot-keys/auto/db.auth";

/** A directory with keys, and with seal where the example finds it. */
async function workspace(): Promise<string> {
  const cwd = tempDir();
  mkdirSync(join(cwd, "bin"));
  writeFileSync(join(cwd, "bin/seal"), `#!/bin/sh\nexec "${process.execPath}" "${PROGRAM}" "$@"\n`);
  chmodSync(join(cwd, "bin/seal"), 0o755);
  expect((await seal(["keys", "generate", "--output", "keys"], { cwd })).code).toBe(0);
  return cwd;
}

/** Runs the example on the image `oci:os:1`; what it says. */
function run(cwd: string, settings: Readonly<Record<string, string>>): string {
  const path = [join(cwd, "bin"), join(PEERS_DIR, "bin"), process.env["PATH"] ?? ""].join(":");
  const env = { ...process.env, PATH: path, TMPDIR: "/tmp", KEYS: "keys", ...settings };
  const result = spawnSync(EXAMPLE, ["oci:os:1", "oci:sealed:1", "keys/db.crt"], { cwd, env, encoding: "utf8" });
  expect(result.status, result.stderr).toBe(0);
  expect(result.stdout).toBe("oci:sealed:1\n");
  return result.stderr;
}

/** What the UKI and the boot loaders of the sealed image are for sbverify and cfsctl. @returns the command line */
async function expectSealed(cwd: string, uki: string): Promise<string> {
  const options = { algorithm: null, xattrs: [], cwd, platform: "linux/amd64" };
  const { rootfs } = await openRootfs(parseRootfsSource("oci:sealed:1"), options);
  const programs = [uki, "boot/EFI/BOOT/BOOTX64.EFI", "boot/EFI/systemd/systemd-bootx64.efi", LOADER];
  for (const [index, name] of programs.entries()) {
    const file = join(cwd, `${index}.efi`);
    writeFileSync(file, (await readTreeFile(rootfs, name)) ?? "");
    const verified = runPeer("sbverify", ["--cert", join(cwd, "keys/db.crt"), file]);
    expect(verified.stdout.toString(), name).toContain("Signature verification OK");
  }
  expect(readFileSync(join(cwd, "keys/db.auth")).equals((await readTreeFile(rootfs, DB)) ?? Buffer.alloc(0))).toBe(
    true,
  );
  const { stdout } = await seal(["inspect", "0.efi", "--section", ".cmdline"], { cwd });
  expect(stdout).toContain(`composefs=${pullDigest(join(cwd, "sealed"))}`);
  return stdout.replace(/\0*$/, "");
}

describeWith(["osslsigncode", "sbsign", "sbverify", "cfsctl"], "two halves of an image with bootc", () => {
  it.each(Object.entries(SIGNERS))("agree on the boot loader that %s signed", async (_, sign) => {
    const cwd = await workspace();
    const bootc = tarArchive(tarDirectory("usr/bin/"), tarFile("usr/bin/bootc", utf8("a program")));
    writeLayout(join(cwd, "os"), [...sealableLayers(), bootc], { tag: "1" });
    const platform = "--platform linux/amd64";
    const said = run(cwd, { SIGN: sign, BUILD: platform, WITH: platform });
    expect(said).toContain("sign the boot loader first");
    await expectSealed(cwd, `boot/EFI/Linux/${KVER}.efi`);
  });
});

describeWith(["osslsigncode", "sbverify", "cfsctl", "rootfs", "root"], "two halves", () => {
  it("seal an image with what osslsigncode signed between them", async () => {
    const cwd = await workspace();
    await writeLayoutOf(realRootfs() ?? "", join(cwd, "os"), { compression: "none", tag: "1" });
    const said = run(cwd, { SIGN: SIGNERS.osslsigncode, BUILD: "--bootc next --additional-kargs audit=0" });
    const [kver = ""] = /\d+\.\d+\.\d+\S*-amd64/.exec(said) ?? [];
    expect(await expectSealed(cwd, `boot/EFI/Linux/${kver}.efi`)).toMatch(/ audit=0$/);
  }, 600_000);
});
