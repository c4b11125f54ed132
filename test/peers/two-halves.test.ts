/** examples/external-signing/two-halves: an image of a real system, signed by osslsigncode, against sbverify and what a pull computes. */
import { spawnSync } from "node:child_process";
import { chmodSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, it } from "vitest";
import { openRootfs } from "../../src/io/rootfs.ts";
import { parseRootfsSource } from "../../src/io/rootfs-source.ts";
import { readTreeFile } from "../../src/tree/rootfs.ts";
import { seal } from "../support/cli.ts";
import { writeLayoutOf } from "../support/layout.ts";
import { describeWith, PEERS_DIR, realRootfs, runPeer } from "../support/peers.ts";
import { pullDigest } from "../support/pull.ts";
import { tempDir } from "../support/temp.ts";

const PROGRAM = fileURLToPath(new URL("../../src/cli/main.ts", import.meta.url));
const EXAMPLE = fileURLToPath(new URL("../../examples/external-signing/two-halves", import.meta.url));
const SIGN = 'osslsigncode sign -h sha256 -certs "$1" -key keys/db.key -in "$2" -out "$3" >/dev/null';

describeWith(["osslsigncode", "sbverify", "cfsctl", "rootfs", "root"], "two halves", () => {
  it("seal an image with what osslsigncode signed between them", async () => {
    const cwd = tempDir();
    mkdirSync(join(cwd, "bin"));
    writeFileSync(join(cwd, "bin/seal"), `#!/bin/sh\nexec "${process.execPath}" "${PROGRAM}" "$@"\n`);
    chmodSync(join(cwd, "bin/seal"), 0o755);
    await writeLayoutOf(realRootfs() ?? "", join(cwd, "os"), { compression: "none", tag: "1" });
    expect((await seal(["keys", "generate", "--output", "keys"], { cwd })).code).toBe(0);

    const path = [join(cwd, "bin"), join(PEERS_DIR, "bin"), process.env["PATH"] ?? ""].join(":");
    const given = { SIGN, KEYS: "keys", BUILD: "--bootc next --additional-kargs audit=0" };
    const env = { ...process.env, PATH: path, TMPDIR: "/tmp", ...given };
    const args = ["oci:os:1", "oci:sealed:1", "keys/db.crt"];
    const result = spawnSync(EXAMPLE, args, { cwd, env, encoding: "utf8" });
    expect(result.status, result.stderr).toBe(0);
    expect(result.stdout).toBe("oci:sealed:1\n");

    const { rootfs } = await openRootfs(parseRootfsSource("oci:sealed:1"), { algorithm: null, xattrs: [], cwd });
    const [kver = ""] = /\d+\.\d+\.\d+\S*-amd64/.exec(result.stderr) ?? [];
    const programs = [
      `boot/EFI/Linux/${kver}.efi`,
      "boot/EFI/BOOT/BOOTX64.EFI",
      "boot/EFI/systemd/systemd-bootx64.efi",
      "usr/lib/systemd/boot/efi/systemd-bootx64.efi.signed",
    ];
    for (const [index, name] of programs.entries()) {
      const file = join(cwd, `${index}.efi`);
      writeFileSync(file, (await readTreeFile(rootfs, name)) ?? "");
      const verified = runPeer("sbverify", ["--cert", join(cwd, "keys/db.crt"), file]);
      expect(verified.stdout.toString(), name).toContain("Signature verification OK");
    }
    const keys = "usr/lib/bootc/install/secureboot-keys/auto";
    const db = (await readTreeFile(rootfs, `${keys}/db.auth`)) ?? new Uint8Array();
    expect(readFileSync(join(cwd, "keys/db.auth")).equals(db)).toBe(true);
    const { stdout } = await seal(["inspect", "0.efi", "--section", ".cmdline"], { cwd });
    const words = stdout.replace(/\0*$/, "").split(" ");
    expect(words.slice(-2)).toEqual([`composefs=${pullDigest(join(cwd, "sealed"))}`, "audit=0"]);
  }, 300_000);
});
